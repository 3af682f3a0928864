"""Starts that have failed, which a Jupyter server that stops would otherwise wait for.

jupyter_client keeps a start among the pending kernels until it succeeds. When jupyter_server stops,
it fails on those that have not, and goes on running until it gets a second signal.
"""

from __future__ import annotations

import asyncio
from typing import Any

#: Seconds after which a start that fails at once has failed.
_SOON = 0.25


def leave_pending_kernels(managers: Any, kernel_id: str | None) -> None:
    """Remove a start from the pending kernels, unless the manager works with them.

    Parameters
    ----------
    managers : MultiKernelManager or None
        What starts the kernel.
    kernel_id : str or None
        The kernel.
    """
    if not _uses_pending_kernels(managers):
        getattr(managers, "_pending_kernels", {}).pop(kernel_id, None)


def forget_failed_starts(managers: Any) -> None:
    """Remove what has failed from the pending kernels, a moment later.

    Parameters
    ----------
    managers : MultiKernelManager or None
        What starts the kernels of a server.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if managers is not None and not _uses_pending_kernels(managers):
        loop.call_later(_SOON, _forget, managers)


def _forget(managers: Any) -> None:
    pending = getattr(managers, "_pending_kernels", {})
    for kernel_id, task in list(pending.items()):
        if task.done() and kernel_id not in managers:
            pending.pop(kernel_id, None)


def _uses_pending_kernels(managers: Any) -> bool:
    return bool(getattr(managers, "_using_pending_kernels", bool)())
