"""MPI tasks that a cell starts on both nodes of a job, in the environment of the kernel."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.cloned_store import ClonedStore
from tests.grown_store import from_pypi

from .cluster import SlurmCluster
from .kernels import JobKernel

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

_PROGRAM = """\
import os
from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank)
print(total, world.size, os.uname().nodename, MPI.__file__)
"""


def test_srun_in_a_cell_runs_the_kernels_python_on_both_nodes(
    cluster: SlurmCluster, demo_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("mpirun") is None:
        pytest.skip("missing component: Open MPI (Debian: apt-get install openmpi-bin)")
    cluster.use(monkeypatch)
    store = ClonedStore(demo_store, tmp_path / "store")
    key = from_pypi(store, "mpi4py==4.1.2")
    store.save()
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)

    async def scenario() -> str:
        options = {"nodes": 2, "ntasks": 4, "ntasks-per-node": 2}
        kernel = JobKernel(demo_store, tmp_path, store=str(store.root), hash=key, slurm=options)
        try:
            await kernel.start()
            code = (
                "import subprocess\n"
                "command = ['srun', '--mpi=pmix', '-n', '4', 'python3', 'program.py']\n"
                "done = subprocess.run(command, capture_output=True, text=True)\n"
                "print(done.stdout, done.stderr)"
            )
            return await kernel.text(f"import os; os.chdir({str(tmp_path)!r})\n{code}")
        finally:
            await kernel.shut_down()

    lines = [line.split() for line in asyncio.run(scenario()).splitlines() if line.strip()]
    assert len(lines) == 4, lines
    assert {(total, size) for total, size, _, _ in lines} == {("6", "4")}
    assert {node for _, _, node, _ in lines} == {"n1", "n2"}
    assert all(file.startswith(f"{store.root}/py-mpi4py-") for _, _, _, file in lines)
