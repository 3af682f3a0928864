"""Make the columns that are kept of a store, in a process of its own.

Nobody waits for that: a process that finds no kept columns reads the database itself, and leaves
it to another one, of low priority, to save the next process that work.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel._cache import cache_directory
from spack_kernel._log import debugger
from spack_kernel.spack.database.column_cache import file_name
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system import isolated_command

if TYPE_CHECKING:
    from .store import Store

_debug = debugger(__name__)

#: Seconds that the process may take, and after which another one tries again.
_TIMEOUT = 600

_LOWEST_PRIORITY = 19

#: Starts its arguments in the background, so that they are nobody's child.
_DETACHED = '"$@" </dev/null >/dev/null 2>&1 &'


def keep_in_background(store: Store) -> None:
    """Have the columns of a store's databases kept, where that is worth it and not done yet.

    Parameters
    ----------
    store : Store
        The store.
    """
    cache = cache_directory()
    if cache is None:
        return
    for database in store.databases:
        if database.is_large and not database.is_kept and _claim(cache, database.path):
            _debug("the columns of %s are going to be kept", database.path)
            command = isolated_command("spack_kernel.spack.store.column_keeper")
            with contextlib.suppress(OSError):
                subprocess.run(  # noqa: S603 - our own module
                    ["/bin/sh", "-c", _DETACHED, "sh", *command, str(database.root)],
                    check=False,
                    start_new_session=True,
                )


def _claim_of(cache: str, path: Path) -> Path:
    return Path(cache, f"{file_name(path)}.claim")


def _claim(cache: str, path: Path) -> bool:
    """Return whether this process is the one that has the columns of a database made."""
    claim = _claim_of(cache, path)
    try:
        with contextlib.suppress(FileNotFoundError):
            # The clocks of two machines can differ: a time in the future counts as well.
            if abs(time.time() - claim.stat().st_mtime) < _TIMEOUT:
                _debug("columns are being made, or could not be made recently: %s", claim)
                return False
            claim.unlink()
        claim.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return False
    return True


def main(root: str) -> None:
    """Keep the columns of the database of an install tree.

    Parameters
    ----------
    root : str
        The install tree.
    """
    signal.alarm(_TIMEOUT)
    with contextlib.suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    from spack_kernel.spack.database.column_writer import NotKept, keep

    try:
        database = Database.read(root)
        with contextlib.suppress(NotKept):
            keep(database)
        again = Database.read(root)
    except (SpackKernelError, OSError):
        return
    cache = cache_directory()
    # Otherwise the claim remains, so that nobody tries again soon.
    if cache is not None and (again.is_kept or again.stamp != database.stamp):
        _claim_of(cache, database.path).unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[-1])
