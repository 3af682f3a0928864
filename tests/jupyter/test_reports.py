"""What an admin sees of kernels: lines in the server's log, events, and what debug lines tell."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.kernels.planner import Planner
from spack_kernel.kernels.request import KernelRequest
from tests.jupyter.conftest import WriteKernel
from tests.jupyter.server import Server

_CONFIG = """
import logging
c = get_config()
handler = logging.FileHandler({events!r})
c.EventLogger.handlers = [handler]
c.MappingKernelManager.use_pending_kernels = False
"""


class Site:
    """A server whose events go to a file."""

    def __init__(self, home: Path, *lines: str) -> None:
        self._events = home / "events.jsonl"
        config = home / "config.py"
        config.write_text("\n".join([_CONFIG.format(events=str(self._events)), *lines]))
        self.server = Server(home, f"--config={config}")

    def events(self) -> list[dict[str, Any]]:
        lines = self._events.read_text().splitlines() if self._events.exists() else []
        events = [json.loads(line) for line in lines]
        return [e for e in events if e["__schema__"].startswith("https://events.spack-kernel.dev/")]

    def event(self, action: str) -> dict[str, Any]:
        """Wait for the one event with an action."""
        deadline = time.monotonic() + 20
        while True:
            found = [event for event in self.events() if event["action"] == action]
            if found:
                (event,) = found
                return event
            assert time.monotonic() < deadline, self.server.log.read_text()
            time.sleep(0.1)

    def lines(self, action: str) -> list[str]:
        text = self.server.log.read_text()
        return [line for line in text.splitlines() if f"spack-kernel: action={action} " in line]


def test_a_start_and_a_death(demo_store: DemoStore, libensemble: str, jupyter_home: Path) -> None:
    site = Site(jupyter_home)
    server = site.server
    try:
        status, kernel = server.request("POST", "api/kernels", {"name": libensemble})
        assert status == 201
        started = site.event("start")
        assert started["hash"] == [demo_store.hash("py-libensemble")]
        assert started["spec"][0].startswith("py-libensemble@")
        assert started["store"] == str(demo_store.root)
        assert started["node"] == os.uname().nodename
        assert 0 < started["seconds"] < 60
        assert started["kernel_id"] == kernel["id"]
        assert "exit_status" not in started
        (line,) = site.lines("start")
        assert f"hash={demo_store.hash('py-libensemble')}" in line
        assert f"user={started['user']}" in line

        client = server.client(kernel["id"])
        client.execute("import os; os.write(2, b'last words\\n'); print(os.getpid(), flush=True)")
        pid = 0
        while not pid:
            message = client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                pid = int(message["content"]["text"])
        request = client.execute("import time; time.sleep(60)")
        message = {"parent_header": {}}
        while message["parent_header"].get("msg_id") != request:
            message = client.get_iopub_msg(timeout=60)
        os.kill(pid, signal.SIGKILL)
        died = site.event("die")
        assert (died["exit_status"], died["signal"]) == (-9, "SIGKILL")
        assert "killed by SIGKILL" in died["reason"]
        (line,) = site.lines("die")
        assert "signal=SIGKILL" in line
        text = server.log.read_text()
        assert "killed by SIGKILL" in text
        # The notebook gets it under the cell that was running.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            message = client.get_iopub_msg(timeout=30)
            if message["msg_type"] == "error":
                break
        assert message["parent_header"]["msg_id"] == request
        assert message["content"]["ename"] == "KernelDied"
        assert "killed by SIGKILL" in message["content"]["evalue"]
        assert site.event("restart")["hash"] == started["hash"]
        client.stop_channels()
    finally:
        server.stop()
    # A requested shutdown is not reported as a death.
    assert len(site.lines("die")) == 1


def test_an_exit_status_is_told(libensemble: str, jupyter_home: Path) -> None:
    site = Site(jupyter_home)
    try:
        _, kernel = site.server.request("POST", "api/kernels", {"name": libensemble})
        client = site.server.client(kernel["id"])
        client.execute("import os; os._exit(3)")
        died = site.event("die")
        assert died["exit_status"] == 3
        assert "signal" not in died
        assert "exit status 3" in died["reason"]
        client.stop_channels()
    finally:
        site.server.stop()


def test_a_refusal(write_kernel: WriteKernel, demo_store: DemoStore, jupyter_home: Path) -> None:
    write_kernel("gone", spec="py-nonesuch", store=str(demo_store.root))
    write_kernel("bad", spec="py-numpy", plan_timeout="x")
    site = Site(jupyter_home)
    try:
        status, _ = site.server.request("POST", "api/kernels", {"name": "gone"})
        assert status != 201
        refused = site.event("refuse")
        assert (refused["spec"], refused["hash"]) == (["py-nonesuch"], [])
        assert refused["store"] == str(demo_store.root)
        assert "no installed spec" in refused["reason"] or "py-nonesuch" in refused["reason"]
        assert len(site.lines("refuse")) == 1
        assert site.server.request("POST", "api/kernels", {"name": "bad"})[0] == 500
        assert len(site.lines("refuse")) == 2
        assert "`plan_timeout`" in site.events()[-1]["reason"]
    finally:
        site.server.stop()


def test_a_handler_that_fails_stops_no_kernel(libensemble: str, jupyter_home: Path) -> None:
    site = Site(
        jupyter_home,
        "handler.emit = lambda record: 1 / ('spack-kernel.dev' not in str(record.msg))",
    )
    try:
        assert site.server.request("POST", "api/kernels", {"name": libensemble})[0] == 201
        assert "no event was emitted" in site.server.log.read_text()
    finally:
        site.server.stop()
    assert site.events() == []


def test_debug_lines_tell_why(demo_store: DemoStore, libensemble: str, jupyter_home: Path) -> None:
    server = Server(jupyter_home, "--debug")
    try:
        assert server.request("POST", "api/kernels", {"name": libensemble})[0] == 201
        text = server.log.read_text()
    finally:
        server.stop()
    for layer, reason in (
        ("spack.database", f"read {demo_store.root}/.spack-db/index.json"),
        ("spack.store", f"opened the store {demo_store.root}"),
        ("spack.load", "specs in the closure"),
        ("kernels.planner", "the request is pinned to py-libensemble@"),
        ("kernels.plan", "the Python is "),
        ("kernels.plan", "ipykernel "),
    ):
        assert [line for line in text.splitlines() if layer in line and reason in line], reason


def test_without_logging_nothing_is_imported_for_it() -> None:
    code = (
        "import sys; from spack_kernel._log import debugger; debugger('spack_kernel.x')('a %s', 1);"
        "print('logging' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_lines_of_the_library(demo_store: DemoStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spack_kernel")
    request = KernelRequest(spec="py-numpy@2.1.3", stores=(str(demo_store.root),))
    Planner().plan(request)
    assert "spack_kernel.spack.query.search" in {record.name for record in caplog.records}
    assert "the query 'py-numpy@2.1.3' of the request names py-numpy@2.1.3/" in caplog.text
