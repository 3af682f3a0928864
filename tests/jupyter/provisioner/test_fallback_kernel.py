"""The fallback kernel, used as front ends use a kernel."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from spack_kernel.jupyter.provisioner.fallback_kernel import MESSAGE_VARIABLE
from spack_kernel.jupyter.provisioner.startup import is_listening
from spack_kernel.spack.system.isolated import isolated_command

TEXT = "py-x is gone\n  it finds nothing\nInstall it again."

Speaking = tuple[BlockingKernelClient, "subprocess.Popen[bytes]"]


def speak(path: str, **options: Any) -> Iterator[Speaking]:
    process = start(path)
    client = BlockingKernelClient(connection_file=path, **options)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client, process
    finally:
        client.stop_channels()
        process.terminate()
        process.wait(timeout=10)


def start(path: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*isolated_command("spack_kernel.jupyter.provisioner.fallback_kernel"), path],
        env={**os.environ, MESSAGE_VARIABLE: TEXT},
    )
    connection = json.loads(Path(path).read_text())
    while not asyncio.run(is_listening(connection)):
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Speaking]:
    path, _ = write_connection_file(str(tmp_path / "kernel.json"))
    yield from speak(path)


def reply(client: BlockingKernelClient, request: str, channel: str = "shell") -> dict[str, Any]:
    get = client.get_shell_msg if channel == "shell" else client.get_control_msg
    while True:
        message = get(timeout=20)
        if message["parent_header"].get("msg_id") == request:
            return dict(message, content=message["content"])


def iopub(client: BlockingKernelClient, request: str) -> list[dict[str, Any]]:
    messages = []
    while True:
        message = client.get_iopub_msg(timeout=20)
        if message["parent_header"].get("msg_id") == request:
            messages.append(message)
            if message["content"].get("execution_state") == "idle":
                return messages


def test_a_cell_ends_in_the_error(standin: Speaking) -> None:
    client, _ = standin
    request = client.execute("1 + 1")
    answer = reply(client, request)["content"]
    assert (answer["status"], answer["ename"]) == ("error", "KernelStartError")
    assert answer["evalue"] == "py-x is gone"
    messages = iopub(client, request)
    assert [message["msg_type"] for message in messages] == [
        "status",
        "execute_input",
        "error",
        "status",
    ]
    assert messages[1]["content"]["code"] == "1 + 1"
    assert messages[2]["content"]["traceback"] == TEXT.splitlines()


@pytest.mark.parametrize("listens", [True, False])
def test_a_cell_waits_a_moment_for_a_front_end_that_listens(tmp_path: Path, listens: bool) -> None:
    path, _ = write_connection_file(str(tmp_path / "kernel.json"))
    process = start(path)
    client = BlockingKernelClient(connection_file=path)
    client.load_connection_file()
    try:
        client.start_channels(iopub=False)
        request = client.execute("1 + 1")
        if listens:
            time.sleep(0.3)
            client.iopub_channel.start()
            assert "error" in [message["msg_type"] for message in iopub(client, request)]
        assert reply(client, request)["content"]["status"] == "error"
    finally:
        client.stop_channels()
        process.terminate()
        process.wait(timeout=10)


def test_a_front_end_that_connects_anew_is_heard(standin: Speaking) -> None:
    client, _ = standin
    again = BlockingKernelClient(session=client.session, connection_file=client.connection_file)
    again.load_connection_file()
    again.start_channels()  # with the identity of the first, which is still connected
    try:
        again.wait_for_ready(timeout=20)
        assert reply(again, again.execute("1"))["content"]["status"] == "error"
    finally:
        again.stop_channels()


def test_cells_sent_together_fail_once(standin: Speaking) -> None:
    client, _ = standin
    requests = [client.execute(code) for code in ("a", "b", "c")]
    statuses = [reply(client, request)["content"]["status"] for request in requests]
    assert statuses == ["error", "aborted", "aborted"]
    time.sleep(0.5)
    assert reply(client, client.execute("later"))["content"]["status"] == "error"


def test_a_silent_request_prints_nothing(standin: Speaking) -> None:
    client, _ = standin
    request = client.execute("probe", silent=True)
    assert reply(client, request)["content"]["execution_count"] == 0
    assert [message["msg_type"] for message in iopub(client, request)] == ["status", "status"]


def test_what_else_front_ends_ask(standin: Speaking) -> None:
    client, _ = standin
    info = reply(client, client.kernel_info())["content"]
    assert (info["banner"], info["language_info"]["name"]) == (TEXT, "python")
    assert reply(client, client.inspect("x", 1))["content"]["data"]["text/plain"] == TEXT
    completion = reply(client, client.complete("im", 2))["content"]
    assert (completion["matches"], completion["cursor_end"]) == ([], 2)
    assert reply(client, client.is_complete("for"))["content"]["status"] == "complete"
    assert reply(client, client.history())["content"]["history"] == []
    assert reply(client, client.comm_info())["content"]["comms"] == {}
    assert client.is_alive()


#: Every request of the messaging protocol, with the channel that front ends use for it.
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("shell", "kernel_info_request", {}),
    ("shell", "execute_request", {"code": "1", "silent": False}),
    ("shell", "inspect_request", {"code": "x", "cursor_pos": 1, "detail_level": 0}),
    ("shell", "complete_request", {"code": "x", "cursor_pos": 1}),
    ("shell", "history_request", {"hist_access_type": "tail", "n": 3}),
    ("shell", "is_complete_request", {"code": "x"}),
    ("shell", "comm_info_request", {}),
    ("control", "kernel_info_request", {}),
    ("control", "interrupt_request", {}),
    ("control", "debug_request", {"type": "request", "seq": 1, "command": "debugInfo"}),
    ("control", "shutdown_request", {"restart": False}),
]


@pytest.mark.parametrize(("channel", "kind", "content"), REQUESTS)
def test_each_request_is_answered_between_busy_and_idle(
    standin: Speaking, channel: str, kind: str, content: dict[str, Any]
) -> None:
    client, _ = standin
    message = client.session.msg(kind, content)
    sender = client.shell_channel if channel == "shell" else client.control_channel
    sender.send(message)
    identity = message["header"]["msg_id"]
    answer = reply(client, identity, channel)
    assert answer["msg_type"] == kind.replace("_request", "_reply")
    states = [m["content"].get("execution_state") for m in iopub(client, identity)]
    assert (states[0], states[-1]) == ("busy", "idle")
    assert set(states[1:-1]) <= {None}


def test_a_widget_learns_that_nobody_is_there(standin: Speaking) -> None:
    client, _ = standin
    content = {"comm_id": "c1", "target_name": "jupyter.widget", "data": {}}
    opened = client.session.msg("comm_open", content)
    client.shell_channel.send(opened)
    messages = iopub(client, opened["header"]["msg_id"])
    assert [message["msg_type"] for message in messages] == ["status", "comm_close", "status"]
    assert messages[1]["content"]["comm_id"] == "c1"
    told = client.session.msg("comm_msg", {"comm_id": "c1", "data": {}})
    client.shell_channel.send(told)
    assert len(iopub(client, told["header"]["msg_id"])) == 2


def control(client: BlockingKernelClient, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    message = client.session.msg(kind, content)
    client.control_channel.send(message)
    return reply(client, message["header"]["msg_id"], "control")["content"]


def test_control(standin: Speaking) -> None:
    client, process = standin
    assert control(client, "interrupt_request", {}) == {"status": "ok"}
    asked = {"type": "request", "seq": 3, "command": "debugInfo"}
    debug = control(client, "debug_request", asked)
    assert (debug["success"], debug["command"], debug["request_seq"]) == (True, "debugInfo", 3)
    # The fields that JupyterLab reads, with a kernel's own values before its debugger starts.
    body = debug["body"]
    assert (body["isStarted"], body["breakpoints"], body["stoppedThreads"]) == (False, [], [])
    assert body["hashMethod"] == "Murmur2"
    asked = {"type": "request", "seq": 4, "command": "initialize"}
    debug = control(client, "debug_request", asked)
    assert (debug["success"], debug["message"], debug["body"]) == (False, "py-x is gone", {})
    process.send_signal(2)
    assert control(client, "shutdown_request", {"restart": True})["restart"] is True
    assert process.wait(timeout=10) == 0


def test_what_is_not_signed_or_not_a_request_is_dropped(standin: Speaking) -> None:
    client, _ = standin
    key, client.session.key = client.session.key, b"another key"
    client.execute("forged")
    client.session.key = key
    client.session.send(client.shell_channel.socket, "input_reply", {"value": "x"})
    unknown = client.session.msg("unknown_request", {})
    client.shell_channel.send(unknown)
    assert [message["msg_type"] for message in iopub(client, unknown["header"]["msg_id"])] == [
        "status",
        "status",
    ]
    assert reply(client, client.kernel_info())["content"]["status"] == "ok"


def test_the_heartbeat_beats(standin: Speaking, tmp_path: Path) -> None:
    connection = json.loads((tmp_path / "kernel.json").read_text())
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(f"tcp://{connection['ip']}:{connection['hb_port']}")
        socket.send(b"ping")
        assert socket.poll(10_000)
        assert socket.recv() == b"ping"


def test_the_ipc_transport(tmp_path: Path) -> None:
    path, _ = write_connection_file(
        str(tmp_path / "kernel.json"), transport="ipc", ip=str(tmp_path / "ipc")
    )
    for client, _ in speak(path):
        assert reply(client, client.execute("x"))["content"]["status"] == "error"


def test_it_ends_when_the_server_is_gone(tmp_path: Path) -> None:
    path, _ = write_connection_file(str(tmp_path / "kernel.json"))
    command = [*isolated_command("spack_kernel.jupyter.provisioner.fallback_kernel"), path]
    server = (
        f"import subprocess, time; print(subprocess.Popen({command!r}).pid, flush=True); "
        "time.sleep(2)"
    )
    output = subprocess.run(
        [sys.executable, "-c", server], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    deadline = time.monotonic() + 15
    while psutil.pid_exists(int(output)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(output))
