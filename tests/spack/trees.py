"""Install trees on disk, with databases from real Spacks or with a test's own records."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from tests.places import DATA

#: Spack version → database format.
FORMATS = {"0.16": "5", "0.17": "6", "0.20": "6", "0.23": "7", "1.3": "8"}


def recorded(version: str) -> Any:
    """Return the decoded database of `version`, as the json module reads it."""
    return json.loads(lzma.decompress((DATA / version / "index.json.xz").read_bytes()))


def unpack(version: str, root: Path) -> Path:
    """Turn `root` into an install tree with the database of `version`, byte for byte."""
    return write(root, lzma.decompress((DATA / version / "index.json.xz").read_bytes()))


def write(root: Path, content: bytes | str | dict[str, Any], version: Any = "8") -> Path:
    """Turn `root` into an install tree with this file content, or with these records."""
    index = root / ".spack-db" / "index.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps({"database": {"version": version, "installs": content}})
    if isinstance(content, str):
        content = content.encode()
    # As Spack does it: readers see either the old file or the new one.
    scratch = index.with_suffix(".new")
    scratch.write_bytes(content)
    scratch.replace(index)
    return root


def make_instance(root: Path, **sections: str) -> Path:
    """Create the files that identify a Spack instance, with site configuration."""
    (root / "etc/spack/defaults").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/spack").write_text("#!/bin/sh\nexit 3\n")
    (root / "bin/spack").chmod(0o755)
    for name, text in sections.items():
        (root / "etc/spack" / f"{name}.yaml").write_text(text)
    return root
