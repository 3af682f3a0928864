"""Kernelspecs for the demo store and for small stores, in each test's own directories."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.kernelspecs.content import PROVISIONER_NAME
from tests.small_store import SmallStore

KERNEL_ARGV = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def use_directories(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Restrict Jupyter and IPython to directories below `home`."""
    for name in ("data", "runtime", "config", "ipython", "path", "home"):
        (home / name).mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(home / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    monkeypatch.setenv("JUPYTER_PATH", str(home / "path"))
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))
    monkeypatch.setenv("HOME", str(home / "home"))
    for name in ("SPACK_ROOT", "SPACK_KERNEL_STORE"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def jupyter_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only directory that Jupyter uses in this test."""
    return use_directories(tmp_path / "jupyter", monkeypatch)


WriteKernel = Callable[..., Path]


@pytest.fixture
def write_kernel(jupyter_home: Path) -> WriteKernel:
    """Return a function that writes a kernel.json and returns its path."""

    def write(name: str, argv: list[str] | None = None, **config: Any) -> Path:
        env = config.pop("kernel_env", {})
        directory = jupyter_home / "data" / "kernels" / name
        directory.mkdir(parents=True, exist_ok=True)
        stanza = {"provisioner_name": PROVISIONER_NAME, "config": config}
        content = {
            "argv": KERNEL_ARGV if argv is None else argv,
            "display_name": name,
            "language": "python",
            "env": env,
            "metadata": {"kernel_provisioner": stanza},
        }
        (directory / "kernel.json").write_text(json.dumps(content))
        return directory / "kernel.json"

    return write


@pytest.fixture
def libensemble(write_kernel: WriteKernel, demo_store: DemoStore) -> str:
    """Return the name of a kernel for py-libensemble, whose closure has no ipykernel."""
    dag_hash = demo_store.hash("py-libensemble")
    write_kernel("libensemble", hash=dag_hash, store=str(demo_store.root))
    return "libensemble"


@pytest.fixture
def broken_store(tmp_path: Path) -> SmallStore:
    """Return a store whose only Python runs but lacks everything else."""
    small = SmallStore(tmp_path / "broken")
    version = "{}.{}.{}".format(*sys.version_info[:3])
    prefix = tmp_path / "broken-python"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python3").symlink_to(sys.executable)
    small.add("python", version, prefix=prefix, external=True)
    return small


Running = tuple[KernelManager, BlockingKernelClient]


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Return a function that starts a kernel and connects to it; shut all of them down later."""
    running: list[Running] = []

    def starter(name: str, **options: Any) -> Running:
        manager = KernelManager(kernel_name=name, **options)
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        running.append((manager, client))
        client.wait_for_ready(timeout=60)
        return manager, client

    yield starter
    for manager, client in running:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def execute(client: BlockingKernelClient, code: str, timeout: float = 60) -> str:
    """Run a cell and return its output, or the text of its error."""
    parts: list[str] = []

    def take(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            parts.append(content["text"])
        elif message["msg_type"] == "error":
            parts.append("\n".join(content["traceback"]))

    client.execute_interactive(code, output_hook=take, timeout=timeout)
    return "".join(parts).strip()
