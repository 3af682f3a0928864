"""A restart that somebody ends before it is complete: a server that stops, or a user.

jupyter_client does not expect that: it asks the future `KernelManager.ready` for an exception while
it is pending, and sets its result twice. Each raises an error, and a server that is stopping then
goes on running.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

#: Seconds in which a restart that was given up ends; the end of a kernel can take five.
_PATIENCE = 15.0

_INTERVAL = 0.01


class _Ready(asyncio.Future[None]):
    """A future that can be asked for its exception while it is pending."""

    def exception(self) -> BaseException | None:
        """Return the exception; None if there is none yet."""
        return super().exception() if self.done() else None


class Restart:
    """One restart of a kernel: its end, and the start that follows.

    Parameters
    ----------
    manager : KernelManager or None
        Its manager, which restarts it in the running task.

    Attributes
    ----------
    is_given_up : bool
        Whether somebody wants the kernel to end instead.
    """

    def __init__(self, manager: Any) -> None:
        self.is_given_up = False
        self._manager = manager
        self._task = asyncio.current_task()
        self._is_over = False
        self._futures: list[_Ready] = []
        self.begin_phase()

    def begin_phase(self) -> None:
        """Note that the manager has put another future in place, for the end or the start."""
        former = getattr(self._manager, "_ready", None)
        if isinstance(former, asyncio.Future) and not former.done():
            ready = self._manager._ready = _Ready()
            ready.add_done_callback(lambda ready: _copy(ready, former))
            self._futures.append(ready)

    def over(self) -> None:
        """Note that the start has succeeded or failed; the manager then completes the future."""
        self._is_over = True

    async def give_up(self) -> None:
        """End the restart, if it is in progress in another task, and wait for that."""
        if self.is_complete() or asyncio.current_task() is self._task:
            return
        self.is_given_up = True
        deadline = time.monotonic() + _PATIENCE
        # The manager has put a future there for what it does now; the restart completes it.
        while not (self._task is None or self._task.done()) and time.monotonic() < deadline:
            if self._is_over and self._manager._ready.done():
                break
            await asyncio.sleep(_INTERVAL)
        for ready in self._futures:
            if not ready.done():
                ready.set_result(None)
        self._manager._ready = asyncio.get_running_loop().create_future()

    def is_complete(self) -> bool:
        """Return whether nothing of it goes on."""
        if self._task is None or self._task.done():
            return True
        return self._is_over and all(ready.done() for ready in self._futures)


def _copy(done: asyncio.Future[None], other: asyncio.Future[None]) -> None:
    if other.done():
        return
    with contextlib.suppress(asyncio.CancelledError):
        error = done.exception()
        if error is None:
            other.set_result(None)
        else:
            other.set_exception(error)
            other.exception()  # whoever waits gets it; nobody has to
        return
    other.cancel()
