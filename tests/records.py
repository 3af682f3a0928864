"""Records of an install database as Spack 1.x writes them, and stores with a few of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spack_kernel.spack import Store

ARCH = {"platform": "linux", "platform_os": "debian12", "target": "x86_64_v3"}


def dag_hash(text: str) -> str:
    """Return 32 characters that look like a DAG hash, and are another for each text."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in digest)


def readable_hash(name: str) -> str:
    """Return a DAG hash in which the name of the package can be read."""
    return (name.replace("-", "") + "a" * 32)[:32]


def edge(name: str, key: str, deptypes: Iterable[str] = ("build", "link", "run")) -> dict[str, Any]:
    """Return a dependency as a record has it."""
    return {"name": name, "hash": key, "parameters": {"deptypes": [*deptypes], "virtuals": []}}


def record(
    name: str,
    version: str,
    key: str,
    *dependencies: dict[str, Any],
    prefix: str | Path | None,
    installed: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """Return a record.

    Parameters
    ----------
    name, version, key : str
        Of the spec; `key` is its DAG hash.
    *dependencies : dict
        As `edge` returns them.
    prefix : path or None
        The install directory.
    installed : bool
        Whether it is installed.
    **more
        Further fields of the spec, such as ``parameters``, ``arch`` or ``external``.
    """
    spec = {
        "name": name,
        "version": version,
        "arch": ARCH,
        "namespace": "builtin",
        "parameters": {"build_system": "generic"},
        "dependencies": list(dependencies),
        "hash": key,
        **more,
    }
    return {
        "spec": spec,
        "path": None if prefix is None else str(prefix),
        "installed": installed,
        "explicit": True,
        "ref_count": 0,
        "installation_time": 1.0,
    }


def node(name: str, *dependencies: tuple[str, ...], version: str = "1.0", **more: Any) -> Any:
    """Return a record with a readable hash; a dependency is (name, deptypes[, hash])."""
    edges = [
        edge(other, hashes[0] if hashes else readable_hash(other), deptypes.split())
        for other, deptypes, *hashes in dependencies
    ]
    more.setdefault("arch", {**ARCH, "target": "x86_64"})
    return record(
        name, version, readable_hash(name), *edges, prefix=more.pop("prefix", None), **more
    )


def write_database(root: Path, records: dict[str, Any], version: str = "8") -> Path:
    """Write the database of an install tree as Spack does, by rename, and return the tree."""
    index = root / ".spack-db" / "index.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    new = index.with_suffix(".new")
    new.write_text(json.dumps({"database": {"version": version, "installs": records}}))
    new.replace(index)
    return root


def make_store(root: Path, *records: Any, version: str = "8") -> Store:
    """Return a store with these records; a prefix that is not given has the package's name."""
    for each in records:
        if each["path"] is None:
            each["path"] = str(root / each["spec"]["name"])
    return Store.open(
        write_database(root, {each["spec"]["hash"]: each for each in records}, version)
    )


def make(root: Path, *relatives: str) -> None:
    """Create directories."""
    for relative in relatives:
        (root / relative).mkdir(parents=True)
