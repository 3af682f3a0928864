"""The node runner: plans and starts the kernel on the node of a job, and passes its messages on.

It runs in the job, calls back to the relay, and ends with it: without a sign of life from the
relay within the lease, it ends the kernel, itself, and so the job. The kernel's sockets are in a
directory on the node that only the user can enter, so no other user of the node reaches them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import zmq
import zmq.asyncio
from jupyter_client.connect import write_connection_file

from spack_kernel.jupyter.errors import KernelDiedError, KernelSilentError, SlowStoreError
from spack_kernel.jupyter.helper import prepare
from spack_kernel.jupyter.provisioner import (
    Death,
    FirstReply,
    Spawn,
    address_of,
    explain,
    is_listening,
    shown,
)
from spack_kernel.kernels.sockets import SocketDirectory
from spack_kernel.spack.errors import SpackKernelError

from .bootstrap import read_bootstrap
from .channel import (
    CHANNELS,
    PEER,
    Beat,
    Bye,
    End,
    Hello,
    KernelEnded,
    Planned,
    Printed,
    Refused,
    Signal,
    StartKernel,
    Up,
    runner_end,
    tell,
    told,
)
from .job_environment import job_environment

if TYPE_CHECKING:
    import subprocess

    from spack_kernel.jupyter.helper import Prepare, Prepared

    from .bootstrap import Bootstrap
    from .channel import Told

_INTERVAL = 0.05

#: Seconds between SIGTERM and SIGKILL for a kernel whose job ends.
_GRACE = 2.0

#: Seconds in which a kernel must publish something, or is taken for one that does not.
_SUBSCRIPTION = 2.0

_CHUNK = 65536

_KEPT_LINES = 40


class NodeRunner:
    """Runs one kernel at a time for a relay.

    Parameters
    ----------
    bootstrap : Bootstrap
        How to reach the relay.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._context = zmq.asyncio.Context()
        self._lease = bootstrap.lease
        self._relay = runner_end(self._context, bootstrap)
        self._heard = time.monotonic()
        self._ending = asyncio.Event()
        self._why = "asked"
        self._kernel: _Kernel | None = None
        self._starting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> str:
        """Serve the relay, and return why not any longer: "asked", "signal" or "lease"."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, "signal")
        self._say(Hello(node=os.uname().nodename))
        self._do(self._receive())
        self._do(self._beat())
        await self._ending.wait()
        if self._kernel is not None:
            await self._kernel.end()
        self._say(Bye(why=self._why))
        for task in self._tasks:
            task.cancel()
        self._context.destroy(linger=1000)
        return self._why

    def _end(self, why: str) -> None:
        if not self._ending.is_set():
            self._why = why
            self._ending.set()

    def _do(self, work: Any) -> asyncio.Task[Any]:
        """Do something beside."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _say(self, body: Told) -> None:
        self._relay.send_multipart(tell(body))

    async def _beat(self) -> None:
        while True:
            self._say(Beat())
            await asyncio.sleep(self._lease / 5)
            if time.monotonic() > self._heard + self._lease:
                self._end("lease")

    async def _receive(self) -> None:
        while True:
            frames = await self._relay.recv_multipart()
            self._heard = time.monotonic()
            body = told(frames)
            if isinstance(body, StartKernel):
                former, self._starting = self._starting, None
                if former is not None:
                    former.cancel()
                self._starting = self._do(self._start(body))
            elif isinstance(body, Signal) and self._kernel is not None:
                self._kernel.signal(body.number)
            elif isinstance(body, End):
                self._end("asked")
            elif body is None and self._kernel is not None:
                await self._kernel.pass_on(frames)

    async def _start(self, wanted: StartKernel) -> None:
        if self._kernel is not None:
            await self._kernel.end()
        kernel = self._kernel = _Kernel(self._context, self._relay)
        try:
            await kernel.start(wanted)
        except SpackKernelError as error:
            await kernel.end()
            self._say(Refused(start=wanted.start, error=error.as_dict()))
            return
        except Exception as error:
            await kernel.end()
            sys.excepthook(*sys.exc_info())
            defect = SpackKernelError(
                f"spack-kernel failed on {os.uname().nodename}: {type(error).__name__}: {error}",
                hint="This is a defect in spack-kernel; the job's output has the details.",
            )
            self._say(Refused(start=wanted.start, error=defect.as_dict()))
            return
        self._say(Up(start=wanted.start))
        status = await kernel.wait()
        await kernel.end()
        self._say(KernelEnded(start=wanted.start, status=status))


class _Kernel:
    """One kernel process, with its sockets and files."""

    def __init__(self, context: zmq.asyncio.Context, relay: zmq.asyncio.Socket) -> None:
        self._context, self._relay = context, relay
        self._process: subprocess.Popen[bytes] | None = None
        self._place: SocketDirectory | None = None
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._publishes = asyncio.Event()
        self._lines: list[str] = []
        self._prepared: Prepared | None = None

    async def start(self, wanted: StartKernel) -> None:
        """Plan the kernel, start it, and return when it answers.

        Raises
        ------
        SpackKernelError
            When it cannot be planned or started, or does not answer in time.
        """
        base = job_environment(os.environ)
        question = msgspec.structs.replace(
            wanted.question, base={**base, **wanted.question.base}, told=False
        )
        request = question.request
        prepared = self._prepared = await _planned(question)
        notes = list(prepared.notes)
        directory = question.directory
        if not Path(directory or "/").is_dir():
            notes.append(("directory", f"{directory} does not exist on {os.uname().nodename}"))
            directory = os.path.expanduser("~")  # noqa: PTH111
        self._relay.send_multipart(tell(Planned(name=prepared.name, notes=notes)))
        connection = self._connection(wanted)
        file = str(self._write(connection))
        command = [word.replace("{connection_file}", file) for word in wanted.command]
        command = [*prepared.head, *command[prepared.replaced :]]
        read_end, write_end = os.pipe()
        options = {
            "env": dict(prepared.environment),
            "cwd": directory or None,
            "stderr": write_end,
            # Into the file of the job's output, beside what Slurm writes there.
            "stdout": None,
        }
        timeout = request.start_timeout or None
        try:
            self._process = await Spawn(command, options).process(timeout)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            os.close(read_end)
            raise KernelDiedError(
                f"the kernel cannot be started on {os.uname().nodename}: {error!s}",
                details=[f"  {command[0]}"],
            ) from error
        finally:
            os.close(write_end)
        self._do(self._print(read_end))
        await self._answered(connection, request.start_timeout, question, command)
        self._open(connection)
        await self._subscribed(connection)

    def _connection(self, wanted: StartKernel) -> dict[str, Any]:
        connection: dict[str, Any] = {
            "transport": wanted.transport,
            "key": wanted.key,
            "signature_scheme": wanted.signature_scheme,
        }
        self._place = SocketDirectory(os.environ)
        connection["ip"] = self._place.ip if wanted.transport == "ipc" else "127.0.0.1"
        return connection

    def _write(self, connection: dict[str, Any]) -> Path:
        """Write the connection file, with ports that are free, and add them to `connection`."""
        assert self._place is not None
        name = f"{self._place.path}/kernel.json"
        _, written = write_connection_file(
            name,
            transport=connection["transport"],
            ip=connection["ip"],
            key=connection["key"].encode(),
            signature_scheme=connection["signature_scheme"],
        )
        connection.update(written)
        return Path(name)

    async def _answered(
        self, connection: dict[str, Any], timeout: float, question: Any, command: list[str]
    ) -> None:
        assert self._process is not None
        assert self._prepared is not None
        deadline = time.monotonic() + timeout if timeout else float("inf")
        reply: FirstReply | None = None
        try:
            while time.monotonic() < deadline:
                if reply is not None and reply.came():
                    return
                status = self._process.poll()
                if status is not None:
                    await asyncio.sleep(_INTERVAL)
                    death = Death(status, self._lines, reply is not None)
                    when = f"during startup on {os.uname().nodename}"
                    raise await explain(death, when, question, self._prepared, command=command)
                if reply is None and await is_listening(connection):
                    reply = FirstReply(self._context, connection)
                await asyncio.sleep(_INTERVAL / 2)
        finally:
            if reply is not None:
                reply.close()
        raise KernelSilentError(
            f"the kernel of {self._prepared.name} did not answer on {os.uname().nodename} within "
            f"{timeout:g} s",
            details=[f"  {' '.join(command[:3])} …", *shown(self._lines)],
            hint="It was killed. If the node's file system is slow, set `start_timeout` in the "
            "kernel.json to a longer time.",
        )

    def _open(self, connection: dict[str, Any]) -> None:
        """Connect to the kernel's channels, and pass on what comes from them."""
        for channel in CHANNELS:
            socket = self._context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
            socket.linger = 1000
            socket.rcvhwm = socket.sndhwm = 0
            if channel == "iopub":
                socket.subscribe(b"")
            else:
                socket.identity = PEER
            socket.connect(address_of(connection, f"{channel}_port"))
            self._sockets[channel] = socket
            self._do(self._forward(channel, socket))

    def _do(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _subscribed(self, connection: dict[str, Any]) -> None:
        """Wait until what the kernel publishes comes here: ZeroMQ subscribes in its own time."""
        deadline = time.monotonic() + _SUBSCRIPTION
        while not self._publishes.is_set() and time.monotonic() < deadline:
            reply = FirstReply(self._context, connection)  # it publishes that it is busy, and idle
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._publishes.wait(), _SUBSCRIPTION / 10)
            reply.close()

    async def _forward(self, channel: str, socket: zmq.asyncio.Socket) -> None:
        name = channel.encode()
        while True:
            frames = await socket.recv_multipart()
            if channel == "iopub":
                self._publishes.set()
            await self._relay.send_multipart([name, *frames])

    async def _print(self, read_end: int) -> None:
        """Pass on what the kernel prints on its standard error, until nobody has that open."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        with open(read_end, "rb", buffering=0) as pipe:
            protocol = asyncio.StreamReaderProtocol(reader)
            await loop.connect_read_pipe(lambda: protocol, pipe)
            while data := await reader.read(_CHUNK):
                text = data.decode("utf-8", "replace")
                self._lines = [*self._lines, *text.splitlines()][-_KEPT_LINES:]
                self._relay.send_multipart(tell(Printed(text)))

    async def pass_on(self, frames: list[bytes]) -> None:
        """Pass a message of a front end on to the kernel."""
        socket = self._sockets.get(frames[0].decode("ascii", "replace"))
        if socket is not None:
            await socket.send_multipart(frames[1:])

    def signal(self, number: int) -> None:
        """Send a signal to the kernel's process group."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, number)

    async def wait(self) -> int:
        """Return the exit status when the process has ended."""
        assert self._process is not None
        while (status := self._process.poll()) is None:
            await asyncio.sleep(_INTERVAL)
        # What it published last is on its way.
        await asyncio.sleep(_INTERVAL)
        return status

    async def end(self) -> None:
        """End the process if it runs, and remove its sockets and files."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE
            while self._process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(_INTERVAL)
        if self._process is not None:
            # Its children too, which a kernel that has ended may have left.
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for task in self._tasks:
            task.cancel()
        for socket in self._sockets.values():
            socket.close(linger=0)
        self._sockets = {}
        if self._place is not None:
            self._place.remove()
            self._place = None


async def _planned(question: Prepare) -> Prepared:
    """Plan in a thread, which may wait for a file system longer than this process runs."""
    done: Future[Prepared] = Future()
    done.set_running_or_notify_cancel()  # nothing cancels it from here on

    def plan() -> None:
        try:
            done.set_result(prepare(question))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=plan, name="spack-kernel-plan", daemon=True).start()
    timeout = question.request.plan_timeout
    try:
        return await asyncio.wait_for(asyncio.wrap_future(done), timeout)
    except asyncio.TimeoutError:
        raise SlowStoreError(
            f"planning the kernel on {os.uname().nodename} took longer than {timeout:g} s",
            hint="The file system of the store may hang on that node: tell the administrators.\n"
            "`plan_timeout` in the kernel.json sets the time limit.",
        ) from None


def main(path: str) -> int:
    """Run the node runner for a bootstrap file, and return its exit status."""
    try:
        bootstrap = read_bootstrap(Path(path))
        Path(path).unlink()  # nobody needs its secrets again

        async def serve() -> str:
            return await NodeRunner(bootstrap).run()

        if asyncio.run(serve()) == "lease":  # nobody else removes the files of the job
            shutil.rmtree(Path(path).parent, ignore_errors=True)
    except (SpackKernelError, OSError) as error:
        sys.stderr.write(f"spack-kernel: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
