"""Run the command in this process and in a separate one, on real stores."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from tests.places import DATA


@dataclass(frozen=True)
class Result:
    """The result of running the command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Runner:
    """Calls ``main`` and captures its output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str | Path) -> Result:
        self._capsys.readouterr()
        status = main([str(word) for word in argv])
        return Result(status, *self._capsys.readouterr())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(capsys)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give each test its own home directory, and hide any outside Spack and Jupyter settings."""
    for name in list(os.environ):
        if name.startswith(("SPACK_", "JUPYTER")) or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(home / "runtime"))
    monkeypatch.setenv("COLUMNS", "80")
    return home


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an install tree with a database from Spack 1.3; its prefixes do not exist."""
    root = tmp_path_factory.mktemp("golden")
    (root / ".spack-db").mkdir()
    content = lzma.decompress((DATA / "1.3" / "index.json.xz").read_bytes())
    (root / ".spack-db" / "index.json").write_bytes(content)
    return root


@pytest.fixture(scope="session")
def demo(demo_store: DemoStore) -> Path:
    return demo_store.root


def command(*argv: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process."""
    options.setdefault("timeout", 120)
    return subprocess.run(
        [sys.executable, "-m", "spack_kernel", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
