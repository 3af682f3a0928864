"""Kernels started as jupyter_client starts them: environment, interrupt, restart, shutdown."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jupyter_client.ioloop.manager import AsyncIOLoopKernelManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets.config import Config

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.provisioner.provisioner import SpackProvisioner
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.places import DOCS

Start = Callable[..., Running]


def test_jupyter_knows_the_provisioner() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "provisioners"],
        capture_output=True,
        text=True,
        check=True,
    )
    output = done.stdout + done.stderr  # up to jupyter_client 8.0 it is logged
    known = dict(line.split() for line in output.splitlines() if len(line.split()) == 2)
    assert known["spack-provisioner"] == "spack_kernel.jupyter.provisioner:SpackProvisioner"
    assert known["spack-slurm-provisioner"] == "spack_kernel.jupyter.slurm:SpackSlurmProvisioner"


def test_a_kernel_computes_in_the_specs_environment(
    libensemble: str, demo_store: DemoStore, start: Start
) -> None:
    _, client = start(libensemble)
    code = "import libensemble, ipykernel, sys; print(libensemble.__file__, ipykernel.__file__)"
    ours, companion = execute(client, code).split()
    assert demo_store.hash("py-libensemble") in ours
    assert demo_store.hash("py-ipykernel") in companion


@pytest.mark.parametrize("config", [{}, {"start_image": False}, {"import_index": False}])
def test_a_second_start_imports_from_an_image(
    write_kernel: WriteKernel,
    demo_store: DemoStore,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    config: dict[str, bool],
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    directory = tmp_path / "node"
    write_kernel(
        "imaged",
        spec="py-libensemble",
        store=str(demo_store.root),
        image_directory=str(directory),
        **config,
    )
    code = (
        "import libensemble, sys\n"
        "print([len(f.image.modules) > 100 for f in sys.meta_path if hasattr(f, 'image')])"
    )
    manager, client = start("imaged")
    assert execute(client, code) == ("[False]" if not config else "[]")
    manager.shutdown_kernel()
    deadline = time.monotonic() + (30 if not config else 2)
    while not list(directory.glob("*/start-*.img")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bool(list(directory.glob("*/start-*.img"))) == (not config)
    _, client = start("imaged")
    assert execute(client, code) == ("[True]" if not config else "[]")
    threads = (
        "import threading; print([t.name for t in threading.enumerate() if 'spack' in t.name])"
    )
    assert execute(client, threads) == "[]"


def test_nothing_of_the_server_is_in_the_kernel(
    libensemble: str, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('leaked')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{os.environ['PATH']}")
    _, client = start(libensemble)
    code = (
        "import os, sys, numpy\n"
        f"print([p for p in sys.path if p.startswith(({sys.prefix!r}, {str(tmp_path)!r}))],\n"
        f"      {sys.prefix + '/bin'!r} in os.environ['PATH'].split(':'),\n"
        "      os.environ.get('VIRTUAL_ENV'), 'JPY_PARENT_PID' in os.environ)"
    )
    assert execute(client, code) == "[] False None True"


def test_variables_of_kernelspec_trait_and_server(
    write_kernel: WriteKernel,
    demo_store: DemoStore,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/me/start.py")
    write_kernel(
        "variables",
        hash=demo_store.hash("py-libensemble"),
        store=str(demo_store.root),
        env={"FROM_TRAIT": "${HOME}/x", "BOTH": "trait"},
        kernel_env={"FROM_SPEC": "${FROM_TRAIT}", "BOTH": "kernelspec"},
        keep_env=["PYTHONSTARTUP"],
        user_site=False,
    )
    _, client = start("variables")
    code = (
        "import os, site; print(*map(os.environ.get, ('FROM_TRAIT', 'FROM_SPEC', 'BOTH', "
        "'PYTHONSTARTUP')), site.ENABLE_USER_SITE)"
    )
    home = os.environ["HOME"]
    expected = f"{home}/x {home}/x kernelspec /me/start.py False"
    assert execute(client, code).splitlines()[-1] == expected


def test_what_a_site_configures_holds_and_the_kernelspec_wins(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start
) -> None:
    config = Config()
    config.SpackProvisioner.store = str(demo_store.root)
    config.SpackProvisioner.env = {"SITE": "1"}
    config.SpackProvisioner.start_timeout = 1.0
    write_kernel("site", hash=demo_store.hash("py-libensemble"), start_timeout=20.0)
    manager, client = start("site", config=config)
    assert execute(client, "import os; print(os.environ['SITE'])") == "1"
    assert isinstance(manager.provisioner, SpackProvisioner)
    assert manager.provisioner.start_timeout == 20.0


def test_the_kernelspecs_own_arguments_reach_the_kernel(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start
) -> None:
    argv = ["/usr/bin/python3", "-B", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    write_kernel(
        "arguments",
        [*argv, "--IPKernelApp.exec_lines=chosen = 42"],
        hash=demo_store.hash("py-libensemble"),
        store=str(demo_store.root),
    )
    _, client = start("arguments")
    assert execute(client, "import sys; print(chosen, sys.flags.dont_write_bytecode)") == "42 1"


def test_any_kernel_of_the_closure_may_be_named(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start, tmp_path: Path
) -> None:
    """A command other than Python runs unchanged in the loaded environment."""
    script = tmp_path / "kernel.sh"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m ipykernel_launcher "$@"\n')
    script.chmod(0o755)
    write_kernel(
        "script",
        [str(script), "-f", "{connection_file}"],
        hash=demo_store.hash("py-libensemble"),
        store=str(demo_store.root),
        companion="none",
        env={"PYTHONPATH": ""},
    )
    _, client = start("script")
    assert execute(client, "import sys; print(sys.executable)") == sys.executable


# -- signals and ends ------------------------------------------------------------------------------


def pids_below(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_an_interrupt_reaches_a_child_of_the_kernel(libensemble: str, start: Start) -> None:
    manager, client = start(libensemble)
    provisioner = manager.provisioner
    assert isinstance(provisioner, SpackProvisioner)
    assert provisioner.pid is not None
    before = set(pids_below(provisioner.pid))
    # Popen returns when the child runs sleep: an interrupt before that gets lost in the child.
    code = "import subprocess; c = subprocess.Popen(['sleep', '600']); print('up'); c.wait()"
    message = client.execute(code)
    while client.get_iopub_msg(timeout=30)["content"].get("text") != "up\n":
        pass
    assert set(pids_below(provisioner.pid)) > before
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    while reply["parent_header"].get("msg_id") != message:
        reply = client.get_shell_msg(timeout=30)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert eventually(lambda: set(pids_below(provisioner.pid)) <= before)
    assert execute(client, "print('alive')") == "alive"


def test_a_restart_is_another_process_with_the_same_connection(
    libensemble: str, start: Start
) -> None:
    manager, client = start(libensemble)
    first = execute(client, "import os; x = 1; print(os.getpid())")
    connection = Path(manager.connection_file).read_text()
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    assert execute(client, "print('x' in globals(), os.getpid() if 'os' in globals() else '')") == (
        "False"
    )
    second = execute(client, "import os; print(os.getpid())")
    assert first != second
    assert Path(manager.connection_file).read_text() == connection
    assert not psutil.pid_exists(int(first))


def test_a_crash_is_answered_with_a_restart(libensemble: str) -> None:
    async def crash() -> tuple[int, int, list[str]]:
        manager = AsyncIOLoopKernelManager(kernel_name=libensemble)
        events: list[str] = []
        await manager.start_kernel()
        manager.add_restart_callback(lambda: events.append("restart"), "restart")
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            assert isinstance(manager.provisioner, SpackProvisioner)
            first = manager.provisioner.pid
            client.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
            for _ in range(200):
                await asyncio.sleep(0.1)
                if manager.provisioner.pid != first:
                    break
            client.stop_channels()
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(timeout=60)
            second = manager.provisioner.pid
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
        assert first is not None
        assert second is not None
        return first, second, events

    first, second, events = asyncio.run(crash())
    assert first != second
    assert events == ["restart"]
    assert not psutil.pid_exists(second)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kernels", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_many_kernels_in_a_row_leave_nothing(
    libensemble: str, jupyter_home: Path, kernels: int
) -> None:
    async def one() -> None:
        manager = AsyncKernelManager(kernel_name=libensemble)
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=False)

    async def row(count: int) -> None:
        for _ in range(count):
            await one()

    asyncio.run(row(1))  # created only once: threads, caches, the library's sockets
    gc.collect()
    children = set(pids_below(os.getpid()))
    files, threads = open_files(), threading.active_count()
    asyncio.run(row(kernels))
    gc.collect()
    assert set(pids_below(os.getpid())) <= children
    assert list((jupyter_home / "runtime").iterdir()) == []
    assert eventually(lambda: open_files() <= files + 2)
    assert threading.active_count() <= threads + 8

    from jupyter_client.connect import LocalPortCache

    assert LocalPortCache.instance().currently_used_ports == set()


def test_connection_files_are_private(libensemble: str, start: Start) -> None:
    manager, _ = start(libensemble)
    assert stat.S_IMODE(Path(manager.connection_file).stat().st_mode) & 0o077 == 0


def test_the_ipc_transport(libensemble: str, start: Start) -> None:
    manager, client = start(libensemble, transport="ipc")
    assert execute(client, "print(6 * 7)") == "42"
    assert manager.transport == "ipc"


def test_a_kernels_stderr_still_reaches_the_servers(
    libensemble: str, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    _, client = start(libensemble)
    execute(client, "import os; os.system('echo from a child >&2'); os.write(2, b'raw\\n')")
    errors = ""

    def seen() -> bool:
        nonlocal errors
        errors += capfd.readouterr().err
        return "raw" in errors

    assert eventually(seen)


def test_a_stderr_the_caller_gives_is_used(
    libensemble: str, tmp_path: Path, jupyter_home: Path
) -> None:
    manager = KernelManager(kernel_name=libensemble)
    with (tmp_path / "log").open("w") as log:
        manager.start_kernel(stderr=log)
    manager.shutdown_kernel(now=True)
    assert isinstance(manager.provisioner, SpackProvisioner)
    assert manager.provisioner._tail is None


def test_what_another_process_needs_to_take_over(
    libensemble: str, demo_store: DemoStore, start: Start
) -> None:
    manager, _ = start(libensemble)
    provisioner = manager.provisioner
    assert isinstance(provisioner, SpackProvisioner)
    info = asyncio.run(provisioner.get_provisioner_info())
    assert info["spack_hashes"] == [demo_store.hash("py-libensemble")]
    assert info["pid"] == provisioner.pid
    assert json.loads(json.dumps(info, default=lambda value: value.decode()))
    other = SpackProvisioner(kernel_id="x", kernel_spec=manager.kernel_spec, parent=manager)
    asyncio.run(other.load_provisioner_info(info))
    assert (other.pid, other.pgid) == (provisioner.pid, provisioner.pgid)


def test_a_pid_that_ignores_sigterm_is_killed(libensemble: str, start: Start) -> None:
    manager, client = start(libensemble)
    manager.shutdown_wait_time = 1.0
    execute(client, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    pid = int(execute(client, "import os; print(os.getpid())"))
    client.execute("while True: pass")
    manager.shutdown_kernel()
    assert not psutil.pid_exists(pid)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN


# -- the documentation ----------------------------------------------------------------------------

PAGE = DOCS / "provisioner.md"


def test_every_trait_has_help_and_a_row_in_the_documentation() -> None:
    text = PAGE.read_text()
    for name, trait in SpackProvisioner.class_traits(config=True).items():
        assert trait.help, name
        assert f"| `{name}` |" in text, name


def test_every_removed_variable_is_in_the_documentation() -> None:
    from spack_kernel.kernels.interpreters.environment_filter import REMOVED_NAMES

    text = PAGE.read_text()
    assert [name for name in REMOVED_NAMES if f"`{name}`" not in text] == []
