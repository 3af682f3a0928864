"""Which installed specs can be kernels, according to the database and the directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spack_kernel.kernels.candidates.candidates import Candidate, Survey
from spack_kernel.kernels.plan.plan import plan_kernel
from tests.records import dag_hash
from tests.small_store import SmallStore

if TYPE_CHECKING:
    from pathlib import Path

    from spack_kernel.demo import DemoStore


@pytest.fixture
def store(tmp_path: Path) -> SmallStore:
    return SmallStore(tmp_path / "store")


def look(store: SmallStore, key: str) -> Candidate:
    opened = store.open()
    spec = opened.by_hash(key)
    assert spec is not None
    return Survey(opened).candidate(spec)


def test_an_ipykernel_in_the_closure_is_taken(store: SmallStore) -> None:
    python = store.add("python", "3.11.9")
    kernel = store.add("py-ipykernel", "6.29.5", python)
    app = store.add("py-app", "1.0", store.add("py-mid", "1.0", kernel), python)
    found = look(store, app)
    assert (found.source, found.ipykernel_version, found.why_not) == ("closure", "6.29.5", "")
    assert found.python is not None
    assert found.python.hash == python
    assert found.ipykernel is not None
    assert found.ipykernel.hash == kernel


def test_what_has_no_python_cannot_be_a_kernel(store: SmallStore) -> None:
    found = look(store, store.add("zlib", "1.3"))
    assert (found.python, found.source) == (None, None)
    assert found.why_not == "no python in its closure"


def test_two_pythons_cannot_be_a_kernel(store: SmallStore) -> None:
    pythons = [store.add("python", version) for version in ("3.11.9", "3.12.4")]
    assert (
        look(store, store.add("py-app", "1.0", *pythons)).why_not == "its closure has two pythons"
    )


def test_a_python_needed_only_to_build_does_not_count(store: SmallStore) -> None:
    python = store.add("python", "3.11.9")
    app = store.add("cmake-app", "1.0", python)
    (edge,) = store.records[app]["spec"]["dependencies"]
    edge["parameters"]["deptypes"] = ["build"]
    assert look(store, app).why_not == "no python in its closure"


@pytest.mark.parametrize(
    "where",
    [
        "lib/python3.11/site-packages",
        "lib64/python3.11/site-packages",
        "lib/python3/dist-packages",
        "local/lib/python3.11/dist-packages",
    ],
)
def test_what_the_interpreter_has_itself_comes_before_a_companion(
    store: SmallStore, tmp_path: Path, where: str
) -> None:
    prefix = tmp_path / "conda"
    packages = prefix / where
    (packages / "ipykernel").mkdir(parents=True)
    (packages / "ipykernel" / "__init__.py").touch()
    (packages / "ipykernel-6.29.4.dist-info").mkdir()
    python = store.add("python", "3.11.9", prefix=prefix, external=True)
    store.add("py-ipykernel", "6.29.5", python)
    found = look(store, store.add("py-app", "1.0", python))
    assert (found.source, found.ipykernel_version) == ("interpreter", "6.29.4")
    assert found.ipykernel is None


def test_a_companion_is_for_the_same_python_and_the_newest(store: SmallStore) -> None:
    ours = store.add("python", "3.11.9")
    other = store.add("python", "3.12.4")
    store.add("py-ipykernel", "7.0.0", other)
    store.add("py-ipykernel", "6.10.0", ours)
    best = store.add("py-ipykernel", "6.29.5", ours)
    gone = store.add("py-ipykernel", "6.30.0", ours, prefix=store.root / "gone")
    uninstalled = store.add("py-ipykernel", "6.31.0", ours, installed=False)
    found = look(store, store.add("py-app", "1.0", ours))
    assert found.source == "companion"
    assert found.ipykernel is not None
    assert found.ipykernel.hash == best
    assert found.ipykernel.hash not in (gone, uninstalled)


def test_a_companion_of_another_build_of_the_same_series_will_do(store: SmallStore) -> None:
    ours = store.add("python", "3.11.9")
    near = store.add("python", "3.11.4")
    debug = store.add("python", "3.11.5", variants={"debug": True})
    store.add("py-ipykernel", "7.0.0", debug)
    fitting = store.add("py-ipykernel", "6.29.5", near)
    found = look(store, store.add("py-app", "1.0", ours))
    assert found.ipykernel is not None
    assert found.ipykernel.hash == fitting


def test_without_any_ipykernel_it_says_so(store: SmallStore) -> None:
    python = store.add("python", "3.11.9")
    found = look(store, store.add("py-app", "1.0", python))
    assert found.source is None
    assert found.why_not == "no py-ipykernel for its python"


def test_unrecorded_dependencies_and_cycles_do_no_harm(store: SmallStore) -> None:
    python = store.add("python", "3.11.9")
    a = store.add("a", "1.0", python)
    b = store.add("b", "1.0", a)
    edges = store.records[a]["spec"]["dependencies"]
    edges.append({**edges[0], "name": "b", "hash": b})
    edges.append({**edges[0], "name": "nowhere", "hash": dag_hash("nowhere")})
    opened = store.open()
    # In a cycle, the answer depends on the starting point; what matters is that the walk ends.
    assert len(list(Survey(opened).candidates(opened))) == 3
    found = look(store, a)
    assert found.python is not None
    assert found.python.hash == python
    lost = dag_hash("nowhere")[:7]
    assert (found.source, found.why_not) == (None, f"incomplete: /{lost} is in no database")


def test_what_is_not_installed_is_told_of_all_that_need_it(store: SmallStore) -> None:
    python = store.add("python", "3.11.9")
    kernel = store.add("py-ipykernel", "6.29", python)
    numpy = store.add("py-numpy", "1.26", python)
    tool = store.add("py-tool", "1.0", python, numpy, kernel)
    old = store.add("py-old", "1.0", python, kernel)
    uses_old = store.add("py-new", "2.0", python, kernel, old)
    store.records[numpy]["installed"] = False
    store.records[old] |= {"installed": False, "deprecated_for": tool}
    reason = f"incomplete: py-numpy@1.26/{numpy[:7]} is not installed"
    assert look(store, tool).why_not == reason
    # For a deprecated spec, Spack creates a link to its replacement.
    assert "incomplete" not in look(store, uses_old).why_not


def test_the_survey_says_what_plans_say(demo_store: DemoStore) -> None:
    from spack_kernel.spack import Store

    store = Store.open(demo_store.root)
    survey = Survey(store)
    compared = 0
    for spec in store.find("py-libensemble") + store.find("py-numpy") + store.find("py-ipykernel"):
        plan = plan_kernel(store, [spec])
        candidate = survey.candidate(spec)
        assert plan.ipykernel is not None
        assert (candidate.source, candidate.ipykernel) == (
            plan.ipykernel.source,
            plan.ipykernel.spec,
        )
        compared += 1
    assert compared == 4
