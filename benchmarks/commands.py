"""``spack-kernel exec`` as a command, compared with starting Python."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel._cache import CACHE_VARIABLE
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

from . import fresh
from .measure import Comparison, command, in_turns, seconds
from .resolving import index_of, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYTHON = "python -c 'import json'"
_JSON = "python -c 'json.load(…)'"
_RESOLVING = "resolving, in-process: open, find the hash, plan, environment"


def spack_kernel() -> list[str]:
    """Return the command as users run it: the script next to this Python, if there is one."""
    script = Path(sys.executable).with_name("spack-kernel")
    return [str(script)] if script.exists() else [sys.executable, "-m", "spack_kernel"]


def compare(root: Path, pinned: str, rounds: int) -> Iterator[Comparison]:
    """Yield the cost of `exec` on one store, and the part of it that is resolving.

    Parameters
    ----------
    root : Path
        An install tree.
    pinned : str
        The DAG hash of a spec with existing prefixes.
    rounds : int
        How often to measure.
    """
    section = f"command ({size_of(root)})"
    run = [*spack_kernel(), "exec", "--store", str(root), f"/{pinned}", "--", "true"]
    read = f"import json; json.load(open({str(index_of(root))!r}))"

    def resolve() -> object:
        store = Store.open(root)
        return plan_kernel(store, [store.get(f"/{pinned}")], kernel=False).environment(os.environ)

    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as columns:
        fresh.run("keep", root, cache=columns)

        def with_columns() -> float:
            for path in Path(columns).glob("exec-*"):
                path.unlink()
            return kept()

        kept = command(run, {**os.environ, CACHE_VARIABLE: columns})
        values = in_turns(
            {
                "exec": command(run, {**os.environ, CACHE_VARIABLE: ""}),
                "columns": with_columns,
                "again": command(run, {**os.environ, CACHE_VARIABLE: cache}),
                _RESOLVING: seconds(resolve),
                _PYTHON: command([sys.executable, "-c", "import json"]),
                _JSON: command([sys.executable, "-c", read]),
            },
            rounds=rounds,
        )
    python = values[_PYTHON]
    first = "spack-kernel exec /HASH -- true, nothing cached"
    again = "spack-kernel exec /HASH -- true, planned before"
    kept_only = "spack-kernel exec /HASH -- true, nothing planned before, columns kept"
    for name, key in ((first, "exec"), (kept_only, "columns"), (again, "again")):
        yield Comparison(section, name, _PYTHON, values[key], python)
        yield Comparison(section, name, _JSON, values[key], values[_JSON])
    yield Comparison(section, _RESOLVING, _PYTHON, values[_RESOLVING], python)
    allowed = 1.5 * statistics.median(python) + statistics.median(values[_RESOLVING])
    for name, key in ((first, "exec"), (again, "again")):
        other = f"1.5 × {_PYTHON} + resolving"
        yield Comparison(section, name, other, values[key], (allowed,))
