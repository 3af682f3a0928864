"""The variables of a job for the kernel in it, and so for the programs that the kernel starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables with which sbatch and srun would reach into the programs that the kernel starts.
_EXPORT = ("SLURM_EXPORT_ENV", "SBATCH_EXPORT")

#: The variables of a step that are true of the whole job. Others have the same names and describe
#: the step; `srun` asks the controller for what it does not find.
_OF_JOB = frozenset(
    [
        "SLURM_CLUSTER_NAME",
        "SLURM_CONF",
        "SLURM_JOBID",
        "SLURM_JOB_ACCOUNT",
        "SLURM_JOB_GID",
        "SLURM_JOB_ID",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_QOS",
        "SLURM_JOB_UID",
        "SLURM_JOB_USER",
        "SLURM_SUBMIT_DIR",
        "SLURM_SUBMIT_HOST",
    ]
)


def job_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a kernel from those of its node runner.

    In a step, the shape of the step is left out: `srun` in the kernel can then use the whole job.

    Parameters
    ----------
    environment : mapping of str to str
        The variables of the node runner.
    """
    kept = {name: value for name, value in environment.items() if name not in _EXPORT}
    # The batch script is no numbered step: that variable is srun's.
    if not environment.get("SLURM_STEP_ID", "").isdecimal():
        return kept
    return {
        name: value
        for name, value in kept.items()
        if not name.startswith(("SLURM_", "SRUN_", "PMI")) or name in _OF_JOB
    }
