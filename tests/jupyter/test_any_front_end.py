"""Front ends without provisioners: they run a kernelspec's argv and signal the process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpecManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.kernelspecs.files import install_kernelspec
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack import Store
from tests.cloned_store import ClonedStore
from tests.jupyter.conftest import Running, execute

#: Code for a cell that describes the process it runs in.
TELL = """\
import json, os, sys
print(json.dumps([sys.executable, sys.path, dict(os.environ), os.getcwd(), os.getpid()]))"""

#: Variables that jupyter_client, not the kernelspec, sets for the kernels that it starts.
OF_JUPYTER_CLIENT = {"JPY_PARENT_PID"}


@dataclass
class Started:
    """A kernel that was started from its argv."""

    process: subprocess.Popen[bytes]
    client: BlockingKernelClient


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jupyter_home: Path) -> Path:
    """Set traps in the environment and in a working directory; return the directory."""
    traps, leaked = tmp_path / "traps", tmp_path / "leaked"
    # A numpy.py next to a notebook would be the user's own; only a leaked one must not be found.
    for directory, names in {
        traps: ("json", "spack_kernel", "ipykernel", "sitecustomize"),
        leaked: ("json", "numpy", "spack_kernel", "ipykernel", "sitecustomize"),
    }.items():
        directory.mkdir()
        for name in names:
            (directory / f"{name}.py").write_text(f"raise ImportError('a trap: {name}')\n")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    python = environment / "bin" / "python"
    python.write_text("#!/bin/sh\necho the python on PATH was run >&2\nexit 3\n")
    python.chmod(0o755)
    for name, value in {
        "PYTHONPATH": str(leaked),
        "PYTHONHOME": str(environment),
        "PYTHONSTARTUP": str(leaked / "json.py"),
        "VIRTUAL_ENV": str(environment),
        "CONDA_PREFIX": str(environment),
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{environment}/lib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MAX_ENTRIES": "as it is",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(traps)
    return traps


@pytest.fixture
def install(
    jupyter_home: Path, demo_store: DemoStore, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return a function that installs a kernel for some packages and returns its name."""

    def install(*names: str, root: Path = demo_store.root, **env: str) -> str:
        store = Store.open(root)
        specs = [max(store.named(name), key=lambda spec: spec.version) for name in names]
        return install_kernelspec(
            plan_kernel(store, specs), KernelRequest(env=env or {}), user=True
        ).name

    return install


@pytest.fixture
def run_argv(jupyter_home: Path) -> Iterator[Callable[[str], Started]]:
    """Return a function that starts a kernel as VS Code does and connects to it."""
    running: list[Started] = []

    def run(name: str) -> Started:
        spec = KernelSpecManager().get_kernel_spec(name)
        path, _ = write_connection_file(str(jupyter_home / "runtime" / f"{len(running)}.json"))
        process = subprocess.Popen(
            [word.replace("{connection_file}", path) for word in spec.argv],
            # Not every front end replaces placeholders in the environment.
            env={**os.environ, **spec.env},
            start_new_session=True,
        )
        client = BlockingKernelClient(connection_file=path)
        client.load_connection_file()
        running.append(Started(process, client))
        wait_for_port(process, client.hb_port)
        client.start_channels()
        client.wait_for_ready(timeout=90)
        return running[-1]

    yield run
    for started in running:
        started.client.stop_channels()
        started.process.kill()
        started.process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the kernel listens: until then, a client considers it dead."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the kernel ended during startup"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the kernel does not listen")


def tell(client: BlockingKernelClient) -> tuple[str, list[str], dict[str, str], str, int]:
    executable, path, environment, directory, pid = json.loads(execute(client, TELL))
    return executable, path, environment, directory, pid


@pytest.mark.parametrize(
    ("names", "env"),
    [
        (["py-libensemble"], {}),
        (["py-libensemble", "py-matplotlib"], {"OMP_NUM_THREADS": "2", "DATA": "${HOME}/data"}),
        (["py-ipykernel"], {}),
    ],
    ids=["companion", "several specs", "own ipykernel"],
)
def test_the_environment_is_the_provisioners(
    names: list[str],
    env: dict[str, str],
    install: Callable[..., str],
    hostile: Path,
    run_argv: Callable[[str], Started],
    start: Callable[..., Running],
) -> None:
    name = install(*names, **env)
    started = run_argv(name)
    executable, path, environment, directory, pid = tell(started.client)
    # The kernel replaced the launcher, so signals from front ends reach the kernel.
    assert pid == started.process.pid
    assert directory == str(hostile)
    assert environment["MAX_ENTRIES"] == "as it is"
    if env:
        assert environment["DATA"] == f"{os.environ['HOME']}/data"
        assert environment["OMP_NUM_THREADS"] == "2"

    _, client = start(name)
    other = tell(client)
    assert (executable, path, directory) == (other[0], other[1], other[3])
    assert environment == {k: v for k, v in other[2].items() if k not in OF_JUPYTER_CLIENT}
    assert set(other[2]) - set(environment) == OF_JUPYTER_CLIENT


def test_the_packages_are_the_specs_in_a_hostile_place(
    install: Callable[..., str],
    hostile: Path,
    demo_store: DemoStore,
    run_argv: Callable[[str], Started],
) -> None:
    client = run_argv(install("py-libensemble")).client
    code = "import libensemble, ipykernel, json; print(libensemble.__file__, ipykernel.__file__)"
    ours, companion = execute(client, code).split()
    assert demo_store.hash("py-libensemble") in ours
    assert demo_store.hash("py-ipykernel") in companion
    # Modules next to the notebook are importable, as in every kernel, and come first.
    (hostile / "beside.py").write_text("value = 42\n")
    assert execute(client, "import beside; print(beside.value)") == "42"


def wait_for(client: BlockingKernelClient, kind: str) -> dict[str, str]:
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == kind:
            content: dict[str, str] = message["content"]
            return content


def test_an_interrupt_reaches_the_cell(
    install: Callable[..., str], run_argv: Callable[[str], Started]
) -> None:
    started = run_argv(install("py-libensemble"))
    # Otherwise the kernel aborts requests that follow soon after the error, as notebooks expect.
    code = "import time\nprint('running', flush=True)\ntime.sleep(600)"
    started.client.execute(code, stop_on_error=False)
    wait_for(started.client, "stream")
    started.process.send_signal(signal.SIGINT)
    assert wait_for(started.client, "error")["ename"] == "KeyboardInterrupt"
    while started.client.get_shell_msg(timeout=60)["msg_type"] != "execute_reply":
        continue  # replies to the client's requests while it connected
    assert execute(started.client, "print(6 * 7)") == "42"


def test_sigterm_ends_it_and_leaves_nothing(
    install: Callable[..., str], run_argv: Callable[[str], Started]
) -> None:
    started = run_argv(install("py-libensemble"))
    family = [psutil.Process(started.process.pid)]
    family += family[0].children(recursive=True)
    started.process.terminate()
    assert started.process.wait(timeout=30) == -signal.SIGTERM
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_a_shutdown_request_ends_it_in_order(
    install: Callable[..., str], run_argv: Callable[[str], Started]
) -> None:
    started = run_argv(install("py-libensemble"))
    started.client.shutdown()
    assert started.process.wait(timeout=30) == 0


def test_what_is_wrong_is_told_on_standard_error(
    install: Callable[..., str], demo_store: DemoStore, tmp_path: Path
) -> None:
    clone = ClonedStore(demo_store, tmp_path / "store")
    name = install("py-libensemble", root=clone.root)
    clone.uninstall("py-libensemble")
    argv = KernelSpecManager().get_kernel_spec(name).argv
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 1
    assert answer.stdout == ""
    lines = answer.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert "py-libensemble" in lines[0]
    assert any("No recorded package is named py-libensemble" in line for line in lines)
    assert "Traceback" not in answer.stderr
