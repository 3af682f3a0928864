"""Kernels that are offered without being installed, and the ones that `sync` installs."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .manager import SpackKernelSpecManager as SpackKernelSpecManager
    from .sync import (
        Change as Change,
        Wanted as Wanted,
        configured_manager as configured_manager,
        synchronize as synchronize,
        wanted_kernels as wanted_kernels,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "manager": "SpackKernelSpecManager",
        "sync": "Change Wanted configured_manager synchronize wanted_kernels",
    },
)
