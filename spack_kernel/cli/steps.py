"""The steps of a check: how long each takes, and whether it succeeds."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Step:
    """One step of a check.

    Attributes
    ----------
    name : str
        ``resolve``, ``start``, ``answer``, ``python``, ``import MODULE`` or ``shutdown``.
    ok : bool
        Whether it succeeded.
    seconds : float
        How long it took.
    detail : str
        What was found.
    """

    name: str
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the step as JSON types."""
        return {
            "name": self.name,
            "ok": self.ok,
            "seconds": round(self.seconds, 4),
            "detail": self.detail,
        }


@dataclass
class KernelCheck:
    """The steps completed so far.

    Parameters
    ----------
    timeout : float
        The time limit of each step, in seconds.
    report : callable
        Called with each step when it ends.
    """

    timeout: float
    report: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time the code inside and report it as a step; its exceptions propagate."""
        step = Step(name)
        started = time.perf_counter()
        try:
            yield step
            step.ok = True
        finally:
            step.seconds = time.perf_counter() - started
            self.steps.append(step)
            self.report(step)
