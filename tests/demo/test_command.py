"""``spack-kernel demo``: its output and its errors."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.cli import main


@pytest.fixture
def tiny(selection, monkeypatch):
    """Let the command build the tiny store: the real one would be downloaded again."""
    monkeypatch.setattr("spack_kernel.demo.pins.PinnedRequirements.default", lambda: selection)


def test_first_and_second_time(tmp_path, tiny, capsys):
    root = tmp_path / "store"
    assert main(["demo", str(root), "--json"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert facts["root"] == str(root)
    assert facts["reused"] is False
    assert [spec["name"] for spec in facts["specs"] if spec["explicit"]] == ["py-upper"]
    lines = captured.err.splitlines()
    assert lines[0] == "downloading 1/6: pip==1.0"
    assert lines[6].startswith("installing 1/7: python-venv@")
    assert lines[-1] == "installing 7/7: py-lower@2.0"
    assert main(["demo", str(root), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {**facts, "reused": True}


def test_quiet(tmp_path, tiny, capsys):
    assert main(["demo", str(tmp_path / "store"), "--quiet", "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_what_to_try_next_can_be_typed(demo_store, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(Path(sys.executable).with_name("spack-kernel"))])
    assert main(["demo", str(demo_store.root)]) == 0
    out = capsys.readouterr().out
    short = f"py-libensemble/{demo_store.hash('py-libensemble')[:7]}"
    assert out.splitlines()[0] == (
        f"A store of {len(demo_store.hashes)} specs already exists in {demo_store.root}"
    )
    lines = [line.strip() for line in out.splitlines() if line.startswith("  ")]
    assert [line.split(str(demo_store.root))[1].split()[0] for line in lines] == [
        *("list", "show", "install", "check")
    ]
    assert short in lines[1]
    environment = {**os.environ, "HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in lines:
        done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_bad_directory(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert main(["demo", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {tmp_path} contains something else; a demo store needs a new or an empty "
        "directory\n"
        "  found there: thesis.tex\n"
        f"hint: Use another directory, for example {tmp_path / 'demo-store'}\n"
    )


def test_without_the_extra(tmp_path):
    code = (
        "import sys; sys.modules['installer'] = None\n"
        "from spack_kernel.cli import main; sys.exit(main(['demo', sys.argv[1]]))"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "store")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: `demo` needs the Python package `installer`, which is not installed\n"
        f"hint: {sys.executable} -m pip install installer\n"
    )
    assert not (tmp_path / "store").exists()


def test_a_terminal_sees_one_line_that_counts(tmp_path, selection):
    code = (
        "import sys; from spack_kernel import demo; from spack_kernel.cli import main\n"
        "from spack_kernel.demo.pins import PinnedRequirements, Requirement\n"
        "chosen = PinnedRequirements(sys.argv[1], ('py-upper',), Requirement('lower==2.0'))\n"
        "PinnedRequirements.default = lambda: chosen\n"
        "sys.exit(main(['demo', '--json', sys.argv[2]]))"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code, selection.text, str(tmp_path / "store")],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux raises this when the other end is closed
                break
            if not chunk:
                break
            seen += chunk
    os.close(ours)
    assert process.returncode == 0, seen.decode()
    assert b"\n" not in seen
    assert seen.startswith(b"\rdownloading 1/6: pip==1.0")
    assert b"\rinstalling 7/7: py-lower@2.0" in seen
    assert seen.endswith(b" \r")
