"""The cache on disk, which consists of private files, one for each entry.

The files are in ``$SPACK_KERNEL_CACHE``, else in ``spack-kernel`` in the user's cache directory
(``$XDG_CACHE_HOME``, ``~/.cache``). Only their owner can read them, and files of other users are
not trusted. They can be deleted at any time, and an empty ``$SPACK_KERNEL_CACHE`` disables the
cache. Callers store with each value what they need to check whether it is still valid. Cheap to
import, because `exec` reads an entry at every start.
"""

from __future__ import annotations

import json
import os
import zlib

from spack_kernel._cache import cache_directory, open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: The kinds of entries: facts about interpreters, and starts of `exec`.
INTERPRETERS, STARTS = "python", "exec"

#: How many entries of a kind are cached; the ones written longest ago are removed.
MAX_ENTRIES = 100


def read(kind: str, key: list[Any]) -> dict[str, Any] | None:
    """Return the cached value, unless another user could have written it.

    Parameters
    ----------
    kind : str
        The first part of the file name.
    key : list
        The key of the entry, as JSON types.
    """
    path = _path(kind, key)
    if path is None:
        return None
    try:
        descriptor = open_own(path)
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            content: object = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("key") != key:
        return None
    value = content.get("value")
    return value if isinstance(value, dict) else None


def write(kind: str, key: list[Any], value: dict[str, Any]) -> None:
    """Cache a value; a directory that cannot be written to is not an error.

    Parameters
    ----------
    kind, key
        As for `read`.
    value : dict
        The value, as JSON types.
    """
    path = _path(kind, key)
    if path is None:
        return
    directory = os.path.dirname(path)  # noqa: PTH120 - a kernel starts without pathlib
    scratch = f"{path}.{os.getpid()}"
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            # At once: `dump` encodes piece by piece, which takes ten times as long.
            file.write(json.dumps({"key": key, "value": value}, separators=(",", ":")))
        os.replace(scratch, path)  # noqa: PTH105
        scratch = ""
        _prune(directory, kind)
    except OSError:
        if scratch:
            _unlink(scratch)


def loader_settings(environment: Mapping[str, str] | None = None) -> list[str | None]:
    """Return the values of the variables that decide which libraries an interpreter loads."""
    variables = os.environ if environment is None else environment
    return [variables.get(name) for name in ("LD_LIBRARY_PATH", "LD_PRELOAD")]


def _path(kind: str, key: list[Any]) -> str | None:
    directory = cache_directory()
    if directory is None:
        return None
    text = json.dumps(key).encode()
    return f"{directory}/{kind}-{zlib.crc32(text):08x}{zlib.adler32(text):08x}.json"


def _prune(directory: str, kind: str) -> None:
    with os.scandir(directory) as entries:
        ours = [entry for entry in entries if entry.name.startswith(f"{kind}-")]
    if len(ours) > MAX_ENTRIES:
        ours.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns, reverse=True)
        for entry in ours[MAX_ENTRIES:]:
            _unlink(entry.path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return
