"""The JupyterLab extension is built from the present sources, small, and found by JupyterLab."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spack_kernel import __version__
from tests.places import ROOT

DIRECTORY = ROOT / "labextension"

#: The largest size of the built extension, in bytes.
MAX_SIZE = 150_000


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("labextension_build", DIRECTORY / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not (DIRECTORY / "built").is_dir():
        pytest.skip("missing component: the built extension (make labextension)")
    return module


def test_the_built_files_are_current(build: ModuleType) -> None:
    assert build.is_current(), "run `make labextension`"


def test_it_is_small(build: ModuleType) -> None:
    files = [path for path in build.BUILT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_SIZE


def test_it_has_the_version_of_the_package(build: ModuleType) -> None:
    package: dict[str, Any] = json.loads((build.BUILT / "package.json").read_text())
    assert (package["name"], package["version"]) == (build.NAME, __version__)


@pytest.mark.kernel
def test_jupyterlab_and_jupyter_server_find_it(build: ModuleType, tmp_path: Path) -> None:
    assert build.link(tmp_path) is None
    linked = tmp_path / "share" / "jupyter" / "labextensions" / build.NAME
    assert linked.resolve() == build.BUILT
    for words, expected in (
        (["labextension", "list"], f"{build.NAME} v{__version__}"),
        (["server", "extension", "list"], f"spack_kernel {__version__}"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "jupyter", *words], capture_output=True, text=True, check=False
        )
        assert expected in done.stdout + done.stderr


@pytest.mark.kernel
def test_what_changes_is_built_again(build: ModuleType, tmp_path: Path) -> None:
    """A copy whose sources have changed is not current, and without npm the message says so."""
    copy = tmp_path / "labextension"
    copy.mkdir()
    for name in ("build.py", "package.json", "package-lock.json", "tsconfig.json"):
        (copy / name).write_bytes((DIRECTORY / name).read_bytes())
    (tmp_path / "spack_kernel").mkdir()
    (tmp_path / "spack_kernel" / "__init__.py").write_text(f'__version__ = "{__version__}"\n')
    done = subprocess.run(
        [sys.executable, str(copy / "build.py")],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert "Node.js" in done.stderr
    assert "Traceback" not in done.stderr
