"""A JupyterLab, or a Notebook 7, in a separate process."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from playwright.sync_api import Page

from spack_kernel.jupyter.kernelspecs.files import install_kernelspec
from spack_kernel.jupyter.kernelspecs.installed import InstalledKernelSpec
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from tests.browser.desktop import HIDE_KERNELS, ask_nothing
from tests.browser.processes import ServerProcess, free_port


class LabServer:
    """A separate JupyterLab that sees only the kernels in one directory.

    Parameters
    ----------
    home : Path
        The home directory of its user.
    configuration : str
        More lines of its configuration.
    module : {"jupyterlab", "notebook"}
        What to start.
    """

    def __init__(self, home: Path, configuration: str = "", module: str = "jupyterlab") -> None:
        self.kernels = home / "share" / "jupyter" / "kernels"
        self._prefix = home
        self._token = secrets.token_hex(16)
        self._workspaces = 0
        self.work = work = home / "work"
        directory = home / "configuration"
        settings = directory / "lab" / "user-settings"
        for each in (work, self.kernels, directory):
            each.mkdir(parents=True)
        (directory / "jupyter_server_config.py").write_text(HIDE_KERNELS + configuration)
        ask_nothing(settings)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        command = [sys.executable, "-m", module, "--no-browser"]
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        if os.geteuid() == 0:
            command.append("--allow-root")
        self.process = ServerProcess(
            command,
            env={
                **os.environ,
                "HOME": str(home),
                "JUPYTER_CONFIG_DIR": str(directory),
                "JUPYTER_DATA_DIR": str(home / "data"),
                "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
                "JUPYTER_PATH": str(self.kernels.parent),
                "JUPYTER_TOKEN": self._token,
                "JUPYTERLAB_SETTINGS_DIR": str(settings),
            },
            cwd=work,
            log=home / "server.log",
        )
        self.process.wait_for(f"{self.url}api")

    def install(
        self,
        root: Path,
        *names: str,
        query: str | None = None,
        display_name: str | None = None,
        job: dict[str, object] | None = None,
    ) -> InstalledKernelSpec:
        """Install a kernel for the newest versions of some packages in a store."""
        store = Store.open(root)
        specs = [max(store.named(name), key=lambda spec: spec.version) for name in names]
        return install_kernelspec(
            plan_kernel(store, specs),
            query=query,
            display_name=display_name,
            prefix=self._prefix,
            job=job,
        )

    def new_workspace(self, path: str = "") -> str:
        """Return the address of an unused workspace, with a file that is opened there."""
        self._workspaces += 1
        opened = f"/tree/{path}" if path else ""
        return f"{self.url}lab/workspaces/{self._workspaces}{opened}?token={self._token}"

    def address(self, path: str) -> str:
        """Return the address of a page."""
        return f"{self.url}{path}?token={self._token}"

    def request(self, page: Page, path: str, method: str = "GET") -> object:
        """Send a request to the server's REST API."""
        answer = page.request.fetch(
            f"{self.url}{path}", method=method, headers={"Authorization": f"token {self._token}"}
        )
        assert answer.ok, f"{answer.status} {answer.text()}"
        return answer.json() if answer.body() else None

    def shut_down_kernels(self, page: Page) -> None:
        """Shut down the kernels of all notebooks."""
        for session in self.request(page, "api/sessions"):
            self.request(page, f"api/sessions/{session['id']}", "DELETE")
