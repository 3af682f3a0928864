"""One helper process: how it is started and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.system import isolated_command

if TYPE_CHECKING:
    from collections.abc import Iterator


class HelperProcess:
    """A helper that was started, and the connection to it.

    Parameters
    ----------
    stores : tuple of str
        The paths that name its store.
    role : str
        What it is called in the list of processes.

    Attributes
    ----------
    connection : socket
        Our end of the connection; it does not block.
    pid : int
        Its process number, once it has said hello; otherwise 0.

    Raises
    ------
    OSError
        When it cannot be started.
    """

    def __init__(self, stores: tuple[str, ...], role: str = "helper") -> None:
        self.pid = 0
        self.connection, theirs = socket.socketpair()
        self.connection.setblocking(False)
        descriptor = theirs.fileno()
        name = " > ".join(stores) or "the default store"
        command = isolated_command("spack_kernel.jupyter.helper.process")
        try:
            # The process forks and ends at once; its child is the helper.
            self._first = subprocess.Popen(  # noqa: S603 - our own module
                [*command, f"spack-kernel {role} of {name}", str(descriptor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                start_new_session=True,
            )
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()
        self._group = self._first.pid

    def is_there(self) -> bool:
        """Return whether the process exists; one that was killed can wait for a file system."""
        if not self.pid:
            return self._first.poll() is None  # it ends as soon as it has started the helper
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, os.WNOHANG)  # if we are the process that inherits orphans
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        # A zombie: whatever inherits orphans here does not reap them.
        return status.rpartition(")")[2].split()[0] not in "ZX"

    def said_hello(self, pid: int) -> None:
        """Note its process number, and reap the process that started it."""
        self.pid = pid
        self._first.wait()  # it had ended before

    def kill(self) -> None:
        """Kill the process and the programs that it runs."""
        if not self.is_there():
            return
        for group in (*_children(self.pid), self._group):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)


def _children(pid: int) -> Iterator[int]:
    """Yield the children of a process; each leads a process group of its own."""
    if not pid:
        return
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for word in (task / "children").read_text(encoding="ascii").split():
                yield int(word)
