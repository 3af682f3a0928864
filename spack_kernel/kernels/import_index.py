"""Build the table that lets a kernel find a module without asking every directory.

The table is made here, beside the server or the command, and read by
`spack_kernel.kernels.launcher` inside the kernel. It travels in an environment variable, so
there is no file to keep private, to find stale or to leave behind.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import zlib
from typing import TYPE_CHECKING

from . import launcher
from .launcher import INDEX_VARIABLE, PATH_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

#: The module that a kernel's command runs with ``-m``.
KERNEL_MODULE = "ipykernel_launcher"

#: Longest value an environment variable may have is 128 KiB on Linux (MAX_ARG_STRLEN).
_MAX_LENGTH = 120_000

#: Modules Python imports from PYTHONPATH before any code of ours can run.
_START_MODULES = frozenset({"sitecustomize", "usercustomize"})

_lock = threading.Lock()
_listings: dict[str, tuple[int, frozenset[str]]] = {}


def build(path: Sequence[str], standard_library: Collection[str] = ()) -> str | None:
    """Return the encoded table for the PYTHONPATH entries `path`.

    Parameters
    ----------
    path : sequence of str
        Absolute directories in the order of PYTHONPATH. What is not a directory (an egg, a zip)
        is left out of the table and searched as ever.
    standard_library : collection of str
        Names of the interpreter's own modules. A directory that shadows one of them must be in
        force before the interpreter starts, which no table can be.

    Returns
    -------
    str or None
        The table; None where a plain PYTHONPATH is the right thing.
    """
    mtimes: list[int | None] = []
    names: dict[str, list[int]] = {}
    for position, directory in enumerate(path):
        listing = _listing(directory)
        mtimes.append(listing[0] if listing else None)
        for name in listing[1] if listing else ():
            names.setdefault(name, []).append(position)
    if not _START_MODULES.isdisjoint(names) or not names.keys().isdisjoint(standard_library):
        return None
    encoded = encode(mtimes, names)
    return encoded if len(encoded) <= _MAX_LENGTH else None


def indexed(
    command: Sequence[str], environment: Mapping[str, str], standard_library: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return a command that starts a kernel, and its environment, with an import index.

    Parameters
    ----------
    command : sequence of str
        ``python -m ipykernel_launcher …``; any other command is returned as it is.
    environment : mapping of str to str
        The whole environment of the process.
    standard_library : collection of str
        See `build`.
    """
    argv, result = list(command), dict(environment)
    path = result.get("PYTHONPATH", "")
    if argv[1:3] != ["-m", KERNEL_MODULE] or os.pathsep not in path:
        return argv, result
    table = build(path.split(os.pathsep), standard_library)
    if table is None:
        return argv, result
    del result["PYTHONPATH"]
    result[PATH_VARIABLE], result[INDEX_VARIABLE] = path, table
    return [argv[0], launcher.__file__, *argv[2:]], result


def encode(mtimes: Sequence[int | None], names: dict[str, list[int]]) -> str:
    """Return the table as printable text: JSON, compressed, in base 64."""
    table = json.dumps({"mtimes": mtimes, "names": names}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(table.encode(), 6)).decode()


def _listing(directory: str) -> tuple[int, frozenset[str]] | None:
    """Return modification time and names of `directory`, from memory when it did not change."""
    try:
        mtime = os.stat(directory).st_mtime_ns  # noqa: PTH116 - one of hundreds, on a hot path
        with _lock:
            known = _listings.get(directory)
        if known is None or known[0] != mtime:
            entries = os.listdir(directory)  # noqa: PTH208 - names are wanted, not paths
            known = mtime, frozenset(entry.partition(".")[0] for entry in entries)
            with _lock:
                _listings[directory] = known
    except OSError:
        return None
    return known
