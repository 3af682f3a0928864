"""From a query to specs and environments, compared with reading the same database."""

from __future__ import annotations

import json
import lzma
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack import Store
from spack_kernel.spack.load import load_environment

from . import fresh
from .generate import SOURCE, generate
from .mark import MARK, mark
from .measure import Comparison, beside, in_turns, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_JSON = "json.load of index.json"

#: A query of each kind for the golden and the generated store.
QUERIES = {
    "a name": "py-numpy",
    "a name and ^": "py-scipy@1.10: ^openblas threads=none ^python@3.11:",
    "anonymous": "%gcc@12 target=x86_64_v3",
    "anonymous, many answers": "%gcc@12",
}

#: The queries that a real Spack ran on the golden store, and how many of these we run.
_ASKED = SOURCE.parent / "queries.json.xz"
_SAMPLE = 40


def index_of(root: Path) -> Path:
    """Return the database file of an install tree."""
    return root / ".spack-db" / "index.json"


def size_of(root: Path) -> str:
    """Return what a reader must know about a store's size."""
    store = Store.open(root)
    records = sum(len(database) for database in store.databases)
    return f"{records:,} records, {index_of(root).stat().st_size / 1e6:.1f} MB"


def compare(root: Path, rounds: int) -> Iterator[Comparison]:
    """Yield everything about one store: environments, queries, memory.

    Parameters
    ----------
    root : Path
        An install tree with the packages of the golden store; it does not need prefixes.
    rounds : int
        How often to measure.
    """
    size = size_of(root)
    yield from _environments(root, f"environment ({size})", rounds)
    with tempfile.TemporaryDirectory() as directory:
        small = Path(directory, "small")
        generate(small, 20)
        yield from _cold_queries(root, small, size, rounds)
        yield from _kept_queries(root, small, Path(directory, "cache"), size, rounds)
    yield from _warm_queries(root, f"warm queries ({size})", rounds)


def _environments(root: Path, section: str, rounds: int) -> Iterator[Comparison]:
    store = Store.open(root)
    spec = next(spec for spec in store.named("py-libensemble") if spec.installed)
    query = f"{spec.name}/{spec.hash[:12]}"
    peaks = []

    def environment(store: Store) -> object:
        return load_environment(store, [store.get(query)]).apply({})

    def load() -> float:
        answer = fresh.run("json", index_of(root))
        peaks.append(answer["peak"])
        return float(answer["seconds"])

    yield from beside(
        section,
        {
            "warm: query to environment": seconds(partial(environment, store), at_least=0.02),
            "cold: open the store, query to environment": seconds(
                lambda: environment(Store.open(root))
            ),
        },
        _JSON,
        load,
        rounds=rounds,
    )
    ours = fresh.run("ask", root, json.dumps([[query]]), str(root))["peak"]
    name = "peak memory of a process that does this"
    yield Comparison(section, name, _JSON, (ours,), (max(peaks),), "MB")


def _in_new_processes(
    root: Path, small: Path, rounds: int, cache: str = ""
) -> tuple[dict[str, str], Mapping[str, tuple[float, ...]], dict[str, float]]:
    """Return a query of each kind, the seconds of each, and the peak memory, with the mark's."""
    asked = _asked(root)
    peaks: dict[str, float] = {}

    def measure(kind: str) -> float:
        if kind == MARK:
            answer = fresh.run("mark", index_of(root))
        else:
            queries = json.dumps([[asked[kind]]])
            answer = fresh.run("ask", root, queries, str(small), cache=cache)
        peaks[kind] = max(peaks.get(kind, 0), answer["peak"])
        return float(answer["seconds"])

    values = in_turns({kind: partial(measure, kind) for kind in (*asked, MARK)}, rounds=rounds)
    return asked, values, peaks


def _cold_queries(root: Path, small: Path, size: str, rounds: int) -> Iterator[Comparison]:
    """Yield the time and the memory of queries, each in a new process."""
    asked, values, peaks = _in_new_processes(root, small, rounds)
    section = f"cold queries ({size})"
    for kind, query in asked.items():
        name = f"{kind}: open the store, find {query}"
        yield Comparison(section, name, MARK, values[kind], values[MARK])
    section = f"memory ({size})"
    for kind in asked:
        name = f"peak of a process that opens the store and runs one query: {kind}"
        yield Comparison(section, name, MARK, (peaks[kind],), (peaks[MARK],), "MB")
    named = list(asked)[:3]
    steps = {
        ", ".join(named): [asked[kind] for kind in named],
        **{kind: [query] for kind, query in asked.items() if kind not in named},
        f"{_SAMPLE} real queries of all kinds": sampled_queries(),
    }
    kept = fresh.run("ask", root, json.dumps(list(steps.values())), str(small))["kept"]
    file_size = index_of(root).stat().st_size / 1024**2
    then = "what a process keeps of a store after queries:"
    for step, value in zip(steps, kept, strict=True):
        name, then = f"{then} {step}", "and then"
        yield Comparison(section, name, "the size of index.json", (value,), (file_size,), "MB")


def _kept_queries(
    root: Path, small: Path, cache: Path, size: str, rounds: int
) -> Iterator[Comparison]:
    """Yield the time and the memory of queries, each in a new process, with kept columns.

    Nothing for a small database, the columns of which are not used.
    """
    if not Store.open(root).databases[0].is_large:
        return
    made = fresh.run("keep", root, cache=str(cache))
    asked, values, peaks = _in_new_processes(root, small, rounds, str(cache))
    section = f"cold queries with kept columns ({size}; columns {made['size'] / 1e6:.1f} MB)"
    for kind, query in asked.items():
        name = f"{kind}: open the store, find {query}"
        yield Comparison(section, name, MARK, values[kind], values[MARK])
    yield Comparison(section, "make the columns", MARK, (made["seconds"],), values[MARK])
    for kind in asked:
        name = f"peak memory of a process that does this: {kind}"
        yield Comparison(section, name, MARK, (peaks[kind],), (peaks[MARK],), "MB")


def _warm_queries(root: Path, section: str, rounds: int) -> Iterator[Comparison]:
    store = Store.open(root)

    def anew(query: str) -> object:
        return store.find(query, providers=store.providers)  # such an answer is not cached

    warm: dict[str, Callable[[], float]] = {}
    for kind, query in _asked(root).items():
        found = len(store.find(query))
        name = f"{kind}: {query} ({found:,} found)"
        warm[f"{name}, repeated"] = seconds(partial(store.find, query), at_least=0.02)
        warm[f"{name}, not repeated"] = seconds(partial(anew, query), at_least=0.02)
    sample = sampled_queries()
    mixed = seconds(lambda: [anew(query) for query in sample])
    mixed()  # now the store has scanned what it needs, even if this is measured only once
    values = in_turns(
        {**warm, "mixed": mixed, MARK: seconds(lambda: mark(index_of(root)))}, rounds=rounds
    )
    for name in warm:
        yield Comparison(section, name, MARK, values[name], values[MARK])
    yield Comparison(
        section,
        f"queries per second, {len(sample)} real queries, none repeated (more is better)",
        f"{MARK}: times per second",
        tuple(len(sample) / value for value in values["mixed"]),
        tuple(1 / value for value in values[MARK]),
        "1/s",
    )


def _asked(root: Path) -> dict[str, str]:
    """Return a query of each kind."""
    some = next(iter(Store.open(root).named("py-numpy")))
    return {"a hash": f"/{some.hash[:10]}", **QUERIES}


def sampled_queries() -> list[str]:
    """Return queries that a real Spack ran on the golden store, evenly from all kinds."""
    with lzma.open(_ASKED) as file:
        answered = [each["query"] for each in json.load(file) if each.get("find")]
    return answered[:: len(answered) // _SAMPLE][:_SAMPLE]
