"""Kernels in jobs: compared with the same kernel here, and with what a user would do by hand.

Needs a Slurm whose nodes are idle and see the store: `python -m tests.slurm.cluster` starts one and
prints what to export. Without Slurm, the section is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpec

from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

from .launching import clean_environment, kernelspecs, manager_of
from .measure import Comparison, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_client.manager import KernelManager

_SECTION = "kernels in Slurm jobs, on idle nodes"

_HERE = "the same kernel here, through spack-provisioner"

#: How many kernels are started at once.
_MANY = 20

_TIMEOUT = 120.0


class _Running:
    """A kernel that has answered, while the context lasts."""

    def __init__(self, spec: KernelSpec) -> None:
        self.manager: KernelManager = manager_of(spec)
        self.seconds = 0.0

    def __enter__(self) -> _Running:
        began = time.perf_counter()
        self.manager.start_kernel(env=clean_environment())
        self.client = self.manager.client()
        self.client.start_channels()
        self.compute()
        self.seconds = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()

    def compute(self) -> None:
        """Return when the kernel has answered and run a cell."""
        self.client.wait_for_ready(timeout=_TIMEOUT)
        self.client.execute_interactive("answer = 1 + 1", timeout=_TIMEOUT)


def _start(spec: KernelSpec) -> float:
    with _Running(spec) as kernel:
        return kernel.seconds


def _restart(spec: KernelSpec) -> float:
    with _Running(spec) as kernel:
        began = time.perf_counter()
        kernel.manager.restart_kernel()
        kernel.compute()
        return time.perf_counter() - began


def _interrupt(spec: KernelSpec) -> float:
    with _Running(spec) as kernel:
        client = kernel.client
        client.execute("import time; print('on'); time.sleep(100)")
        while client.get_iopub_msg(timeout=_TIMEOUT)["msg_type"] != "stream":
            pass
        began = time.perf_counter()
        kernel.manager.interrupt_kernel()
        while client.get_iopub_msg(timeout=_TIMEOUT)["msg_type"] != "error":
            pass
        return time.perf_counter() - began


def _by_hand(python: str, pythonpath: str, directory: Path) -> float:
    """Start a kernel with srun, without encryption, on a node of which the address is known."""
    said = subprocess.run(
        ["scontrol", "--oneliner", "show", "node"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"NodeName=(\S+).*? NodeAddr=(\S+)", said)
    assert found is not None
    node, address = found.groups()
    file = str(directory / f"{time.monotonic_ns()}.json")
    _, connection = write_connection_file(file)  # with ports that are free here
    Path(file).write_text(json.dumps({**connection, "ip": address}))
    began = time.perf_counter()
    words = [f"--nodelist={node}", "--ntasks=1", python, "-m", "ipykernel_launcher", "-f", file]
    process = subprocess.Popen(
        ["srun", *words],
        env={**clean_environment(), "PYTHONPATH": pythonpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = BlockingKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_TIMEOUT)
        client.execute_interactive("answer = 1 + 1", timeout=_TIMEOUT)
        return time.perf_counter() - began
    finally:
        client.shutdown()
        client.stop_channels()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _jobs() -> list[str]:
    words = ["squeue", "--noheader", "--format=%i"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def _until_gone() -> float:
    began = time.perf_counter()
    while _jobs():
        time.sleep(0.05)
    return time.perf_counter() - began


def _killed(spec: KernelSpec) -> float:
    """Kill the process that has started a kernel in a job; return the seconds until it is gone."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.slurm", json.dumps(spec.to_dict())],
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    server.stdout.readline()
    server.send_signal(signal.SIGKILL)
    gone = _until_gone()
    server.wait()
    return gone


def _canceled() -> float:
    """Cancel a batch job that does nothing; return the seconds until it is gone."""
    words = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=exec sleep 600"]
    job = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    while (
        "RUNNING"
        not in subprocess.run(
            ["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, check=True
        ).stdout
    ):
        time.sleep(0.05)
    subprocess.run(["scancel", job], check=True)
    return _until_gone()


def _at_once(spec: KernelSpec) -> float:
    """Start many kernels, and return the seconds until all have answered."""
    code = json.dumps(spec.to_dict())
    began = time.perf_counter()
    servers = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.slurm", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(_MANY)
    ]
    for server in servers:
        assert server.stdout is not None
        server.stdout.readline()
    taken = time.perf_counter() - began
    for server in servers:
        server.communicate()
    return taken


def compare(root: Path, pinned: str, rounds: int) -> Iterator[Comparison]:
    """Yield the times of a kernel in a job.

    Parameters
    ----------
    root : Path
        An install tree that the nodes see.
    pinned : str
        The DAG hash of the kernel's spec.
    rounds : int
        How often to measure each.
    """
    store = Store.open(root)
    plan = plan_kernel(store, [store.get(f"/{pinned}")])
    assert plan.interpreter is not None
    python, path = plan.interpreter.path, os.pathsep.join(e.path for e in plan.pythonpath)
    here, _ = kernelspecs(root, pinned, path)
    job = KernelSpec(**here.to_dict())
    stanza = dict(here.metadata["kernel_provisioner"], provisioner_name="spack-slurm-provisioner")
    job.metadata = {"kernel_provisioner": stanza}
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix="spack-kernel-bench-") as shared:
        starts = in_turns(
            {
                "job": lambda: _start(job),
                "hand": lambda: _by_hand(python, path, Path(shared)),
                "here": lambda: _start(here),
            },
            rounds=rounds,
        )
    name = "start_kernel to the first reply, in a job"
    hand = "srun python -m ipykernel_launcher by hand, not encrypted"
    yield Comparison(_SECTION, name, hand, starts["job"], starts["hand"])
    yield Comparison(_SECTION, name, _HERE, starts["job"], starts["here"])
    pairs: dict[str, tuple[Callable[[], float], str, Callable[[], float]]] = {
        "restart in the allocation": (lambda: _restart(job), _HERE, lambda: _restart(here)),
        "interrupt": (lambda: _interrupt(job), _HERE, lambda: _interrupt(here)),
        "the server is killed, until the job is gone": (
            lambda: _killed(job),
            "scancel of a job that sleeps",
            _canceled,
        ),
        f"{_MANY} kernels at once, each from a new process": (
            lambda: _at_once(job),
            _HERE,
            lambda: _at_once(here),
        ),
    }
    for title, (ours, other, measure_other) in pairs.items():
        values = in_turns({"ours": ours, "other": measure_other}, rounds=rounds)
        yield Comparison(_SECTION, title, other, values["ours"], values["other"])


def main(spec: dict[str, object]) -> None:
    """Start a kernel, print a line when it has answered, and end with the standard input."""
    with _Running(KernelSpec(**spec)):
        print("up", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
