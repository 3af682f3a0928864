"""One JupyterLab for the tests in this directory, with kernels from the demo store."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from spack_kernel import demo
from spack_kernel.jupyter.kernelspecs.files import InstalledKernelSpec, install_kernelspec
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from tests.browser.desktop import HIDE_KERNELS, Lab, ask_nothing
from tests.browser.processes import ServerProcess, free_port
from tests.cloned_store import ClonedStore


class LabServer:
    """A separate JupyterLab that sees only the kernels in one directory."""

    def __init__(self, home: Path) -> None:
        self.kernels = home / "share" / "jupyter" / "kernels"
        self._prefix = home
        self._token = secrets.token_hex(16)
        self._workspaces = 0
        work = home / "work"
        configuration = home / "configuration"
        settings = configuration / "lab" / "user-settings"
        for directory in (work, self.kernels, configuration):
            directory.mkdir(parents=True)
        (configuration / "jupyter_server_config.py").write_text(HIDE_KERNELS)
        ask_nothing(settings)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        if os.geteuid() == 0:
            command.append("--allow-root")
        self.process = ServerProcess(
            command,
            env={
                **os.environ,
                "HOME": str(home),
                "JUPYTER_CONFIG_DIR": str(configuration),
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
    ) -> InstalledKernelSpec:
        """Install a kernel for the newest versions of some packages in a store."""
        store = Store.open(root)
        specs = [max(store.named(name), key=lambda spec: spec.version) for name in names]
        return install_kernelspec(
            plan_kernel(store, specs),
            query=query,
            display_name=display_name,
            prefix=self._prefix,
        )

    def new_workspace(self) -> str:
        """Return the address of an unused workspace."""
        self._workspaces += 1
        return f"{self.url}lab/workspaces/{self._workspaces}?token={self._token}"

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


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab; check that it leaves no process behind."""
    server = LabServer(tmp_path_factory.mktemp("lab"))
    yield server
    left = server.process.stop()
    assert not left, f"these outlived JupyterLab: {left}"


@pytest.fixture(scope="package")
def ensembles(lab_server: LabServer, demo_store: demo.DemoStore) -> InstalledKernelSpec:
    """Return a kernel for py-libensemble and py-matplotlib, with a companion ipykernel."""
    return lab_server.install(
        demo_store.root, "py-libensemble", "py-matplotlib", display_name="Ensembles 1.5"
    )


@pytest.fixture
def lab(lab_server: LabServer, page: Page) -> Iterator[Lab]:
    """Return JupyterLab in a page, not opened yet, so that a test can install kernels first."""
    lab = Lab(page, lab_server.new_workspace())
    yield lab
    lab_server.shut_down_kernels(page)


@pytest.fixture
def clone(demo_store: demo.DemoStore, tmp_path: Path) -> ClonedStore:
    """Return a store that the test can change."""
    return ClonedStore(demo_store, tmp_path / "store")


@pytest.fixture
def install(lab_server: LabServer) -> Iterator[Callable[..., InstalledKernelSpec]]:
    """Return `LabServer.install`; remove the installed kernelspecs after the test."""
    made: list[InstalledKernelSpec] = []

    def install(root: Path, *names: str, **options: str) -> InstalledKernelSpec:
        made.append(lab_server.install(root, *names, **options))
        return made[-1]

    yield install
    for kernel in made:
        for path in Path(kernel.resource_dir).iterdir():
            path.unlink()
        Path(kernel.resource_dir).rmdir()
