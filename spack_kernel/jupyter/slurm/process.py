"""A kernel in a job, as the process that Jupyter expects: polled, signalled and waited for."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.provisioner import ENDING
from spack_kernel.kernels.exits import describe_exit
from spack_kernel.spack.system import isolated_command, never_suspend

from .relay_messages import (
    Again,
    Begin,
    EndJob,
    JobOver,
    KernelDown,
    KernelUp,
    Lines,
    SendSignal,
    Waiting,
    line_of,
)

if TYPE_CHECKING:
    from spack_kernel.jupyter.helper import Prepare

    from .relay_messages import FromServer

#: Seconds that a relay has to end its job before nobody waits for it any more.
_PATIENCE = 60.0


class JobProcess:
    """A kernel in a job, through its relay. It has the part of `Popen` that Jupyter uses.

    Parameters
    ----------
    begin : Begin
        What to start.
    stderr : int or None
        The file descriptor that the relay gets as its standard error; None for this process's.

    Attributes
    ----------
    pid : int
        The process number of the relay.
    waiting : Waiting or None
        What the kernel waits for; None if it is up or has ended.
    over : JobOver or None
        Why there is no job any more.
    job, node : str
        The number of the job, and its node; empty as long as they are unknown.
    """

    stdout = stderr = stdin = None

    def __init__(self, begin: Begin, stderr: int | None) -> None:
        self.waiting: Waiting | None = Waiting(text="The relay is starting.")
        self.over: JobOver | None = None
        self.job = self.node = ""
        self.is_up = False
        #: Counts the starts; what is told of an earlier one does not matter any more.
        self._start = 0
        #: Whether the job has been ended by our side.
        self.is_ended = False
        self._status: int | None = None
        self._lines = Lines()
        self._connection, theirs = socket.socketpair()
        never_suspend()
        try:
            self._relay = subprocess.Popen(  # noqa: S603 - our own module
                [
                    *isolated_command("spack_kernel.jupyter.slurm.relay"),
                    f"spack-kernel relay of {begin.name}",
                    str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it may live longer than whoever reads ours
                stderr=stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            self._connection.close()
            raise
        finally:
            theirs.close()
        self.pid = self._relay.pid
        # It reads that first; later, nothing of ours waits for it.
        self._connection.settimeout(10)
        self._tell(begin)
        self._connection.setblocking(False)

    @property
    def lost(self) -> str:
        """How the relay has ended although nobody asked for it; empty if it has not."""
        status = self._relay.poll()
        if not status or self.is_ended or self.over is not None:
            return ""
        return describe_exit(status)

    @property
    def has_job(self) -> bool:
        """Whether a kernel can be started again in its job."""
        return self._relay.poll() is None and self.over is None and not self.is_ended

    def again(self, question: Prepare, command: list[str]) -> None:
        """Start the kernel again, in the same job."""
        self._status = None
        self._start += 1
        self.is_up = False
        self.waiting = Waiting(job=self.job, node=self.node, text="The kernel is starting again.")
        self._tell(Again(start=self._start, question=question, command=command))

    def poll(self) -> int | None:
        """Return the exit status of the kernel, None while it runs, waits, or is answered for."""
        self._hear()
        if self._status is None and self._relay.poll() is not None:
            self._status = self._relay.returncode
        return self._status

    def wait(self) -> int:
        """Return the exit status of a kernel that has ended."""
        while (status := self.poll()) is None:
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and its children; one that is not there yet ends at once."""
        if number in ENDING and not self.is_up and self._status is None:
            self._status = -number
        else:
            self._tell(SendSignal(number))

    def kill(self) -> None:
        """End the kernel with its job, without waiting for that."""
        if self.is_ended:
            return
        self.is_ended = True
        self._hear()
        if self._status is None:
            self._status = 0 if self.over is not None else -9
        self._tell(EndJob())
        with contextlib.suppress(RuntimeError):  # this process is ending: the relay notices that
            threading.Thread(target=self._reap, name="spack-kernel-relay", daemon=True).start()

    def _reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._relay.wait(_PATIENCE)
        self._connection.close()
        self._relay.wait()

    def _tell(self, body: FromServer) -> None:
        with contextlib.suppress(OSError):  # it has ended, which `poll` notices
            self._connection.sendall(line_of(body))

    def _hear(self) -> None:
        while True:
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            for body in self._lines.take(data):
                self._take(body)

    def _take(self, body: Any) -> None:
        if isinstance(body, KernelUp | KernelDown) and body.start != self._start:
            return
        if isinstance(body, Waiting):
            self.waiting = body
            self.job, self.node = body.job, body.node
        elif isinstance(body, KernelUp):
            self.waiting, self.is_up = None, True
            self.job, self.node = body.job, body.node
        elif isinstance(body, KernelDown):
            self.waiting, self.is_up = None, False
            if self._status is None:
                self._status = body.status
        elif isinstance(body, JobOver):
            self.waiting, self.is_up = None, False
            self.over = body
