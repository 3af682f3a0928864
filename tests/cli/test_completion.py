"""Tab completion, called as a shell calls it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel.cli.completion import complete_kernel, complete_kernel_or_query, complete_query
from spack_kernel.spack import Store
from tests.demo_versions import BOTH_NUMPYS, NUMPY

from .conftest import Runner


def completions(line: str, tmp_path: Path, **variables: str) -> list[str]:
    """Return the completions that argcomplete's shell code would get for `line`."""
    answer = tmp_path / "answer"
    answer.write_text("")
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        **variables,
    }
    subprocess.run(
        [sys.executable, "-m", "spack_kernel"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return [word.strip() for word in answer.read_text().split("\n") if word]


def test_commands_and_options(tmp_path: Path) -> None:
    assert "list" in completions("spack-kernel ", tmp_path)
    assert completions("spack-kernel sh", tmp_path) == ["show"]
    assert completions("spack-kernel list --expl", tmp_path) == ["--explicit"]
    assert completions("spack-kernel completion z", tmp_path) == ["zsh"]


def test_specs_of_the_store(demo: Path, tmp_path: Path) -> None:
    store = Store.open(demo)
    ask = f"spack-kernel show --store {demo} "
    assert completions(ask + "py-libe", tmp_path) == ["py-libensemble"]
    assert set(completions(ask + "py-nu", tmp_path)) == {"py-numpy"}
    assert completions(ask + "numpy", tmp_path) == ["py-numpy"]
    assert completions(ask + "^six", tmp_path) == ["^py-six"]
    versions = {f"py-numpy@{spec.version}" for spec in store.named("py-numpy")}
    assert set(completions(ask + "py-numpy@", tmp_path)) == versions
    hashes = {f"py-numpy/{spec.hash[:7]}" for spec in store.named("py-numpy")}
    assert set(completions(ask + "py-numpy/", tmp_path)) == hashes
    spec = store.get("py-libensemble")
    assert completions(f"{ask}/{spec.hash[:5]}", tmp_path) == [f"/{spec.hash[:7]}"]
    assert completions(f"{ask}py-libensemble ^pyth", tmp_path) == ["^python", "^python-venv"]


def test_specs_of_the_environments_store(demo: Path, tmp_path: Path) -> None:
    found = completions("spack-kernel list py-libe", tmp_path, SPACK_KERNEL_STORE=str(demo))
    assert found == ["py-libensemble"]


def test_a_store_that_cannot_be_read_completes_nothing(tmp_path: Path) -> None:
    assert completions("spack-kernel show --store /nonexistent py-", tmp_path) == []


def test_kernels(run: Runner, demo: Path, tmp_path: Path) -> None:
    run("install", "--store", demo, "--user", "--name", "of-mine", "py-libensemble")
    assert completions("spack-kernel remove of", tmp_path) == ["of-mine"]
    assert completions(f"spack-kernel check --store {demo} of", tmp_path) == ["of-mine"]
    assert completions(f"spack-kernel check --store {demo} py-libe", tmp_path) == ["py-libensemble"]


def test_what_a_query_may_become(run: Runner, golden: Path, demo: Path) -> None:
    args = Namespace(store=[str(golden)])
    store = Store.open(golden)
    assert complete_query("py-petsc", args) == ["py-petsc4py"]
    assert complete_query("%gc", args) == ["%gcc"]
    spec = store.get("/y7ml7zt")
    assert complete_query("/y7ml7zt", args) == ["/y7ml7zt"]
    assert complete_query(f"/{spec.hash[:9]}", args) == [f"/{spec.hash[:9]}"]
    assert complete_query(f"^py-six/{spec.hash[:3]}", args) == ["^py-six/y7ml7zt"]
    assert "py-six@1.17.0" in complete_query("py-six@1.1", args)
    assert complete_query("no-such-package@", args) == []
    assert complete_query("py-", Namespace(store=["/nonexistent"])) == []
    run("install", "--store", demo, "--user", "--name", "py-of-mine", "py-libensemble")
    assert complete_kernel("py") == ["py-of-mine"]
    found = complete_kernel_or_query("py-o", args)
    assert found[0] == "py-of-mine"
    assert set(found[1:]) == {name for name in store.names() if name.startswith("py-o")}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_code(run: Runner, shell: str, tmp_path: Path) -> None:
    result = run("completion", shell)
    assert (result.status, result.err) == (0, "")
    assert "spack-kernel" in result.out
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(result.out)
        subprocess.run([shell, "-n", script], check=True, timeout=60)


def test_bash_completes(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "spack-kernel"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m spack_kernel "$@"\n')
    wrapper.chmod(0o755)
    script = (
        run("completion", "bash").out
        + "\nCOMP_LINE='spack-kernel li' COMP_POINT=15 COMP_WORDS=(spack-kernel li) COMP_CWORD=1\n"
        + "_python_argcomplete spack-kernel\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    result = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == "list"


def test_without_argcomplete_it_says_what_to_install(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    result = run("completion", "bash")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: completion needs the package argcomplete, which is not installed\n"
        "hint: pip install argcomplete\n"
    )


def test_a_shell_that_asks_in_vain_gets_nothing(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spack_kernel.cli.completion import complete

    monkeypatch.setitem(sys.modules, "argcomplete", None)
    complete()


class Keyboard:
    """A real shell in a terminal, with the completion code from `spack-kernel completion`."""

    def __init__(self, shell: str, store: Path, home: Path) -> None:
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"missing component: {shell} (Debian: apt-get install {shell})")
        (home / "bin").mkdir()
        command = home / "bin" / "spack-kernel"
        command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m spack_kernel \"$@\"\n")
        command.chmod(0o755)
        code = subprocess.run(
            [sys.executable, "-m", "spack_kernel", "completion", shell],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        compinit = "autoload -Uz compinit && compinit -u\n" if shell == "zsh" else ""
        for name in (".zshrc", ".bashrc"):
            (home / name).write_text(f"{compinit}{code}\nPS1='READY> '\n")
        environment = {
            "PATH": f"{home / 'bin'}:/usr/bin:/bin",
            "HOME": str(home),
            "TERM": "dumb",
            "SPACK_KERNEL_STORE": str(store),
            "SPACK_KERNEL_CACHE": "",
        }
        own = ["--rcfile", str(home / ".bashrc")] if shell == "bash" else []
        self._shown = ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execve(program, [program, *own, "-i"], environment)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 300, 0, 0))
        self._read(r"READY> ")

    def type(self, keys: str) -> str:
        """Type keys and return the words of the resulting line."""
        # Turn the line into the arguments of a command that prints them.
        os.write(self._terminal, f"{keys}\x01printf '<%s>' \x05; echo end\r".encode())
        shown = self._read(r"\n(?:<[^%]*>)end\r?\n")
        self._read(r"READY> ")
        return " ".join(re.findall(r"<([^<>%]*)>", shown.rpartition("\n<")[2].join(["<", ""])))

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self._pid, 0)

    def _read(self, end: str) -> str:
        """Return the terminal's output up to `end`; leave the rest for the next call."""
        deadline = time.monotonic() + 60
        while (found := re.search(end, self._shown)) is None:
            ready, _, _ = select.select([self._terminal], [], [], 20)
            assert ready, f"nothing more came than {self._shown!r}"
            assert time.monotonic() < deadline, self._shown
            self._shown += os.read(self._terminal, 65536).decode(errors="replace")
        shown, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return shown


@pytest.fixture(scope="module", params=["bash", "zsh"])
def keyboard(
    request: pytest.FixtureRequest, demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keyboard]:
    """Yield the shell that all tests of this module type into."""
    shell = Keyboard(request.param, demo, tmp_path_factory.mktemp(request.param))
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("spack-kernel ins\t", "spack-kernel install"),
        ("spack-kernel list --expl\t", "spack-kernel list --explicit"),
        ("spack-kernel show py-libe\t", "spack-kernel show py-libensemble"),
        # The common prefix of both versions; bash treats @ as a word break.
        ("spack-kernel show py-numpy@\t", f"spack-kernel show py-numpy@{BOTH_NUMPYS}"),
        (
            f"spack-kernel show py-numpy@{NUMPY[: len(BOTH_NUMPYS) + 1]}\t",
            f"spack-kernel show py-numpy@{NUMPY}",
        ),
        ("spack-kernel show py-libensemble/HASH3\t", "spack-kernel show py-libensemble/HASH7"),
        ("spack-kernel show /HASH5\t", "spack-kernel show /HASH7"),
        ("spack-kernel list py-numpy ^python-\t", "spack-kernel list py-numpy ^python-venv"),
        # The Python module name.
        ("spack-kernel show numpy\t", "spack-kernel show py-numpy"),
    ],
)
def test_at_the_keyboard(keyboard: Keyboard, demo: Path, keys: str, line: str) -> None:
    dag_hash = Store.open(demo).get("py-libensemble").hash
    for length in (3, 5, 7):
        keys, line = (text.replace(f"HASH{length}", dag_hash[:length]) for text in (keys, line))
    assert keyboard.type(keys).rstrip() == line
