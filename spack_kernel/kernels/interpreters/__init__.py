"""The Python of a closure, its ipykernel, and what is kept out of their environment."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .encryption import METADATA as METADATA, SINCE as SINCE
    from .environment_filter import (
        DEFAULT_PATH as DEFAULT_PATH,
        clean_environment as clean_environment,
    )
    from .probe import PROBE_TIMEOUT as PROBE_TIMEOUT

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "encryption": "METADATA SINCE",
        "environment_filter": "DEFAULT_PATH clean_environment",
        "probe": "PROBE_TIMEOUT",
    },
)
