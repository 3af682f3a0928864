"""Kernels in jobs, as Jupyter starts them; and what of them is left on machine and nodes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from spack_kernel.demo import DemoStore

from .cluster import SlurmCluster

#: Seconds for which tests wait for what comes soon.
SOON = 60.0


class Manager(AsyncKernelManager):
    """A manager of one kernelspec that is in no directory."""

    spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec


class JobKernel:
    """A kernel in a job, with a client.

    Parameters
    ----------
    demo : DemoStore
        The store, unless the kernelspec names another.
    home : Path
        A directory for the files of Jupyter and of jobs.
    site : dict
        The site's configuration of `SpackSlurmProvisioner`.
    config
        The configuration of the kernelspec.
    """

    def __init__(
        self, demo: DemoStore, home: Path, site: dict[str, Any] | None = None, **config: Any
    ) -> None:
        settings = {"job_directory": str(home / "jobs"), "lease": 5.0, **(site or {})}
        self.manager = Manager(
            connection_file=str(home / f"kernel-{time.monotonic_ns()}.json"),
            config=Config(SpackSlurmProvisioner=settings),
        )
        named = {} if "spec" in config or "hash" in config else {"spec": "py-libensemble"}
        stanza = {
            "provisioner_name": "spack-slurm-provisioner",
            "config": {"store": str(demo.root), **named, **config},
        }
        self.manager.spec = KernelSpec(
            argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="in a job",
            language="python",
            interrupt_mode="signal",
            metadata={"kernel_provisioner": stanza},
        )
        self.client: AsyncKernelClient | None = None
        self._is_shut_down = False

    @property
    def provisioner(self) -> Any:
        return self.manager.provisioner

    @property
    def job(self) -> str:
        return str(self.provisioner._place._job.job)

    async def start(self, **kwargs: Any) -> None:
        await self.manager.start_kernel(**kwargs)
        await self.connect()

    async def connect(self, timeout: float = SOON) -> None:
        """Connect anew, as front ends do after a restart: nothing of an earlier kernel is left."""
        if self.client is not None:
            self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=timeout)

    async def run(self, code: str, timeout: float = SOON) -> Cell:
        """Run a cell to its end."""
        cell = self.send(code)
        await cell.end(timeout)
        return cell

    def send(self, code: str) -> Cell:
        assert self.client is not None
        return Cell(self.client, self.client.execute(code))

    async def text(self, code: str) -> str:
        """Run a cell, and return what it prints."""
        cell = await self.run(code)
        assert not cell.error, cell.error
        return cell.text

    async def shut_down(self) -> None:
        if self._is_shut_down:
            return
        self._is_shut_down = True
        if self.client is not None:
            self.client.stop_channels()
        if self.manager.provisioner is not None:
            await self.manager.shutdown_kernel()


class Cell:
    """A cell that was sent to a kernel."""

    def __init__(self, client: AsyncKernelClient, identifier: str) -> None:
        self._client, self._identifier = client, identifier
        self.text = self.error = ""
        #: What it shows in the notebook.
        self.shown: list[str] = []
        self.is_idle = False

    async def take(self, timeout: float) -> bool:
        """Take one message; return whether it was one of this cell."""
        message = await self._client.get_iopub_msg(timeout=timeout)
        if message["parent_header"].get("msg_id") != self._identifier:
            return False
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self.text += content["text"]
        elif kind in ("display_data", "update_display_data"):
            self.shown.append(content["data"]["text/plain"])
        elif kind == "clear_output":
            self.shown.append("")
        elif kind == "error":
            self.error += "\n".join(content["traceback"])
        elif kind == "status":
            self.is_idle = content["execution_state"] == "idle"
        return True

    async def until(self, condition: Callable[[Cell], bool], timeout: float = SOON) -> None:
        deadline = time.monotonic() + timeout
        while not condition(self):
            await self.take(max(0.1, deadline - time.monotonic()))

    async def end(self, timeout: float = SOON) -> None:
        await self.until(lambda cell: cell.is_idle, timeout)


async def until(condition: Callable[[], bool], timeout: float = SOON) -> float:
    """Wait for a condition, and return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout, "time is up"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def left_on_nodes(cluster: SlurmCluster) -> list[int]:
    """Return the processes of ours on the nodes."""
    return [
        pid
        for node in ("n1", "n2")
        for text in ("ipykernel", "slurm.runner")
        for pid in cluster.pids(node, text)
    ]


def relays() -> list[int]:
    """Return the relays of this cluster on this machine: another test run may have its own."""
    cluster = f"SLURM_CONF={os.environ['SLURM_CONF']}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            line = (directory / "cmdline").read_bytes()
            own = cluster in (directory / "environ").read_bytes().split(b"\0")
            state = (directory / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if (
            b"spack-kernel relay of" in line
            and own
            and state not in "ZX"
            and int(directory.name) != os.getpid()
        ):
            found.append(int(directory.name))
    return found
