"""Measurements in a separate process, which previous measurements do not affect.

``python -m benchmarks.fresh KIND INDEX-OR-STORE [QUERIES] [WARM-UP]`` prints JSON: ``seconds``,
the time of the operation itself; ``peak``, the peak resident memory of the process in MB.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel._cache import CACHE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def load_json(index: str) -> dict[str, Any]:
    """Read a database with `json`."""
    started = time.perf_counter()
    with open(index) as file:
        data = json.load(file)
    taken = time.perf_counter() - started
    del data
    return {"seconds": taken}


def decode(index: str) -> dict[str, Any]:
    """Read a database only as far as every reader must."""
    from .mark import mark

    started = time.perf_counter()
    data = mark(Path(index))
    taken = time.perf_counter() - started
    del data
    return {"seconds": taken}


def ask(root: str, queries: str, warm_up: str) -> dict[str, Any]:
    """Open a store and run queries on it.

    Parameters
    ----------
    root : str
        An install tree.
    queries : str
        Groups of queries, as JSON.
    warm_up : str
        A small install tree for running the first query before, so that everything is imported.

    Returns
    -------
    dict
        Also ``kept``: how much more memory the process has after each group than before, in MB.
    """
    from spack_kernel.spack import Store

    groups = json.loads(queries)
    Store.open(warm_up).find(groups[0][0])
    before = _resident()
    taken, kept = 0.0, []
    started = time.perf_counter()
    store = Store.open(root)
    for group in groups:
        for query in group:
            store.find(query)
        taken += time.perf_counter() - started
        kept.append(_resident() - before)
        started = time.perf_counter()
    return {"seconds": taken, "kept": kept}


def keep(root: str) -> dict[str, Any]:
    """Make the columns of a database, and keep them in the cache."""
    from spack_kernel.spack.database import Database, keep

    started = time.perf_counter()
    path = keep(Database.read(root))
    return {"seconds": time.perf_counter() - started, "size": path.stat().st_size if path else 0}


def run(kind: str, where: Path, *arguments: str, cache: str = "") -> Any:
    """Return what a new process prints, which uses a cache directory; by default none."""
    argv = [sys.executable, "-m", "benchmarks.fresh", kind, str(where), *arguments]
    env = {**os.environ, CACHE_VARIABLE: cache}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{kind} {where} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def _resident() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1024**2


def _peak() -> float:
    # The peak that getrusage(2) reports would include the memory of the parent process.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def main(arguments: Sequence[str]) -> None:
    """Run one measurement and print its result."""
    kinds: dict[str, Callable[..., dict[str, Any]]] = {
        "json": load_json,
        "mark": decode,
        "ask": ask,
        "keep": keep,
    }
    result = kinds[arguments[0]](*arguments[1:])
    print(json.dumps({**result, "peak": _peak()}))


if __name__ == "__main__":
    main(sys.argv[1:])
