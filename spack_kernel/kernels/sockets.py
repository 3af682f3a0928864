"""The directory of a kernel's sockets when it is connected through files instead of ports."""

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

#: The longest path of a socket in bytes: unix(7) allows 108, including a terminating NUL.
LONGEST = 107

# What Jupyter appends to the path for each of the five channels: a number.
_CHANNEL = len("-99999")

_PREFIX = "spack-kernel-ipc-"

# Safe: mkdtemp(3) creates a directory that no other user can have prepared.
_SHORT = "/tmp"  # noqa: S108


def fits(ip: str) -> bool:
    """Return whether sockets can be created at a path, whatever the kernel's working directory.

    Parameters
    ----------
    ip : str
        The value of jupyter_client's ``ip`` with ``transport = "ipc"``: the beginning of the
        sockets' paths.
    """
    return Path(ip).is_absolute() and len(os.fsencode(ip)) + _CHANNEL <= LONGEST


class SocketDirectory:
    """A new directory with a short path that only this user can enter.

    Jupyter creates sockets next to the connection file. Below a long home directory, their paths
    are longer than the system allows.

    Parameters
    ----------
    environ : mapping of str to str
        Where ``XDG_RUNTIME_DIR`` is read from. If it is not set, the temporary directory is used,
        and if its path is also too long, ``/tmp``.

    Raises
    ------
    SpackKernelError
        When no directory is suitable.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        places = [environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), _SHORT]
        places = list(dict.fromkeys(place for place in places if Path(place).is_absolute()))
        for place in places:
            remove_abandoned(place)
        for place in places:
            with contextlib.suppress(OSError):
                # It has mode 0700 under any umask, and a name that no other user can have created.
                self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)
                self.ip = f"{self.path}/ipc"
                if fits(self.ip):
                    return
                self.remove()
        raise SpackKernelError(
            "no directory is suitable for the kernel's sockets",
            details=["  tried to create one with a short path in:"]
            + [f"    {place}" for place in places],
            hint="Set XDG_RUNTIME_DIR to a directory of your own with a short path.",
        )

    def remove(self) -> None:
        """Remove the directory with the sockets in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned(place: str) -> None:
    """Remove this user's unused directories, which servers that were killed have left behind.

    Parameters
    ----------
    place : str
        The directory that contains them. Directories of other users are not removed, nor those
        whose server still runs (it may restart its kernel) or whose kernel still listens.
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
