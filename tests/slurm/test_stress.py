"""Many kernels at once, and many faults: each kernel ends well, and no job or process is left."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore

from .cluster import SlurmCluster
from .kernels import JobKernel, left_on_nodes, relays, until

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.timeout(1800)]

_KERNELS = 20

_FAULTS = 100

#: How many kernels suffer faults at the same time.
_AT_ONCE = 5


@pytest.fixture(autouse=True)
def _environment(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.use(monkeypatch)


def _leaves_nothing(cluster: SlurmCluster) -> None:
    async def wait() -> None:
        await until(lambda: not [*cluster.jobs(), *left_on_nodes(cluster), *relays()])

    asyncio.run(wait())


def test_twenty_kernels_at_once(
    cluster: SlurmCluster, demo_store: DemoStore, tmp_path: Path
) -> None:
    async def one(number: int) -> str:
        kernel = JobKernel(demo_store, tmp_path, {"lease": 30.0}, start_timeout=300.0)
        try:
            await kernel.start()
            code = f"import os, numpy; print({number}, os.uname().nodename)"
            return (await kernel.run(code, timeout=300)).text  # it may wait in the queue
        finally:
            await kernel.shut_down()

    async def scenario() -> list[str]:
        return list(await asyncio.gather(*map(one, range(_KERNELS))))

    lines = [line.split() for line in asyncio.run(scenario())]
    assert [int(number) for number, _ in lines] == list(range(_KERNELS))
    assert {node for _, node in lines} == {"n1", "n2"}
    _leaves_nothing(cluster)


class Faults:
    """The faults of one kernel; each returns when the kernel answers, with a value or a reason."""

    def __init__(self, cluster: SlurmCluster, kernel: JobKernel) -> None:
        self._cluster, self._kernel = cluster, kernel

    def all(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.job_is_canceled,
            self.kernel_is_killed,
            self.runner_is_killed,
            self.runner_is_stopped,
            self.relay_is_killed,
            self.interrupted,
            self.restarted,
            self.restarted_twice,
        ]

    async def job_is_canceled(self) -> None:
        await asyncio.to_thread(self._cluster.run, "scancel", self._kernel.job)
        await self._over()

    async def runner_is_killed(self) -> None:
        self._signal(await self._pid("os.getppid()"), signal.SIGKILL)
        await self._over()

    async def runner_is_stopped(self) -> None:
        self._signal(await self._pid("os.getppid()"), signal.SIGSTOP)
        await self._over()

    async def relay_is_killed(self) -> None:
        os.kill(self._kernel.provisioner._place._job.pid, signal.SIGKILL)
        await self._restart_of_jupyter()
        await self._over()

    async def kernel_is_killed(self) -> None:
        self._signal(await self._pid("os.getpid()"), signal.SIGKILL)
        await self._restart_of_jupyter()

    async def interrupted(self) -> None:
        cell = self._kernel.send("import time; print('on'); time.sleep(100)")
        await cell.until(lambda cell: cell.text == "on\n")
        await self._kernel.manager.interrupt_kernel()
        await cell.end()
        assert "KeyboardInterrupt" in cell.error

    async def restarted(self) -> None:
        await self._restart()

    async def restarted_twice(self) -> None:
        await self._kernel.manager.restart_kernel()
        await self._restart()

    async def _over(self) -> None:
        """The job has ended: the kernel says so, and a restart asks for another."""
        while not (error := (await self._kernel.run("1")).error):
            await asyncio.sleep(0.2)
        assert "Restart the kernel" in error
        await self._restart()

    async def _restart(self) -> None:
        await self._kernel.manager.restart_kernel()
        await self._kernel.connect(120)

    async def _restart_of_jupyter(self) -> None:
        """Restart as Jupyter's restarter does."""
        while await self._kernel.manager.is_alive():
            await asyncio.sleep(0.1)
        await self._kernel.manager.restart_kernel(now=True)
        await self._kernel.connect(120)

    async def _pid(self, expression: str) -> tuple[str, int]:
        text = await self._kernel.text(f"import os; print(os.uname().nodename, {expression})")
        node, pid = text.split()
        return node, int(pid)

    def _signal(self, of: tuple[str, int], number: int) -> None:
        self._cluster.signal(*of, number)


def test_a_hundred_faults(cluster: SlurmCluster, demo_store: DemoStore, tmp_path: Path) -> None:
    chance = random.Random(15)
    suffered: list[str] = []

    async def one(seed: int) -> None:
        own = random.Random(seed)
        kernel = JobKernel(demo_store, tmp_path, {"lease": 8.0}, start_timeout=300.0)
        try:
            await kernel.start()
            faults = Faults(cluster, kernel).all()
            for _ in range(_FAULTS // _AT_ONCE):
                fault = own.choice(faults)
                suffered.append(fault.__name__)
                await asyncio.wait_for(fault(), 240)
                assert await kernel.text("print(6 * 7)") == "42\n", fault.__name__
        finally:
            await kernel.shut_down()

    async def scenario() -> None:
        await asyncio.gather(*(one(chance.randrange(10**6)) for _ in range(_AT_ONCE)))

    asyncio.run(scenario())
    assert len(suffered) == _FAULTS
    _leaves_nothing(cluster)
