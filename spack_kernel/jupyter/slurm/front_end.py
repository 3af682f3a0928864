"""The kernel's side toward the front ends: it answers while there is no kernel, and keeps cells.

A cell that is sent while the job waits is kept, says under itself what it waits for, and runs as
soon as the kernel is there. If the kernel ends, each cell that it was running ends with the reason.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zmq
import zmq.asyncio

from spack_kernel.jupyter.provisioner import FallbackKernel, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

_DELIMITER = b"<IDS|MSG>"

#: The request that only the kernel itself can answer.
CELL = "execute_request"


@dataclass
class _Cell:
    """A cell that the kernel has got; and what of its end has come."""

    request: Request
    is_replied: bool = False
    is_idle: bool = False


class FrontEndSide(FallbackKernel):
    """The sockets that front ends connect to instead of the kernel's own.

    Parameters
    ----------
    connection : mapping
        The content of the connection file.
    context : zmq.asyncio.Context
        The context of the sockets.

    Attributes
    ----------
    text : str
        What to say while there is no kernel.
    sockets : dict of str to zmq.asyncio.Socket
        The socket of each channel.
    """

    #: Its loop receives from no socket that only publishes.
    _publisher = zmq.PUB

    def __init__(self, connection: Mapping[str, Any], context: zmq.asyncio.Context) -> None:
        super().__init__(connection, "The kernel is not there yet.", context)
        self.sockets: dict[str, Any] = {
            "shell": self._shell,
            "control": self._control,
            "stdin": self._stdin,
            "iopub": self._iopub,
            "hb": self._heartbeat,
        }
        #: Cells that wait for a kernel, in the order in which they came; with their frames.
        self._kept: list[tuple[Request, list[bytes]]] = []
        #: The cells that the kernel has got and not ended, by the identifiers of their messages.
        self._open: dict[str, _Cell] = {}

    # -- without a kernel --

    def keep(self, request: Request, frames: list[bytes]) -> None:
        """Keep a cell until there is a kernel, and show what it waits for."""
        self._kept.append((request, frames))
        self._publish("status", {"execution_state": "busy"}, request.message)
        if len(self._kept) == 1:
            self._publish("display_data", self._shown(request), request.message)

    def say(self, text: str) -> None:
        """Say something else while there is no kernel; the first cell that waits shows it."""
        self.text = text
        if self._kept:
            request, _ = self._kept[0]
            self._publish("update_display_data", self._shown(request), request.message)

    def release(self) -> list[tuple[Request, list[bytes]]]:
        """Return the cells that were kept, and remove what they show."""
        kept, self._kept = self._kept, []
        if kept:
            self._publish("clear_output", {"wait": False}, kept[0][0].message)
        return kept

    def fail_kept(self) -> None:
        """Answer the cells that were kept with the text, as an error."""
        for request, _ in self.release():
            self.respond(self.sockets["shell"], request)

    def interrupt_kept(self) -> None:
        """Answer the cells that were kept as interrupted."""
        text, self.text = self.text, "Interrupted: the cell was not run."
        self.fail_kept()
        self.text = text

    def _shown(self, request: Request) -> dict[str, Any]:
        identifier = request.message["header"]["msg_id"]
        return {
            "data": {"text/plain": self.text},
            "metadata": {},
            "transient": {"display_id": f"spack-kernel-{identifier}"},
        }

    # -- with a kernel --

    def sent(self, request: Request) -> None:
        """Note that a request goes to the kernel."""
        if request.message["msg_type"] == CELL:
            self._open[request.message["header"]["msg_id"]] = _Cell(request)

    def replied(self, frames: list[bytes]) -> None:
        """Note a reply of the kernel on the shell channel."""
        cell = self._cell_of(frames)
        if cell is not None:
            cell.is_replied = True
            self._note_end(cell)

    def published(self, frames: list[bytes]) -> None:
        """Note what the kernel has published: whether it has ended a cell."""
        if not self._open or _DELIMITER not in frames:
            return
        _, header, _, _, content, *_ = [*frames[frames.index(_DELIMITER) + 1 :], *[b""] * 5]
        if b'"status"' in header and b'"idle"' in content:
            cell = self._cell_of(frames)
            if cell is not None:
                cell.is_idle = True
                self._note_end(cell)

    def _cell_of(self, frames: list[bytes]) -> _Cell | None:
        """Return the open cell that a message is about."""
        with contextlib.suppress(ValueError, IndexError, AttributeError):
            # Behind the delimiter: the signature, the header, the header of the request.
            parent = json.loads(frames[frames.index(_DELIMITER) + 3])
            return self._open.get(parent.get("msg_id"))
        return None

    def _note_end(self, cell: _Cell) -> None:
        # Front ends wait for both, and a job can end between them.
        if cell.is_replied and cell.is_idle:
            del self._open[cell.request.message["header"]["msg_id"]]

    def fail_open(self, name: str, text: str) -> None:
        """End each cell that the kernel has not ended with an error.

        Parameters
        ----------
        name : str
            The name of the error.
        text : str
            Its text; can have several lines.
        """
        cells, self._open = self._open, {}
        first = text.partition("\n")[0]
        error = {"ename": name, "evalue": first, "traceback": text.splitlines()}
        reply = {"status": "error", "execution_count": None, **error}
        for cell in cells.values():
            message, sender = cell.request
            self._publish("error", error, message)
            if not cell.is_replied:
                shell = self.sockets["shell"]
                self._session.send(shell, "execute_reply", reply, parent=message, ident=sender)
            self._publish("status", {"execution_state": "idle"}, message)

    def close(self) -> None:
        """Close the sockets, after what was sent has left."""
        self._context.destroy(linger=500)
