"""Start images: how a kernel reads them, has them made, and what makes them."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .image import Image as Image, count_modules as count_modules
    from .start_image import digest as digest

__getattr__, __dir__, __all__ = attach(
    __name__, {"image": "Image count_modules", "start_image": "digest"}
)
