"""Tab completion: what a shell is told, asked as a shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from spack_kernel.cli.completion import complete_kernel, complete_kernel_or_query, complete_query
from spack_kernel.spack import Store

from .conftest import Runner


def completions(line: str, tmp_path: Path, **variables: str) -> list[str]:
    """Return what argcomplete's shell code would get for `line`."""
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
    assert complete_query("%gc", args) == ["%gcc", "%gcc-runtime"]
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
        "hint: pip install 'spack-kernel[completion]'\n"
    )


def test_a_shell_that_asks_in_vain_gets_nothing(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spack_kernel.cli.completion import complete

    monkeypatch.setitem(sys.modules, "argcomplete", None)
    complete()
