"""Spack's configuration: YAML files in scopes."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config as Config

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "config": "Config",
    },
)
