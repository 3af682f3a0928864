"""Read the file of an install database, split it into records, and report its defects.

The file is read in one pass and never locked or written. Spack replaces it by renaming, so each
read sees a consistent state. msgspec finds where each record begins and ends, and leaves it
undecoded.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat as stat_module
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from spack_kernel._log import debugger
from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.system import file_checks

from .formats import REBUILD, UPDATE, is_newer, newer

_debug = debugger(__name__)

#: The path of the database in an install tree.
INDEX_PATH = Path(".spack-db", "index.json")

#: The largest database that is read, in bytes; fifty thousand records take 82 MB.
MAX_DATABASE_SIZE = 4 << 30

#: Maximum number of reads of a file that changes in the meantime, and the first pause in seconds.
READ_ATTEMPTS = 5
RETRY_PAUSE = 0.02


class _Body(msgspec.Struct):
    version: str | int
    installs: dict[str, msgspec.Raw]


class _File(msgspec.Struct):
    database: _Body


class _Versioned(msgspec.Struct):
    version: str | int


class _VersionedFile(msgspec.Struct):
    database: _Versioned


_decode_version = msgspec.json.Decoder(_VersionedFile).decode
_decode_file = msgspec.json.Decoder(_File).decode


class Stamp(NamedTuple):
    """The identity of a file according to stat; equal stamps mean an unchanged file."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        """Return the stamp of a stat result."""
        return cls(*file_checks.stamp_of(stat))


def read_index(root: Path) -> tuple[str, dict[str, msgspec.Raw], Stamp]:
    """Read the database file of the install tree `root`.

    Retries a few times if the file changes while it is read, or if a network file system reports a
    stale file.

    Returns
    -------
    version : str
        The database format recorded in the file.
    records : dict of str to msgspec.Raw
        DAG hash → record as JSON, in recorded order; together they keep the file in memory.
    stamp : Stamp
        The identity of the file that was read.

    Raises
    ------
    DatabaseError
        When there is no such file, or it is not a database.
    """
    path = root / INDEX_PATH
    for attempt in range(1, READ_ATTEMPTS + 1):
        last = attempt == READ_ATTEMPTS
        try:
            data, stamp = read_whole(path)
        except OSError as error:
            file_checks.stamp(path)
            if error.errno != errno.ESTALE or last:
                _raise_unreadable(root, path, error)
        else:
            try:
                body = _decode(data)
            except ValueError as error:
                if last or not differs(path, stamp):
                    _raise_undecodable(path, data, error)
            else:
                file_checks.record("stamp", path, list(stamp))
                _debug("read %s: %d bytes, version %s", path, len(data), body.version)
                return str(body.version), body.installs, stamp
        time.sleep(RETRY_PAUSE * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def read_whole(path: Path) -> tuple[bytes, Stamp]:
    """Return the content of a regular file, and its stamp before it was read.

    Raises
    ------
    OSError
        When it cannot be read, is no regular file, or larger than `MAX_DATABASE_SIZE`.
    """
    # Non-blocking: if the path is a FIFO, opening it must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        stat = os.fstat(descriptor)
        if not stat_module.S_ISREG(stat.st_mode):
            raise OSError(errno.EISDIR, "it is not a regular file")
        if stat.st_size > MAX_DATABASE_SIZE:
            text = f"it is larger than {MAX_DATABASE_SIZE >> 30} GiB ({stat.st_size:,} bytes)"
            raise OSError(errno.EFBIG, text)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.read(), Stamp.of(stat)
    finally:
        os.close(descriptor)


def differs(path: Path, stamp: Stamp | None) -> bool:
    """Return whether the stamp of a file differs from `stamp`; None stands for a missing file."""
    try:
        return Stamp.of(path.stat()) != stamp
    except FileNotFoundError:
        return stamp is not None
    except OSError:
        return True


def _decode(data: bytes) -> _Body:
    """Split a database into its records.

    Raises ValueError with what is wrong.
    """
    try:
        try:
            return _decode_file(data).database
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError as error:
            # Spack reads the first JSON value and ignores what follows it.
            if "trailing characters" not in str(error):
                raise
            _, end = json.JSONDecoder().raw_decode(data.decode("latin-1"))
            return _decode_file(data[:end]).database
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def _raise_unreadable(root: Path, path: Path, error: OSError) -> NoReturn:
    hint = "Name the install tree: the directory that holds .spack-db/index.json."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if not root.exists():
            summary = f"there is no directory {root}"
        elif not root.is_dir():
            summary = f"{root} is not a directory, so it is not an install tree"
        elif not path.parent.is_dir():
            summary = f"{root} is not an install tree: it has no {INDEX_PATH}"
        else:
            summary = f"{root} has no {INDEX_PATH}: nothing has been installed there yet"
            hint = "`spack install` something first, or name another install tree."
    elif error.errno in (errno.EACCES, errno.EPERM):
        summary = f"{path} cannot be read: permission denied"
        hint = "Ask the owner of the store to make its .spack-db directory readable for you."
    elif error.errno == errno.ESTALE:
        summary = f"{path} cannot be read: it is replaced faster than it can be opened"
        hint = "Try again. If the problem persists, check the file system that holds it."
    else:
        summary = f"{path} cannot be read: {error.strerror}"
    raise DatabaseError(summary, hint=hint) from error


def _version_in(data: bytes) -> str:
    """Return the database format, whatever else the file contains; empty if there is none."""
    with contextlib.suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return str(_decode_version(data).database.version)
    return ""


def _raise_undecodable(path: Path, data: bytes, error: ValueError) -> NoReturn:
    reason = str(error)
    version = _version_in(data)
    if is_newer(version):
        raise DatabaseError(
            f"{path} has {newer(version)}, and looks different: {reason}", hint=UPDATE
        ) from error
    if not data.strip():
        summary = f"{path} is empty"
    elif "truncated" in reason:
        summary = f"{path} is truncated after {len(data)} bytes"
    elif not data.lstrip().startswith(b"{"):
        summary = f"{path} is not a Spack install database: it is not a JSON object"
    else:
        summary = f"{path} is not a Spack install database: {reason}"
    raise DatabaseError(summary, hint=REBUILD) from error
