"""Our commands and library compared with those of a real Spack, on the same stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

from spack_kernel.spack import Store
from spack_kernel.spack.load import load_environment

from . import fresh
from .commands import CACHE_VARIABLE, spack_kernel
from .measure import Comparison, command, cost, in_new_process, in_turns, seconds
from .resolving import sampled_queries, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_QUERY = "py-numpy"
_FORMAT = "{name}/{hash:7}"

#: Seconds for running queries in Spack, one after the other.
_ASKING = 5.0

# Queries that Spack cannot answer are not compared; we run only those that it has answered.
_IN_SPACK = """
import json, sys, time
import spack.store
query, sample, limit = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
database = spack.store.STORE.db
def seconds(query):
    started = time.perf_counter()
    database.query(query)
    return time.perf_counter() - started
cold, warm = seconds(query), seconds(query)
asked, taken = [], 0
for each in sample:
    try:
        taken += seconds(each)
        asked.append(each)
    except Exception:
        pass
    if taken > limit:
        break
print(json.dumps({"cold": cold, "warm": warm, "taken": taken, "asked": asked}))
"""

_IN_OURS = """
import json, sys, time
import spack_kernel.spack.query.search
from spack_kernel.spack import Store
root, query, sample = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
started = time.perf_counter()
store = Store.open(root)
store.find(query)
cold = time.perf_counter() - started
def seconds(query):
    started = time.perf_counter()
    store.find(query)
    return time.perf_counter() - started
warm = seconds(query)
print(json.dumps({"cold": cold, "warm": warm, "taken": sum(map(seconds, sample))}))
"""


class Spack:
    """A real Spack, for queries on one store.

    Parameters
    ----------
    root : Path
        Its own root. It runs with its own configuration, in the current environment.
    tree : Path
        The install tree.
    own : bool
        Whether that is the configured install tree; if not, it is set on the command line.
    """

    def __init__(self, root: Path, tree: Path, *, own: bool) -> None:
        setting = [] if own else ["-c", f"config:install_tree:root:{tree}"]
        self.command = [str(root / "bin" / "spack"), *setting]
        self.tree = tree
        run = subprocess.run(
            [*self.command, "--version"], capture_output=True, text=True, check=False
        )
        self.section = f"compared with Spack {run.stdout.split()[0]} ({size_of(tree)})"


def compare(
    spack: Spack, scratch: Path, rounds: int, *, pinned: str | None = None
) -> Iterator[Comparison]:
    """Yield our figures compared with Spack's.

    Parameters
    ----------
    spack : Spack
        The Spack and the store.
    scratch : Path
        A directory for a script.
    rounds : int
        The maximum number of measurements.
    pinned : str, optional
        The DAG hash of a spec with existing prefixes, to load.
    """
    tree = str(spack.tree)
    listing = ["--format", _FORMAT, _QUERY]
    ours = [*spack_kernel(), "list", "--all", "--store", tree, *listing]
    with tempfile.TemporaryDirectory() as columns:
        fresh.run("keep", spack.tree, cache=columns)
        yield from _commands(
            spack.section,
            f"spack-kernel list --all {_QUERY}",
            ours,
            {
                f"in-process: open the store, find {_QUERY}": seconds(
                    lambda: Store.open(tree).find(_QUERY)
                ),
                f"spack-kernel list --all {_QUERY}, columns kept": command(
                    ours, {**os.environ, CACHE_VARIABLE: columns}
                ),
            },
            f"spack find {_QUERY}",
            [*spack.command, "find", *listing],
            rounds,
        )
    if pinned is not None:
        yield from _commands(
            spack.section,
            "spack-kernel exec /HASH -- env",
            [*spack_kernel(), "exec", "--store", tree, f"/{pinned}", "--", "env"],
            {
                "in-process: open the store, find /HASH, environment": seconds(
                    partial(_load, tree, pinned)
                )
            },
            "spack load --sh /HASH",
            [*spack.command, "load", "--sh", f"/{pinned}"],
            rounds,
        )
    yield from _in_process(spack, scratch)


def _load(tree: str, pinned: str) -> object:
    store = Store.open(tree)
    return load_environment(store, [store.get(f"/{pinned}")]).apply(os.environ)


def _commands(
    section: str,
    name: str,
    ours: Sequence[str],
    also: Mapping[str, Callable[[], float]],
    other: str,
    theirs: Sequence[str],
    rounds: int,
) -> Iterator[Comparison]:
    """Yield the times of our command and of what `also` measures, and the command's memory."""
    peaks: dict[str, list[float]] = {name: [], other: []}
    # Nothing cached, as for a command that has never run before.
    env = {**os.environ, CACHE_VARIABLE: ""}

    def measure(what: str, argv: Sequence[str]) -> float:
        taken = cost(argv, env)
        peaks[what].append(taken.peak)
        return taken.seconds

    values = in_turns(
        {
            name: partial(measure, name, ours),
            **also,
            other: partial(measure, other, theirs),
        },
        rounds=rounds,
    )
    for what in (name, *also):
        yield Comparison(section, what, other, values[what], values[other])
    highest = (max(peaks[name]),), (max(peaks[other]),)
    yield Comparison(section, f"{name}: peak memory", other, *highest, "MB")


def _in_process(spack: Spack, scratch: Path) -> Iterator[Comparison]:
    """Yield the time of a query when both programs have already started."""
    script = scratch / "ask.py"
    script.write_text(_IN_SPACK)
    done = subprocess.run(
        [
            *spack.command,
            "python",
            str(script),
            _QUERY,
            json.dumps(sampled_queries()),
            f"{_ASKING}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        print(f"  (left out: `spack python` failed: {last})", file=sys.stderr)
        return
    theirs: dict[str, Any] = json.loads(done.stdout)
    asked = theirs["asked"]
    ours = in_new_process(_IN_OURS, str(spack.tree), _QUERY, json.dumps(asked))
    for name, key in (("cold: read the database, find", "cold"), ("warm: find", "warm")):
        yield Comparison(
            spack.section,
            f"in a running Python, {name} {_QUERY}",
            "spack python: database.query",
            (ours[key],),
            (theirs[key],),
        )
    if asked:
        yield Comparison(
            spack.section,
            f"queries per second, warm, the same {len(asked)} queries (more is better)",
            "spack python: database.query",
            (len(asked) / ours["taken"],),
            (len(asked) / theirs["taken"],),
            "1/s",
        )
