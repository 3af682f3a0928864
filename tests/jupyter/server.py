"""A real Jupyter Server, used through its REST API."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.jupyter.http import send

TOKEN = "a-token-of-the-tests"


class Server:
    """A server in a separate process, with the test's directories."""

    def __init__(self, home: Path, *options: str) -> None:
        self.runtime = home / "runtime"
        self.log = home / "server.log"
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0"]
        settings = [f"--IdentityProvider.token={TOKEN}", "--ServerApp.allow_root=True", *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *settings], cwd=home / "home", stdout=log, stderr=log
            )
        self.url = self._wait()

    def _wait(self) -> str:
        path = self.runtime / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists():
                try:
                    url = str(json.loads(path.read_text())["url"])
                    self.url = url
                    self.request("GET", "api")
                except (ValueError, OSError):
                    pass
                else:
                    return url
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request and return the status and the JSON response."""
        status, text = send(self.url + path, method, TOKEN, body)
        return status, json.loads(text) if text or status >= 400 else None

    def client(self, kernel_id: str) -> BlockingKernelClient:
        """Return a client for one of the server's kernels."""
        client = BlockingKernelClient(
            connection_file=str(self.runtime / f"kernel-{kernel_id}.json")
        )
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        return client

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end\n{self.log.read_text()}") from None
