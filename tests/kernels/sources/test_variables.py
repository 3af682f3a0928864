"""The same filter cleans every source of variables; `show` reports what it removed, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.kernels.plan.plan import KernelPlan, plan_source
from spack_kernel.kernels.sources.kernel_source import specs_source
from spack_kernel.spack import Store
from spack_kernel.spack.load.modifications import Modification
from spack_kernel.spack.load.modules import ModulesError, load_modules
from spack_kernel.spack.load.recipe_variables import RecipeVariables
from tests.module_systems import debian_module_system, module_settings, write_module

BASE = {"HOME": "/home/me", "PATH": "/usr/bin:/bin"}


@pytest.fixture(params=["lmod", "environment-modules"])
def modules(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return the settings of a site whose module sets variables that it should not."""
    (tmp_path / "site" / "ipykernel").mkdir(parents=True)
    (tmp_path / "site" / "ipykernel" / "__init__.py").write_text("raise ImportError('wrong one')\n")
    write_module(
        tmp_path / "modules",
        "vendor/1",
        "setenv PYTHONHOME /opt/python27",
        "setenv PYTHONSTARTUP /opt/startup.py",
        "setenv CONDA_PREFIX /opt/conda",
        "setenv VENDOR_HOME /opt/vendor",
        "prepend-path LD_LIBRARY_PATH /opt/vendor/lib",
        f"prepend-path PYTHONPATH {tmp_path}/site",
    )
    system = debian_module_system(request.param)
    return {**BASE, **module_settings(system, tmp_path / "modules")}


def plan_with(demo: DemoStore, *names: str, recipes: RecipeVariables | None = None) -> KernelPlan:
    store = Store.open(demo.root)
    source = specs_source(store, [store.get("py-libensemble")], recipes=recipes)
    return plan_source(source, modules=names)


def test_a_module(demo_store: DemoStore, modules: dict[str, str], tmp_path: Path) -> None:
    plan = plan_with(demo_store, "vendor/1")
    started = plan.environment(modules)
    assert started["VENDOR_HOME"] == "/opt/vendor"
    assert started["LD_LIBRARY_PATH"].split(":")[0] == "/opt/vendor/lib"
    assert {"PYTHONHOME", "PYTHONSTARTUP", "CONDA_PREFIX"}.isdisjoint(started)
    path = started["PYTHONPATH"].split(":")
    assert path[-1] == f"{tmp_path}/site", "behind the specs and the companion"
    assert path[:-1] == plan.environment(BASE, modules=False)["PYTHONPATH"].split(":")
    removed = plan.loaded_modules(modules).removed
    assert {each.name for each in removed} == {"PYTHONHOME", "PYTHONSTARTUP", "CONDA_PREFIX"}
    assert {each.source for each in removed} == {"the modules vendor/1"}


def test_a_module_beside_a_kernel_that_runs(
    demo_store: DemoStore,
    modules: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in modules.items():
        if name not in BASE:
            monkeypatch.setenv(name, value)
    words = ["--store", str(demo_store.root), "--module", "vendor/1", "py-libensemble"]
    assert main(["check", *words]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(["show", *words]) == 0
    left_out = capsys.readouterr().out.partition("Left out ")[2].partition("Dependency tree")[0]
    assert "  PYTHONHOME=/opt/python27\n    from the modules vendor/1: points Python at" in left_out


@pytest.mark.parametrize("name", ["/srv/other/evil", "./evil", "~/evil", "a/../../evil", "-x"])
def test_a_module_that_is_a_path(name: str) -> None:
    """An external in another user's database may name it, and root may load it."""
    with pytest.raises(ModulesError, match="not the name of a module"):
        load_modules([name], {"MODULEPATH": "/x"})


def test_recipes_and_the_kernelspec(
    demo_store: DemoStore, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        Modification("set", "PYTHONHOME", "/opt/x", reason="reported by Spack 1.0"),
        Modification("set", "OPENMPI", "/opt/mpi", reason="reported by Spack 1.0"),
    ]
    recipes = RecipeVariables(spack_version="1.0", replaces=(), modifications=tuple(made))
    plan = plan_with(demo_store, recipes=recipes)
    env = {
        "PYTHONHOME": "/opt/y",
        "__PYVENV_LAUNCHER__": "x",
        "PYTHONSTARTUP": "/mine.py",
        "MPLBACKEND": "agg",
    }
    started = plan.environment({**BASE, "PYTHONHOME": "/server"}, env=env)
    assert started["OPENMPI"] == "/opt/mpi"
    assert started["PYTHONSTARTUP"] == "/mine.py", "set for the kernel on purpose"
    assert started["MPLBACKEND"] == "agg"
    assert {"PYTHONHOME", "__PYVENV_LAUNCHER__"}.isdisjoint(started)
    told = {(each.name, each.value): each.source for each in plan.removals(env)}
    assert told == {
        ("PYTHONHOME", "/opt/x"): "reported by Spack 1.0",
        ("PYTHONHOME", "/opt/y"): "the kernelspec",
        ("__PYVENV_LAUNCHER__", "x"): "the kernelspec",
    }
    kept = plan.environment(BASE, env=env, keep=["PYTHONHOME"])
    assert kept["PYTHONHOME"] == "/opt/y", "a site may know better"


def test_pythonpath_of_the_kernelspec(demo_store: DemoStore) -> None:
    plan = plan_with(demo_store)
    spacks = plan.environment(BASE)["PYTHONPATH"]
    assert plan.environment(BASE, env={"PYTHONPATH": "/mine"})["PYTHONPATH"] == f"/mine:{spacks}"
    for value in ("${PYTHONPATH}:/mine", "$PYTHONPATH:/mine"):
        assert plan.environment(BASE, env={"PYTHONPATH": value})["PYTHONPATH"] == f"{spacks}:/mine"


def test_the_systems_path_where_there_is_none(demo_store: DemoStore) -> None:
    path = plan_with(demo_store).environment({"HOME": "/home/me"})["PATH"].split(":")
    assert set(path[-2:]) == {"/usr/bin", "/bin"}
    assert path[0].startswith(str(demo_store.root))
