"""File systems that hang, kernels that are silent, starts that are cancelled: with real ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.multikernelmanager import AsyncMultiKernelManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter import helper
from spack_kernel.jupyter.errors import HelperError, SlowStoreError
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.helper import Prepare, Prepared
from spack_kernel.jupyter.offers import Look, OfferFilter
from spack_kernel.jupyter.provisioner.spawn import Spawn
from spack_kernel.kernels.request import KernelRequest
from tests.cloned_store import ClonedStore
from tests.hanging_store import HangingStore
from tests.jupyter.conftest import WriteKernel, execute
from tests.jupyter.server import Server

DISCOVERY = (
    "--ServerApp.kernel_spec_manager_class=spack_kernel.jupyter.discovery.SpackKernelSpecManager"
)


@pytest.fixture
def hanging(tmp_path: Path, demo_store: DemoStore) -> Iterator[HangingStore]:
    store = HangingStore(demo_store, tmp_path / "sw")
    yield store
    store.unmount()


@pytest.fixture(autouse=True)
def _no_helpers_left() -> Iterator[None]:
    yield
    helper.close()


def helpers(store: Path, role: str = "helper") -> list[psutil.Process]:
    """Return the helper processes of a store, of any server."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if any(word.startswith(f"spack-kernel {role} of {store}") for word in words):
            found.append(process)
    return found


def kernels() -> set[psutil.Process]:
    """Return the children of this process that could be kernels."""
    return {
        process
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and process.name() != "bindfs"
    }


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def question(store: Path, **options: Any) -> Prepare:
    request = KernelRequest(spec="py-libensemble", stores=(str(store),), **options)
    return Prepare(request=request, base=dict(os.environ), command=["python", "-m", "x"])


class TestHelper:
    def test_it_answers_and_stays_the_same_process(
        self, demo_store: DemoStore, tmp_path: Path
    ) -> None:
        root = ClonedStore(demo_store, tmp_path / "sw").root
        stores = [str(root)]
        for _ in range(3):
            answer, _ = helper.ask(stores, question(root), 60).result()
            assert isinstance(answer, Prepared)
            assert answer.head[0].endswith(("python3", f"python3.{sys.version_info[1]}"))
            assert len(helpers(root)) == 1
        (process,) = helpers(root)
        assert process.ppid() != os.getpid()  # nothing that counts our children meets it
        helper.close()
        until(lambda: not helpers(root))

    def test_one_that_is_killed_is_asked_again(self, hanging: HangingStore) -> None:
        hanging.hang()
        asked = helper.ask([str(hanging.root)], question(hanging.root), 60)
        until(lambda: helpers(hanging.root))
        time.sleep(0.3)
        (process,) = helpers(hanging.root)
        process.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        hanging.recover()
        assert isinstance(asked.result(60)[0], Prepared)

    def test_one_that_dies_again_and_again_is_an_error(self, hanging: HangingStore) -> None:
        hanging.hang()
        asked = helper.ask([str(hanging.root)], question(hanging.root), 60)
        killed = set()

        def kill() -> bool:
            for process in helpers(hanging.root):
                if process.pid not in killed:
                    killed.add(process.pid)
                    process.kill()
            return asked.done()

        until(kill)
        with pytest.raises(HelperError, match="ended while planning the kernel") as caught:
            asked.result()
        assert str(hanging.root) in str(caught.value)
        assert len(killed) == 2

    def test_a_deadline_ends_the_one_that_hangs_and_what_it_runs(
        self, hanging: HangingStore
    ) -> None:
        hanging.hang()
        started = time.monotonic()
        asked = helper.ask([str(hanging.root)], question(hanging.root), 0.7)
        with pytest.raises(SlowStoreError) as caught:
            asked.result(10)
        assert time.monotonic() - started < 3
        text = str(caught.value)
        assert "planning the kernel timed out after 0.7 s" in text
        assert f"store: {hanging.root}" in text
        assert "ask the administrators" in text
        until(lambda: not helpers(hanging.root))

    def test_others_that_it_is_asked_are_still_answered(self, hanging: HangingStore) -> None:
        stores = [str(hanging.root)]
        hanging.hang()
        short = helper.ask(stores, question(hanging.root), 0.5)
        long = helper.ask(stores, question(hanging.root), 30)
        with pytest.raises(SlowStoreError):
            short.result(10)
        hanging.recover()
        assert isinstance(long.result(30)[0], Prepared)
        assert isinstance(helper.ask(stores, question(hanging.root), 30).result()[0], Prepared)

    def test_it_ends_when_it_is_idle(
        self, demo_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = ClonedStore(demo_store, tmp_path / "sw").root
        monkeypatch.setattr(Prepare, "keep", 0.4)
        answers = [helper.ask([str(root)], question(root), 60) for _ in range(3)]
        for answer in answers:
            answer.result()
        assert len(helpers(root)) == 1
        until(lambda: not helpers(root), 5)
        assert isinstance(helper.ask([str(root)], question(root), 60).result()[0], Prepared)

    def test_a_small_process_checks_for_changes(
        self, demo_store: DemoStore, tmp_path: Path
    ) -> None:
        """A server asks every few seconds; the process that reads the store need not live on."""
        root = ClonedStore(demo_store, tmp_path / "sw").root
        look = helper.look_through_helper([str(root)], OfferFilter(), [], 60)
        assert look.listing is not None
        until(lambda: not helpers(root, "reader"))
        again = helper.look_through_helper([str(root)], OfferFilter(), look.checks, 60)
        assert again == Look(None, None, look.checks)
        assert not helpers(root, "reader")
        (watcher,) = helpers(root, "watcher")
        # It has not imported what reads a store.
        helper.ask([str(root)], question(root), 60).result()
        (reader,) = helpers(root)
        assert watcher.memory_full_info().uss < 0.8 * reader.memory_full_info().uss
        os.utime(root / ".spack-db" / "index.json")
        changed = helper.look_through_helper([str(root)], OfferFilter(), look.checks, 60)
        assert changed.listing is not None
        assert watcher.is_running()

    def test_the_check_for_changes_has_a_deadline(self, hanging: HangingStore) -> None:
        look = helper.look_through_helper([str(hanging.root)], OfferFilter(), [], 60)
        hanging.hang()
        with pytest.raises(SlowStoreError, match="checking the store for changes timed out"):
            helper.look_through_helper([str(hanging.root)], OfferFilter(), look.checks, 0.7)
        until(lambda: not helpers(hanging.root, "watcher"))

    def test_it_ends_with_its_server_however_that_ends(
        self, demo_store: DemoStore, tmp_path: Path
    ) -> None:
        root = ClonedStore(demo_store, tmp_path / "sw").root
        code = (
            "import os, signal, sys\n"
            "from spack_kernel.jupyter import helper\n"
            "from tests.jupyter.test_hangs import question\n"
            "helper.ask([sys.argv[1]], question(sys.argv[1]), 60).result()\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(root)], timeout=60)
        assert ended.returncode == -signal.SIGKILL
        until(lambda: not helpers(root))


class TestServer:
    def test_healthy_kernels_start_while_others_hang(
        self,
        hanging: HangingStore,
        libensemble: str,
        write_kernel: WriteKernel,
        jupyter_home: Path,
    ) -> None:
        write_kernel("hangs", hash=hanging.hash("py-libensemble"), store=str(hanging.root))
        server = Server(jupyter_home, DISCOVERY, "--SpackProvisioner.plan_timeout=8")
        try:
            hanging.hang()
            answers: list[tuple[int, Any]] = []
            threads = [
                threading.Thread(
                    target=lambda: answers.append(
                        server.request("POST", "api/kernels", {"name": "hangs"})
                    )
                )
                for _ in range(9)
            ]
            for thread in threads:
                thread.start()
            time.sleep(1)
            started = time.monotonic()
            status, _ = server.request("POST", "api/kernels", {"name": libensemble})
            assert status == 201
            assert time.monotonic() - started < 7  # before the others have been given up
            assert not answers
            for thread in threads:
                thread.join(30)
            assert [status for status, _ in answers] == [500] * 9
            for _, answer in answers:
                assert "planning the kernel timed out after 8 s" in answer["message"]
                assert str(hanging.root) in answer["message"]
            hanging.recover()
            time.sleep(1)
            children = psutil.Process(server.process.pid).children(recursive=True)
            assert len(children) == 1
            status, _ = server.request("POST", "api/kernels", {"name": "hangs"})
            assert status == 201
        finally:
            hanging.recover()
            server.stop()
        assert not helpers(hanging.root)

    @pytest.mark.parametrize("pending", [False, True])
    def test_a_server_ends_at_once_while_a_start_hangs(
        self, hanging: HangingStore, write_kernel: WriteKernel, jupyter_home: Path, pending: bool
    ) -> None:
        write_kernel("hangs", hash=hanging.hash("py-libensemble"), store=str(hanging.root))
        option = f"--AsyncMappingKernelManager.use_pending_kernels={pending}"
        server = Server(jupyter_home, DISCOVERY, option)
        hanging.hang()

        def start() -> None:
            with contextlib.suppress(OSError, ValueError):
                server.request("POST", "api/kernels", {"name": "hangs"})

        thread = threading.Thread(target=start)
        thread.start()
        until(lambda: helpers(hanging.root))
        time.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - began < 5, server.log.read_text()
        thread.join(10)
        until(lambda: not helpers(hanging.root))
        assert list(server.runtime.glob("kernel-*.json")) == []

    def test_a_server_ends_at_once_after_a_start_that_failed(
        self, demo_store: DemoStore, write_kernel: WriteKernel, jupyter_home: Path
    ) -> None:
        write_kernel("gone", hash="zzzzzzz", store=str(demo_store.root))
        write_kernel("bad", spec="py-numpy", plan_timeout="x")
        server = Server(jupyter_home, DISCOVERY)
        for name, expected in (("gone", 500), ("bad", 500), ("spack-py-nope-abcdefg", 404)):
            assert server.request("POST", "api/kernels", {"name": name})[0] == expected
        time.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - began < 5, server.log.read_text()

    @pytest.mark.parametrize("end", ["server", "kernel"])
    @pytest.mark.parametrize("moment", [0.3, 3.5])
    def test_a_restart_that_hangs_can_be_ended(
        self,
        hanging: HangingStore,
        write_kernel: WriteKernel,
        jupyter_home: Path,
        end: str,
        moment: float,
    ) -> None:
        write_kernel("hangs", hash=hanging.hash("py-libensemble"), store=str(hanging.root))
        server = Server(jupyter_home, DISCOVERY)
        status, kernel = server.request("POST", "api/kernels", {"name": "hangs"})
        assert status == 201, kernel
        hanging.hang()

        def restart() -> None:
            with contextlib.suppress(OSError, ValueError):
                server.request("POST", f"api/kernels/{kernel['id']}/restart")

        thread = threading.Thread(target=restart)
        thread.start()
        time.sleep(moment)  # the old kernel is ending, or the new one is being planned
        began = time.monotonic()
        if end == "kernel":
            status, _ = server.request("DELETE", f"api/kernels/{kernel['id']}")
            assert status == 204, server.log.read_text()
            assert server.request("GET", "api/kernels")[1] == []
            assert time.monotonic() - began < 7
            began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - began < 7, server.log.read_text()
        hanging.recover()
        thread.join(10)
        until(lambda: not helpers(hanging.root))
        assert list(server.runtime.glob("kernel-*.json")) == []

    def test_a_notebook_that_is_no_file_is_an_error_at_once(
        self, demo_store: DemoStore, libensemble: str, jupyter_home: Path
    ) -> None:
        server = Server(jupyter_home, DISCOVERY)
        try:
            os.mkfifo(jupyter_home / "home" / "n.ipynb")
            (jupyter_home / "home" / "giant.ipynb").touch()
            os.truncate(jupyter_home / "home" / "giant.ipynb", 1 << 40)
            for name, reason in (("n", "not a regular file"), ("giant", "larger than 512 MiB")):
                body = {"path": f"{name}.ipynb", "name": f"{name}.ipynb", "type": "notebook"}
                body["kernel"] = {"name": "spack-notebook"}  # type: ignore[assignment]
                began = time.monotonic()
                status, answer = server.request("POST", "api/sessions", body)
                assert (status, time.monotonic() - began < 10) == (500, True)
                assert reason in str(answer), answer
        finally:
            server.stop()


class TestExecution:
    def test_a_program_that_cannot_be_read_in_time_never_comes_to_life(
        self, hanging: HangingStore
    ) -> None:
        program = hanging.root / "program"
        program.write_text("#!/bin/sh\nsleep 60\n")
        program.chmod(0o755)
        hanging.hang()

        async def start() -> None:
            options = {"env": dict(os.environ), "cwd": "/"}
            await Spawn([str(program)], options).process(0.5)

        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(start())
        hanging.recover()
        time.sleep(1)
        until(lambda: not kernels())

    def test_a_kernel_that_never_listens_is_an_error(
        self, demo_store: DemoStore, write_kernel: WriteKernel
    ) -> None:
        command = "echo starting >&2; echo waiting for a licence >&2; sleep 60"
        write_kernel(
            "silent",
            argv=["/bin/sh", "-c", command, "{connection_file}"],
            hash=demo_store.hash("py-libensemble"),
            store=str(demo_store.root),
            start_timeout=1.5,
        )
        manager = KernelManager(kernel_name="silent")
        with pytest.raises(KernelStartError) as caught:
            manager.start_kernel()
        text = str(caught.value)
        assert "did not listen on its ports within 1.5 s" in text
        assert "| waiting for a licence" in text
        assert "start_timeout" in text
        until(lambda: not kernels())
        assert not Path(manager.connection_file).exists()

    @pytest.mark.parametrize("channel", range(5))
    def test_a_port_that_was_taken_is_replaced(
        self, libensemble: str, channel: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            find = LocalPortCache.find_available_port
            calls: list[int] = []

            def find_or_take(self: LocalPortCache, ip: str) -> int:
                calls.append(taken if len(calls) == channel else find(self, ip))
                return calls[-1]

            monkeypatch.setattr(LocalPortCache, "find_available_port", find_or_take)
            manager = KernelManager(kernel_name=libensemble, cache_ports=True)
            manager.start_kernel()
            try:
                assert len(calls) == 10
                assert taken not in manager.ports
                client = manager.client()
                client.start_channels()
                client.wait_for_ready(60)
                assert execute(client, "print(6 * 7)") == "42"
                client.stop_channels()
            finally:
                manager.shutdown_kernel(now=True)
        assert LocalPortCache.instance().currently_used_ports == set()


def cancelled(moments: list[float], start: Callable[[], Any]) -> None:
    """Start kernels and cancel each start at a moment; check that nothing is left."""

    async def run() -> None:
        for moment in moments:
            task = asyncio.ensure_future(start())
            await asyncio.sleep(moment)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(1.5)

    asyncio.run(run())
    until(lambda: not kernels(), 5)
    assert LocalPortCache.instance().currently_used_ports == set()


class TestCancelled:
    MOMENTS = tuple(0.02 * i for i in range(1, 30, 2))

    def test_by_a_manager_of_one(self, libensemble: str, jupyter_home: Path) -> None:
        # Some starts complete; they are running kernels, and known.
        managers: list[AsyncKernelManager] = []

        async def start() -> None:
            manager = AsyncKernelManager(kernel_name=libensemble)
            await manager.start_kernel()
            await manager.shutdown_kernel(now=True)

        cancelled([m for m in self.MOMENTS if m < 0.3], start)
        assert not managers

    def test_by_a_manager_of_many_which_does_not_know_it_yet(
        self, libensemble: str, jupyter_home: Path
    ) -> None:
        managers = AsyncMultiKernelManager()

        async def start() -> None:
            kernel_id = await managers.start_kernel(kernel_name=libensemble)
            await managers.shutdown_kernel(kernel_id, now=True)

        cancelled([m for m in self.MOMENTS if m < 0.3], start)

    def test_by_a_time_limit_of_the_caller(self, libensemble: str, jupyter_home: Path) -> None:
        async def start() -> None:
            with contextlib.suppress(asyncio.TimeoutError):
                manager = AsyncKernelManager(kernel_name=libensemble)
                await asyncio.wait_for(manager.start_kernel(), random.uniform(0.05, 0.35))
                await manager.shutdown_kernel(now=True)

        async def run() -> None:
            await asyncio.gather(*(start() for _ in range(6)))
            await asyncio.sleep(1.5)

        asyncio.run(run())
        until(lambda: not kernels(), 5)
        assert not list((jupyter_home / "runtime").glob("kernel-*.json"))

    def test_while_the_store_hangs(
        self, hanging: HangingStore, write_kernel: WriteKernel, jupyter_home: Path
    ) -> None:
        write_kernel("hangs", hash=hanging.hash("py-libensemble"), store=str(hanging.root))
        hanging.hang()

        async def start() -> None:
            await AsyncKernelManager(kernel_name="hangs").start_kernel()

        cancelled([0.3, 0.3], start)
        hanging.recover()
        time.sleep(1)
        assert not kernels()
