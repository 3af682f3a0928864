from __future__ import annotations

import os
import signal
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.kernels.errors import InterpreterError, PrefixGoneError
from spack_kernel.kernels.interpreters import probe as probing
from spack_kernel.kernels.interpreters.interpreter import Interpreter, find_interpreter
from spack_kernel.kernels.interpreters.probe import probe
from tests.small_store import SmallStore, executable, python_prefix

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
SERIES = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    return SmallStore(tmp_path / "store")


def find(small: SmallStore, *roots: str, **options: float) -> Interpreter:
    store = small.open()
    specs = [spec for key in roots if (spec := store.by_hash(key)) is not None]
    return find_interpreter(store.closure(*specs), **options)


def failure(small: SmallStore, root: str, **options: float) -> str:
    with pytest.raises(InterpreterError) as caught:
        find(small, root, **options)
    return str(caught.value)


def with_python(small: SmallStore, version: str = VERSION, **options: object) -> tuple[str, str]:
    python = small.add("python", version, **options)  # type: ignore[arg-type]
    return python, small.add("py-tool", "1.0", python)


def test_the_closures_python_and_why(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
    python, tool = with_python(small, prefix=prefix, external=True)
    found = find(small, tool)
    assert found.path == f"{prefix}/bin/python{SERIES}"
    assert (found.version, found.series) == (VERSION, SERIES)
    assert found.python is not None
    assert found.python.hash == python
    assert found.reason == "the closure's external python"


def test_a_python_venv_wins(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
    python = small.add("python", VERSION, prefix=prefix, external=True)
    venv_prefix = python_prefix(tmp_path / "venv", sys.executable, SERIES)
    venv = small.add("python-venv", "1.0", python, prefix=venv_prefix)
    found = find(small, small.add("py-tool", "1.0", venv, python))
    assert found.path.startswith(str(venv_prefix))
    assert found.spec.hash == venv
    assert found.python is not None
    assert found.python.hash == python


def test_an_external_that_names_no_python_brings_its_own(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "conda", sys.executable, SERIES)
    found = find(small, small.add("py-numpy", "2.0", prefix=prefix, external=True))
    assert found.path == f"{prefix}/bin/python3"
    assert "has no python" in found.reason


def test_an_external_library_beside_some_python_brings_none(
    small: SmallStore, tmp_path: Path
) -> None:
    prefix = python_prefix(tmp_path / "usr", sys.executable, SERIES)
    glibc = small.add("glibc", "2.36", prefix=prefix, external=True)
    with pytest.raises(InterpreterError, match="does not depend on Python"):
        find(small, small.add("zlib", "1.3", glibc))


def test_no_python(small: SmallStore) -> None:
    key = small.add("hdf5", "1.14")
    assert failure(small, key) == (
        f"hdf5@1.14/{key[:7]} does not depend on Python, so no kernel can run in it\n"
        "Create a kernel for it together with a package that does, as in "
        "`spack-kernel install hdf5 py-ipykernel`."
    )


def test_two_pythons_name_who_needs_them(small: SmallStore) -> None:
    old = small.add("python", "3.10.1")
    new = small.add("python", "3.12.1")
    tool = small.add("py-tool", "1.0", new)
    text = failure(small, small.add("py-app", "2.0", old, tool))
    assert text.splitlines()[0] == "the closure has two Pythons; a kernel needs exactly one"
    assert f"  python@3.10.1/{old[:7]}, needed by py-app@2.0/" in text
    assert f"  python@3.12.1/{new[:7]}, needed by py-tool@1.0/{tool[:7]}" in text
    assert "^python@X.Y" in text


def test_the_prefix_is_gone(small: SmallStore) -> None:
    python, tool = with_python(small, prefix="/nowhere/python", external=True)
    with pytest.raises(PrefixGoneError) as caught:
        find(small, tool)
    assert str(caught.value) == (
        f"python@{VERSION}/{python[:7]}, which is the Python of the kernel, is recorded, "
        "but its prefix does not exist\n"
        "  /nowhere/python\n"
        "It is an external: correct or remove the entry of python in packages.yaml, "
        "and reinstall everything that depends on it."
    )


def test_no_executable(small: SmallStore) -> None:
    python, tool = with_python(small)
    text = failure(small, tool)
    assert f"python@{VERSION}/{python[:7]} has no Python executable" in text
    assert f"looked for python{SERIES}, python3 and python in " in text
    assert f"`spack install --overwrite /{python[:7]}`" in text


def script(tmp_path: Path, text: str) -> Path:
    executable(tmp_path / "py" / "bin" / "python3", text)
    return tmp_path / "py"


def test_not_executable(small: SmallStore, tmp_path: Path) -> None:
    prefix = script(tmp_path, "#!/bin/sh\n")
    (prefix / "bin" / "python3").chmod(0o644)
    python, tool = with_python(small, prefix=prefix)
    text = failure(small, tool)
    assert f"the Python of python@{VERSION}/{python[:7]} cannot be started: Permission" in text
    assert "you do not have permission to execute it" in text


def test_a_loader_that_is_missing(small: SmallStore, tmp_path: Path) -> None:
    _, tool = with_python(small, prefix=script(tmp_path, "#!/no/such/loader\n"))
    text = failure(small, tool)
    assert "the file exists; the loader or interpreter that it names does not" in text


def test_a_dangling_link(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "py", "/gone/python3.11", SERIES)
    _, tool = with_python(small, prefix=prefix)
    assert "it links to /gone/python3.11, which does not exist" in failure(small, tool)


def test_a_crash_shows_what_it_said(small: SmallStore, tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 'libpython3.11.so.1.0: cannot open' >&2\nexit 127\n"
    _, tool = with_python(small, prefix=script(tmp_path, text))
    shown = failure(small, tool)
    assert "does not run: exit status 127" in shown
    assert "  | libpython3.11.so.1.0: cannot open" in shown


def test_a_signal_is_named(small: SmallStore, tmp_path: Path) -> None:
    _, tool = with_python(small, prefix=script(tmp_path, "#!/bin/sh\nkill -SEGV $$\n"))
    assert "does not run: killed by SIGSEGV" in failure(small, tool)


def test_something_else_that_answers_nothing(small: SmallStore, tmp_path: Path) -> None:
    _, tool = with_python(small, prefix=script(tmp_path, "#!/bin/sh\necho hello\n"))
    assert "does not run: exit status 0" in failure(small, tool)


def test_a_hang_is_ended_with_its_children(small: SmallStore, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    text = f"#!/bin/sh\nsleep 600 &\necho $! > {marker}\nwait\n"
    _, tool = with_python(small, prefix=script(tmp_path, text))
    assert "did not answer within 0.5 s" in failure(small, tool, timeout=0.5)
    assert_ended(int(marker.read_text()))


def test_one_that_prints_without_end_is_stopped(small: SmallStore, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    text = f"#!/bin/sh\nyes spam &\necho $! > {marker}\nwait\n"
    _, tool = with_python(small, prefix=script(tmp_path, text))
    assert "was stopped: it printed more than 16 MiB" in failure(small, tool, timeout=30)
    assert_ended(int(marker.read_text()))


@pytest.mark.parametrize("command", ["sleep 60", "while sleep 0.01; do echo spam; done"])
def test_a_daemon_that_keeps_its_output_open_is_not_waited_for(
    small: SmallStore, tmp_path: Path, command: str
) -> None:
    marker = tmp_path / "pid"
    prefix = script(
        tmp_path,
        f"#!/bin/sh\nsetsid sh -c 'echo $$ > {marker}; {command}' &\n"
        f'exec {sys.executable} "$@"\n',
    )
    _, tool = with_python(small, prefix=prefix)
    began = time.monotonic()
    try:
        assert find(small, tool, timeout=30).info.version == VERSION
        assert time.monotonic() - began < 20
    finally:
        os.killpg(int(marker.read_text()), signal.SIGKILL)


def assert_ended(pid: int) -> None:
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists() or "(zombie)" in status(pid):
            return
        time.sleep(0.1)
    pytest.fail("what the Python started was left behind")


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "(zombie)"


def test_another_version_than_recorded(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
    python, tool = with_python(small, version="3.4.1", prefix=prefix)
    text = failure(small, tool)
    assert f"python@3.4.1/{python[:7]} is recorded as Python 3.4.1, but its prefix contains" in text
    assert f"  {prefix}/bin/python3 is {VERSION}" in text


def test_the_executable_named_after_the_version_is_preferred(
    small: SmallStore, tmp_path: Path
) -> None:
    prefix = python_prefix(tmp_path / "usr", sys.executable, SERIES)
    (prefix / "bin" / "python3").unlink()
    executable(prefix / "bin" / "python3", "#!/bin/sh\nexit 1\n")
    _, tool = with_python(small, prefix=prefix, external=True)
    assert find(small, tool).path == f"{prefix}/bin/python{SERIES}"


def test_a_newer_patch_release_is_a_note(small: SmallStore, tmp_path: Path) -> None:
    prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
    _, tool = with_python(small, version=f"{SERIES}.99", prefix=prefix)
    (note,) = find(small, tool).notes
    assert note == f"{prefix}/bin/python{SERIES} is {VERSION}; its spec has version {SERIES}.99"


def test_the_probe_is_isolated(
    small: SmallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken from the wrong place')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    prefix = python_prefix(tmp_path / "py", sys.executable, SERIES)
    facts = probe(f"{prefix}/bin/python3")
    assert str(tmp_path) not in facts.path


def test_an_answer_is_kept_until_something_changes(tmp_path: Path) -> None:
    count = tmp_path / "count"
    path = executable(
        tmp_path / "python3", f'#!/bin/sh\necho x >> {count}\nexec {sys.executable} "$@"\n'
    )
    assert probe(str(path)) is probe(str(path))
    assert len(count.read_text().split()) == 1
    os.utime(path, ns=(1, 1))
    probe(str(path))
    assert len(count.read_text().split()) == 2


def test_a_package_installed_later_is_seen(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "venv", symlinks=True)
    path = str(tmp_path / "venv" / "bin" / "python")
    facts = probe(path)
    assert facts.ipykernel is None
    (Path(facts.purelib) / "ipykernel").mkdir()
    (Path(facts.purelib) / "ipykernel" / "__init__.py").touch()
    (Path(facts.purelib) / "ipykernel-6.29.5.dist-info").mkdir()
    offered = probe(path).ipykernel
    assert offered is not None
    assert (offered.version, offered.location) == ("6.29.5", facts.purelib)


def test_what_an_interpreter_says_is_kept_for_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    venv.create(tmp_path / "venv", symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    facts = probe(python)
    asked: list[str] = []
    really_ask = probing._ask

    def ask(path: str, *rest: Any) -> dict[str, Any]:
        asked.append(path)
        return really_ask(path, *rest)

    monkeypatch.setattr(probing, "_ask", ask)
    monkeypatch.setattr(probing, "_answers", {})  # as in a new process
    assert probe(python) == facts
    assert asked == []

    monkeypatch.setattr(probing, "_answers", {})
    Path(facts.purelib, "ipykernel").mkdir()
    Path(facts.purelib, "ipykernel", "__init__.py").touch()
    changed = probe(python)
    assert asked == [python]
    assert changed.ipykernel is not None

    monkeypatch.setattr(probing, "_answers", {})
    (kept,) = (tmp_path / "cache").glob("python-*.json")
    for text in ('{"key": []}', kept.read_text().replace('"info"', '"fact"')):
        kept.write_text(text)
        monkeypatch.setattr(probing, "_answers", {})
        assert probe(python) == changed
