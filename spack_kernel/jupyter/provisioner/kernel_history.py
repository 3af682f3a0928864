"""What became of the kernels of this server: starts in progress, and how others ended.

Kept in memory, for front ends: a restart that fails, and a kernel that dies, reach the log only.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Literal

import msgspec

#: How many deaths and refusals are kept.
_KEPT = 200

#: Seconds after which a start that nothing was heard of again is not shown as in progress.
_FORGOTTEN = 3600.0


Phase = Literal["planning", "waiting", "starting"]


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A start in progress.

    Attributes
    ----------
    kernel_id : str
        Jupyter's identifier of the kernel.
    spec : str
        What is started, for users; empty if it is not known yet.
    phase : {"planning", "waiting", "starting"}
        What it waits for: the helper that plans it, a job, or the kernel's first answer.
    seconds : float
        How long it has taken so far.
    detail : str
        What the job waits for, in Slurm's words; empty without a job.
    """

    kernel_id: str
    spec: str
    phase: Phase
    seconds: float
    detail: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that ended although nobody asked for it, or that could not be started.

    Attributes
    ----------
    number : int
        Counts upwards in one server.
    kernel_id : str
        Jupyter's identifier of the kernel.
    action : {"die", "refuse"}
        Whether it ended, or could not be started.
    spec, hash : list of str
        The specs and their DAG hashes.
    time : float
        When, in seconds since 1970.
    exit_status : int or None
        The exit status; negative: the signal that ended it.
    signal : str
        The name of that signal.
    error : dict
        Why; see `SpackKernelError.as_dict`.
    """

    number: int
    kernel_id: str
    action: Literal["die", "refuse"]
    spec: list[str]
    hash: list[str]
    time: float
    exit_status: int | None = None
    signal: str = ""
    error: dict[str, Any]


class History:
    """The history of one server."""

    def __init__(self) -> None:
        self._starts: dict[str, tuple[float, str, Phase, str]] = {}
        self._ends: deque[End] = deque(maxlen=_KEPT)
        self._number = 0

    def begin(self, kernel_id: str, spec: str = "") -> None:
        """Note that a start begins, or what it is of."""
        self._note(kernel_id, spec, "planning")

    def planned(self, kernel_id: str, spec: str) -> None:
        """Note that a kernel is planned: now its process starts."""
        self._note(kernel_id, spec, "starting")

    def waiting(self, kernel_id: str, spec: str, detail: str, *, starts: bool) -> None:
        """Note what a kernel in a job waits for; `starts`: the job runs, and the kernel starts."""
        self._note(kernel_id, spec, "starting" if starts else "waiting", detail)

    def _note(self, kernel_id: str, spec: str, phase: Phase, detail: str = "") -> None:
        since, *_ = self._starts.get(kernel_id, (time.monotonic(),))
        self._starts[kernel_id] = since, spec, phase, detail

    def over(self, kernel_id: str) -> None:
        """Note that a start is over."""
        self._starts.pop(kernel_id, None)

    def ended(self, facts: dict[str, Any], error: dict[str, Any]) -> None:
        """Note an end; `facts` are those of an event."""
        self._number += 1
        self._ends.append(
            End(
                number=self._number,
                kernel_id=facts["kernel_id"],
                action=facts["action"],
                spec=list(facts["spec"]),
                hash=list(facts["hash"]),
                time=time.time(),
                exit_status=facts.get("exit_status"),
                signal=facts.get("signal", ""),
                error=error,
            )
        )

    def starts(self) -> list[Start]:
        """Return the starts in progress, the longest first."""
        now = time.monotonic()
        self._starts = {k: v for k, v in self._starts.items() if now - v[0] < _FORGOTTEN}
        return [
            Start(
                kernel_id=kernel_id,
                spec=spec,
                phase=phase,
                seconds=round(now - since, 3),
                detail=detail,
            )
            for kernel_id, (since, spec, phase, detail) in sorted(
                self._starts.items(), key=lambda item: item[1][0]
            )
        ]

    def ends(self, kernel_id: str = "", after: int = 0) -> list[End]:
        """Return ends, the last first.

        Parameters
        ----------
        kernel_id : str
            Only those of one kernel; empty for all.
        after : int
            Only those with a larger number.
        """
        return [
            end
            for end in reversed(self._ends)
            if end.number > after and kernel_id in ("", end.kernel_id)
        ]


#: The history of this process.
history = History()
