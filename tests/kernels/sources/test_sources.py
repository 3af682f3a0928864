"""Plans for Spack environments and views in the demo store, run by the planned Python."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.kernels.plan import KernelPlan, plan_dict
from spack_kernel.kernels.plan.plan import plan_source
from spack_kernel.kernels.sources.kernel_source import environment_source, specs_source, view_source
from spack_kernel.spack import Spec, Store
from spack_kernel.spack.environments.activation import ViewNotFound
from spack_kernel.spack.environments.errors import EnvironmentNotFound, EnvironmentNotReady
from spack_kernel.spack.load.modifications import Modification
from spack_kernel.spack.load.recipe_variables import RecipeVariables
from spack_kernel.spack.system import file_checks
from tests.made_environment import link_view, make_environment


@pytest.fixture(scope="module")
def store(demo_store: DemoStore) -> Store:
    return Store.open(demo_store.root)


@pytest.fixture(scope="module")
def roots(store: Store, demo_store: DemoStore) -> list[Spec]:
    """Return py-libensemble, whose closure has no ipykernel, and py-pyyaml."""
    found = [store.by_hash(demo_store.hash(name)) for name in ("py-libensemble", "py-pyyaml")]
    return [spec for spec in found if spec is not None]


@pytest.fixture(scope="module")
def with_view(tmp_path_factory: pytest.TempPathFactory, store: Store, roots: list[Spec]) -> Path:
    """Return an environment with a linked default view."""
    directory = make_environment(tmp_path_factory.mktemp("env") / "science", roots)
    link_view(directory / ".spack-env" / "view", store, roots)
    return directory


ASK = (
    "import json, os, sys, libensemble, yaml, ipykernel\n"
    "print(json.dumps([sys.prefix, sys.executable, libensemble.__file__, yaml.__file__,"
    " ipykernel.__file__, dict(os.environ)]))"
)


def ask(plan: KernelPlan) -> tuple[str, str, str, str, str, dict[str, str]]:
    output = subprocess.run(
        plan.command(["python", "-c", ASK]),
        env=plan.environment({"PATH": "/usr/bin:/bin"}),
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(json.loads(output))


def test_through_the_view_sys_prefix_is_the_view(
    store: Store, with_view: Path, demo_store: DemoStore
) -> None:
    source = environment_source(store, str(with_view))
    plan = plan_source(source)
    view = with_view / ".spack-env" / "view"
    prefix, executable, libensemble, yaml, ipykernel, environ = ask(plan)
    assert prefix == str(view)
    assert Path(executable).parent == view / "bin"
    assert libensemble.startswith(f"{view}/lib/")
    assert yaml.startswith(f"{view}/lib/")
    assert demo_store.hash("py-ipykernel") in ipykernel, "the companion comes from the store"
    assert environ["SPACK_ENV"] == str(with_view)
    assert environ["SPACK_ENV_VIEW"] == str(view)
    assert environ["PATH"].split(":")[0] == f"{view}/bin"
    assert environ["PATH"].endswith(":/usr/bin:/bin")
    assert plan.interpreter is not None
    assert plan.interpreter.reason == "the view contains the closure's python-venv"
    assert plan.interpreter.notes == ()
    assert source.describe() == f"the environment {with_view}, through the view default"


def test_without_a_view_the_roots_are_loaded(
    store: Store, roots: list[Spec], tmp_path: Path
) -> None:
    directory = make_environment(tmp_path / "bare", roots, view=False)
    source = environment_source(store, str(directory))
    plan = plan_source(source)
    prefix, _, libensemble, yaml, _, environ = ask(plan)
    assert "python-venv" in prefix
    assert libensemble.startswith(f"{roots[0].prefix}/")
    assert yaml.startswith(f"{roots[1].prefix}/")
    assert environ["SPACK_ENV"] == str(directory)
    assert "SPACK_ENV_VIEW" not in environ
    assert "SPACK_LOADED_HASHES" not in environ
    assert source.describe() == f"the environment {directory}, its roots loaded"
    assert plan_dict(plan)["source"] == {
        "kind": "environment",
        "name": str(directory),
        "environment": str(directory),
        "view": None,
        "view_name": "none",
    }


def test_a_view_may_be_chosen_or_declined(store: Store, with_view: Path) -> None:
    view = str(with_view / ".spack-env" / "view")
    assert environment_source(store, str(with_view), view="default").view == view
    assert environment_source(store, str(with_view), view=view).view == view
    assert environment_source(store, str(with_view), view="none").view == ""
    with pytest.raises(EnvironmentNotReady, match="has no view named tools"):
        environment_source(store, str(with_view), view="tools")
    with pytest.raises(EnvironmentNotReady, match="has no view at /elsewhere") as caught:
        environment_source(store, str(with_view), view="/elsewhere")
    assert caught.value.details == (f"  default: {view}",)


def test_a_view_that_is_not_there(store: Store, roots: list[Spec], tmp_path: Path) -> None:
    directory = make_environment(tmp_path / "unlinked", roots)
    with pytest.raises(ViewNotFound) as caught:
        environment_source(store, str(directory))
    assert caught.value.hint == f"Create it with `spack -D {directory} env view regenerate`."


def test_a_view_of_the_users_own_making(
    store: Store, roots: list[Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = link_view(tmp_path / "my-view", store, roots)
    source = view_source(store, str(view))
    plan = plan_source(source)
    prefix, executable, libensemble, _, ipykernel, environ = ask(plan)
    assert (prefix, Path(executable).parent) == (str(view), view / "bin")
    assert libensemble.startswith(f"{view}/lib/")
    assert not ipykernel.startswith(str(view))
    assert "SPACK_ENV" not in environ
    assert source.describe() == f"the view {view}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert view_source(store, "~/my-view").name == str(view)
    with pytest.raises(ViewNotFound, match="needs an absolute path, which 'my-view' is not"):
        view_source(store, "my-view")


def test_a_view_with_ipykernel_needs_no_companion(
    store: Store, demo_store: DemoStore, tmp_path: Path
) -> None:
    kernel = store.by_hash(demo_store.hash("py-ipykernel"))
    assert kernel is not None
    view = link_view(tmp_path / "view", store, [kernel])
    plan = plan_source(view_source(store, str(view)))
    assert plan.ipykernel is not None
    assert (plan.ipykernel.source, plan.ipykernel.spec) == ("closure", kernel)
    assert all(entry.path.startswith(str(view)) for entry in plan.pythonpath)


def test_a_view_without_python_leaves_the_closures(
    store: Store, roots: list[Spec], tmp_path: Path
) -> None:
    view = link_view(tmp_path / "view", store, roots)
    for name in ("python", "python3", *(p.name for p in (view / "bin").glob("python3.*"))):
        (view / "bin" / name).unlink()
    plan = plan_source(view_source(store, str(view)))
    prefix, _, libensemble, *_ = ask(plan)
    assert "python-venv" in prefix
    assert libensemble.startswith(f"{view}/lib/")
    assert plan.interpreter is not None
    assert plan.interpreter.notes == (f"the view {view} lacks this Python",)


def test_what_is_no_environment(store: Store, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotFound, match="no environment named science can be found"):
        environment_source(store, "science")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EnvironmentNotFound, match="it is not a Spack environment"):
        environment_source(store, str(tmp_path / "empty"))


def test_roots_that_are_gone(store: Store, roots: list[Spec], tmp_path: Path) -> None:
    directory = make_environment(tmp_path / "env", roots, view=False)
    lock = json.loads((directory / "spack.lock").read_text())
    lock["roots"][1]["hash"] = "z" * 32
    lock["concrete_specs"]["z" * 32] = {"name": "gone", "version": "1", "hash": "z" * 32}
    (directory / "spack.lock").write_text(json.dumps(lock))
    with pytest.raises(EnvironmentNotReady) as caught:
        environment_source(store, str(directory))
    assert caught.value.summary.endswith("1 of the 2 roots of the environment "
                                         f"{directory} is not installed")  # fmt: skip
    assert caught.value.details == (
        "  gone@1/zzzzzzz for 'py-pyyaml'",
        f"  in {store.root}",
    )


def test_a_change_is_noticed(store: Store, roots: list[Spec], tmp_path: Path) -> None:
    directory = make_environment(tmp_path / "env", roots, view=False)
    with file_checks.Recorder() as recorder:
        environment_source(store, str(directory))
    assert file_checks.unchanged(recorder.checks)
    time.sleep(0.01)
    (directory / "spack.lock").write_text((directory / "spack.lock").read_text() + "\n")
    assert not file_checks.unchanged(recorder.checks)


# -- recorded recipe variables ------------------------------------------------------------------


def recorded(specs: list[Spec], *hashes: str) -> RecipeVariables:
    root = specs[0]
    return RecipeVariables(
        spack_version="1.0",
        replaces=(),
        modifications=(
            Modification("set", "LIBENSEMBLE_HOME", f"{root.prefix}/share", spec=root.hash),
            Modification("append", "PATH", "/opt/tool/bin"),
        ),
        specs=hashes or tuple(spec.hash for spec in specs),
    )


def test_recorded_variables_are_set(store: Store, roots: list[Spec]) -> None:
    source = specs_source(store, roots, recipes=recorded(roots))
    environment = plan_source(source).environment({"PATH": "/usr/bin"})
    assert environment["LIBENSEMBLE_HOME"] == f"{roots[0].prefix}/share"
    assert environment["PATH"].endswith(":/usr/bin:/opt/tool/bin"), "not a frozen copy"


def test_recorded_variables_are_shown_through_the_view(
    store: Store, roots: list[Spec], with_view: Path
) -> None:
    source = environment_source(store, str(with_view), recipes=recorded(roots))
    environment = plan_source(source).environment({})
    assert environment["LIBENSEMBLE_HOME"] == f"{with_view}/.spack-env/view/share"


def test_what_is_recorded_of_other_specs_is_not_used(store: Store, roots: list[Spec]) -> None:
    source = specs_source(store, roots, recipes=recorded(roots, "a" * 32))
    plan = plan_source(source)
    assert "LIBENSEMBLE_HOME" not in plan.environment({})
    assert [note.text for note in plan.notes if note.topic == "recipes"] == [
        "the variables recorded from recipes belong to other specs and are not used; "
        "create the kernel again with `spack-kernel install`"
    ]
