"""From a query to specs and environments, beside reading the same database and beside Spack."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack import Store
from spack_kernel.spack.load import load_environment

from .measure import Comparison, command, peak_memory, seconds, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_JSON = "json.load of index.json"
_DECODE = "msgspec: outer records alone, nodes undecoded"

#: Queries of each kind that both the golden and the generated store answer.
QUERIES = {
    "a name": "py-numpy",
    "a name and constraints": "py-scipy@1.10: ^openblas threads=none ^python@3.11:",
    "an anonymous query": "%gcc@12 target=x86_64_v3",
}


class _Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    installs: dict[str, _Record]


class _File(msgspec.Struct):
    database: _Body


def index_of(root: Path) -> Path:
    """Return the database file of an install tree."""
    return root / ".spack-db" / "index.json"


def size_of(root: Path) -> str:
    """Return what a reader must know of a store's size."""
    store = Store.open(root)
    records = sum(len(database) for database in store.databases)
    return f"{records:,} records, {index_of(root).stat().st_size / 1e6:.1f} MB"


def environments(root: Path, rounds: int) -> Iterator[Comparison]:
    """Yield the time from a query to a load environment: warm, cold, and as a command.

    Parameters
    ----------
    root : Path
        An install tree in which ``py-libensemble`` is installed.
    rounds : int
        How often to measure.
    """
    section = f"environment ({size_of(root)})"
    store = Store.open(root)
    spec = next(spec for spec in store.named("py-libensemble") if spec.installed)
    query = f"{spec.name}/{spec.hash[:12]}"

    def environment(store: Store) -> object:
        return load_environment(store, [store.get(query)]).apply({})

    read = seconds(partial(_json_load, root))
    yield side_by_side(
        section,
        "warm: query to environment",
        seconds(partial(environment, store), times=5),
        _JSON,
        read,
        rounds=rounds,
    )
    yield side_by_side(
        section,
        "cold: open the store, query to environment",
        seconds(lambda: environment(Store.open(root))),
        _JSON,
        read,
        rounds=rounds,
    )


def commands(root: Path, query: str, rounds: int) -> Iterator[Comparison]:
    """Yield the time of cold commands: what they cost beside Python alone and a JSON reader.

    Parameters
    ----------
    root : Path
        An install tree whose prefixes are there.
    query : str
        A query that finds one spec.
    rounds : int
        How often to measure.
    """
    section = f"command ({size_of(root)})"
    ours = [sys.executable, "-m", "spack_kernel", "exec", "--store", str(root), query, "--"]
    read = [sys.executable, "-c", f"import json; json.load(open({str(index_of(root))!r}))"]
    for name, other in (
        ("python -c 'import json'", [sys.executable, "-c", "import json"]),
        ("python -c 'json.load(…)'", read),
    ):
        yield side_by_side(
            section,
            "spack-kernel exec QUERY -- true",
            command([*ours, "true"]),
            name,
            command(other),
            rounds=rounds,
        )


def queries(root: Path, rounds: int) -> Iterator[Comparison]:
    """Yield the time of queries, cold and warm, and the memory, against decoding the file.

    Parameters
    ----------
    root : Path
        An install tree; it needs no prefixes.
    rounds : int
        How often to measure.
    """
    section = f"queries ({size_of(root)})"
    data = index_of(root).read_bytes()
    decode = seconds(lambda: msgspec.json.decode(data, type=_File))
    store = Store.open(root)
    some = next(iter(store.named("py-numpy")))
    asked = {"a hash": f"/{some.hash[:10]}", **QUERIES}
    for kind, query in asked.items():
        yield side_by_side(
            section,
            f"cold, {kind}: open, find {query}",
            seconds(lambda query=query: Store.open(root).find(query)),
            _DECODE,
            decode,
            rounds=rounds,
        )
    for kind, query in asked.items():
        found = len(store.find(query))
        yield side_by_side(
            section,
            f"warm, {kind}: {query} ({found:,} found)",
            seconds(partial(store.find, query), times=3),
            _DECODE,
            decode,
            rounds=rounds,
        )
    find = f"from spack_kernel.spack import Store; Store.open({str(root)!r}).find('py-numpy')"
    read = f"import json; json.load(open({str(index_of(root))!r}))"
    yield side_by_side(
        section,
        "peak memory of one query in a new process",
        peak_memory([sys.executable, "-c", find]),
        _JSON,
        peak_memory([sys.executable, "-c", read]),
        rounds=2,
        unit="MB",
    )


def beside_spack(spack: Path, root: Path, rounds: int) -> Iterator[Comparison]:
    """Yield our commands beside Spack's own about the same store.

    Parameters
    ----------
    spack : Path
        The root of a Spack instance that uses the store.
    root : Path
        Its install tree.
    rounds : int
        How often to measure.
    """
    section = f"beside Spack ({size_of(root)})"
    executable = str(spack / "bin" / "spack")
    ours = [sys.executable, "-m", "spack_kernel"]
    store = Store.open(root)
    spec = next(spec for spec in store if spec.explicit and spec.installed)
    pairs: Sequence[tuple[list[str], list[str]]] = (
        (
            [*ours, "list", "--store", str(root), "--format", "{name}/{hash:7}", "py-numpy"],
            [executable, "find", "--format", "{name}/{hash:7}", "py-numpy"],
        ),
        (
            [*ours, "exec", "--store", str(root), f"/{spec.hash}", "--", "env"],
            [executable, "load", "--sh", f"/{spec.hash}"],
        ),
    )
    for mine, theirs in pairs:
        for measure, unit in ((command, "s"), (peak_memory, "MB")):
            yield side_by_side(
                section,
                " ".join(["spack-kernel", *mine[3:4], mine[-1]])
                + ("" if unit == "s" else ": peak"),
                measure(mine),
                " ".join(["spack", *theirs[1:]]),
                measure(theirs),
                rounds=rounds if unit == "s" else 1,
                unit=unit,
            )


def _json_load(root: Path) -> object:
    with index_of(root).open() as file:
        return json.load(file)
