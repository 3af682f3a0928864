"""What a kernel loads: specs, a Spack environment, a view or modules."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernel_source import KernelSource as KernelSource, specs_source as specs_source
    from .site_modules import SETTINGS as SETTINGS, module_changes as module_changes
    from .spack_module import module_source as module_source

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "": "kernel_source",
        "kernel_source": "KernelSource specs_source",
        "site_modules": "SETTINGS module_changes",
        "spack_module": "module_source",
    },
)
