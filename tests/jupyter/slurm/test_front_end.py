"""The relay's sockets toward front ends: how a cell ends whose kernel ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session

from spack_kernel.jupyter.slurm.front_end import FrontEndSide


@asynccontextmanager
async def talking(path: Path) -> AsyncIterator[tuple[FrontEndSide, AsyncKernelClient, Session]]:
    """Yield the relay's side, a client that listens to it, and what signs as its kernel."""
    file, _ = write_connection_file(str(path / "kernel.json"), key=b"secret")
    side = FrontEndSide(json.loads(Path(file).read_text()), zmq.asyncio.Context())
    client = AsyncKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels()
    try:
        received = False
        while not received:  # until the client has subscribed
            side._publish("status", {"execution_state": "starting"}, None)
            received = bool(await client.iopub_channel.socket.poll(100))
        yield side, client, Session(key=b"secret")
    finally:
        client.stop_channels()
        side.close()


async def messages(client: AsyncKernelClient, request: str) -> list[str]:
    """Return the types of what a front end gets of a request."""
    found = []
    while await client.iopub_channel.socket.poll(300):
        message = await client.get_iopub_msg()
        if message["parent_header"].get("msg_id") == request:
            found.append(message["content"].get("execution_state", message["msg_type"]))
    while await client.shell_channel.socket.poll(300):
        found.append((await client.get_shell_msg())["msg_type"])
    return found


def frames(session: Session, kind: str, content: dict[str, Any], parent: Any) -> list[bytes]:
    return session.serialize(session.msg(kind, content, parent=parent), ident=[b"topic"])


@pytest.mark.parametrize(
    ("ended", "got"),
    [
        ((), ["error", "idle", "execute_reply"]),
        (("reply",), ["error", "idle"]),  # the reply has already gone to the front end
        (("idle",), ["error", "idle", "execute_reply"]),
        (("reply", "idle"), []),
        (("idle", "reply"), []),
    ],
)
def test_a_cell_ends_once_and_wholly(tmp_path: Path, ended: tuple[str, ...], got: object) -> None:
    async def scenario() -> list[str]:
        async with talking(tmp_path) as (side, client, kernel):
            identifier = client.execute("1")
            request = side.read(await side.sockets["shell"].recv_multipart())
            assert request is not None
            side.sent(request)
            busy = {"execution_state": "busy"}
            side.published(frames(kernel, "status", busy, request.message))
            for what in ended:
                if what == "reply":
                    side.replied(frames(kernel, "execute_reply", {}, request.message))
                else:
                    idle = {"execution_state": "idle"}
                    side.published(frames(kernel, "status", idle, request.message))
            side.fail_open("KernelDied", "the job has ended")
            return await messages(client, identifier)

    assert asyncio.run(scenario()) == got
