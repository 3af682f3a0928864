"""Tell a notebook, under the cell that was running, that its kernel has died.

Front ends only show that a kernel died and is being restarted, not why. Before Jupyter restarts
it, we take its place on the IOPub channel for a moment and publish the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import zmq

from .connections import address_of, encrypt, session_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The beginning of the topics of what is watched. Outputs have others, and are never received.
_TOPIC = b"kernel."

#: Seconds to wait for front ends to connect again.
_RECONNECT = 2.0

#: Seconds after a front end, in which another may connect: each tries every 0.1 to 0.2 s.
_SETTLE = 0.5

_context: zmq.Context[zmq.Socket[bytes]] | None = None


def _own_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return a context of our own: a manager may destroy its own while our socket is open."""
    global _context
    if _context is None or _context.closed:
        _context = zmq.Context()
    return _context


class IopubWatch:
    """Knows which cell a kernel is running.

    Parameters
    ----------
    connection : mapping
        The connection information, with ``transport``.
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self.connection = connection
        self._session = session_of(connection)
        self._running: dict[str, Any] = {}
        self._socket = _own_context().socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.subscribe(_TOPIC)
        encrypt(self._socket, connection)
        self._socket.connect(address_of(connection, "iopub_port"))

    def running(self) -> dict[str, Any]:
        """Return the header of the request that is running; empty if there is none.

        Call it from time to time, since what is received waits to be read.
        """
        while not self._socket.closed:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
                _, rest = self._session.feed_identities(frames)
                message = self._session.deserialize(rest)
            except zmq.ZMQError:
                break
            except Exception:  # noqa: S112 - not signed with our key, or not a message
                continue
            self._take(message)
        return self._running

    def _take(self, message: dict[str, Any]) -> None:
        parent = message.get("parent_header") or {}
        if message.get("msg_type") != "status" or parent.get("msg_type") != "execute_request":
            return
        state = message["content"].get("execution_state")
        if state == "busy":
            self._running = parent
        elif parent.get("msg_id") == self._running.get("msg_id"):
            self._running = {}

    def close(self) -> None:
        """Close the connection."""
        self._socket.close(linger=0)


async def tell_notebook(watch: IopubWatch, text: str) -> bool:
    """Publish that a kernel has died, under the cell that it was running.

    Parameters
    ----------
    watch : IopubWatch
        The watch of the kernel, which is closed.
    text : str
        The reason; can have several lines.

    Returns
    -------
    bool
        Whether a front end was there to be told.
    """
    running = watch.running()
    watch.close()
    if not running:
        return False
    connection = watch.connection
    with contextlib.closing(_own_context().socket(zmq.XPUB)) as publisher:
        publisher.linger = 500
        encrypt(publisher, connection, serves=True)
        try:
            publisher.bind(address_of(connection, "iopub_port"))
        except zmq.ZMQError:
            return False  # a child of the kernel still has its sockets
        if not await _has_subscribers(publisher):
            return False
        first, *_ = lines = text.splitlines()
        content = {"ename": "KernelDied", "evalue": first, "traceback": lines}
        session = session_of(connection)
        session.send(publisher, "error", content, parent={"header": running}, ident=b"error")
        await asyncio.sleep(0.05)
        publisher.unbind(address_of(connection, "iopub_port"))
    return True


async def _has_subscribers(publisher: zmq.Socket[bytes]) -> bool:
    """Return whether a front end connects; wait a moment for others."""
    latest = time.monotonic() + _RECONNECT
    deadline, came = latest, False
    while time.monotonic() < deadline:
        if publisher.poll(0):
            publisher.recv()
            came, deadline = True, min(latest, time.monotonic() + _SETTLE)
        await asyncio.sleep(0.01)
    return came
