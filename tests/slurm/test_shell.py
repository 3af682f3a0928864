"""The command line in a batch job: `exec` and `show` without the variables of `sbatch --export`."""

from __future__ import annotations

import sys

import pytest

from spack_kernel.demo import DemoStore

from .cluster import SlurmCluster

_CODE = "import numpy, os; print(os.environ['SLURM_PROCID'], numpy.__file__)"


@pytest.mark.parametrize("exported", ["NONE", "HOME,LANG"])
def test_srun_under_exec_has_the_packages_of_the_spec(
    cluster: SlurmCluster, demo_store: DemoStore, exported: str
) -> None:
    command = f"{sys.executable} -m spack_kernel --store {demo_store.root}"
    script = f"""#!/bin/sh
#SBATCH --ntasks=2 --export={exported}
export PATH
{command} exec py-libensemble -- srun --ntasks=2 python3 -c "{_CODE}"
"""
    state, output = cluster.batch(script)
    assert state == "COMPLETED", output
    lines = sorted(output.splitlines())
    assert [line.split()[0] for line in lines] == ["0", "1"], output
    assert all(line.split()[1].startswith(f"{demo_store.root}/") for line in lines), output


def test_show_says_why(cluster: SlurmCluster, demo_store: DemoStore) -> None:
    command = f"{sys.executable} -m spack_kernel --store {demo_store.root}"
    script = f"#!/bin/sh\n#SBATCH --export=HOME\n{command} show py-libensemble\n"
    state, output = cluster.batch(script)
    assert state == "COMPLETED", output
    reason = output.partition("\n  SLURM_EXPORT_ENV=HOME\n")[2].splitlines()[0]
    assert reason.endswith("srun in the kernel would pass on only the variables that it lists")
