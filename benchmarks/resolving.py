"""From a query to an environment, beside reading the same database with ``json.load``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from spack_kernel.spack import Store
from spack_kernel.spack.load import load_environment

from .measure import Comparison, command, seconds, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECTION = "resolving"


def compare(root: Path, query: str, rounds: int) -> Iterator[Comparison]:
    """Yield the time from `query` to its load environment, warm and as a cold command.

    Parameters
    ----------
    root : Path
        The install tree.
    query : str
        A query that finds one spec.
    rounds : int
        How often to measure.
    """
    index = root / ".spack-db" / "index.json"
    store = Store.open(root)
    megabytes = index.stat().st_size / 1e6
    records = sum(len(database) for database in store.databases)
    size = f"{records} records, {megabytes:.1f} MB"

    def environment(store: Store) -> object:
        return load_environment(store, [store.get(query)]).apply({})

    def load() -> object:
        with index.open() as file:
            return json.load(file)

    yield side_by_side(
        _SECTION,
        f"warm: query to environment ({size})",
        seconds(lambda: environment(store), times=5),
        "json.load of index.json",
        seconds(load),
        rounds=rounds,
    )
    yield side_by_side(
        _SECTION,
        f"cold in a process: open, query to environment ({size})",
        seconds(lambda: environment(Store.open(root))),
        "json.load of index.json",
        seconds(load),
        rounds=rounds,
    )
    ours = [sys.executable, "-m", "spack_kernel", "exec", "--store", str(root), query, "--", "true"]
    other = [sys.executable, "-c", f"import json; json.load(open({str(index)!r}))"]
    yield side_by_side(
        _SECTION,
        f"cold command: spack-kernel exec … -- true ({size})",
        command(ours),
        "python -c 'json.load(…)'",
        command(other),
        rounds=rounds,
    )
