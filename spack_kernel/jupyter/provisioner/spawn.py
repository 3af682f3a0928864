"""Start a kernel's process without waiting for it, and without losing it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_client.launcher import launch_kernel

from spack_kernel.jupyter.errors import ServerStopsError
from spack_kernel.spack.system import never_suspend

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable

    from .startup import StderrTail

_T = TypeVar("_T")

#: The signals that end a kernel.
ENDING = (signal.SIGTERM, signal.SIGKILL)

#: Seconds between two checks of whether the server is stopping.
_STOP_INTERVAL = 0.05

#: Kernels whose start has not been completed, each with what releases everything it has acquired.
_unfinished: dict[int, Callable[[], None]] = {}


class Process(Protocol):
    """A kernel's process in some place: on this machine a `Popen`, in a job one like it."""

    @property
    def pid(self) -> int:
        """The process number on this machine."""

    def poll(self) -> int | None:
        """Return the exit status, None while it runs; never wait."""

    def wait(self) -> int:
        """Return the exit status when it has ended."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal to it and its children."""

    def kill(self) -> None:
        """End it with everything that was acquired for it."""


class Spawn:
    """One process that is being started in a thread of its own.

    execve(2) returns only after the system has read the executable, and its file system may hang.
    The thread is a daemon: unlike those of an executor, it does not keep the server from ending.

    Parameters
    ----------
    command : list of str
        The command.
    options : dict
        Other arguments of `jupyter_client.launcher.launch_kernel`.
    tail : StderrTail, optional
        What reads its standard error.
    """

    def __init__(
        self, command: list[str], options: dict[str, Any], tail: StderrTail | None = None
    ) -> None:
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[subprocess.Popen[bytes]] = self._loop.create_future()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_given_up = False
        never_suspend()
        threading.Thread(
            target=self._run, args=(command, options), name="spack-kernel-start", daemon=True
        ).start()

    async def process(self, timeout: float | None) -> subprocess.Popen[bytes]:
        """Return the process when it has been started.

        If the caller is cancelled meanwhile, the process is killed as soon as it has been started.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait; None for no limit.

        Raises
        ------
        asyncio.TimeoutError
            When it takes longer; then as well, the process is killed.
        OSError, ValueError
            When it cannot be started.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._done), timeout)
        except BaseException:
            self._give_up()
            raise

    def _run(self, command: list[str], options: dict[str, Any]) -> None:
        process = error = None
        try:
            process = launch_kernel(command, **options)
        except BaseException as caught:
            error = caught
        if self._tail is not None:
            self._tail.opened()
        with self._lock:
            self._process = process
            is_given_up = self._is_given_up
        if is_given_up:
            if process is not None:
                kill(process)
            return
        try:
            self._loop.call_soon_threadsafe(self._tell, process, error)
        except RuntimeError:  # the loop is closed: nobody waits for it
            if process is not None:
                kill(process)

    def _tell(self, process: subprocess.Popen[bytes] | None, error: BaseException | None) -> None:
        if self._done.done():
            return
        if process is not None:
            self._done.set_result(process)
        elif error is not None:
            self._done.set_exception(error)

    def _give_up(self) -> None:
        with self._lock:
            self._is_given_up = True
            process = self._process
        if process is not None:
            kill(process)
        self._done.cancel()


def kill(process: Process) -> None:
    """Kill a process with its group, and see in a thread that nothing of it remains."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        with contextlib.suppress(OSError):
            process.kill()
    with contextlib.suppress(RuntimeError):  # this process is ending
        threading.Thread(target=process.wait, name="spack-kernel-reap", daemon=True).start()


def unfinished(owner: object, release: Callable[[], None]) -> None:
    """Note that a start is in progress: if this process ends before `finished`, call `release`."""
    _unfinished[id(owner)] = release


def finished(owner: object) -> None:
    """Note that a start is complete, or that it has failed."""
    _unfinished.pop(id(owner), None)


@atexit.register
def _release_all() -> None:
    for release in list(_unfinished.values()):
        with contextlib.suppress(Exception):
            release()


def _forget() -> None:
    _unfinished.clear()


os.register_at_fork(after_in_child=_forget)


async def unless_given_up(awaitable: Awaitable[_T], is_given_up: Callable[[], bool]) -> _T:
    """Return the result of an awaitable, unless nobody wants it any more.

    Parameters
    ----------
    awaitable : awaitable
        What to wait for. It is cancelled if the caller is, or if it is given up.
    is_given_up : callable
        Returns whether the start is given up.

    Raises
    ------
    ServerStopsError
        When the start is given up.
    """
    future = asyncio.ensure_future(awaitable)
    try:
        while not future.done():
            if is_given_up():
                raise ServerStopsError("the server, or the kernel, was stopped during the start")
            await asyncio.wait({future}, timeout=_STOP_INTERVAL)
        return future.result()
    finally:
        if not future.done():
            future.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({future}, timeout=1)
