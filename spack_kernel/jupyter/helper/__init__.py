"""The helper: a process of its own that answers a server's questions about one store.

The server itself never touches a store, so a file system that hangs cannot hold it up. `client` is
the server's side, `process` the helper's, `messages` what they say to each other, and `answers`
how the helper finds its answers.
"""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .answers import prepare as prepare
    from .client import ask as ask, close as close, look_through_helper as look_through_helper
    from .messages import (
        AddKernel as AddKernel,
        Complete as Complete,
        Diagnose as Diagnose,
        Diagnosis as Diagnosis,
        ListEnvironments as ListEnvironments,
        ListKernels as ListKernels,
        Prepare as Prepare,
        Prepared as Prepared,
        Question as Question,
        RemoveKernel as RemoveKernel,
        Search as Search,
        ShowKernel as ShowKernel,
        Survey as Survey,
        Surveyed as Surveyed,
        as_json as as_json,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "answers": "prepare",
        "client": "ask close look_through_helper",
        "messages": (
            "AddKernel Complete Diagnose Diagnosis ListEnvironments ListKernels Prepare Prepared "
            "Question RemoveKernel Search ShowKernel Survey Surveyed as_json"
        ),
    },
)
