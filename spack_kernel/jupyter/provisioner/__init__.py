"""The provisioner: it starts, restarts and ends kernels for Jupyter."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernel_history import history as history
    from .provisioner import SpackProvisioner as SpackProvisioner
    from .traits import KernelTraits as KernelTraits

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "kernel_history": "history",
        "provisioner": "SpackProvisioner",
        "traits": "KernelTraits",
    },
)
