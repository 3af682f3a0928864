"""What a kernel holds in the server: its process, ports, sockets and files; and their release."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

from jupyter_client.connect import LocalPortCache, port_names

from spack_kernel.kernels.request import KernelRequest
from spack_kernel.kernels.sockets import SocketDirectory, fits

from . import spawn
from .here import Here
from .startup import StderrTail
from .traits import KernelTraits

if TYPE_CHECKING:
    from .iopub import IopubWatch
    from .place import Place
    from .restarts import Restart

#: Seconds to wait for a killed process; one that waits for a file system may never end.
_KILL_TIMEOUT = 5.0


class KernelResources(KernelTraits):
    """Acquires what a kernel needs in the server, and releases it however a start ends."""

    process: spawn.Process | None  # type: ignore[assignment]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._request = KernelRequest()
        self._place = self.make_place()
        #: The tasks in which somebody restarts the kernel; Jupyter restarts a dead one in another.
        self._restarting: set[asyncio.Task[Any]] = set()
        self._is_fallback = False
        #: Whether a start has succeeded; then a failure is a failed restart.
        self._started = False
        self._restart: Restart | None = None
        self._tail: StderrTail | None = None
        self._iopub: IopubWatch | None = None
        self._sockets: SocketDirectory | None = None

    def make_place(self) -> Place:
        """Return where the kernel runs: on this machine."""
        return Here()

    # -- the server --

    def _is_given_up(self) -> bool:
        """Return whether nobody wants the kernel that is being started."""
        server = getattr(getattr(self.parent, "parent", None), "parent", None)
        is_unwanted = self._restart is not None and self._restart.is_given_up
        return is_unwanted or getattr(server, "_stopping", False) is True

    def _start_over(self) -> None:
        """Note that a start has succeeded or failed."""
        if self._restart is not None:
            self._restart.over()

    # -- what it prints --

    def _capture(self, options: dict[str, Any]) -> None:
        """Read the standard error of the process that is started with `options`."""
        self._tail = None
        if options.get("stderr") is None and not options.get("independent"):
            self._tail = StderrTail(echo=self._request.echo_stderr)
            options["stderr"] = self._tail.write_end

    async def last_words(self) -> list[str]:
        """Return the last lines of the kernel's standard error, if we captured it."""
        return await self._tail.last_lines() if self._tail else []

    # -- sockets and ports --

    async def _place_sockets(self) -> None:
        """Place the sockets in a directory where their paths are short enough."""
        manager = self.parent
        if manager is not None and not fits(manager.ip):
            self._sockets = await asyncio.to_thread(SocketDirectory, os.environ)
            self._former_ip, manager.ip = manager.ip, self._sockets.ip
            self.log.debug("spack kernel: its sockets are in %s", self._sockets.path)

    def _remove_sockets(self) -> None:
        if self._sockets is not None and self.parent is not None:
            self._sockets.remove()
            self._sockets, self.parent.ip = None, self._former_ip

    def _return_ports(self) -> None:
        if self.ports_cached and self.parent is not None:
            for port in self.parent.ports:
                LocalPortCache.instance().return_port(port)
        self.ports_cached = False

    async def _change_ports(self, arguments: dict[str, Any]) -> bool:
        """Choose new ports and write the connection file again.

        Parameters
        ----------
        arguments : dict
            Those of the base class's `pre_launch`.

        Returns
        -------
        bool
            False, and nothing changes, if the ports are not ours to choose.
        """
        manager = self.parent
        if manager is None or manager.transport != "tcp":
            return False
        names = port_names if self.ports_cached else [*manager._random_port_names]
        if not names:
            return False
        self._return_ports()
        for name in names:
            setattr(manager, name, 0)
        manager.cleanup_connection_file()
        await super().pre_launch(**arguments)
        return True

    # -- the end --

    async def cleanup(self, restart: bool = False) -> None:
        """End what the kernel has, release its ports and sockets, unless it restarts."""
        self._close_iopub()
        if not restart:
            self._place.end()
        await super().cleanup(restart=restart)
        if not restart:
            self._remove_sockets()

    def _close_iopub(self) -> None:
        if self._iopub is not None:
            self._iopub.close()
            self._iopub = None

    async def _end_process(self) -> None:
        """Kill the process, and wait until it has ended."""
        self._end_place()
        if self.process is not None:
            await self.kill()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.wait(), _KILL_TIMEOUT)

    def _abandon(self, process: object = None) -> None:
        """Leave nothing of a start that nobody waits for any more.

        Parameters
        ----------
        process : Popen, optional
            The process that the start has led to: nothing happens if there is another by now.
        """
        if process is not None and process is not self.process:
            return
        spawn.finished(self)
        self._kill_now()
        if process is not None or not self._started:
            self._release()

    def _end_place(self) -> None:
        """End what the kernel has beside its process, unless another start follows."""
        this = None
        with contextlib.suppress(RuntimeError):  # the server is ending, and its loop has
            this = asyncio.current_task()
        if not any(task is not this and not task.done() for task in self._restarting):
            self._place.end()

    def _kill_now(self) -> None:
        """Kill the process without waiting for its end."""
        self._end_place()
        if self.process is None:
            return
        if self._place.leads_group or self._is_fallback:
            spawn.kill(self.process)
        else:
            self.process.send_signal(signal.SIGKILL)  # the place may be kept

    def _release(self) -> None:
        """Release everything that a start has acquired, apart from its process."""
        self._close_iopub()
        self._return_ports()
        if self.parent is not None:
            self.parent.cleanup_connection_file()
            self.parent.cleanup_ipc_files()
        self._remove_sockets()
