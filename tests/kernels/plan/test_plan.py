from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.kernels.errors import IncompleteError, InterpreterError, PrefixGoneError
from spack_kernel.kernels.plan import KernelPlan, plan_dict, plan_kernel
from spack_kernel.kernels.plan.plan import plan_source
from spack_kernel.kernels.plan.process_environment import is_python
from spack_kernel.kernels.sources.kernel_source import specs_source
from spack_kernel.spack import Spec, Store
from tests.small_store import SmallStore, python_prefix

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
SERIES = "{}.{}".format(*sys.version_info[:2])


def spec_of(store: Store, dag_hash: str) -> Spec:
    spec = store.by_hash(dag_hash)
    assert spec is not None
    return spec


@pytest.fixture(scope="module")
def plan(demo_store: DemoStore) -> KernelPlan:
    """The plan for py-libensemble, whose closure has no ipykernel."""
    store = Store.open(demo_store.root)
    return plan_kernel(store, [spec_of(store, demo_store.hash("py-libensemble"))])


def test_what_a_plan_prints(plan: KernelPlan, demo_store: DemoStore) -> None:
    facts = json.loads(json.dumps(plan_dict(plan)))
    assert facts["spec"].startswith("py-libensemble@")
    assert facts["hash"] == demo_store.hash("py-libensemble")
    assert facts["interpreter"] == facts["argv"][0]
    assert facts["argv"][1:] == ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert facts["ipykernel"]["from"] == "companion"
    assert facts["ipykernel"]["hash"] == demo_store.hash("py-ipykernel")
    assert facts["env"]["PYTHONPATH"] == ":".join(facts["pythonpath"])
    assert facts["debugger"] is True
    assert all(entry["reason"] for entry in facts["pythonpath_entries"])


def test_the_companion_is_searched_after_all_of_the_specs_own(plan: KernelPlan) -> None:
    origins = [entry.origin for entry in plan.pythonpath]
    assert origins == sorted(origins, reverse=True)
    assert set(origins) == {"spec", "companion"}
    own = {spec.hash for spec in plan.closure}
    for entry in plan.pythonpath:
        assert (entry.origin == "spec") == (entry.spec.hash in own)


def test_what_both_need_is_there_once(plan: KernelPlan) -> None:
    paths = [entry.path for entry in plan.pythonpath]
    assert len(paths) == len(set(paths))
    assert "py-psutil" in {entry.spec.name for entry in plan.pythonpath}


def run(plan: KernelPlan, code: str, base: dict[str, str] | None = None, **options: object) -> str:
    argv = plan.command(["python", "-c", code])
    environment = plan.environment(base or {}, **options)  # type: ignore[arg-type]
    return subprocess.run(
        argv, env=environment, cwd="/", capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_planned_python_imports_the_spec_and_the_kernel(
    plan: KernelPlan, demo_store: DemoStore
) -> None:
    output = run(plan, "import libensemble, ipykernel; print(libensemble.__file__)")
    assert demo_store.hash("py-libensemble") in output


POISON = {
    "PYTHONPATH": "{poison}",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "{poison}/startup.py",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHON_GIL": "0",
    "PYTHONMALLOC": "no-such-allocator",
    "_PYTHON_SYSCONFIGDATA_NAME": "no_such_module",
    "VIRTUAL_ENV": "{poison}/venv",
    "CONDA_PREFIX": "{poison}/conda",
    "SPACK_ENV": "{poison}/env",
}


@pytest.mark.parametrize("name", [*POISON, "all"])
def test_nothing_of_the_server_reaches_the_kernels_python(
    plan: KernelPlan, tmp_path: Path, name: str
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the leaked module was taken')")
    names = list(POISON) if name == "all" else [name]
    base = {key: POISON[key].format(poison=tmp_path) for key in names}
    base["PATH"] = f"{tmp_path}/venv/bin:{tmp_path}/conda/bin:/usr/bin"
    code = (
        "import os, sys, sysconfig, numpy; sysconfig.get_config_vars()\n"
        f"assert not any(p.startswith({str(tmp_path)!r}) for p in sys.path), sys.path\n"
        f"print(sorted(k for k in os.environ if k in {list(POISON)!r}), numpy.__file__)"
    )
    names_left, _, path = run(plan, code, base).rpartition(" ")
    assert names_left == "['PYTHONPATH']"
    assert "py-numpy-" in path


def test_what_spack_load_put_on_the_path_goes(plan: KernelPlan, demo_store: DemoStore) -> None:
    loaded = spec_of(plan.store, demo_store.hash("py-matplotlib"))
    base = {
        "SPACK_LOADED_HASHES": f"{loaded.hash}:unknownhash",
        "PATH": f"{loaded.prefix}/bin:/opt/tools/bin",
        "MANPATH": f"{loaded.prefix}/share/man:",
    }
    cleaned, removed = plan.cleaned(base)
    assert cleaned == {"PATH": "/opt/tools/bin"}
    assert {item.name for item in removed} == {"SPACK_LOADED_HASHES", "PATH", "MANPATH"}
    assert plan.environment(base)["SPACK_LOADED_HASHES"] == plan.specs[0].hash


def test_the_rest_of_the_environment_stays_behind_the_loaded(plan: KernelPlan) -> None:
    environment = plan.environment({"PATH": "/opt/tools/bin", "HOME": "/home/me"})
    assert environment["PATH"].endswith(":/opt/tools/bin")
    assert environment["HOME"] == "/home/me"


def test_variables_of_the_user_come_last_and_refer_to_the_loaded(plan: KernelPlan) -> None:
    environment = plan.environment(
        {"HOME": "/home/me"},
        env={"PYTHONPATH": "/mine:${PYTHONPATH}", "DATA": "${HOME}/data", "ODD": "$5 ${"},
    )
    assert environment["PYTHONPATH"].startswith("/mine:")
    assert environment["PYTHONPATH"].endswith(plan.pythonpath[-1].path)
    assert environment["DATA"] == "/home/me/data"
    assert environment["ODD"] == "$5 ${"


@pytest.mark.parametrize(
    ("found", "wanted", "result"),
    [(None, None, None), ("1", None, "1"), ("1", True, None), (None, False, "1")],
)
def test_the_user_site_is_as_the_server_has_it_unless_told(
    plan: KernelPlan, found: str | None, wanted: bool | None, result: str | None
) -> None:
    base = {} if found is None else {"PYTHONNOUSERSITE": found}
    assert plan.environment(base, user_site=wanted).get("PYTHONNOUSERSITE") == result


@pytest.mark.parametrize(
    ("command", "python"),
    [
        ("python", True),
        ("python3", True),
        ("/usr/bin/python3.11", True),
        ("python3-config", False),
        ("pypy3", False),
        ("ipython", False),
        ("R", False),
    ],
)
def test_what_is_called_python(command: str, python: bool) -> None:
    assert is_python(command) is python


def test_a_python_command_is_the_plans(plan: KernelPlan) -> None:
    assert plan.interpreter is not None
    assert plan.command(["/usr/bin/python3", "x.py"]) == [plan.interpreter.path, "x.py"]
    assert plan.command(["bash", "-c", "true"]) == ["bash", "-c", "true"]
    assert plan.command([]) == []


# -- damaged stores -------------------------------------------------------------------------------


class Site:
    def __init__(self, tmp_path: Path) -> None:
        self.small = SmallStore(tmp_path / "store")
        prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
        self.python = self.small.add("python", VERSION, prefix=prefix, external=True)

    def add(self, name: str, version: str, *dependencies: str, **options: object) -> str:
        key = self.small.add(name, version, self.python, *dependencies, **options)  # type: ignore[arg-type]
        if not options:
            self.small.package(key, name.removeprefix("py-").replace("-", "_"), python=SERIES)
        return key

    def plan(self, *roots: str, **options: object) -> KernelPlan:
        store = self.small.open()
        return plan_kernel(store, [spec_of(store, root) for root in roots], **options)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_of_two_versions_the_specs_own_is_used_and_the_plan_says_so(site: Site) -> None:
    old = site.add("py-traitlets", "5.9")
    new = site.add("py-traitlets", "5.14")
    kernel = site.add("py-ipykernel", "6.29", new)
    tool = site.add("py-tool", "1.0", old)
    plan = site.plan(tool)
    hashes = [entry.spec.hash for entry in plan.pythonpath]
    assert old in hashes
    assert new not in hashes
    assert kernel in hashes
    ((used, unused),) = plan.overrides
    assert (used.hash, unused.hash) == (old, new)
    assert plan.notes[-1].text == (
        f"py-traitlets@5.9/{old[:7]} is used, but the companion was built with "
        f"py-traitlets@5.14/{new[:7]}"
    )
    assert plan_dict(plan)["overrides"] == [
        {"package": "py-traitlets", "used": used.label, "unused": unused.label}
    ]


def test_two_builds_of_one_version_are_told_apart(site: Site) -> None:
    ours = site.add("py-six", "1.17")
    theirs = site.small.add("py-six", "1.17", site.python, salt="other")
    site.small.package(theirs, "six", python=SERIES)
    site.add("py-ipykernel", "6.29", theirs)
    plan = site.plan(site.add("py-tool", "1.0", ours))
    assert plan.notes[-1].text == (
        f"py-six@1.17/{ours[:7]} is used, and py-six@1.17/{theirs[:7]} is not"
    )


def test_several_specs_make_one_plan(site: Site) -> None:
    site.add("py-ipykernel", "6.29")
    first, second = site.add("py-a", "1.0"), site.add("py-b", "2.0")
    plan = site.plan(first, second)
    assert [spec.hash for spec in plan.specs] == [first, second]
    assert plan_dict(plan)["spec"] == "py-a@1.0 py-b@2.0"
    assert {"py-a", "py-b", "py-ipykernel"} == {entry.spec.name for entry in plan.pythonpath}


def test_a_root_whose_directory_is_gone(site: Site) -> None:
    key = site.add("py-tool", "1.0", prefix="/nowhere/tool")
    with pytest.raises(PrefixGoneError) as caught:
        site.plan(key)
    assert str(caught.value) == (
        f"py-tool@1.0/{key[:7]}, which is requested, is recorded, but its "
        "prefix does not exist\n"
        "  /nowhere/tool\n"
        f"Install it again with `spack install --overwrite /{key[:7]}`, "
        "or choose another spec from the output of `spack-kernel list`."
    )


def test_a_dependency_whose_directory_is_gone(site: Site) -> None:
    site.add("py-ipykernel", "6.29")
    missing = site.add("py-missing", "1.0", prefix="/nowhere/missing")
    tool = site.add("py-tool", "1.0", missing)
    with pytest.raises(
        PrefixGoneError, match=f"needed by py-tool@1.0/{tool[:7]}, is recorded, but"
    ):
        site.plan(tool)


def test_without_a_kernel_only_the_environment_is_planned(site: Site) -> None:
    key = site.small.add("hdf5", "1.14")
    (Path(site.small.records[key]["path"]) / "bin").mkdir()
    plan = site.plan(key, kernel=False)
    assert (plan.interpreter, plan.ipykernel) == (None, None)
    assert plan.environment({})["PATH"].endswith("/bin")
    assert plan_dict(plan)["argv"] == []
    assert [note.topic for note in plan.notes] == ["interpreter"]
    with pytest.raises(InterpreterError, match="`python3` would not be a Python of "):
        plan.command(["python3"])


def test_nothing_to_plan(site: Site) -> None:
    with pytest.raises(ValueError, match="no specs"):
        site.plan()


def test_debugging_is_offered_only_with_debugpy(site: Site) -> None:
    site.add("py-ipykernel", "6.29")
    assert site.plan(site.add("py-tool", "1.0")).debugger is False
    debugpy = site.add("py-debugpy", "1.8")
    plan = site.plan(site.add("py-tool", "2.0", debugpy))
    assert plan.debugger is True
    assert plan.environment({})["PYDEVD_DISABLE_FILE_VALIDATION"] == "1"
    assert os.environ.get("PYDEVD_DISABLE_FILE_VALIDATION") is None


def test_a_dependency_that_no_database_has_is_told(site: Site) -> None:
    site.add("py-ipykernel", "6.29")
    lost = site.add("py-lost", "1.0")
    tool = site.add("py-tool", "1.0", lost)
    del site.small.records[lost]
    with pytest.raises(IncompleteError) as caught:
        site.plan(tool)
    assert caught.value.summary == (
        f"py-tool@1.0/{tool[:7]} is incomplete: py-lost/{lost[:7]} is in no database"
    )
    (detail,) = caught.value.details
    assert detail.endswith(f"is in no database; needed by py-tool@1.0/{tool[:7]}")
    assert "--store" in caught.value.hint
    assert f"`spack install --only dependencies /{tool[:7]}`" in caught.value.hint


def test_a_dependency_that_is_not_installed_is_told(site: Site) -> None:
    site.add("py-ipykernel", "6.29")
    lost = site.add("py-lost", "1.0")
    tool = site.add("py-tool", "1.0", lost)
    site.small.records[lost] |= {"installed": False, "path": None}
    with pytest.raises(IncompleteError) as caught:
        site.plan(tool)
    assert caught.value.hint == f"Install what is missing with `spack install /{lost[:7]}`."
    store = site.small.open()
    source = specs_source(store, [store.get(f"/{tool}")])
    plan = plan_source(source, is_complete=False)
    (missing,) = plan.missing
    assert (missing.label, missing.recorded) == (f"py-lost@1.0/{lost[:7]}", True)
    assert missing.needed_by == (f"py-tool@1.0/{tool[:7]}",)
    assert [note.text for note in plan.notes if note.topic == "closure"] == [missing.why]
    assert plan.ipykernel is not None
