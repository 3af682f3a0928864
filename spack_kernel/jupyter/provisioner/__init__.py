"""The provisioner: it starts, restarts and ends kernels for Jupyter."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connections import address_of as address_of
    from .deaths import Death as Death, explain as explain, shown as shown
    from .fallback_kernel import FallbackKernel as FallbackKernel, Request as Request
    from .kernel_history import history as history
    from .place import Launch as Launch, News as News, Place as Place
    from .provisioner import SpackProvisioner as SpackProvisioner
    from .spawn import ENDING as ENDING, Process as Process, Spawn as Spawn
    from .startup import (
        FirstReply as FirstReply,
        is_listening as is_listening,
        is_port_taken as is_port_taken,
    )
    from .traits import KernelTraits as KernelTraits

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "connections": "address_of",
        "deaths": "Death explain shown",
        "fallback_kernel": "FallbackKernel Request",
        "kernel_history": "history",
        "place": "Launch News Place",
        "provisioner": "SpackProvisioner",
        "spawn": "ENDING Process Spawn",
        "startup": "FirstReply is_listening is_port_taken",
        "traits": "KernelTraits",
    },
)
