"""A JupyterHub with the configuration from the documentation, used through its REST API."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import uuid
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.accounts import Account
from tests.browser.processes import ServerProcess, free_port, wait_until
from tests.jupyter.http import send
from tests.places import DOCS

from .cluster import SlurmCluster

EXAMPLES = DOCS / "examples"

_PROXY = "['configurable-http-proxy', '--proxy-timeout=600000']"

#: What only this machine needs: where Slurm is, nodes without a name, and a token for the test.
_EXTRA = """
c.Spawner.environment["SLURM_CONF"] = {conf!r}
c.SlurmSpawner.state_exechost_re = r"\\s+n(\\d+)$"
c.SlurmSpawner.state_exechost_exp = {node!r}
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{{"name": "tests", "scopes": scopes, "services": ["tests"]}}]
"""


_UNSET = "unset SLURM_EXPORT_ENV SLURM_GET_USER_ENV\n"


class Hub:
    """A hub on this machine, which is the cluster's login node.

    Parameters
    ----------
    cluster : SlurmCluster
        Where the servers run.
    sw : Path
        The site's directory; ``spack/opt/spack`` in it is the store.
    srv : Path
        The hub's own directory, which is created.
    account : Account
        The user.
    """

    def __init__(self, cluster: SlurmCluster, sw: Path, srv: Path, account: Account) -> None:
        self.account = account
        self._cluster = cluster
        self._srv = srv
        self._token = secrets.token_hex(16)
        self._ports = [free_port() for _ in range(3)]
        self._crypt_key = secrets.token_hex(32)
        self._loop = asyncio.new_event_loop()
        self._connections: dict[str, WebSocketClientConnection] = {}
        self.url = f"http://127.0.0.1:{self._ports[0]}/"
        srv.mkdir(mode=0o700)
        programs = Path(sys.executable).parent
        etc = sw / "jupyter" / "etc"
        etc.mkdir(parents=True)
        (sw / "jupyter" / "bin").symlink_to(programs)
        network = cluster.address.rpartition(".")[0]
        extra = _EXTRA.format(
            conf=cluster.environment["SLURM_CONF"], node=rf"{network}.1\1", token=self._token
        )
        for path, directory in (
            (EXAMPLES / "jupyter_server_config.py", etc),
            (EXAMPLES / "jupyterhub_config.py", srv),
            (EXAMPLES / "jupyterhub_slurm_config.py", srv),
        ):
            text = path.read_text(encoding="utf-8")
            assert '"/sw/' in text
            text = text.replace("/sw/", f"{sw}/").replace("hub.cluster", cluster.address)
            if path.name == "jupyterhub_slurm_config.py":
                # Left to the kernels, which must do without.
                assert _UNSET in text
                text = text.replace(_UNSET, "") + extra
            (directory / path.name).write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start the hub, or start it again."""
        _, hub_port, proxy_port = self._ports
        self._process = ServerProcess(
            [
                sys.executable,
                "-m",
                "jupyterhub",
                "--config=jupyterhub_slurm_config.py",
                f"--JupyterHub.bind_url={self.url}",
                f"--JupyterHub.hub_port={hub_port}",
                f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{proxy_port}",
                f"--ConfigurableHTTPProxy.command={_PROXY}",
            ],
            env={
                "HOME": str(self._srv),
                "LANG": "C.UTF-8",
                "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
                "SLURM_CONF": self._cluster.environment["SLURM_CONF"],
                "JUPYTERHUB_CRYPT_KEY": self._crypt_key,
            },
            cwd=self._srv,
            log=self._srv / "hub.log",
        )
        self._process.wait_for(f"{self.url}hub/login")
        # The proxy answers before the hub does.
        wait_until(lambda: self.request("GET", "hub/api")[0] == 200, "the hub")

    def stop(self) -> list[str]:
        """Stop the hub; return the command lines of what outlived it."""
        self._loop.run_until_complete(self._disconnect())
        return self._process.stop()

    def logs(self) -> str:
        """Return the ends of the logs of the hub and of the server in the job."""
        logs = [self._process.log, *self.account.home.glob("jupyterhub_slurmspawner_*.log")]
        return "\n====\n".join(path.read_text(errors="replace")[-6000:] for path in logs)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request to the hub or to a server, and return the status and the JSON answer."""
        status, text = send(self.url + path, method, self._token, body)
        if status >= 400:
            return status, text.decode(errors="replace")
        return status, json.loads(text) if text else None

    def start_server(self) -> None:
        """Start the user's server in a job, and wait until it answers."""
        path = f"hub/api/users/{self.account.name}"
        status, answer = self.request("POST", path)
        assert status in (201, 409), (status, answer, self.logs())
        status, answer = self.request("POST", f"{path}/server")
        assert status in (201, 202), (answer, self.logs())

        def is_ready() -> bool:
            status, user = self.request("GET", path)
            assert status == 200, user
            server = user["servers"].get("")
            assert server is not None, self.logs()
            return bool(server["ready"])

        wait_until(is_ready, "the server in a job")

    def stop_server(self) -> None:
        """Stop the user's server, and wait until the hub says so."""
        path = f"hub/api/users/{self.account.name}"
        assert self.request("DELETE", f"{path}/server")[0] in (202, 204)
        wait_until(lambda: not self.request("GET", path)[1]["servers"], "the end of the server")

    def start_kernel(self, name: str) -> str:
        """Start a kernel in the user's server, and return its identifier."""
        path = f"user/{self.account.name}/api/kernels"
        status, answer = self.request("POST", path, {"name": name})
        assert status == 201, (answer, self.logs())
        return str(answer["id"])

    def execute(self, kernel: str, code: str) -> str:
        """Run code in a kernel, and return what it prints."""
        return self._loop.run_until_complete(asyncio.wait_for(self._execute(kernel, code), 90))

    async def _execute(self, kernel: str, code: str) -> str:
        connection = await self._connect(kernel)
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "version": "5.3"}
        header |= {"username": "", "session": number}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await connection.write_message(json.dumps({**message, "channel": "shell", "buffers": []}))
        printed = ""
        while True:
            text = await connection.read_message()
            assert text is not None, "the server closed the connection"
            got = json.loads(text)
            if got["parent_header"].get("msg_id") != number:
                continue
            if got["msg_type"] == "stream":
                printed += got["content"]["text"]
            elif got["msg_type"] == "error":
                printed += "\n".join(got["content"]["traceback"])
            elif got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                return printed

    async def _disconnect(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        await asyncio.sleep(0.2)

    async def _connect(self, kernel: str) -> WebSocketClientConnection:
        """Return the one connection to a kernel, as a notebook has it."""
        connection = self._connections.get(kernel)
        if connection is None:
            url = f"{self.url}user/{self.account.name}/api/kernels/{kernel}/channels"
            headers = {"Authorization": f"token {self._token}"}
            request = HTTPRequest(url.replace("http:", "ws:"), headers=headers)
            connection = self._connections[kernel] = await websocket_connect(request)
        return connection
