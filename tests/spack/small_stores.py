"""Stores with a few records, written as Spack 1.x writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def node(name: str, *dependencies: tuple[str, ...], version: str = "1.0", **more: Any) -> Any:
    """Return a record in database format 8; a dependency is (name, deptypes[, hash])."""
    prefix = more.pop("prefix", None)
    spec = {
        "name": name,
        "version": version,
        "arch": {"platform": "linux", "platform_os": "debian12", "target": "x86_64"},
        "namespace": "builtin",
        "parameters": {"build_system": "generic"},
        "dependencies": [
            {
                "name": other,
                "hash": hashes[0] if hashes else dag_hash(other),
                "parameters": {"deptypes": deptypes.split(), "virtuals": []},
            }
            for other, deptypes, *hashes in dependencies
        ],
        "hash": dag_hash(name),
        **more,
    }
    return {"spec": spec, "path": prefix, "installed": True, "explicit": True, "ref_count": 1}


def dag_hash(name: str) -> str:
    return (name.replace("-", "") + "a" * 32)[:32]


def make_store(root: Path, *records: Any, version: str = "8") -> Store:
    for record in records:
        if record["path"] is None:
            record["path"] = str(root / record["spec"]["name"])
    installs = {record["spec"]["hash"]: record for record in records}
    index = root / ".spack-db" / "index.json"
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps({"database": {"version": version, "installs": installs}}))
    return Store.open(root)


def make(root: Path, *relatives: str) -> None:
    for relative in relatives:
        (root / relative).mkdir(parents=True)
