"""What the picker shows: search results, completions, and the preview of a kernel."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .completion import (
        Completion as Completion,
        Completions as Completions,
        complete as complete,
    )
    from .front_end import FrontEndExtension as FrontEndExtension
    from .kernel_preview import Preview as Preview, preview as preview
    from .picker import Picker as Picker
    from .results import Group as Group, Results as Results, Row as Row

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "completion": "Completion Completions complete",
        "front_end": "FrontEndExtension",
        "picker": "Picker",
        "kernel_preview": "Preview preview",
        "results": "Group Results Row",
    },
)
