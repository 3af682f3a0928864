"""Queries with the answers of real Spacks, and the stores they were run on.

``tests/data/<version>/queries.json.xz`` is a list of objects: ``query``; ``find``, the rows of
index.json that Spack finds (in its order if ``ordered``; in a chain, the rows of the upstream
follow); ``load``, the row that `spack load` selects, or several for several queries, or ``none``
or ``several``, or the class of an error; ``error``, the class of the error that both commands
report, and ``position``, the first column it underlines.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path

from spack_kernel.spack.database.database import Database
from spack_kernel.spack.store.store import Store
from tests.places import DATA

#: Every store with recorded data; a chain is a second store whose upstream is the first.
STORES = ("0.16", "0.17", "0.20", "0.23", "0.23/chain", "1.3", "1.3/chain")

#: Internal errors of Spack that are unrelated to the query.
ACCIDENTS = {"AttributeError", "Hang", "NoSuchSpecFileError", "ProcessError", "TypeError"} | {
    "ValueError"
}


@dataclass(frozen=True)
class GoldenQuery:
    """One query and Spack's answers, with hashes instead of rows; see the module."""

    query: str
    find: tuple[str, ...] | None
    load: str | tuple[str, ...]
    ordered: bool
    error: str
    position: int | None


def open_store(version: str, directory: Path) -> Store:
    """Unpack the database of `version` below `directory`, with its upstream, and open it."""
    databases = []
    for part in (version, version.removesuffix("/chain")):
        root = directory / part.replace("/", "-")
        if any(database.root == root for database in databases):
            continue
        index = root / ".spack-db" / "index.json"
        if not index.exists():
            index.parent.mkdir(parents=True)
            with lzma.open(DATA / part / "index.json.xz") as file:
                index.write_bytes(file.read())
        databases.append(Database.read(root))
    return Store(databases)


def read_queries(version: str, store: Store) -> list[GoldenQuery]:
    """Return the queries that Spack `version` ran on `store`."""
    hashes = list(dict.fromkeys(h for database in store.databases for h in database))
    with lzma.open(DATA / version / "queries.json.xz") as file:
        recorded = json.load(file)
    return [
        GoldenQuery(
            each["query"],
            tuple(hashes[row] for row in each["find"]) if "find" in each else None,
            _hashes(each.get("load", each.get("error")), hashes),
            each.get("ordered", False),
            each.get("error", ""),
            each.get("position"),
        )
        for each in recorded
    ]


def _hashes(load: int | str | list[int], hashes: list[str]) -> str | tuple[str, ...]:
    if isinstance(load, list):
        return tuple(hashes[row] for row in load)
    return hashes[load] if isinstance(load, int) else load
