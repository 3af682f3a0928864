"""What test runs on this machine share: a directory that stays, and locks to build into it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

#: The variable that names another directory.
VARIABLE = "SPACK_KERNEL_TEST_CACHE"


def directory(name: str, *versions: object) -> Path:
    """Return a directory that later runs, and runs in other checkouts, find again.

    It is below ``/var/tmp``, because the users of a test's JupyterHub must be able to read it.

    Parameters
    ----------
    name : str
        The first part of its name.
    *versions : object
        What it depends on; for other values there is another directory.
    """
    root = Path(os.environ.get(VARIABLE) or f"/var/tmp/spack-kernel-tests-{os.getuid()}")
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = root.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or root.is_symlink():
        raise RuntimeError(f"{root} belongs to somebody else; set {VARIABLE}")
    tag = hashlib.sha256(repr(versions).encode()).hexdigest()[:8]
    path = root / f"{name}-{tag}"
    path.mkdir(mode=0o755, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time build into a directory."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
