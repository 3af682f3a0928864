"""The fallback kernel, which starts when the real one cannot, and reports why.

When a kernel fails to restart, Jupyter Server drops the text of the error. This process then
replaces the kernel, with the same connection file: it answers the requests of front ends, and each
cell that is run ends with the error that prevented the kernel from starting. It runs in the
server's own Python and needs only pyzmq and jupyter_client.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq
from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The environment variable that contains the text.
MESSAGE_VARIABLE = "SPACK_KERNEL_STANDIN_MESSAGE"

#: Milliseconds after a failed cell in which further cells count as sent together with it.
_ABORT_WINDOW = 30

_POLL_INTERVAL = 1000

#: Milliseconds that a cell waits for a front end to listen to what is published of it.
_AUDIENCE = 1000

_Message = dict[str, Any]

#: The messages that widgets send on the shell channel; they get no reply.
_COMMS = ("comm_open", "comm_msg", "comm_close")

#: The replies about the debugger, which is not started.
_DEBUGGER_STATE: dict[str, _Message] = {
    "debugInfo": {
        "isStarted": False,
        "hashMethod": "Murmur2",
        "hashSeed": 0,
        "tmpFilePrefix": "",
        "tmpFileSuffix": ".py",
        "breakpoints": [],
        "stoppedThreads": [],
        "richRendering": False,
        "exceptionPaths": [],
        "copyToGlobals": False,
    },
    "disconnect": {},
}


class Request(NamedTuple):
    """A message of a front end.

    Attributes
    ----------
    message : dict
        The message, as `jupyter_client.session.Session.deserialize` returns it.
    identities : list of bytes
        The frames that lead back to its sender.
    """

    message: _Message
    identities: list[bytes]


class FallbackKernel:
    """The kernel's side of the messaging protocol, for one connection file.

    Parameters
    ----------
    connection : mapping
        The content of the connection file.
    text : str
        Why the real kernel does not run; can have several lines.
    context : zmq.Context, optional
        The context of its sockets. With one of `zmq.asyncio`, somebody else receives from them.
    """

    #: The type of the socket that publishes: one that tells who listens.
    _publisher = zmq.XPUB

    def __init__(
        self,
        connection: Mapping[str, Any],
        text: str,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self.text = text
        self._context = context or zmq.Context()
        self._session = Session(
            key=str(connection.get("key", "")).encode(),
            signature_scheme=connection.get("signature_scheme") or "hmac-sha256",
        )
        self._connection = connection
        self._shell = self._bind(zmq.ROUTER, "shell_port")
        self._control = self._bind(zmq.ROUTER, "control_port")
        self._stdin = self._bind(zmq.ROUTER, "stdin_port")
        self._iopub = self._bind(self._publisher, "iopub_port")
        # A heartbeat echoes the messages it receives, addresses included.
        self._heartbeat = self._bind(zmq.ROUTER, "hb_port")
        self._count = 0
        self._has_audience = False
        self._running = True

    def _bind(self, kind: int, port: str) -> zmq.Socket[bytes]:
        connection = self._connection
        socket = self._context.socket(kind)
        socket.linger = 1000
        if kind == zmq.ROUTER:
            # A front end that connects anew has the identity of its former connection, which may
            # not have ended yet: without this, ZeroMQ would never listen to the new one.
            socket.router_handover = True
        public, secret = connection.get("curve_publickey"), connection.get("curve_secretkey")
        if isinstance(public, str) and isinstance(secret, str):
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = public.encode(), secret.encode()
        separator = "-" if connection.get("transport") == "ipc" else ":"
        transport = connection.get("transport") or "tcp"
        socket.bind(f"{transport}://{connection['ip']}{separator}{connection[port]}")
        return socket

    def run(self) -> None:
        """Answer requests until one is for a shutdown or the server has exited."""
        self._publish("status", {"execution_state": "starting"}, None)
        poller = zmq.Poller()
        for socket in (self._control, self._shell, self._heartbeat, self._iopub):
            poller.register(socket, zmq.POLLIN)
        parent = os.getppid()
        while self._running and os.getppid() == parent:
            ready = dict(poller.poll(_POLL_INTERVAL))
            if self._heartbeat in ready:
                self._heartbeat.send_multipart(self._heartbeat.recv_multipart())
            if self._iopub in ready:
                self._meet_audience()
            for socket in (self._control, self._shell):
                if socket in ready:
                    self._serve(socket)
        self._context.destroy(linger=1000)

    def _serve(self, socket: zmq.Socket[bytes], *, abort: bool = False) -> None:
        """Receive one request from a socket and answer it."""
        request = self.read(socket.recv_multipart())
        if request is not None and request.message["msg_type"] == "execute_request":
            self._await_audience()
        if request is not None and self.respond(socket, request, abort=abort) and not abort:
            while socket.poll(_ABORT_WINDOW):
                self._serve(socket, abort=True)

    def _await_audience(self) -> None:
        """Wait a moment for the first front end: they connect each channel at its own time."""
        if not self._has_audience and self._iopub.poll(_AUDIENCE):
            self._meet_audience()
        self._has_audience = True

    def _meet_audience(self) -> None:
        self._has_audience |= self._iopub.recv().startswith(b"\1")

    def read(self, received: list[bytes]) -> Request | None:
        """Return what was received, once; None if it is not signed with our key."""
        try:
            identities, frames = self._session.feed_identities(received)
            return Request(self._session.deserialize(frames), identities)
        except Exception as error:
            sys.stderr.write(f"spack-kernel fallback kernel: dropped a message: {error}\n")
            return None

    def respond(self, socket: zmq.Socket[bytes], request: Request, *, abort: bool = False) -> bool:
        """Answer one request.

        Parameters
        ----------
        socket : zmq.Socket
            The socket that received it.
        request : Request
            The request.
        abort : bool
            Whether a cell is answered as aborted, because one that was sent with it has failed.

        Returns
        -------
        bool
            Whether cells that were sent with it must be aborted.
        """
        message, identities = request
        kind = message["msg_type"]
        if not kind.endswith("_request") and kind not in _COMMS:
            return False
        self._publish("status", {"execution_state": "busy"}, message)
        if abort and kind == "execute_request":
            content: _Message | None = {"status": "aborted"}
        else:
            if kind == "comm_open":
                self._close_comm(message)
            answer = getattr(self, f"_{kind}", None)
            content = answer(message) if answer else None
        if content is not None:
            reply = kind.replace("_request", "_reply")
            self._session.send(socket, reply, content, parent=message, ident=identities)
        self._publish("status", {"execution_state": "idle"}, message)
        stops: bool = message["content"].get("stop_on_error", True)
        return kind == "execute_request" and stops

    def _publish(self, kind: str, content: _Message, parent: _Message | None) -> None:
        self._session.send(self._iopub, kind, content, parent=parent, ident=kind.encode())

    def _close_comm(self, request: _Message) -> None:
        """Close a comm, as a kernel does that does not know its target."""
        content = {"comm_id": request["content"].get("comm_id", ""), "data": {}}
        self._publish("comm_close", content, request)

    # -- answers, by the name of the request --

    def _kernel_info_request(self, _: _Message) -> _Message:
        return {
            "status": "ok",
            "protocol_version": "5.3",
            "implementation": "spack-kernel",
            "implementation_version": "",
            # Python's, so that a notebook keeps its highlighting although it cannot run.
            "language_info": {
                "name": "python",
                "version": "",
                "mimetype": "text/x-python",
                "file_extension": ".py",
                "pygments_lexer": "ipython3",
                "codemirror_mode": {"name": "ipython", "version": 3},
            },
            "banner": self.text,
            "help_links": [],
        }

    def _execute_request(self, request: _Message) -> _Message:
        content = request["content"]
        error = {
            "ename": "KernelStartError",
            "evalue": self.text.partition("\n")[0],
            "traceback": self.text.splitlines(),
        }
        if not content.get("silent"):
            self._count += 1
            code = {"code": content.get("code", ""), "execution_count": self._count}
            self._publish("execute_input", code, request)
            self._publish("error", error, request)
        return {"status": "error", "execution_count": self._count, **error}

    def _inspect_request(self, _: _Message) -> _Message:
        return {"status": "ok", "found": True, "data": {"text/plain": self.text}, "metadata": {}}

    def _complete_request(self, request: _Message) -> _Message:
        cursor = request["content"].get("cursor_pos", 0)
        return {
            "status": "ok",
            "matches": [],
            "cursor_start": cursor,
            "cursor_end": cursor,
            "metadata": {},
        }

    def _is_complete_request(self, _: _Message) -> _Message:
        return {"status": "complete"}

    def _history_request(self, _: _Message) -> _Message:
        return {"status": "ok", "history": []}

    def _comm_info_request(self, _: _Message) -> _Message:
        return {"status": "ok", "comms": {}}

    def _interrupt_request(self, _: _Message) -> _Message:
        return {"status": "ok"}

    def _shutdown_request(self, request: _Message) -> _Message:
        self._running = False
        content = {"status": "ok", "restart": bool(request["content"].get("restart"))}
        self._publish("shutdown_reply", content, request)
        return content

    def _debug_request(self, request: _Message) -> _Message:
        asked = request["content"]
        command = asked.get("command", "")
        reply = {
            "type": "response",
            "seq": asked.get("seq", 0),
            "request_seq": asked.get("seq", 0),
            "command": command,
            "success": command in _DEBUGGER_STATE,
            "body": _DEBUGGER_STATE.get(command, {}),
        }
        # Front ends request the state on their own; other requests come from a user who debugs.
        return reply if reply["success"] else {**reply, "message": self.text.partition("\n")[0]}


def main(connection_file: str) -> None:
    """Run the fallback kernel for a connection file until it is shut down."""
    # An interrupt is meant for a running cell, and there is none.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = json.loads(Path(connection_file).read_text(encoding="utf-8"))
    FallbackKernel(connection, os.environ.get(MESSAGE_VARIABLE, "The kernel cannot start.")).run()


if __name__ == "__main__":
    main(sys.argv[1])
