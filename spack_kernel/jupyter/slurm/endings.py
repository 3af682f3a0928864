"""Why a job has ended, for people: Slurm's state, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.errors import JobEndedError
from spack_kernel.kernels.exits import describe_exit
from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import JobState

_AGAIN = "Restart the kernel to ask for another job."

#: For each state: what has happened, and what to do.
_ENDINGS = {
    "TIMEOUT": (
        "has reached its time limit of {limit}",
        "Restart the kernel to ask for another job; set `slurm.time` in the kernel.json to have "
        "more time.",
    ),
    "DEADLINE": ("has reached its deadline", _AGAIN),
    "CANCELLED": ("was canceled", _AGAIN),
    "PREEMPTED": (
        "was preempted: another job with a higher priority needed its nodes",
        "Restart the kernel to wait for nodes again.",
    ),
    "NODE_FAIL": ("has lost its node {nodes}", _AGAIN),
    "BOOT_FAIL": ("has lost its node {nodes}, which could not be booted", _AGAIN),
    "OUT_OF_MEMORY": (
        "has used more memory than it had",
        "Restart the kernel to ask for another job; set `slurm.mem` in the kernel.json to have "
        "more memory.",
    ),
    "COMPLETED": ("has ended", _AGAIN),
    "FAILED": (
        "has failed with exit status {status}",
        f"{_AGAIN} If it fails again, show its output to the administrators.",
    ),
    "": (
        "is unknown to Slurm: it has ended a while ago",
        _AGAIN,
    ),
}


#: What slurmd reports as a signal if it cannot open the file of a job's output.
_NO_OUTPUT = "53"

_NOT_LAUNCHED = (
    "could not be launched on {nodes}",
    "The node may not see the directory of the job's files: ask the administrators to set\n"
    "c.SpackSlurmProvisioner.job_directory to one that nodes share (default: in your home).",
)


def ending(number: str, state: JobState, when: str, output: Sequence[str]) -> JobEndedError:
    """Return the error for a job that has ended although nobody asked for it.

    Parameters
    ----------
    number : str
        The number of the job.
    state : JobState
        What Slurm says about it.
    when : str
        When it ended, such as "before it started the kernel"; can be empty.
    output : sequence of str
        The last lines of its output, as details of an error.
    """
    what, hint = _ENDINGS.get(state.state, (f"is {state.state}", _AGAIN))
    status, _, number_of_signal = state.exit_code.partition(":")
    facts = {"limit": state.time_limit, "nodes": state.nodes, "status": status}
    if number_of_signal == _NO_OUTPUT:
        what, hint = _NOT_LAUNCHED
    elif state.state == "FAILED" and number_of_signal.strip("0"):
        what = f"has ended: {describe_exit(-int(number_of_signal))}"
    return JobEndedError(
        " ".join(word for word in (f"job {number}", what.format(**facts), when) if word),
        details=[f"  Slurm says: {_told(state)}", *output],
        hint=hint,
    )


def error_of(told: dict[str, Any]) -> SpackKernelError:
    """Return the error that another process has told as JSON; see `SpackKernelError.as_dict`."""
    error = SpackKernelError(
        str(told.get("summary")), details=told.get("details") or (), hint=told.get("hint") or ""
    )
    error.code = str(told.get("code") or error.code)
    return error


def _told(state: JobState) -> str:
    words = [
        state.state or "no such job",
        f"reason {state.reason}" if state.reason else "",
        f"on {state.nodes}" if state.nodes else "",
        f"exit code {state.exit_code}" if state.exit_code not in ("", "0:0") else "",
    ]
    return ", ".join(word for word in words if word)
