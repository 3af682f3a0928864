"""A minimal Spack instance: just enough to find its install tree."""

from __future__ import annotations

import json
from pathlib import Path


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
