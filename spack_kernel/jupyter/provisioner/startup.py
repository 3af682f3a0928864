"""Watch a kernel's process while it starts: what it prints, and when it answers.

A kernel that fails to start reports why on its standard error, which Jupyter passes to the
server's log. Here it is captured on the way, so that the last lines can be shown to the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.connect import port_names

from .connections import address_of, encrypt, session_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT_LINES = 40
_KEPT_CHARACTERS = 1000
_CHUNK = 65536

#: Seconds to wait for the rest of what a process has printed that has ended.
_CLOSING = 0.5


class StderrTail:
    """The last lines read from a pipe.

    Parameters
    ----------
    echo : bool
        Whether to also copy everything to our own standard error.

    Attributes
    ----------
    write_end : int
        The file descriptor to pass to the process; `opened` closes our copy of it.
    """

    def __init__(self, *, echo: bool = True) -> None:
        read_end, self.write_end = os.pipe()
        self._echo = echo
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._rest = b""
        self._closed = threading.Event()
        self._closed_write_end = False
        _Drain.instance().add(read_end, self)

    def opened(self) -> None:
        """Close our copy of the write end, once the process has its own or could not start."""
        if not self._closed_write_end:
            self._closed_write_end = True
            os.close(self.write_end)

    def lines(self) -> list[str]:
        """Return the last lines so far."""
        rest = [self._decode(self._rest)] if self._rest else []
        return [*self._lines, *rest][-_KEPT_LINES:]

    async def last_lines(self) -> list[str]:
        """Return the last lines of a process that has ended."""
        deadline = time.monotonic() + _CLOSING
        # A child of the process may keep the pipe open.
        while not self._closed.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.lines()

    def take(self, data: bytes) -> None:
        """Add data that was read from the pipe; no data means that it was closed."""
        if not data:
            self._closed.set()
            return
        *lines, rest = (self._rest + data).split(b"\n")
        # A line without a newline must not grow indefinitely.
        self._rest = rest[-_CHUNK:]
        self._lines.extend(self._decode(line) for line in lines)
        if self._echo:
            with contextlib.suppress(OSError):
                os.write(2, data)

    @staticmethod
    def _decode(line: bytes) -> str:
        return line.decode("utf-8", "replace").rstrip("\r")[:_KEPT_CHARACTERS]


class _Drain:
    """One thread that reads all pipes of all kernels of this process."""

    _instance: _Drain | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._new: deque[tuple[int, StderrTail]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="spack-kernel-stderr", daemon=True).start()

    @classmethod
    def forget(cls) -> None:
        """Reset the instance in a forked child, which has the pipes but not the thread."""
        cls._instance, cls._lock = None, threading.Lock()

    @classmethod
    def instance(cls) -> _Drain:
        with cls._lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    def add(self, read_end: int, tail: StderrTail) -> None:
        self._new.append((read_end, tail))
        os.write(self._wake_write, b".")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, _CHUNK)
                    while self._new:
                        read_end, tail = self._new.popleft()
                        self._selector.register(read_end, selectors.EVENT_READ, tail)
                    continue
                data = os.read(key.fd, _CHUNK)
                if not data:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
                key.data.take(data)


os.register_at_fork(after_in_child=_Drain.forget)


class FirstReply:
    """Sends a kernel a ``kernel_info_request``, and detects the reply.

    A kernel opens its ports before it can answer: IPython's startup files, an extension or a
    memory limit may end it in between.

    Parameters
    ----------
    context : zmq.Context
        The context of the kernel's manager.
    connection : mapping
        The connection information, with ``transport``.
    """

    def __init__(self, context: zmq.Context[Any], connection: Mapping[str, Any]) -> None:
        # The manager's own context may be for asyncio: only coroutines can use its sockets.
        own: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(context.underlying)
        self._socket = own.socket(zmq.DEALER)
        self._socket.linger = 0
        encrypt(self._socket, connection)
        self._socket.connect(address_of(connection, "shell_port"))
        session_of(connection).send(self._socket, "kernel_info_request", {})

    def came(self) -> bool:
        """Return whether the kernel has answered."""
        return bool(self._socket.poll(0))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close(linger=0)


def is_port_taken(connection: Mapping[str, Any], lines: Sequence[str], *, has_ended: bool) -> bool:
    """Return whether a kernel cannot start because another program has one of its ports.

    Parameters
    ----------
    connection : mapping
        The connection information, with ``transport``.
    lines : sequence of str
        The last lines that it printed.
    has_ended : bool
        Whether it has ended; while it runs, only what it printed counts.
    """
    if connection["transport"] != "tcp":
        return False
    if any(os.strerror(errno.EADDRINUSE) in line for line in lines):
        return True
    if not has_ended:
        return False
    family = socket.AF_INET6 if ":" in str(connection["ip"]) else socket.AF_INET
    for name in port_names:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((connection["ip"], connection[name]))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


async def is_listening(connection: Mapping[str, Any]) -> bool:
    """Return whether a kernel is_listening on its heartbeat port, which kernels open last."""
    ip, port = str(connection["ip"]), connection["hb_port"]
    if connection.get("transport") == "ipc":
        family, address = socket.AF_UNIX, f"{ip}-{port}"
    else:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        address = (ip, int(port))  # type: ignore[assignment]
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().sock_connect(client, address), timeout=1.0
            )
        except (OSError, asyncio.TimeoutError):
            return False
        # A connection to a free local port can connect to itself; that is not a kernel.
        return client.getsockname() != client.getpeername() or family == socket.AF_UNIX
