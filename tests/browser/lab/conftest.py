"""One JupyterLab for the tests in this directory, with kernels from the demo store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from spack_kernel import demo
from spack_kernel.jupyter.kernelspecs.files import InstalledKernelSpec
from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.cloned_store import ClonedStore


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
