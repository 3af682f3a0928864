"""Kernels in jobs of Slurm: the provisioner, the relay beside the server, the node runner."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .form import JobField as JobField, job_form as job_form
    from .options import (
        JobOptions as JobOptions,
        job_options as job_options,
        option_of as option_of,
    )
    from .provisioner import SpackSlurmProvisioner as SpackSlurmProvisioner
    from .traits import JobTraits as JobTraits

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "form": "JobField job_form",
        "options": "JobOptions job_options option_of",
        "provisioner": "SpackSlurmProvisioner",
        "traits": "JobTraits",
    },
)
