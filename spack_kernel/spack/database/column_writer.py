"""Write the columns of a database for the processes that come later; see `column_cache`."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel._cache import cache_directory
from spack_kernel.spack.system.whole_files import replace_file

from .chain import Chain
from .column_cache import COLUMNS_PREFIX, file_name
from .column_file import content_of, places_of
from .find_order import FindOrder
from .index_json import read_whole

if TYPE_CHECKING:
    from .database import Database

#: How many files, and how many bytes, are kept in the user's cache.
_MAX_FILES = 20
_MAX_BYTES = 256 << 20

#: Seconds after which a file that was only just changed has another time if it changes again.
_SETTLED = 2.0

#: Seconds after which a file that is being written was left behind by a process that was killed.
_ABANDONED = 600.0


class NotKept(Exception):  # noqa: N818 - it names what is not done, which is not always an error
    """The columns of a database are not kept, for the reason that it says."""


def made_from(database: Database) -> bytes:
    """Return the columns of a database that was read as a whole, as the content of a file.

    Raises
    ------
    NotKept
        When the database has changed since, or is of a kind whose columns are not kept.
    """
    path, stamp = database.path, database.stamp
    if not database.has_known_format:
        raise NotKept(f"its format is {database.version}, which is newer than those known here")
    if stamp is None or database.is_kept:
        raise NotKept("it was not read from its file")
    waits = _SETTLED - (time.time() - stamp.mtime_ns / 1e9)
    if 0 < waits <= _SETTLED:
        time.sleep(waits)
    data, now = read_whole(path)
    places = places_of(data, database.texts()) if now == stamp else None
    if places is None:
        raise NotKept("it has changed since it was read")
    del data
    columns = database.whole()
    if columns.ranks is None:
        FindOrder(Chain([database])).rank()
    content = content_of(columns, places, os.path.realpath(path), stamp, database.version)
    if content is None:
        raise NotKept("its records contradict each other; `spack reindex` rebuilds it")
    return content


def keep(database: Database, directory: Path | None = None) -> Path | None:
    """Keep the columns of a database that was read as a whole.

    Parameters
    ----------
    database : Database
        The database.
    directory : Path, optional
        A directory from which all users may read them; by default, the user's cache.

    Returns
    -------
    Path or None
        The file; None if there is no cache.

    Raises
    ------
    NotKept
        When the columns of this database are not kept.
    OSError
        When the file cannot be written.
    """
    cache = cache_directory()
    target = directory or (Path(cache) if cache is not None else None)
    if target is None:
        return None
    content = made_from(database)
    if directory is None:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = target / file_name(database.path)
    replace_file(path, content, 0o600 if directory is None else 0o644)
    if directory is None:
        _prune(target)
    return path


def _prune(directory: Path) -> None:
    """Remove the oldest files, and what processes that were killed have left."""
    found = []
    for path in directory.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.name.startswith(COLUMNS_PREFIX) and not path.suffix:
                found.append((status.st_mtime, status.st_size, path))
            elif path.name.lstrip(".").startswith(COLUMNS_PREFIX) and _is_abandoned(
                status.st_mtime
            ):
                path.unlink()  # scratch, or a claim
    found.sort(reverse=True)
    total = 0
    for place, (_, size, path) in enumerate(found):
        total += size
        if place and (place >= _MAX_FILES or total > _MAX_BYTES):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_abandoned(modified: float) -> bool:
    return time.time() - modified > _ABANDONED
