"""From a query to specs and environments, beside reading the same database."""

from __future__ import annotations

import json
import lzma
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack import Store
from spack_kernel.spack.load import load_environment

from .generate import SOURCE
from .measure import Comparison, beside, in_new_process, in_turns, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_JSON = "json.load of index.json"

#: What no reader of a whole database can do without.
MARK = "the mark: read the file, msgspec decodes the outer records, nodes undecoded"

#: Queries of each kind that the golden and the generated store answer.
QUERIES = {
    "a name": "py-numpy",
    "a name and ^": "py-scipy@1.10: ^openblas threads=none ^python@3.11:",
    "anonymous": "%gcc@12 target=x86_64_v3",
    "anonymous, many answers": "%gcc@12",
}

#: What a real Spack was asked about the golden store, and how many of these we ask.
_ASKED = SOURCE.parent / "queries.json.xz"
_SAMPLE = 40

# Of a process itself: the peak that getrusage(2) tells began with what its parent had.
_PEAK = """
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
"""

_LOAD_JSON = (
    _PEAK
    + """
import json, sys, time
with open(sys.argv[1]) as file:
    started = time.perf_counter()
    data = json.load(file)
    seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "peak": peak()}))
"""
)

_DECODE = (
    _PEAK
    + """
import json, sys
import msgspec
class Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()
class Body(msgspec.Struct):
    installs: dict[str, Record]
class File(msgspec.Struct):
    database: Body
with open(sys.argv[1], "rb") as file:
    data = msgspec.json.decode(file.read(), type=File)
print(json.dumps(peak()))
"""
)

# What a process has before it opens the store is not the store's; what it has afterwards, with
# every answer given up, is what a server goes on having.
_ASK = (
    _PEAK
    + """
import gc, json, resource, sys
from spack_kernel.spack import Store
import spack_kernel.spack.selection
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1024**2
before = resident()
store = Store.open(sys.argv[1])
kept = []
for queries in json.loads(sys.argv[2]):
    for query in queries:
        store.find(query)
    kept.append(resident() - before)
print(json.dumps({"peak": peak(), "kept": kept}))
"""
)


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


def mark(root: Path) -> object:
    """Read a database as far as nobody can do without."""
    return msgspec.json.decode(index_of(root).read_bytes(), type=_File)


def compare(root: Path, rounds: int) -> Iterator[Comparison]:
    """Yield everything about one store: environments, queries, memory.

    Parameters
    ----------
    root : Path
        An install tree with the packages of the golden store; it needs no prefixes.
    rounds : int
        How often to measure.
    """
    size = size_of(root)
    loads: list[dict[str, float]] = []
    yield from _environments(root, f"environment ({size})", rounds, loads)
    yield from _queries(root, f"queries ({size})", rounds)
    yield from _memory(root, f"memory ({size})", max(load["peak"] for load in loads))


def _environments(
    root: Path, section: str, rounds: int, loads: list[dict[str, float]]
) -> Iterator[Comparison]:
    """Yield environments; what reading the whole file took is added to `loads`."""
    store = Store.open(root)
    spec = next(spec for spec in store.named("py-libensemble") if spec.installed)
    query = f"{spec.name}/{spec.hash[:12]}"

    def environment(store: Store) -> object:
        return load_environment(store, [store.get(query)]).apply({})

    def load() -> float:
        loads.append(in_new_process(_LOAD_JSON, str(index_of(root))))
        return loads[-1]["seconds"]

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


def _queries(root: Path, section: str, rounds: int) -> Iterator[Comparison]:
    asked = _asked(root)
    cold: dict[str, Callable[[], float]] = {
        f"cold, {kind}: open, find {query}": seconds(
            lambda query=query: Store.open(root).find(query)  # type: ignore[misc]
        )
        for kind, query in asked.items()
    }
    yield from beside(section, cold, MARK, seconds(lambda: mark(root)), rounds=rounds)
    store = Store.open(root)
    warm: dict[str, Callable[[], float]] = {}
    for kind, query in asked.items():
        found = len(store.find(query))
        name = f"warm, {kind}: {query} ({found:,} found)"
        warm[name] = seconds(partial(store.find, query), at_least=0.02)
    yield from beside(section, warm, MARK, seconds(lambda: mark(root)), rounds=rounds)
    sample = sampled_queries()
    values = in_turns(
        {
            "ours": seconds(lambda: [store.find(query) for query in sample]),
            MARK: seconds(lambda: mark(root)),
        },
        rounds=rounds,
    )
    yield Comparison(
        section,
        f"queries per second, warm, {len(sample)} real ones of all kinds (more is better)",
        f"{MARK}; so often per second",
        tuple(len(sample) / value for value in values["ours"]),
        tuple(1 / value for value in values[MARK]),
        "1/s",
    )


def _memory(root: Path, section: str, json_peak: float) -> Iterator[Comparison]:
    mark_peak = in_new_process(_DECODE, str(index_of(root)))
    asked = _asked(root)
    for kind, query in asked.items():
        ours = in_new_process(_ASK, str(root), json.dumps([[query]]))["peak"]
        name = f"peak of a process: open, {kind}"
        yield Comparison(section, name, "the mark in a process", (ours,), (mark_peak,), "MB")
        if kind == "a name":
            other = f"{_JSON} in a process"
            yield Comparison(section, name, other, (ours,), (json_peak,), "MB")
    named = list(asked)[:3]
    steps = {
        ", ".join(named): [asked[kind] for kind in named],
        "the anonymous ones": [query for kind, query in asked.items() if kind not in named],
        f"{_SAMPLE} real ones of all kinds": sampled_queries(),
    }
    kept = in_new_process(_ASK, str(root), json.dumps(list(steps.values())))["kept"]
    file_size = index_of(root).stat().st_size / 1024**2
    then = "what a process keeps of a store after asking"
    for step, value in zip(steps, kept, strict=True):
        name, then = f"{then} {step}", "and then"
        yield Comparison(section, name, "the size of index.json", (value,), (file_size,), "MB")


def _asked(root: Path) -> dict[str, str]:
    """Return a query of each kind."""
    some = next(iter(Store.open(root).named("py-numpy")))
    return {"a hash": f"/{some.hash[:10]}", **QUERIES}


def sampled_queries() -> list[str]:
    """Return queries that a real Spack answered about the golden store, evenly of all kinds."""
    with lzma.open(_ASKED) as file:
        answered = [each["query"] for each in json.load(file) if each.get("find")]
    return answered[:: len(answered) // _SAMPLE][:_SAMPLE]
