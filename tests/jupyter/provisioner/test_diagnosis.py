"""Every front end reports the same cause for a fault, and a command that reproduces it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.kernels.errors import (
    IncompleteError,
    InterpreterError,
    KernelPackageError,
    PrefixGoneError,
)
from spack_kernel.kernels.plan.diagnosis import diagnose
from spack_kernel.kernels.plan.length_limits import MAX_VARIABLE
from spack_kernel.kernels.plan.plan import KernelPlan, plan_kernel
from spack_kernel.spack import Store, errors
from spack_kernel.spack.errors import SpackKernelError
from tests.cloned_store import ClonedStore
from tests.grown_store import PURELIB, add_record
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.small_store import SmallStore

GCC = shutil.which("gcc")


@pytest.fixture
def site(demo_store: DemoStore, tmp_path: Path) -> ClonedStore:
    return ClonedStore(demo_store, tmp_path / "store")


@pytest.fixture
def kernel(site: ClonedStore, write_kernel: WriteKernel) -> str:
    """Return the name of a kernel for py-libensemble from a store that a test can change."""
    write_kernel("mine", hash=site.hash("py-libensemble"), store=str(site.root))
    return "mine"


def plan_of(root: Path, query: str) -> KernelPlan:
    store = Store.open(root)
    return plan_kernel(store, [store.get(query)])


def failure(name: str) -> str:
    """Start a kernel that must fail and return the error message."""
    manager = KernelManager(kernel_name=name)
    with pytest.raises(KernelStartError) as caught:
        manager.start_kernel()
    assert not manager.has_kernel or not manager.is_alive()
    return str(caught.value)


def typed(text: str) -> subprocess.CompletedProcess[str]:
    """Run the `spack-kernel check` command that a message suggests, exactly as written."""
    (line,) = re.findall(r"`(spack-kernel check [^`]+)`", text)
    return subprocess.run(
        [sys.executable, "-m", "spack_kernel", *shlex.split(line)[1:]],
        capture_output=True,
        text=True,
        timeout=120,
    )


def same_cause(name: str, *words: str) -> None:
    """Assert that a failed start and the `check` that it suggests report the same cause."""
    told = failure(name)
    checked = typed(told)
    assert checked.returncode == 1
    for word in words:
        assert word in told, told
        assert word in checked.stderr, checked.stderr
    assert "starts it step by step" not in checked.stderr


class TestPrefixes:
    def test_a_package_of_the_companion_is_gone(self, site: ClonedStore) -> None:
        prefix = Path(site.records[site.hash("py-comm")]["path"])
        shutil.rmtree(prefix)
        with pytest.raises(KernelPackageError) as caught:
            plan_of(site.root, "py-libensemble")
        assert f"py-comm@0.2.2/{site.hash('py-comm')[:7]}, which it needs" in str(caught.value)

    def test_its_modules_are_gone(self, site: ClonedStore, kernel: str) -> None:
        shutil.rmtree(site.site_packages("py-comm"))
        label = f"py-comm@0.2.2/{site.hash('py-comm')[:7]}"
        companion = f"the companion py-ipykernel@7.2.0/{site.hash('py-ipykernel')[:7]}"
        again = f"spack install --overwrite /{site.hash('py-comm')[:7]}"
        same_cause(kernel, f"{label}, needed by {companion}, has no directory", again)
        notes = [note.text for note in plan_of(site.root, "py-libensemble").notes]
        assert any(f"{label} has no directory" in note for note in notes)

    def test_a_store_that_was_moved_is_told_once(
        self, site: ClonedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site.root.rename(tmp_path / "moved")
        with pytest.raises(PrefixGoneError) as caught:
            plan_of(tmp_path / "moved", "py-libensemble")
        said = f"the store was moved: its records name {site.root}, not {tmp_path / 'moved'}"
        assert said in str(caught.value)
        (line,) = (line for line in caught.value.hint.splitlines() if line.startswith("  "))
        subprocess.run(shlex.split(line), check=True)
        assert plan_of(tmp_path / "moved", "py-libensemble").interpreter
        site.root.unlink()
        assert main(["list", "--store", str(tmp_path / "moved")]) == 0
        assert capsys.readouterr().err.count("the store was moved") == 1

    def test_a_file_system_that_is_not_mounted(self, tmp_path: Path) -> None:
        small = SmallStore(tmp_path / "store")
        small.add("py-x", "1.0", prefix=tmp_path / "image" / "sw" / "py-x")
        (tmp_path / "image").mkdir()
        with pytest.raises(PrefixGoneError) as caught:
            plan_of(small.write(), "py-x")
        assert f"{tmp_path / 'image'} is empty: a file system or image" in str(caught.value)


class TestPythons:
    def test_its_record_is_in_no_database(self, site: ClonedStore) -> None:
        lost = site.hash("python")
        for name in ("python", "python-venv"):
            del site.records[site.hash(name)]
        site.save()
        with pytest.raises(IncompleteError) as caught:
            plan_of(site.root, "py-libensemble")
        assert re.search(
            r"py-libensemble@1.5.0/\w+ is incomplete: python(-venv)?/\w+ is in no database",
            str(caught.value),
        )
        assert lost[:7] in str(caught.value) or "python-venv" in str(caught.value)
        assert "--store" in caught.value.hint

    def test_two_of_them(self, tmp_path: Path) -> None:
        small = SmallStore(tmp_path / "store")
        one = small.add("python", "3.11.2")
        two = small.add("python", "3.12.1")
        needs_two = small.add("py-two", "1.0", two)
        small.add("py-both", "1.0", one, needs_two)
        store = small.open()
        plan = plan_kernel(store, [store.get("py-both")], kernel=False)
        with pytest.raises(InterpreterError) as caught:
            plan.command(["python", "-c", "1"])
        assert "the closure has two Pythons" in str(caught.value)
        assert "python@3.12.1/" in str(caught.value)

    def test_one_that_lacks_what_ipython_needs(
        self, site: ClonedStore, write_kernel: WriteKernel
    ) -> None:
        site.records[site.hash("python")]["spec"]["parameters"]["sqlite3"] = False
        site.save()
        plan = plan_of(site.root, "py-libensemble")
        lines = ["  from _sqlite3 import *", "ModuleNotFoundError: No module named '_sqlite3'"]
        cause = diagnose(plan, 1, lines, {})
        assert cause is not None
        assert "is built with ~sqlite3, so it has no module _sqlite3" in cause.details[0]
        assert "spack install py-libensemble ^python+sqlite3" in cause.hint

    def test_a_processor_that_lacks_the_target(self, site: ClonedStore) -> None:
        other = "neoverse_v2" if os.uname().machine == "x86_64" else "x86_64_v3"
        site.records[site.hash("py-numpy")]["spec"]["arch"]["target"] = other
        site.save()
        plan = plan_of(site.root, "py-libensemble")
        cause = diagnose(plan, -signal.SIGILL, [], {})
        assert cause is not None
        assert f"is built for {other}, and this machine is " in cause.details[0]
        assert "spack install py-libensemble target=" in cause.hint


def test_a_companion_that_cannot_work_with_the_specs_packages(
    site: ClonedStore, write_kernel: WriteKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = site.root / "py-traitlets-4.3.3"
    packages = prefix / PURELIB
    (packages / "traitlets").mkdir(parents=True)
    (packages / "traitlets" / "__init__.py").write_text("__version__ = '4.3.3'\n")
    old = add_record(site, "py-traitlets", "4.3.3", site.hash("python-venv"), prefix=prefix)
    edge = {"name": "py-traitlets", "hash": old, "parameters": {"deptypes": ["run"]}}
    site.records[site.hash("py-libensemble")]["spec"]["dependencies"].append(edge)
    site.save()
    write_kernel("mine", hash=site.hash("py-libensemble"), store=str(site.root))
    needs = f"needs traitlets>=5.4.0, but the spec has py-traitlets@4.3.3/{old[:7]}"
    same_cause("mine", needs, "cannot work with this spec", "--companion")
    assert main(["show", "mine"]) == 0
    assert f"might not work: py-ipykernel@7.2.0/{site.hash('py-ipykernel')[:7]} {needs}" in (
        capsys.readouterr().out
    )


@pytest.mark.skipif(GCC is None, reason="missing component: gcc")
@pytest.mark.parametrize("library", ["libsqlite3.so.0", "libc.so.6"])
def test_a_library_that_hides_another(
    library: str, site: ClonedStore, write_kernel: WriteKernel, tmp_path: Path
) -> None:
    lib = Path(site.records[site.hash("py-psutil")]["path"]) / "lib"
    source = tmp_path / "empty.c"
    source.write_text("int nothing_here(void) { return 0; }\n")
    argv = [str(GCC), "-shared", "-fPIC", f"-Wl,-soname,{library}", str(source)]
    subprocess.run([*argv, "-o", str(lib / library)], check=True)
    write_kernel(
        "mine",
        hash=site.hash("py-libensemble"),
        store=str(site.root),
        prefix_inspections={"bin": ["PATH"], "lib": ["LD_LIBRARY_PATH"]},
    )
    told = failure("mine")
    assert f"LD_LIBRARY_PATH loads {lib / library} instead of the library" in told
    label = f"py-psutil@7.0.0/{site.hash('py-psutil')[:7]}"
    assert f"{lib} in LD_LIBRARY_PATH comes from {label} (prefix inspection)" in told or (
        library == "libc.so.6"
    )
    assert "prefix_inspections" in told


def test_a_variable_that_is_too_long(
    site: ClonedStore, write_kernel: WriteKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "x" * (MAX_VARIABLE + 1)
    config = {"hash": site.hash("py-libensemble"), "store": str(site.root)}
    write_kernel("long", env={"LONG": value}, **config)
    told = failure("long")
    assert "LONG of py-libensemble@1.5.0/" in told
    assert f"LONG has {len(value) + 5:,} bytes; Linux allows at most 131,071" in told
    assert "spack view symlink" in told
    words = ["--store", str(site.root), "--env", f"LONG={value}", "py-libensemble"]
    assert main(["check", *words]) == 1
    assert "LONG has " in capsys.readouterr().err
    fits = "x" * (MAX_VARIABLE - len("LONG="))
    write_kernel("fits", env={"LONG": fits}, **config)
    manager = KernelManager(kernel_name="fits")
    manager.start_kernel()
    manager.shutdown_kernel(now=True)


def test_variables_that_no_kernel_needs_go_before_one_is_too_long(site: ClonedStore) -> None:
    plan = plan_of(site.root, "py-libensemble")
    base = {"PATH": "/usr/bin", "MANPATH": "/m" * 70_000, "CMAKE_PREFIX_PATH": "/c"}
    started = plan.environment(base)
    assert "MANPATH" not in started
    assert started["CMAKE_PREFIX_PATH"].endswith("/c")


class TestChecks:
    def test_a_module_that_is_optional(
        self, site: ClonedStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        packages = site.site_packages("py-cycler")
        (packages / "cycler_extra.py").write_text("import not_installed_here\n")
        assert main(["check", "--store", str(site.root), "py-cycler"]) == 0
        out = capsys.readouterr().out
        assert "import    cycler  " in out
        assert "not needed: `import cycler_extra` fails: ModuleNotFoundError" in out

    def test_the_main_module_is_not_optional(
        self, site: ClonedStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site.rewrite("py-cycler", "cycler/__init__.py", "import not_installed_here\n")
        assert main(["check", "--store", str(site.root), "py-cycler"]) == 1
        assert "`import cycler` fails" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("hash", 2345672),
            ("hash", None),
            ("spec", 3.11),
            ("store", 3),
            ("env", {"A": 1}),
            ("probe_timeout", "30"),
            ("recipes", []),
            ("recipes", {"spack_version": 1}),
            ("prefix_inspections", {"lib": "LD_LIBRARY_PATH"}),
            ("hahs", "x"),
            ("load_modules", "yes"),
        ],
    )
    def test_a_wrong_type_is_told_alike_by_all(
        self,
        key: str,
        value: Any,
        site: ClonedStore,
        write_kernel: WriteKernel,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        config = {"hash": site.hash("py-libensemble"), "store": str(site.root), key: value}
        path = write_kernel("odd", **config)
        with pytest.raises(Exception, match=re.escape(f"`{key}`")) as caught:
            KernelManager(kernel_name="odd").start_kernel()
        first = str(caught.value).splitlines()[0]
        for command in ("check", "show"):
            assert main([command, "odd"]) == 1
            told = capsys.readouterr().err
            assert told.startswith(f"error: {first}\n"), told
            assert f"  in {path}\n" in told

    def test_a_kernel_that_is_somebody_elses(
        self,
        site: ClonedStore,
        jupyter_home: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        directory = jupyter_home / "data" / "kernels" / "foreign"
        directory.mkdir(parents=True)
        (directory / "kernel.json").write_text('{"argv": ["python"], "display_name": "x"}')
        for command in ("check", "show"):
            assert main([command, "--store", str(site.root), "foreign"]) == 1
            told = capsys.readouterr().err
            assert "`foreign` is not a spec, but a kernel that spack-kernel did not install" in told
            assert str(directory) in told

    def test_a_name_that_is_nearly_one_of_ours(
        self, kernel: str, site: ClonedStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check", "--store", str(site.root), "minne"]) == 1
        assert "Did you mean the kernel mine?" in capsys.readouterr().err


class TestStarts:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
            ("os.kill(os.getpid(), 4)", "killed by SIGILL"),
            ("os._exit(3)", "exit status 3"),
        ],
    )
    def test_a_death_after_it_listens(
        self, code: str, words: str, kernel: str, jupyter_home: Path
    ) -> None:
        startup = jupyter_home / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00.py").write_text(f"import os\n{code}\n")
        same_cause(kernel, f"ended during startup: {words}")
        assert str(jupyter_home / "ipython" / "profile_default") in failure(kernel) or (
            "SIGILL" in words
        )

    def test_one_that_answers_late_is_waited_for_no_longer_than_is_said(
        self, site: ClonedStore, write_kernel: WriteKernel, jupyter_home: Path, start: Any
    ) -> None:
        startup = jupyter_home / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00.py").write_text("import time\ntime.sleep(4)\n")
        dag_hash = site.hash("py-libensemble")
        write_kernel("late", hash=dag_hash, store=str(site.root), start_timeout=1.0)
        running: Running = start("late")
        assert execute(running[1], "print(6 * 7)") == "42"

    def test_pythonpath_of_the_kernelspec_joins_spacks(
        self, site: ClonedStore, write_kernel: WriteKernel, tmp_path: Path, start: Any
    ) -> None:
        (tmp_path / "spark" / "pyspark").mkdir(parents=True)
        (tmp_path / "spark" / "pyspark" / "__init__.py").write_text("v = 1\n")
        config = {"hash": site.hash("py-libensemble"), "store": str(site.root)}
        both = f"{tmp_path}/spark:${{PYTHONPATH}}"
        for number, value in enumerate((f"{tmp_path}/spark", both)):
            env = {"PYTHONPATH": value, "PYTHONHOME": "/nonexistent"}
            write_kernel(f"spark{number}", kernel_env=env, **config)
            running: Running = start(f"spark{number}")
            code = "import numpy, pyspark, os; print(os.environ['PYTHONPATH'].split(':')[0])"
            assert execute(running[1], code) == f"{tmp_path}/spark"

    def test_without_a_path(self, site: ClonedStore) -> None:
        words = ["exec", "--store", str(site.root), "py-libensemble", "--"]
        done = subprocess.run(
            [sys.executable, "-m", "spack_kernel", *words, "sh", "-c", "ls / && echo fine"],
            env={},
            capture_output=True,
            text=True,
        )
        assert "fine" in done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
@pytest.mark.parametrize("command", ["show mine", "sync --dry-run --prefix /tmp", "install --user"])
def test_no_home_at_all(command: str, site: ClonedStore, tmp_path: Path) -> None:
    if sys.base_prefix.startswith("/root"):
        pytest.skip("this Python is in root's home directory")
    for directory in (site.root, *site.root.parents):
        if directory.is_relative_to("/tmp/pytest-of-root"):
            directory.chmod(directory.stat().st_mode | 0o055)
    words = [*command.split(), "--store", str(site.root)]
    words += ["--no-spack", "py-libensemble"] if command.startswith("install") else []
    done = subprocess.run(
        [sys.executable, "-m", "spack_kernel", *words],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        user=54321,
        group=54321,
        extra_groups=[],
        capture_output=True,
        text=True,
    )
    if "Permission denied" in done.stderr or "No module named" in done.stderr:
        pytest.skip("this checkout is closed to other users")
    assert done.returncode == 1
    assert "HOME is not set" in done.stderr, done.stderr
    assert "defect" not in done.stderr


def test_errors_keep_type_and_hint_across_processes() -> None:
    kinds: list[type[SpackKernelError]] = [SpackKernelError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for kind in kinds:
        try:
            error = kind("what was wrong", details=["  found"], hint="type this")
        except TypeError:
            continue  # takes other arguments
        told = json.loads(json.dumps(error.as_dict()))
        again = SpackKernelError.from_dict(told)
        assert str(again) == str(error)
        assert again.code == error.code
        if kind.code in {k.code for k in kinds if k is not kind}:
            continue
        assert type(again) is kind or kind.__init__ is not SpackKernelError.__init__
    assert type(SpackKernelError.from_dict(errors.StoreNotFound("x").as_dict())) is (
        errors.StoreNotFound
    )


@pytest.mark.parametrize(
    "error",
    [
        errors.Ambiguous("two", ["a", "b"], details=["  x"], hint="y"),
        errors.QuerySyntaxError("bad", "zlib@", 4, hint="y"),
        errors.NoMatch("none", details=["  x"]),
    ],
)
def test_errors_can_be_pickled_and_copied(error: errors.SpackKernelError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
