"""SpackSlurmProvisioner: starts a kernel of Spack specs in a job of Slurm."""

from __future__ import annotations

from spack_kernel.jupyter.provisioner import Place, SpackProvisioner

from .place import JobPlace
from .traits import JobTraits


class SpackSlurmProvisioner(SpackProvisioner, JobTraits):
    """Starts a kernel of Spack specs in a job of Slurm.

    It has all traits of `SpackProvisioner`. Those that begin with ``slurm_``, and those that say
    how the nodes are reached, are set in the site's configuration alone.
    """

    def make_place(self) -> Place:
        """Return where the kernel runs: in a job."""
        return JobPlace(self)
