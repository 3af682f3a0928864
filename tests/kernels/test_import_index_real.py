"""Real packages plainly, with import index, with start image: their names, and numpy's tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement

from spack_kernel.demo import DemoStore
from spack_kernel.kernels import import_index
from spack_kernel.kernels.image import Image
from spack_kernel.kernels.plan.plan import KernelPlan, plan_kernel
from spack_kernel.spack import Store

from . import import_survey

pytestmark = pytest.mark.slow

NUMPY = "py-numpy@2.1.3"

#: The numpy tests that import the most, and some that compute; `-m soak` runs all 50,000.
PARTS = [
    "numpy.tests.test__all__",
    "numpy.tests.test_ctypeslib",
    "numpy.tests.test_lazyloading",
    "numpy.tests.test_public_api",
    "numpy.tests.test_reloading",
    "numpy._core.tests.test_numerictypes",
    "numpy.lib.tests.test_arraysetops",
    "numpy.lib.tests.test_index_tricks",
    "numpy.ma.tests.test_extras",
    "numpy.polynomial",
    "numpy.random.tests.test_smoke",
]

WAYS = ("plain", "indexed", "imaged")


def run(
    plan: KernelPlan, way: str, module: list[str], behind: Path, cwd: Path, **also: str
) -> subprocess.CompletedProcess[str]:
    """Run a module in a kernel's environment, with `behind` as the last PYTHONPATH entry.

    With an image, it is run once before, which makes the image.
    """
    if way == "imaged":
        image = cwd.parent / "images" / "start.img"
        _run(plan, image, module, behind, cwd, also)
        deadline = time.monotonic() + 120
        while not image.exists() or list(image.parent.glob("*.claim")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        shutil.rmtree(cwd)
        return _run(plan, image, module, behind, cwd, also)
    return _run(plan, way, module, behind, cwd, also)


def _run(
    plan: KernelPlan,
    way: str | Path,
    module: list[str],
    behind: Path,
    cwd: Path,
    also: dict[str, str],
) -> subprocess.CompletedProcess[str]:
    assert plan.interpreter is not None
    env = plan.environment({"PATH": os.defpath, "HOME": str(cwd)}, env=also)
    env["PYTHONPATH"] += os.pathsep + str(behind)
    argv = list(plan.argv)
    if way != "plain":
        image = None
        if isinstance(way, Path):
            fixed = [entry.path for entry in plan.pythonpath]
            image = Image(str(way), "key", os.geteuid(), can_record=True, fixed=fixed)
        argv, env = import_index.through_launcher(argv, env, plan.interpreter.info, image=image)
        assert import_index.INDEX_VARIABLE in env
    argv = [*argv[: argv.index(import_index.KERNEL_MODULE)], *module]
    cwd.mkdir(exist_ok=True)
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert "import index" not in done.stderr
    return done


@pytest.fixture(scope="module")
def store(demo_store: DemoStore) -> Store:
    return Store.open(demo_store.root)


@pytest.fixture(scope="module")
def everything(store: Store) -> KernelPlan:
    """Return the plan of a kernel with all packages, including two versions of numpy."""
    first = store.get(NUMPY)
    return plan_kernel(store, [first, *(spec for spec in store if spec is not first)])


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a directory that contains only `import_survey`."""
    directory = tmp_path / "program"
    directory.mkdir()
    shutil.copy(import_survey.__file__, directory)
    return directory


@pytest.mark.parametrize("what", ["specs", "modules"])
def test_every_name_of_a_large_closure_is_found_and_imported_alike(
    everything: KernelPlan, program: Path, tmp_path: Path, what: str
) -> None:
    answers: dict[str, dict[str, Any]] = {}
    for way in WAYS:
        done = run(everything, way, ["import_survey", what], program, tmp_path / way)
        assert done.returncode == 0, done.stderr
        answers[way] = json.loads(done.stdout)
        assert answers[way].pop("indexed") == (way != "plain")
        assert answers[way].pop("imaged") == (way == "imaged")
    plain = answers["plain"]
    for way in WAYS[1:]:
        assert answers[way]["outcomes"].keys() == plain["outcomes"].keys()
        for name, outcome in plain["outcomes"].items():
            assert answers[way]["outcomes"][name] == outcome, name
        assert answers[way] == plain
    assert len(everything.pythonpath) > 45
    kinds = Counter(type(outcome).__name__ for outcome in plain["outcomes"].values())
    assert kinds["dict"] > 300, kinds
    assert len(plain["distributions"]) > 45


def test_the_survey_asks_for_names_of_every_kind(
    everything: KernelPlan, program: Path, tmp_path: Path
) -> None:
    done = run(everything, "indexed", ["import_survey", "specs"], program, tmp_path / "cwd")
    outcomes = json.loads(done.stdout)["outcomes"]
    found = [outcome for outcome in outcomes.values() if isinstance(outcome, dict)]
    loaders = Counter(outcome["loader"].rpartition(".")[2] for outcome in found)
    assert loaders["SourceFileLoader"] > 200, loaders
    assert loaders["ExtensionFileLoader"] > 5, loaders
    assert loaders["type"] > 20, loaders  # built-in and frozen
    assert any(outcome["locations"] and not outcome["origin"] for outcome in found)  # namespaces
    assert list(outcomes.values()).count(None) > 40
    assert outcomes["nowhere_to_be_found"] is None
    assert "2.1.3" in outcomes["numpy"]["origin"]


def gather(directory: Path, *wanted: str) -> Path:
    """Link these distributions of the Python that runs the tests, and their dependencies."""
    directory.mkdir()
    seen: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (directory / top).exists():
                (directory / top).symlink_to(str(found.locate_file(top)))
        needs = map(Requirement, found.requires or ())
        todo += [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    return directory


def outcomes(report: Path) -> dict[str, str]:
    """Return the outcome of each test in a JUnit report."""
    results = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        test = f"{case.get('file', '')} {case.get('classname')}::{case.get('name')}"
        results[test] = " ".join([results.get(test, ""), *(kinds or ["passed"])]).strip()
    return results


@pytest.mark.parametrize(
    ("parts", "at_least"),
    [
        pytest.param(PARTS, 1500, id="parts"),
        pytest.param(
            # Tests that compile Fortran cannot even be collected without meson, either way.
            ["numpy", "--continue-on-collection-errors"],
            40000,
            id="whole",
            marks=[pytest.mark.soak, pytest.mark.timeout(3600)],
        ),
    ],
)
def test_the_tests_of_numpy_come_out_alike(
    store: Store, tmp_path: Path, parts: list[str], at_least: int
) -> None:
    plan = plan_kernel(store, [store.get(NUMPY), *store.named("py-ipykernel")])
    tools = gather(tmp_path / "tools", "pytest", "hypothesis")
    also = {
        "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"),  # the store must not change
        "NPY_AVAILABLE_MEM": "1 GB",  # always skip the same tests
        "OPENBLAS_NUM_THREADS": "1",
    }
    results = {}
    for way in WAYS:
        report = tmp_path / f"{way}.xml"
        command = ["pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        command += [f"--junitxml={report}", "--pyargs", *parts]
        done = run(plan, way, command, tools, tmp_path / "cwd", **also)
        assert report.exists(), done.stdout + done.stderr
        results[way] = outcomes(report)
    plain = results["plain"]
    for way in WAYS[1:]:
        other = results[way]
        differing = {
            test: (plain.get(test), other.get(test))
            for test in plain.keys() | other.keys()
            if plain.get(test) != other.get(test)
        }
        assert not differing, way
    counts = Counter(plain.values())
    assert counts["passed"] >= at_least, counts
