"""Columns that are kept on disk, so that a process need not read and decode a whole database.

They are in the user's cache, and, if an administrator has made them for everybody, in the
directories that ``SPACK_KERNEL_INDEX`` names. A file counts only for exactly the database file from
which it was made, and only if nobody could have written it who could not also have written the
database. All processes of a machine that map it share its memory.
"""

from __future__ import annotations

import mmap
import os
import stat as stat_module
import weakref
import zlib
from typing import TYPE_CHECKING

from spack_kernel._cache import cache_directory
from spack_kernel._log import debugger
from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.system import file_checks
from spack_kernel.spack.system.file_systems import is_network
from spack_kernel.spack.system.ownership import open_to_others

from .column_file import ColumnFile
from .index_json import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_debug = debugger(__name__)

#: Directories of columns that were made for everybody, separated by colons.
INDEX_VARIABLE = "SPACK_KERNEL_INDEX"

#: The size in bytes from which the columns of a database are kept: about three thousand records.
#: A smaller one is read in a few milliseconds.
MIN_SIZE = 5_000_000

#: The largest file of columns that is read; those of fifty thousand records take 8 MB.
_MAX_SIZE = 1 << 30

#: How the names of files of columns begin.
COLUMNS_PREFIX = "columns-"


class Kept:
    """The kept columns of a database, and its file, in which its records are.

    Parameters
    ----------
    path : Path
        The database file.
    descriptor : int
        That file, open for reading; closed together with this object.
    stamp : Stamp
        Its identity.
    file : ColumnFile
        The columns.
    name : str
        The name of their file.
    """

    def __init__(
        self, path: Path, descriptor: int, stamp: Stamp, file: ColumnFile, name: str
    ) -> None:
        self.name = name
        self.path = path
        self.stamp = stamp
        self.file = file
        self._descriptor = descriptor
        self._places = file.places()
        weakref.finalize(self, os.close, descriptor)

    def record(self, row: int) -> bytes:
        """Return the text of a record.

        Raises
        ------
        DatabaseError
            When the file was changed in place, so that the record is not where it was.
        """
        places = self._places
        try:
            text = os.pread(self._descriptor, places.lengths[row], places.starts[row])
        except OSError as error:
            raise DatabaseError(
                f"{self.path} cannot be read any more: {error.strerror}", hint="Try again."
            ) from error
        if zlib.crc32(text) != places.checksums[row]:
            raise DatabaseError(f"{self.path} was changed while it was read", hint="Try again.")
        return text

    def with_prefix(self, prefix: str) -> list[int]:
        """Return the rows whose DAG hash begins with `prefix`, sorted by hash."""
        return self.file.hashes.with_prefix(prefix)


def find_kept(path: Path) -> Kept | None:
    """Return the kept columns of a database file, None if there are none for it as it is now.

    Parameters
    ----------
    path : Path
        The database file.
    """
    try:
        owner = path.stat().st_uid
    except OSError:
        return None  # whoever reads it says why
    name = file_name(path)
    for directory, owners in _directories(owner):
        kept = _open(path, f"{directory}/{name}", owners)
        if kept is not None:
            file_checks.record("stamp", path, list(kept.stamp))
            _debug("the columns of %s are in %s/%s", path, directory, name)
            return kept
        _debug("%s has no columns of %s", directory, path)
    return None


def is_large(path: Path) -> bool:
    """Return whether it is worth to keep the columns of a database file."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat_module.S_ISREG(status.st_mode) and status.st_size >= MIN_SIZE


def looked_at(path: Path) -> list[list[int] | None]:
    """Return the stamps of the files of columns that a database file has, or may have."""
    name = file_name(path)
    return [_stamp(f"{directory}/{name}") for directory, _ in _directories(0)]


def _stamp(path: str) -> list[int] | None:
    try:
        return file_checks.stamp_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return None


def _directories(owner: int) -> Iterator[tuple[str, frozenset[int]]]:
    """Yield the directories of columns, each with the users who may have written them."""
    own = frozenset((os.geteuid(),))
    for directory in os.environ.get(INDEX_VARIABLE, "").split(os.pathsep):
        if directory.startswith("/"):
            yield directory, own | {0, owner}
        elif directory:
            _debug("%s in %s is no absolute path", directory, INDEX_VARIABLE)
    cache = cache_directory()
    if cache is not None:
        yield cache, own


def file_name(path: Path) -> str:
    """Return the name of the file of columns of a database file."""
    real = os.fsencode(os.path.realpath(path))
    return f"{COLUMNS_PREFIX}{zlib.crc32(real):08x}{zlib.adler32(real):08x}"


def _open(path: Path, name: str, owners: frozenset[int]) -> Kept | None:
    """Return the columns in a file if they are those of the database file at `path`."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Nobody else can make a file of this user; those of others could be moved to here.
        other = open_to_others(name, owners) if len(owners) > 1 else ""
        data = _content(descriptor, owners) if not other else None
        if data is None:
            _debug("%s is not used: others could have written %s", name, other or "it")
            return None
        file = ColumnFile(data)
    except (OSError, ValueError) as error:
        _debug("%s is not used: %s", name, error)
        return None
    finally:
        os.close(descriptor)
    try:
        database = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    stamp = Stamp.of(os.fstat(database))
    if tuple(stamp) == file.header.stamp and file.header.path == os.path.realpath(path):
        return Kept(path, database, stamp, file, name)
    os.close(database)
    _debug("%s is not used: the database has changed", name)
    return None


def _content(descriptor: int, owners: frozenset[int]) -> memoryview | None:
    status = os.fstat(descriptor)
    if status.st_uid not in owners or status.st_mode & 0o022:
        return None
    if not 0 < status.st_size < _MAX_SIZE or not stat_module.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file of a usual size")
    if is_network(status.st_dev):
        # A page of a file that another machine removes cannot be read any more, and the process
        # would be killed.
        with open(descriptor, "rb", closefd=False) as file:
            return memoryview(file.read())
    return memoryview(mmap.mmap(descriptor, status.st_size, prot=mmap.PROT_READ))
