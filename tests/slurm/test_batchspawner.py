"""A server in a Slurm job, as batchspawner starts it, and `srun` in a cell."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from spack_kernel.kernels.interpreters.environment_filter import REMOVED_NAMES
from tests.browser.processes import wait_until

from .cluster import SlurmCluster
from .hub import Hub

#: Where two tasks find numpy, on which nodes.
_SRUN = """
import subprocess, sys
code = "import numpy, os, socket; print(socket.gethostname(), numpy.__file__)"
command = ["srun", "--nodes=2", "--ntasks=2", sys.executable, "-c", code]
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
print(done.stdout)
"""


@pytest.fixture(scope="module")
def kernel(hub: Hub) -> str:
    """Return a kernel of a spec, in a server in a job."""
    hub.start_server()
    status, found = hub.request("GET", f"user/{hub.account.name}/api/kernelspecs")
    assert status == 200, found
    (name,) = [name for name in found["kernelspecs"] if "libensemble" in name]
    return hub.start_kernel(name)


def processes(hub: Hub) -> list[str]:
    """Return what the user runs, on any node."""
    found = []
    for process in psutil.process_iter(["uids", "cmdline"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == hub.account.uid:
            found.append(" ".join(process.info["cmdline"] or ["?"]))
    return found


def test_srun_in_a_cell_runs_with_the_packages_of_the_spec(hub: Hub, kernel: str) -> None:
    printed = hub.execute(kernel, _SRUN)
    lines = sorted(printed.split("\n"))
    store = f"{hub.account.home.parent.parent}/sw/spack/opt/spack/"
    assert [line.split()[0] for line in lines if line] == ["n1", "n2"], printed
    assert all(line.split()[1].startswith(store) for line in lines if line), printed


def test_it_would_not_with_what_batchspawner_sets(hub: Hub, kernel: str) -> None:
    code = "import os\nprint(open(f'/proc/{os.getppid()}/environ').read().split('\\0'))"
    server = hub.execute(kernel, code)
    assert "SLURM_EXPORT_ENV=" in server
    listed = server.partition("SLURM_EXPORT_ENV=")[2].partition("'")[0]
    hub.execute(kernel, f"import os; os.environ['SLURM_EXPORT_ENV'] = '{listed}'")
    printed = hub.execute(kernel, _SRUN)
    assert "No module named 'numpy'" in printed
    hub.execute(kernel, "del os.environ['SLURM_EXPORT_ENV']")


def test_the_variables_of_the_job_reach_the_kernel(hub: Hub, kernel: str) -> None:
    names = [name for name in REMOVED_NAMES if name.startswith(("SLURM", "SRUN", "SBATCH"))]
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['SLURM_JOB_NUM_NODES'])"
    assert hub.execute(kernel, code).split() == ["1", "2"]
    assert hub.execute(kernel, f"print(set({names}) & set(os.environ))").strip() == "set()"


def test_a_restart_of_the_hub_leaves_the_kernel_alone(
    hub: Hub, cluster: SlurmCluster, kernel: str
) -> None:
    hub.execute(kernel, "x = 42")
    hub.stop()
    assert len(cluster.jobs()) == 1
    hub.start()
    assert hub.execute(kernel, "print(x)") == "42\n"


def test_nothing_is_left_after_the_stop(hub: Hub, cluster: SlurmCluster, kernel: str) -> None:
    path = hub.execute(kernel, "import ipykernel; print(ipykernel.get_connection_file())").strip()
    assert hub.account.run("stat", "--format=%a", path) == "600\n"
    assert processes(hub)
    hub.stop_server()
    wait_until(lambda: not cluster.jobs(), "the end of the job", 30)
    assert processes(hub) == []
    assert not list(hub.account.home.rglob("kernel-*.json"))
    sockets = Path("/tmp").glob("spack-kernel-ipc-*")
    assert not [path for path in sockets if path.stat().st_uid == hub.account.uid]
