"""Throw-away copies of the demo store, made with hard links, for tests that change a store."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from spack_kernel.demo import DemoStore


class ClonedStore:
    """A store of real packages that a test can change.

    Parameters
    ----------
    source : DemoStore
        The store to copy. Its files are shared, so this class replaces them, never writes to them.
    root : Path
        The new install tree; must not exist.
    """

    def __init__(self, source: DemoStore, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        for entry in source.root.iterdir():
            if entry.is_dir() and entry.name != ".spack-db":
                shutil.copytree(entry, root / entry.name, symlinks=True, copy_function=_link)
        text = (source.root / ".spack-db" / "index.json").read_text(encoding="utf-8")
        self._index: dict[str, Any] = json.loads(text.replace(str(source.root), str(root)))
        self.save()

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """The database's records by DAG hash; `save` writes the changes."""
        installs: dict[str, dict[str, Any]] = self._index["database"]["installs"]
        return installs

    def save(self) -> None:
        """Write the database as Spack does: completely, and by rename."""
        database = self.root / ".spack-db"
        database.mkdir(exist_ok=True)
        partial = database / "index.json.partial"
        partial.write_text(json.dumps(self._index), encoding="utf-8")
        partial.replace(database / "index.json")

    def hash(self, name: str) -> str:
        """Return the DAG hash of a package, or of its newest version if there are several."""
        return max(
            (record["spec"]["version"], key)
            for key, record in self.records.items()
            if record["spec"]["name"] == name
        )[1]

    def site_packages(self, name: str) -> Path:
        """Return a package's site-packages directory."""
        (found,) = Path(self.records[self.hash(name)]["path"]).glob("lib/python3*/site-packages")
        return found

    def uninstall(self, name: str) -> None:
        """Remove the record and the prefix, as ``spack uninstall`` does."""
        record = self.records.pop(self.hash(name))
        shutil.rmtree(record["path"])
        self.save()

    def without_dependency(self, name: str, dependency: str) -> None:
        """Remove a dependency, as if the package had been built without it."""
        node = self.records[self.hash(name)]["spec"]
        kept = [edge for edge in node["dependencies"] if edge["name"] != dependency]
        assert len(kept) < len(node["dependencies"])
        node["dependencies"] = kept
        self.save()

    def rewrite(self, name: str, module: str, text: str) -> None:
        """Replace a module of a package."""
        path = self.site_packages(name) / module
        path.unlink()
        path.write_text(text, encoding="utf-8")


def _link(source: str, target: str) -> None:
    if Path(source).name == "pyvenv.cfg":
        # Cached plans check its status change time, which another link would change.
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
