"""The relay: the process beside the server that stands for a kernel in a job.

It has the kernel's ports, submits the job, shows what the job waits for, and passes messages on
between front ends and node runner. When its server ends, it cancels the job; when it is killed
itself, the node runner ends the job at the end of the lease. After the end of a job it answers in
the place of the kernel, and says why there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import zmq.asyncio

from spack_kernel.jupyter.errors import JobEndedError, JobRefusedError
from spack_kernel.kernels.exits import describe_exit
from spack_kernel.spack.errors import SpackKernelError

from .channel import (
    RUNNER,
    Beat,
    Bye,
    End,
    Hello,
    KernelEnded,
    Planned,
    Printed,
    Refused,
    RelayEnd,
    Signal,
    StartKernel,
    Told,
    Up,
    tell,
    told,
)
from .endings import error_of
from .front_end import CELL, FrontEndSide
from .job_life import JobLife
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
    from collections.abc import Sequence

    from .relay_messages import FromRelay, FromServer

#: Seconds for which a job is kept whose kernel has ended, and nobody has started another.
_IDLE = 60.0

#: Seconds that a lost connection has to come back before Slurm is asked about the job.
_RECONNECT = 1.0

_CHUNK = 1 << 18


class Relay:
    """The relay of one kernel.

    Parameters
    ----------
    begin : Begin
        What to start.
    server : socket.socket
        The connection to the server; it does not block.
    """

    def __init__(self, begin: Begin, server: socket.socket) -> None:
        self._begin, self._server = begin, server
        self._front = FrontEndSide(begin.connection, zmq.asyncio.Context())
        self._end: RelayEnd | None = None
        self._job = JobLife(begin.job, lambda text: self._tell(self._waiting(text)))
        self._node = ""
        self._told_last: FromRelay | None = None
        #: Whether the kernel answers.
        self._is_up = False
        #: Why there is no job any more.
        self._over: SpackKernelError | None = None
        self._start, self._question, self._command = 0, begin.question, begin.command
        self._ended_at = 0.0
        #: When the connection to the node runner was lost; it may come back.
        self._lost = 0.0
        self._finished = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, received: Sequence[FromServer | FromRelay], lines: Lines) -> None:
        """Serve until the server ends, or says so.

        Parameters
        ----------
        received : sequence of messages
            What the server has said after the `Begin`.
        lines : Lines
            What it has not said to the end.
        """
        for body in received:
            self._obey(body)
        self._do(self._serve_server(lines))
        for channel in ("shell", "control", "stdin"):
            self._do(self._serve_front(channel))
        self._do(self._serve_heartbeat())
        self._do(self._live())
        await self._finished.wait()
        await self._leave()

    # -- the job --

    async def _live(self) -> None:
        """Submit the job, wait for it, and notice its end."""
        try:
            await self._begin_job()
            await self._job.wait_for_node()
            await self._watch()
        except SpackKernelError as error:
            await self._no_more(error)
        except OSError as error:
            await self._no_more(
                JobRefusedError(
                    f"the job was not submitted: {error.strerror or error}",
                    details=[f"  {error.filename}"] if error.filename else [],
                    hint="Check the directory of the job's files, its free space and your quota;"
                    "\nc.SpackSlurmProvisioner.job_directory sets another.",
                )
            )
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            await self._no_more(
                SpackKernelError(
                    f"spack-kernel failed: {type(error).__name__}: {error}",
                    hint="This is a defect in spack-kernel; the server's log has the details.",
                )
            )

    async def _begin_job(self) -> None:
        wanted = self._begin.job
        self._tell(Waiting(text="The job is being submitted."))
        end = self._end = RelayEnd(wanted.address, wanted.ports)
        self._do(self._serve_runner(end))
        self._do(self._notice_loss(end))
        self._do(self._beat())
        await self._job.begin(end.bootstrap(wanted.lease))

    def _waiting(self, text: str) -> Waiting:
        return Waiting(job=self._job.number, text=text, node=self._node)

    async def _watch(self) -> None:
        """Raise the error when the job is over."""
        while True:
            await asyncio.sleep(0.1)
            if self._ended_at and time.monotonic() > self._ended_at + _IDLE:
                raise JobEndedError(
                    f"the kernel has ended, and nobody has started it again within {_IDLE:g} s",
                    hint="Its job was ended. Restart the kernel to ask for another.",
                )
            if self._lost > self._job.heard and time.monotonic() > self._lost + _RECONNECT:
                self._lost = time.monotonic()
                if await self._job.is_over():
                    raise await self._job.why_silent(self._node)
            if self._job.is_silent():
                raise await self._job.why_silent(self._node)

    async def _no_more(self, error: SpackKernelError) -> None:
        """Answer with an error from now on: there is no job any more."""
        if self._finished.is_set() or self._over is not None:
            return
        self._over = error
        self._is_up = False
        await self._job.end(lambda: self._say(End()))
        self._front.text = str(error)
        self._front.fail_open("KernelDied", str(error))
        self._front.fail_kept()
        self._tell(JobOver(error=error.as_dict()))

    # -- the node runner --

    def _say(self, body: Told) -> None:
        assert self._end is not None
        with contextlib.suppress(zmq.ZMQError):  # it is not connected
            self._end.socket.send_multipart([RUNNER, *tell(body)])

    async def _beat(self) -> None:
        while True:
            self._say(Beat())
            await asyncio.sleep(self._begin.job.lease / 5)

    async def _serve_runner(self, end: RelayEnd) -> None:
        while True:
            _, *frames = await end.socket.recv_multipart()
            self._job.heard = time.monotonic()
            try:
                body = told(frames)
            except ValueError as error:
                sys.stderr.write(f"spack-kernel relay: {error}\n")
                continue
            if body is None:
                channel = frames[0].decode("ascii", "replace")
                if channel == "shell":
                    self._front.replied(frames[1:])
                elif channel == "iopub":
                    self._front.published(frames[1:])
                if channel in self._front.sockets:
                    await self._front.sockets[channel].send_multipart(frames[1:])
            else:
                await self._hear(body)

    async def _notice_loss(self, end: RelayEnd) -> None:
        """Note when the connection to the node runner is lost."""
        async for _ in end.losses():
            self._lost = time.monotonic()

    async def _hear(self, body: Told) -> None:
        if isinstance(body, Up | Refused | KernelEnded) and body.start != self._start:
            return
        if isinstance(body, Hello):
            self._node = body.node
            self._start_kernel()
        elif isinstance(body, Planned):
            for topic, text in body.notes:
                sys.stderr.write(f"spack-kernel on {self._node}: {topic}: {text}\n")
        elif isinstance(body, Up):
            # Others may come meanwhile, and must not overtake these.
            while kept := self._front.release():
                for request, frames in kept:
                    self._front.sent(request)
                    await self._pass_on("shell", frames)
            self._is_up = True
            self._tell(KernelUp(start=self._start, job=self._job.number, node=self._node))
        elif isinstance(body, Refused):
            error = error_of(body.error)
            error.details += (f"  on {self._node}, in job {self._job.number}",)
            self._do(self._no_more(error))  # which waits for what the runner still says
        elif isinstance(body, KernelEnded):
            self._down(body.status)
        elif isinstance(body, Printed):
            sys.stderr.write(body.text)
            sys.stderr.flush()
        elif isinstance(body, Bye):
            self._job.said_bye = body.why

    def _start_kernel(self) -> None:
        connection = self._begin.connection
        self._ended_at = 0.0
        self._say(
            StartKernel(
                start=self._start,
                question=self._question,
                command=self._command,
                key=connection["key"],
                signature_scheme=connection["signature_scheme"],
                transport=self._begin.transport,
            )
        )
        text = f"{self._job.label} runs on {self._node}; the kernel is starting."
        self._tell(self._waiting(text))

    def _down(self, status: int) -> None:
        self._is_up = False
        self._ended_at = time.monotonic()
        self._front.fail_open(
            "KernelDied", f"The kernel on {self._node} has ended: {describe_exit(status)}"
        )
        self._tell(KernelDown(start=self._start, status=status))

    # -- the server --

    def _tell(self, body: FromRelay) -> None:
        if isinstance(body, Waiting):
            if body == self._told_last:
                return
            self._front.say(body.text)
        self._told_last = body
        with contextlib.suppress(OSError):  # it does not listen; it asks by polling
            self._server.sendall(line_of(body))

    async def _serve_server(self, lines: Lines) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._server, _CHUNK)
            except OSError:
                data = b""
            if not data:
                self._finished.set()
                return
            for body in lines.take(data):
                self._obey(body)

    def _obey(self, body: FromServer | FromRelay) -> None:
        if isinstance(body, EndJob):
            self._finished.set()
        elif isinstance(body, SendSignal):
            if self._is_up:
                self._say(Signal(body.number))
            elif body.number == signal.SIGINT:
                self._front.interrupt_kept()
        elif isinstance(body, Again):
            self._start, self._is_up = body.start, False
            self._question, self._command = body.question, body.command
            # Without a node yet, its first words lead to the start.
            if self._node and self._over is None:
                self._start_kernel()

    # -- the front ends --

    async def _serve_heartbeat(self) -> None:
        heartbeat = self._front.sockets["hb"]
        while True:
            await heartbeat.send_multipart(await heartbeat.recv_multipart())

    async def _serve_front(self, channel: str) -> None:
        socket = self._front.sockets[channel]
        while True:
            frames = await socket.recv_multipart()
            request = self._front.read(list(frames))
            if request is None:
                continue
            kind = request.message["msg_type"]
            is_ending = kind == "shutdown_request"
            if self._is_up:
                self._front.sent(request)
                await self._pass_on(channel, frames)
                if is_ending and not request.message["content"].get("restart"):
                    self._do(self._finish_after_kernel())
            elif kind == CELL and self._over is None:
                self._front.keep(request, frames)
            else:
                self._front.respond(socket, request)
                if is_ending:
                    self._ended_without_kernel(restart=request.message["content"].get("restart"))
                elif kind == "interrupt_request":
                    self._front.interrupt_kept()

    def _ended_without_kernel(self, *, restart: bool) -> None:
        """Act on a shutdown request while there is no kernel."""
        self._tell(KernelDown(start=self._start, status=0))
        if not restart or self._over is not None:
            self._finished.set()

    async def _finish_after_kernel(self) -> None:
        """End the job when the kernel has ended that was told to."""
        while self._is_up:
            await asyncio.sleep(0.02)
        self._finished.set()

    async def _pass_on(self, channel: str, frames: list[bytes]) -> None:
        assert self._end is not None
        with contextlib.suppress(zmq.ZMQError):
            await self._end.socket.send_multipart([RUNNER, channel.encode(), *frames])

    # -- the rest --

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            assert error is not None
            sys.excepthook(type(error), error, error.__traceback__)
            self._finished.set()  # a relay that does not work must not keep a job

    async def _leave(self) -> None:
        """End the job, and leave nothing."""
        if self._over is None:
            await self._job.end(lambda: self._say(End()))
        for task in list(self._tasks):
            task.cancel()
        self._front.close()
        if self._end is not None:
            self._end.close()


def main(descriptor: int) -> None:
    """Run a relay for the server at the other end of a socket.

    Parameters
    ----------
    descriptor : int
        The file descriptor of the socket; its first line is a `Begin`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = socket.socket(fileno=descriptor)
    server.setblocking(True)
    lines = Lines()
    received: list[FromServer | FromRelay] = []
    while not received:
        data = server.recv(_CHUNK)
        if not data:
            return
        received = lines.take(data)
    begin = received[0]
    assert isinstance(begin, Begin)
    server.setblocking(False)

    async def serve() -> None:
        await Relay(begin, server).run(received[1:], lines)

    asyncio.run(serve())


if __name__ == "__main__":
    main(int(sys.argv[-1]))
