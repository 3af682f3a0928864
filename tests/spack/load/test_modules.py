"""Modules through a real Lmod and a real environment-modules, both from Debian packages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spack_kernel.spack.load.apply import apply_modifications
from spack_kernel.spack.load.modules import (
    ModulesError,
    ModuleSystem,
    external_modules,
    find_module_system,
    load_modules,
)
from tests.module_systems import debian_module_system
from tests.records import make_store, node, readable_hash

pytestmark = pytest.mark.kernel

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(scope="module", params=["lmod", "environment-modules"])
def system(request: pytest.FixtureRequest) -> ModuleSystem:
    return debian_module_system(request.param)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """Return a directory of modules that both systems can read."""
    files = {
        "tool/1.0": (
            "prepend-path PATH /opt/tool/bin\nappend-path PATH /opt/tool/late\n"
            "setenv TOOL_HOME /opt/tool\nunsetenv OLD\nmodule load base\n"
            'setenv TOOL_MOTTO "it\'s \\"a\\" \\$HOME \\\\ `b`"\n'
            "set-alias tool {echo evaluated}\n"
        ),
        "base/2.1": "prepend-path MANPATH /opt/base/man\n",
        "broken/1.0": "setenv BROKEN 1\nerror {this module is broken}\n",
    }
    for name, text in files.items():
        (tmp_path / "modules" / name).parent.mkdir(parents=True)
        (tmp_path / "modules" / name).write_text(f"#%Module1.0\n{text}", encoding="utf-8")
    return tmp_path / "modules"


@pytest.fixture
def environment(modules: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "MODULEPATH": str(modules),
        "OLD": "1",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
    }


def test_modules_are_loaded(system: ModuleSystem, environment: dict[str, str]) -> None:
    before = dict(environment)
    changes = load_modules(["tool"], environment, system)
    assert environment == before
    after = apply_modifications(changes, environment)
    assert after["PATH"] == "/opt/tool/bin:/usr/bin:/bin:/opt/tool/late"
    assert after["TOOL_HOME"] == "/opt/tool"
    assert after["TOOL_MOTTO"] == 'it\'s "a" $HOME \\ `b`'
    assert after["MANPATH"].split(":")[0] == "/opt/base/man"
    assert "OLD" not in after
    assert set(after["LOADEDMODULES"].split(":")) == {"tool/1.0", "base/2.1"}
    assert {change.reason for change in changes} == {"module tool"}
    assert "MODULEPATH" not in {change.variable for change in changes}, "it did not change"


def test_several_modules_in_order(system: ModuleSystem, environment: dict[str, str]) -> None:
    changes = load_modules(["base/2.1", "tool/1.0"], environment, system)
    after = apply_modifications(changes, environment)
    assert after["LOADEDMODULES"].split(":") == ["base/2.1", "tool/1.0"]


def test_modules_on_top_of_loaded_ones(system: ModuleSystem, environment: dict[str, str]) -> None:
    first = apply_modifications(load_modules(["base"], environment, system), environment)
    second = apply_modifications(load_modules(["tool"], first, system), first)
    assert second["MANPATH"].rstrip(":").split(":").count("/opt/base/man") == 1
    assert load_modules(["base"], first, system) == []


def test_an_unknown_module(system: ModuleSystem, environment: dict[str, str]) -> None:
    with pytest.raises(ModulesError) as error:
        load_modules(["tool", "nope/3"], environment, system)
    assert error.value.summary == "the module system cannot load tool nope/3"
    assert any("nope" in line for line in error.value.details)
    assert "module avail" in error.value.hint


def test_a_module_that_fails(system: ModuleSystem, environment: dict[str, str]) -> None:
    with pytest.raises(ModulesError, match="cannot load broken") as error:
        load_modules(["broken"], environment, system)
    assert any("this module is broken" in line for line in error.value.details)


@pytest.mark.parametrize("name", ["", "-h", "--help", "a\nb", "\0"])
def test_what_is_no_name(environment: dict[str, str], name: str) -> None:
    with pytest.raises(ModulesError, match="is not the name of a module"):
        load_modules([name], environment, ModuleSystem("lmod", Path("/bin/false")))


def test_nothing_to_load_asks_nobody() -> None:
    assert load_modules([], {}) == []


def test_without_a_module_path(environment: dict[str, str]) -> None:
    del environment["MODULEPATH"]
    with pytest.raises(ModulesError, match="MODULEPATH is not set") as error:
        load_modules(["tool"], environment, ModuleSystem("lmod", Path("/bin/false")))
    assert "login shell" in error.value.hint


# Programs that misbehave as module systems.


def printing(tmp_path: Path, output: str, *, status: int = 0, wait: int = 0) -> ModuleSystem:
    (tmp_path / "output").write_text(output)
    program = tmp_path / "modulecmd"
    program.write_text(f"#!/bin/sh\nsleep {wait}\ncat {tmp_path}/output\nexit {status}\n")
    program.chmod(0o755)
    return ModuleSystem("environment-modules", program)


def load_printed(tmp_path: Path, environment: Mapping[str, str], output: str, **more: Any) -> Any:
    changes = load_modules(["x"], environment, printing(tmp_path, output, **more), timeout=2)
    return {change.variable: change.value for change in changes}


def test_nothing_printed_is_run(tmp_path: Path, environment: dict[str, str]) -> None:
    witness = tmp_path / "witness"
    output = (
        "import os\n"
        f"os.system('touch {witness}')\n"
        f"open({str(witness)!r}, 'w')\n"
        f"os.environ['A'] = os.popen('touch {witness}').read()\n"
        "os.environ['B'] = 'b'\n"
        "os.environ[input()] = 'c'\n"
        "other.environ['D'] = 'd'\n"
        "def module(*a): raise SystemExit\n"
        "_mlstatus = True\n"
    )
    assert load_printed(tmp_path, environment, output) == {"B": "b"}
    assert not witness.exists()


@pytest.mark.parametrize(
    ("output", "status", "text"),
    [
        ("export A=b;\n", 0, "printed something that is not Python"),
        ("os.environ['A'] = 'b\n", 0, "printed something that is not Python"),
        ("(" * 100_000, 0, "printed something that is not Python"),
        ("", 0, "the module system did not load x"),
        ("os.environ['LOADEDMODULES'] = 'xy/1'\n", 0, "the module system did not load x"),
        ("_mlstatus = True\n", 3, "the module system cannot load x"),
        ("_mlstatus = False\n", 0, "the module system cannot load x"),
    ],
)
def test_output_that_makes_no_sense(
    tmp_path: Path, environment: dict[str, str], output: str, status: int, text: str
) -> None:
    with pytest.raises(ModulesError) as error:
        load_printed(tmp_path, environment, output, status=status)
    assert text in error.value.summary


def test_old_module_systems_have_no_status(tmp_path: Path, environment: dict[str, str]) -> None:
    output = "import os\nos.environ['LOADEDMODULES'] = 'y/2:x/1'\nos.environ['A'] = 'b'\n"
    assert load_printed(tmp_path, environment, output) == {"LOADEDMODULES": "y/2:x/1", "A": "b"}


def test_a_module_system_that_hangs(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(ModulesError, match="took longer than 2 seconds"):
        load_printed(tmp_path, environment, "", wait=60)


def test_a_module_system_that_cannot_be_run(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(ModulesError, match=r"cannot run .*/gone: No such file or directory"):
        load_modules(["x"], environment, ModuleSystem("lmod", tmp_path / "gone"))


# Finding a module system.


@pytest.mark.parametrize(
    ("variable", "below", "program", "kind"),
    [
        ("LMOD_CMD", "libexec/lmod", "libexec/lmod", "lmod"),
        ("MODULES_CMD", "modulecmd.tcl", "modulecmd.tcl", "environment-modules"),
        ("LMOD_PKG", "", "libexec/lmod", "lmod"),
        ("MODULESHOME", "", "libexec/lmod", "lmod"),
        ("MODULESHOME", "", "libexec/modulecmd.tcl", "environment-modules"),
    ],
)
def test_what_the_environment_names(
    tmp_path: Path, variable: str, below: str, program: str, kind: str
) -> None:
    path = tmp_path / program
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    environ = {variable: str(tmp_path / below)}
    assert find_module_system(environ) == ModuleSystem(kind, path)


def test_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spack_kernel.spack.load.modules._PLACES", (f"{tmp_path}/usual",))
    (tmp_path / "modulecmd").write_text("#!/bin/sh\n")
    (tmp_path / "modulecmd").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModulesError) as error:
        find_module_system({"LMOD_CMD": "/gone/lmod", "PATH": ".", "MODULES_CMD": "modulecmd"})
    assert error.value.details == (
        "looked for:",
        "  /gone/lmod",
        "  modulecmd",
        f"  {tmp_path}/usual",
    )
    assert find_module_system({"PATH": str(tmp_path)}).command == tmp_path / "modulecmd"


def test_modules_of_externals(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        node("app", ("mpi", "link"), ("slurm", "link")),
        node("mpi", ("slurm", "link"), external=external("openmpi/4.1", "ucx")),
        node("slurm", external=external("slurm", "ucx")),
    )
    app = store.by_hash(readable_hash("app"))
    assert app is not None
    assert external_modules(store.closure(app)) == ("slurm", "ucx", "openmpi/4.1")


def external(*modules: str) -> Any:
    return {"path": "/opt", "module": list(modules), "extra_attributes": {}}
