"""Kernels that are offered without being installed, and the ones that `sync` installs."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import (
        Mistake as Mistake,
        SiteConfiguration as SiteConfiguration,
        manager_path as manager_path,
    )
    from .manager import SpackKernelSpecManager as SpackKernelSpecManager
    from .sync import (
        Change as Change,
        Wanted as Wanted,
        synchronize as synchronize,
        wanted_kernels as wanted_kernels,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "configuration": "Mistake SiteConfiguration manager_path",
        "manager": "SpackKernelSpecManager",
        "sync": "Change Wanted synchronize wanted_kernels",
    },
)
