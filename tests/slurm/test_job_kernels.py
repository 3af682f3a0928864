"""Kernels in jobs of a real Slurm: they start, wait, are interrupted, restart and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.provisioner import history
from spack_kernel.jupyter.provisioner.kernel_history import Start

from .cluster import SlurmCluster
from .kernels import JobKernel, left_on_nodes, relays, until

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

MakeKernel = Callable[..., JobKernel]


@pytest.fixture(autouse=True)
def _environment(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process use the cluster; nothing is left of a test in it."""
    cluster.use(monkeypatch)
    yield
    deadline = time.monotonic() + 30
    while (left := [*cluster.jobs(), *left_on_nodes(cluster), *relays()]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    assert not left, f"these are left: {left}\n{cluster.logs()}"


@pytest.fixture
def kernel(demo_store: DemoStore, tmp_path: Path) -> MakeKernel:
    """Return what makes a kernel in a job."""

    def make(site: dict[str, Any] | None = None, **config: Any) -> JobKernel:
        return JobKernel(demo_store, tmp_path, site, **config)

    return make


def run(scenario: Any) -> None:
    """Run a scenario; each ends its kernel, whatever happens."""
    asyncio.run(scenario)


class Running:
    """A kernel that runs while a context lasts."""

    def __init__(self, kernel: JobKernel, *, start: bool = True, **kwargs: Any) -> None:
        self._kernel, self._start, self._kwargs = kernel, start, kwargs

    async def __aenter__(self) -> JobKernel:
        if self._start:
            try:
                await self._kernel.start(**self._kwargs)
            except BaseException:
                await self._kernel.shut_down()
                raise
        return self._kernel

    async def __aexit__(self, *_: object) -> None:
        await self._kernel.shut_down()


def test_it_computes_on_the_node_in_the_environment_of_the_spec(
    cluster: SlurmCluster,
    kernel: MakeKernel,
    demo_store: DemoStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        computing = kernel()
        caplog.set_level(logging.INFO, logger=computing.manager.log.name)
        async with Running(computing, cwd=str(tmp_path)) as running:
            code = "import os, numpy; print(os.uname().nodename, numpy.__file__, os.getcwd())"
            node, file, directory = (await running.text(code)).split()
            assert node in ("n1", "n2")
            assert f" node={node} " in "".join(
                line for line in caplog.messages if "action=start" in line
            )
            assert file.startswith(f"{demo_store.root}/")
            assert directory == str(tmp_path)
            job = await running.text("print(os.environ['SLURM_JOB_ID'])")
            assert job.strip() == running.job
            assert cluster.state(running.job) == "RUNNING"
            info = await running.provisioner.get_provisioner_info()
            assert info["slurm_job"] == running.job

    run(scenario())
    asyncio.run(_gone(tmp_path / "jobs"))


def test_a_node_keeps_the_start_image_for_the_next_kernel(kernel: MakeKernel) -> None:
    find = (
        "import glob, os, sys, time\n"
        "places = (os.environ.get('XDG_RUNTIME_DIR', '/nowhere') + '/spack-kernel',"
        " f'/tmp/spack-kernel-{os.getuid()}')\n"
        "while not (found := [f for p in places for f in glob.glob(f'{p}/start-*.img')]):\n"
        "    time.sleep(0.1)\n"
        "print(found)"
    )

    async def scenario() -> None:
        async with Running(kernel()) as running:
            assert "start-" in await running.text(find)
            await running.manager.restart_kernel()
            assert running.client is not None
            await running.client.wait_for_ready(60)
            sizes = (
                "print([len(f.image.modules) > 100 for f in sys.meta_path if hasattr(f, 'image')])"
            )
            assert "[True]" in await running.text(f"import sys; {sizes}")

    run(scenario())


async def _gone(directory: Path) -> None:
    await until(lambda: not list(directory.iterdir()), 10)


def test_no_secret_can_be_read_by_others(
    cluster: SlurmCluster, kernel: MakeKernel, tmp_path: Path
) -> None:
    async def scenario() -> None:
        running = kernel({"node_python": ["/bin/sh", "-c", "sleep 60", "sh"]}, start_wait=0)
        await running.manager.start_kernel()
        try:
            (directory,) = (tmp_path / "jobs").iterdir()
            file = directory / "bootstrap.json"
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            secrets = [
                word
                for word in file.read_text().replace('"', " ").split()
                if len(word) == 40  # a key of CURVE
            ]
            assert len(secrets) == 3
            secrets.append(running.manager.session.key.decode())
            job = running.job
            seen = cluster.run("scontrol", "write", "batch_script", job, "-")
            seen += cluster.run("scontrol", "show", "job", "-d", job)
            await until(lambda: cluster.state(job) == "RUNNING")
            for process in Path("/proc").glob("[0-9]*"):
                names = ("cmdline", "environ") if process.name != str(os.getpid()) else ()
                for name in names:
                    with contextlib.suppress(OSError):
                        seen += (process / name).read_bytes().decode(errors="replace")
            assert "bootstrap.json" in seen
            assert not [secret for secret in secrets if secret in seen]
        finally:
            await running.shut_down()

    run(scenario())


def test_files_that_the_node_sees_late(kernel: MakeKernel, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        "for file; do :; done\n"  # the last argument
        'mv "$file" "$file.late"\n'
        '(sleep 3; mv "$file.late" "$file") &\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)

    async def scenario() -> None:
        began = time.monotonic()
        async with Running(kernel({"node_python": [str(python)]})) as running:
            assert await running.text("print('here')") == "here\n"
        assert time.monotonic() > began + 3

    run(scenario())


def test_the_bootstrap_file_is_gone_when_the_kernel_runs(
    kernel: MakeKernel, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with Running(kernel()):
            assert not list(tmp_path.rglob("bootstrap.json"))

    run(scenario())


def test_interrupt_restart_and_crash_keep_the_job(kernel: MakeKernel) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            job = running.job
            cell = running.send("import subprocess; print('on'); subprocess.run(['sleep', '300'])")
            await cell.until(lambda cell: cell.text == "on\n")
            await running.manager.interrupt_kernel()
            await cell.end(10)
            assert "KeyboardInterrupt" in cell.error
            await running.text("x = 1")
            await running.manager.restart_kernel()
            await running.client.wait_for_ready(60)
            cell = await running.run("x")
            assert "NameError" in cell.error
            assert running.job == job
            code = "import os; print(os.environ['SLURM_JOB_ID'])"
            cell = await running.run("import os; os.kill(os.getpid(), 9)")
            assert "SIGKILL" in cell.error
            await running.manager.restart_kernel()  # as a user does, before anything else has
            await running.client.wait_for_ready(60)
            assert (await running.text(code)).strip() == job
            for _ in range(3):
                await running.manager.restart_kernel(now=True)
            await running.client.wait_for_ready(60)
            assert (await running.text(code)).strip() == job
            cell = await running.run("import os; os.kill(os.getpid(), 11)")
            assert "SIGSEGV" in cell.error
            # As the restarter of Jupyter does.
            await until(lambda: running.provisioner._place._job.poll() is not None)
            assert not await running.manager.is_alive()
            await running.manager.restart_kernel(now=True)
            await running.client.wait_for_ready(60)
            assert (
                await running.text("import os; print(os.environ['SLURM_JOB_ID'])")
            ).strip() == job

    run(scenario())


@pytest.mark.parametrize("policy", ["auto", "required"])
def test_the_front_ends_side_is_encrypted_as_well(kernel: MakeKernel, policy: str) -> None:
    async def scenario() -> None:
        running = kernel()
        running.manager.transport_encryption = policy
        running.manager.spec.metadata["supported_encryption"] = ["curve"]
        async with Running(running):
            assert running.manager.get_connection_info()["curve_publickey"]
            job = running.job
            assert await running.text("print('secret')") == "secret\n"
            # Who has all but the keys gets no answer.
            info = running.manager.get_connection_info()
            info.update(curve_publickey=None, curve_secretkey=None)
            other = AsyncKernelClient()
            other.load_connection_info(info)
            other.start_channels()
            # Without a connection, sending would wait for one.
            other.shell_channel.socket.sndtimeo = 500
            with pytest.raises((RuntimeError, zmq.Again)):
                await other.wait_for_ready(timeout=2)
            other.stop_channels()
            await running.manager.restart_kernel()
            assert running.client is not None
            await running.client.wait_for_ready(60)
            assert await running.text("print('again')") == "again\n"
            assert running.job == job

    run(scenario())


@pytest.mark.parametrize("pause", [0.0, 0.4], ids=["at once", "one soon after the other"])
def test_restarts_that_overlap_keep_the_job(kernel: MakeKernel, pause: float) -> None:
    """An impatient user presses the button three times; Jupyter then starts three restarts."""

    async def scenario() -> None:
        async with Running(kernel()) as running:
            job = running.job

            async def restart(number: int) -> None:
                await asyncio.sleep(pause * number)
                await running.manager.restart_kernel()

            await asyncio.gather(*(restart(each) for each in range(3)), return_exceptions=True)
            await running.client.wait_for_ready(60)
            assert await running.text("print('here')") == "here\n"
            assert running.job == job

    run(scenario())


def test_shutting_down_ends_the_job_at_once(cluster: SlurmCluster, kernel: MakeKernel) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            job = running.job
        assert await until(lambda: cluster.state(job) not in ("RUNNING", "PENDING")) < 5

    run(scenario())


@pytest.fixture
def full(cluster: SlurmCluster) -> Iterator[str]:
    """Return a job that has all nodes."""
    job = cluster.fill()
    yield job
    cluster.run("scancel", job)


def test_a_cell_that_is_sent_while_the_job_waits_runs_later(
    cluster: SlurmCluster, kernel: MakeKernel, full: str
) -> None:
    async def scenario() -> None:
        async with Running(kernel(start_wait=0.5)) as running:
            cell = running.send("print('computed')")
            await cell.until(lambda cell: any("pending (Resources)" in t for t in cell.shown))
            assert running.job in cell.shown[-1]
            await running.manager.is_alive()
            (start,) = _starts(running)
            assert start.phase == "waiting"
            assert f"Job {running.job}: pending" in start.detail
            assert "py-libensemble" in start.spec
            cluster.run("scancel", full)
            await cell.end()
            assert cell.text == "computed\n"
            assert cell.shown[-1] == ""  # what it said while it waited is removed
            await running.manager.is_alive()
            assert _starts(running) == []

    run(scenario())


def test_cancelling_cancels_the_job_within_two_seconds(
    cluster: SlurmCluster, kernel: MakeKernel, full: str
) -> None:
    async def scenario() -> None:
        async with Running(kernel(start_wait=0)) as running:
            job = running.job
            assert cluster.state(job) == "PENDING"
            began = time.monotonic()
            await running.shut_down()
            await until(lambda: cluster.state(job) == "CANCELLED")
            assert time.monotonic() < began + 2

    run(scenario())


def test_an_interrupt_while_the_job_waits_ends_the_cells(kernel: MakeKernel, full: str) -> None:
    async def scenario() -> None:
        async with Running(kernel(start_wait=0)) as running:
            cell = running.send("1")
            await cell.until(lambda cell: bool(cell.shown))
            await running.manager.interrupt_kernel()
            await cell.end(10)
            assert "Interrupted" in cell.error

    run(scenario())


def test_the_queue_has_a_time_limit_of_its_own(
    cluster: SlurmCluster, kernel: MakeKernel, full: str
) -> None:
    async def scenario() -> None:
        async with Running(kernel(start_wait=0.1, queue_timeout=1.5)) as running:
            job = running.job
            cell = await running.run("1")
            assert f"job {job} did not start within 1.5 s" in cell.error
            assert "Restart the kernel to try again" in cell.error
            assert cluster.state(job) == "CANCELLED"

    run(scenario())


def _starts(kernel: JobKernel) -> list[Start]:
    identifier = kernel.manager.kernel_id
    return [start for start in history.starts() if start.kernel_id == identifier]


Fault = Callable[[SlurmCluster, JobKernel], None]


def _cancel(cluster: SlurmCluster, kernel: JobKernel) -> None:
    cluster.run("scancel", kernel.job)


def _kill_runner(cluster: SlurmCluster, kernel: JobKernel) -> None:
    for node in ("n1", "n2"):
        for pid in cluster.pids(node, "slurm.runner"):
            os.kill(pid, signal.SIGKILL)


def _fail_node(cluster: SlurmCluster, kernel: JobKernel) -> None:
    node = "n1" if cluster.pids("n1", "slurm.runner") else "n2"
    cluster.stop_one(node)
    cluster.start_node(node)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (_cancel, ("was canceled", "CANCELLED")),
        (_kill_runner, ("killed by SIGKILL", "Slurm says: FAILED")),
        (_fail_node, ("", "Slurm says")),
    ],
    ids=["scancel", "runner killed", "node failure"],
)
def test_the_notebook_says_why_a_job_has_ended_and_restart_asks_for_another(
    cluster: SlurmCluster, kernel: MakeKernel, fault: Fault, told: tuple[str, str]
) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            job = running.job
            cell = running.send("import time; print('on'); time.sleep(300)")
            await cell.until(lambda cell: cell.text == "on\n")
            fault(cluster, running)
            await cell.end(20)
            assert f"job {job}" in cell.error
            assert all(part in cell.error for part in told), cell.error
            assert "Restart the kernel" in cell.error
            # Nothing submits a job by itself: the kernel is alive, and answers with the reason.
            assert await running.manager.is_alive()
            assert (await running.run("2")).error == cell.error
            await until(lambda: not cluster.jobs(), 30)
            # The relay informs the notebook directly. The server learns it when it next checks
            # whether the kernel is alive.
            deadline = time.monotonic() + 30
            while not history.ends(running.manager.kernel_id):
                assert time.monotonic() < deadline
                assert await running.manager.is_alive()
                await asyncio.sleep(0.05)
            (end, *_) = history.ends(running.manager.kernel_id)
            assert end.error["code"] == "job-ended"
            await running.manager.restart_kernel()
            await running.client.wait_for_ready(60)
            assert await running.text("print('again')") == "again\n"
            assert running.job != job

    run(scenario())


def test_a_network_that_fails_for_a_while(cluster: SlurmCluster, kernel: MakeKernel) -> None:
    async def scenario() -> None:
        async with Running(kernel({"lease": 6.0})) as running:
            node = (await running.text("import os; print(os.uname().nodename)")).strip()
            job = running.job
            cell = running.send("import time\nfor i in range(30): print(i); time.sleep(0.1)")
            await cell.until(lambda cell: "1\n" in cell.text)
            cluster.connect(node, connected=False)
            await asyncio.sleep(2)
            cluster.connect(node, connected=True)
            await cell.end()
            assert cell.text.split() == [str(i) for i in range(30)]
            cell = running.send("import time; print('on'); time.sleep(300)")
            await cell.until(lambda cell: cell.text == "on\n")
            cluster.connect(node, connected=False)
            try:
                await cell.end(30)
            finally:
                cluster.connect(node, connected=True)
            assert f"the connection to the kernel on {node} was lost" in cell.error
            assert "no sign of life for 6 s" in cell.error
            await until(lambda: cluster.state(job) not in ("RUNNING", "COMPLETING"), 30)

    run(scenario())


def test_preemption_is_told(cluster: SlurmCluster, kernel: MakeKernel) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            cell = running.send("import time; print('on'); time.sleep(300)")
            await cell.until(lambda cell: cell.text == "on\n")
            urgent = await asyncio.to_thread(cluster.fill, "urgent")
            await cell.end()
            cluster.run("scancel", urgent)
            assert "was preempted" in cell.error
            assert "Restart the kernel to wait for nodes again." in cell.error

    run(scenario())


@pytest.mark.slow
def test_the_time_limit_is_told(kernel: MakeKernel) -> None:
    async def scenario() -> None:
        async with Running(kernel(slurm={"time": "1"})) as running:
            cell = await running.run("import time; time.sleep(300)", timeout=150)
            assert "has reached its time limit of 00:01:00" in cell.error
            assert "set `slurm.time` in the kernel.json" in cell.error

    run(scenario())


def test_a_controller_that_is_restarted_does_not_matter(
    cluster: SlurmCluster, kernel: MakeKernel
) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            cluster.stop_one("slurmctld")
            assert await running.text("print('without')") == "without\n"
            await asyncio.sleep(6)  # longer than the lease
            assert await running.text("print('still')") == "still\n"
            cluster.start_controller()
            assert await running.text("print('with')") == "with\n"

    run(scenario())


def test_a_killed_relay_ends_the_job_and_no_other_is_submitted(
    cluster: SlurmCluster, kernel: MakeKernel
) -> None:
    async def scenario() -> None:
        async with Running(kernel()) as running:
            job = running.job
            os.kill(running.provisioner._place._job.pid, signal.SIGKILL)
            await until(lambda: running.provisioner._place._job.poll() is not None)
            assert not await running.manager.is_alive()
            await running.manager.restart_kernel(now=True)  # as the restarter does
            await running.client.wait_for_ready(60)
            assert "Restart the kernel" in (await running.run("1")).error
            # The lease is 5 s.
            assert await until(lambda: cluster.state(job) != "RUNNING") < 15
            await until(lambda: not cluster.jobs(), 30)
            await running.manager.restart_kernel()
            await running.client.wait_for_ready(60)
            assert await running.text("print('again')") == "again\n"

    run(scenario())


def test_a_step_in_a_job_that_exists_leaves_the_job(
    cluster: SlurmCluster, kernel: MakeKernel
) -> None:
    options = ("-N2", "--output=/dev/null", "--wrap=sleep 600")
    job = cluster.run("sbatch", "--parsable", *options).strip()

    async def scenario() -> None:
        await until(lambda: cluster.state(job) == "RUNNING")
        async with Running(kernel(job_id=int(job))) as running:
            code = "import os; print(os.environ['SLURM_JOB_ID'])"
            assert (await running.text(code)).strip() == job
            step = "import subprocess; print(subprocess.getoutput('srun -N2 --overlap hostname'))"
            assert sorted((await running.text(step)).split()) == ["n1", "n2"]
            await running.manager.restart_kernel()
            await running.client.wait_for_ready(60)
            assert (await running.text(code)).strip() == job
        await until(lambda: not left_on_nodes(cluster), 20)
        assert cluster.state(job) == "RUNNING"

    try:
        run(scenario())
    finally:
        cluster.run("scancel", job)


@pytest.mark.parametrize(
    ("config", "site", "told"),
    [
        (
            {"slurm": {"partition": "nope"}},
            {},
            ("the job was not submitted", "invalid partition specified: nope", "sinfo -s"),
        ),
        (
            {"slurm": {"partiton": "all"}},
            {},
            ("has no option `partiton`", "Did you mean `partition`?"),
        ),
        (
            {"slurm": {"time": "9:00:00"}},
            {"slurm_limits": {"time": "8:00:00"}},
            ("at most 8:00:00 as `time`", "asked for: 9:00:00"),
        ),
        (
            {"slurm": {"account": "other"}},
            {"slurm_locked": {"account": "physics"}},
            ("the site sets the option `account`", "physics"),
        ),
        ({"slurm": {"nodes": 5}}, {}, ("would never start", "asked for: --nodes=5")),
        (
            {"slurm": {"mem": "900G"}},
            {},
            ("Memory specification can not be satisfied", "Ask for less"),
        ),
        ({"job_id": "123456"}, {}, ("no running job 123456", "squeue --me")),
        ({"spec": "py-nothing"}, {}, ("py-nothing",)),
        ({"slurm_limits": {}}, {}, ("sets `slurm_limits`", "only the site's")),
        ({}, {"ports": "many"}, ("not a range of ports: 'many'",)),
        (
            {},
            {"job_directory": "/tmp/spack-kernel-here"},
            ("could not be launched", "job_directory"),
        ),
        ({}, {"address": "192.0.2.77"}, ("192.0.2.77", ".ports", "before it started the kernel")),
        ({"job_id": "-5"}, {}, ("job_id", "not the number of a job")),
        ({"job_id": "5", "slurm": {"qos": "a"}}, {}, ("cannot have the option `qos`",)),
    ],
)
def test_what_cannot_start_says_why_within_seconds(
    kernel: MakeKernel, config: dict[str, Any], site: dict[str, Any], told: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        starting = kernel(site, **config)
        began = time.monotonic()
        with pytest.raises(KernelStartError) as caught:
            await starting.manager.start_kernel()
        assert time.monotonic() < began + 15
        assert all(part in str(caught.value) for part in told), str(caught.value)
        await starting.shut_down()

    run(scenario())


def test_without_slurm_the_message_says_so(
    kernel: MakeKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def scenario() -> None:
        starting = kernel()
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(KernelStartError, match="there is no Slurm on") as caught:
            await starting.manager.start_kernel()
        assert "Start Jupyter where `sbatch` works" in str(caught.value)
        await starting.shut_down()

    run(scenario())


def test_a_spec_that_the_node_lacks_is_told_in_our_words_from_the_node(
    cluster: SlurmCluster, demo_store: DemoStore, tmp_path: Path, kernel: MakeKernel
) -> None:
    # The nodes have a /tmp of their own.
    elsewhere = Path("/tmp") / f"spack-kernel-store-{os.getpid()}"
    elsewhere.symlink_to(demo_store.root)

    async def scenario() -> None:
        starting = kernel(store=str(elsewhere))
        with pytest.raises(KernelStartError) as caught:
            await starting.manager.start_kernel()
        assert str(elsewhere) in str(caught.value)
        await starting.shut_down()

    try:
        run(scenario())
    finally:
        elsewhere.unlink()


def test_a_full_home_is_told(kernel: MakeKernel) -> None:
    async def scenario() -> None:
        starting = kernel({"job_directory": "/dev/full/jobs"})
        with pytest.raises(KernelStartError) as caught:
            await starting.manager.start_kernel()
        assert "the job was not submitted: " in str(caught.value)
        assert "quota" in str(caught.value)
        await starting.shut_down()

    run(scenario())
