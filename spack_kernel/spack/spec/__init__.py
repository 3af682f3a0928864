"""Concrete specs, their versions, targets and dependencies."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .spec import (
        Arch as Arch,
        Compiler as Compiler,
        Dependency as Dependency,
        External as External,
        Spec as Spec,
    )
    from .traversal import ALL_DEPTYPES as ALL_DEPTYPES
    from .versions import Version as Version

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "spec": "Arch Compiler Dependency External Spec",
        "traversal": "ALL_DEPTYPES",
        "versions": "Version",
    },
)
