"""What a kernel loads: specs, a Spack environment, a view or modules."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernel_source import KernelSource as KernelSource
    from .site_modules import SETTINGS as SETTINGS, module_changes as module_changes
__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "kernel_source": "KernelSource",
        "site_modules": "SETTINGS module_changes",
    },
)
