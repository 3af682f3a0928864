"""What package repositories say about virtual packages."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .repositories import SiteProviders as SiteProviders

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "repositories": "SiteProviders",
    },
)
