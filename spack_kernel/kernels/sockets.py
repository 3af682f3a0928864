"""Where a kernel's sockets lie when its connection is made of files instead of ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The longest path of a socket in bytes: unix(7) has 108, of which one ends it.
LONGEST = 107

# What Jupyter appends to the path for each of the five channels: a number.
_CHANNEL = len("-99999")

_PREFIX = "spack-kernel-ipc-"

# mkdtemp(3) lets nobody else prepare what it makes there.
_SHORT = "/tmp"  # noqa: S108


def fits(ip: str) -> bool:
    """Return whether sockets can lie at a path, whatever the kernel's working directory is.

    Parameters
    ----------
    ip : str
        What jupyter_client calls ``ip`` with ``transport = "ipc"``: what the paths of the sockets
        begin with.
    """
    return Path(ip).is_absolute() and len(os.fsencode(ip)) + _CHANNEL <= LONGEST


class SocketDirectory:
    """A new directory with a short path that only this user can enter.

    Jupyter puts sockets beside the connection file, and below a long home directory their paths
    are longer than the system allows.

    Parameters
    ----------
    environ : mapping of str to str
        Where ``XDG_RUNTIME_DIR`` is looked up. Without one it is the temporary directory, and
        where that is long too, ``/tmp``.

    Raises
    ------
    SpackKernelError
        When there is no place for one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        places = [environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), _SHORT]
        places = list(dict.fromkeys(place for place in places if Path(place).is_absolute()))
        for place in places:
            remove_abandoned(place)
        for place in places:
            with contextlib.suppress(OSError):
                # Of mode 0700 under any umask, and under a name that nobody could take before.
                self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)
                self.ip = f"{self.path}/ipc"
                if fits(self.ip):
                    return
                self.remove()
        raise SpackKernelError(
            "there is no place for the kernel's sockets",
            details=["  looked for one that can be written, with a short path, in:"]
            + [f"    {place}" for place in places],
            hint="Set XDG_RUNTIME_DIR to a directory of your own with a short path.",
        )

    def remove(self) -> None:
        """Remove the directory with the sockets in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned(place: str) -> None:
    """Remove what servers that were killed have left: own directories that nobody uses.

    Parameters
    ----------
    place : str
        The directory that holds them. Directories of other users stay, and so do those whose
        server still runs, since it may start its kernel again, or whose kernel still listens.
    """
    for path in Path(place).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            server = path.name.removeprefix(_PREFIX).partition("-")[0]
            if (
                own
                and not Path("/proc", server).exists()
                and not any(map(_listens, path.iterdir()))
            ):
                shutil.rmtree(path, ignore_errors=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True
