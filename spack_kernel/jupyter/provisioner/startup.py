"""Watching a kernel's process while it starts: what it prints, and when it can be spoken to.

A kernel that dies while it starts says why on its standard error, which Jupyter lets run into the
server's log. Here it is read on the way, so that the last lines can be shown to whoever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT_LINES = 40
_KEPT_CHARACTERS = 1000
_CHUNK = 65536


class StderrTail:
    """The last lines that came through a pipe.

    Parameters
    ----------
    echo : bool
        Whether everything also goes to our own standard error.

    Attributes
    ----------
    write_end : int
        The file descriptor to give to the process; `opened` closes ours of it.
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

    def lines(self, wait: float = 0.0) -> list[str]:
        """Return the last lines, after waiting at most `wait` seconds for the pipe to close."""
        self._closed.wait(wait)
        rest = [self._decode(self._rest)] if self._rest else []
        return [*self._lines, *rest][-_KEPT_LINES:]

    def take(self, data: bytes) -> None:
        """Take what was read from the pipe; no data means that it was closed."""
        if not data:
            self._closed.set()
            return
        *lines, rest = (self._rest + data).split(b"\n")
        # What never ends in a newline must not grow.
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
        """Start anew in a forked child, which has the pipes but not the thread."""
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
    """Asks a kernel what it is, and tells when it answers.

    A kernel opens its ports before it can be spoken to: what IPython runs at its start, an
    extension or a limit of memory may end it in between.

    Parameters
    ----------
    context : zmq.Context
        The context of the kernel's manager.
    connection : mapping
        The connection information, with ``transport``.
    """

    def __init__(self, context: zmq.Context[Any], connection: Mapping[str, Any]) -> None:
        # The manager's own may be asyncio's, whose sockets only a coroutine can ask.
        own: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(context.underlying)
        self._socket = own.socket(zmq.DEALER)
        self._socket.linger = 0
        public, secret = connection.get("curve_publickey"), connection.get("curve_secretkey")
        if public and secret:
            # As in jupyter_client: the pair of the connection serves both ends.
            self._socket.curve_publickey = self._socket.curve_serverkey = _bytes(public)
            self._socket.curve_secretkey = _bytes(secret)
        separator = "-" if connection["transport"] == "ipc" else ":"
        address = f"{connection['ip']}{separator}{connection['shell_port']}"
        self._socket.connect(f"{connection['transport']}://{address}")
        session = Session(
            key=_bytes(connection.get("key", b"")),
            signature_scheme=connection.get("signature_scheme") or "hmac-sha256",
        )
        session.send(self._socket, "kernel_info_request", {})

    def came(self) -> bool:
        """Return whether the kernel has answered."""
        return bool(self._socket.poll(0))

    def close(self) -> None:
        """Hang up."""
        self._socket.close(linger=0)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


async def listens(connection: Mapping[str, Any]) -> bool:
    """Return whether a kernel listens on its heartbeat port, which kernels open last."""
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
        # A connection to a free local port can meet itself; that is no kernel.
        return client.getsockname() != client.getpeername() or family == socket.AF_UNIX
