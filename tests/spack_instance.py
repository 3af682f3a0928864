"""A minimal Spack instance: just enough to find its install tree; and a fake ``spack``."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

FAKE = Path(__file__).parent / "spack" / "fake_spack.py"


def make_instance(root: Path, tree: Path) -> Path:
    """Create a Spack instance in `root` that installs into `tree`, and return `root`."""
    (root / "etc" / "spack" / "defaults").mkdir(parents=True)
    (root / "bin").mkdir()
    spack = root / "bin" / "spack"
    spack.write_text("#!/bin/sh\nexit 1\n")
    spack.chmod(0o755)
    config = {"config": {"install_tree": {"root": str(tree)}}}
    (root / "etc" / "spack" / "config.yaml").write_text(json.dumps(config))
    return root


def fake_spack(directory: Path, **behaviour: Any) -> Path:
    """Return an executable with the given behaviour; see fake_spack.py."""
    directory.mkdir(exist_ok=True)
    shutil.copy(FAKE, directory / "spack.py")
    (directory / "behaviour.json").write_text(json.dumps(behaviour))
    executable = directory / "spack"
    python, script = shlex.quote(sys.executable), shlex.quote(str(directory / "spack.py"))
    executable.write_text(f'#!/bin/sh\nexec {python} {script} "$@"\n')
    executable.chmod(0o755)
    return executable


def listing(directory: Path) -> list[tuple[str, int, int]]:
    """Return all that is below a directory, files with size and the time of their last change."""
    found = {path: path.lstat() for path in directory.rglob("*")}
    return sorted(
        (str(path), -1, -1) if path.is_dir() else (str(path), status.st_size, status.st_mtime_ns)
        for path, status in found.items()
    )
