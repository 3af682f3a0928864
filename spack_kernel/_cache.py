"""The user's cache directory, and whom its files are trusted from. Cheap to import."""

from __future__ import annotations

import os

CACHE_VARIABLE = "SPACK_KERNEL_CACHE"

#: Directories of start images that were made for everybody, separated by colons.
IMAGES_VARIABLE = "SPACK_KERNEL_IMAGES"


def cache_directory() -> str | None:
    """Return the user's cache directory; None if there is no cache."""
    directory = os.environ.get(CACHE_VARIABLE)
    if directory is None:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not base.startswith("/"):
            base = os.path.expanduser("~/.cache")  # noqa: PTH111
        directory = f"{base}/spack-kernel"
    return directory if directory.startswith("/") else None


def open_own(path: str) -> int | None:
    """Return a descriptor for reading a file of this user.

    Returns
    -------
    int or None
        None if there is no such file, or if another user owns it or could write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
        return descriptor
    os.close(descriptor)
    return None
