"""What the server and the relay of a kernel tell each other, as lines of JSON on a socket."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from spack_kernel.jupyter.helper import Prepare

#: The longest line that is accepted, in bytes; the first names all variables of a server.
_LONGEST = 16 * 1024 * 1024


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The job to submit, or to join.

    Attributes
    ----------
    options : list of str
        Options of sbatch, or of srun for a step in a job that exists.
    job_id : str
        The job to join; empty to submit one.
    directory : str
        A directory of the user's that the nodes share; the relay makes one in it for each job.
    python : list of str
        The command that runs the node runner, without its last argument.
    queue_timeout : float
        Seconds that the job may wait for its nodes; 0 for no limit.
    lease : float
        Seconds after which relay and node runner give each other up.
    address : str
        The address of this machine for the nodes; empty to find it.
    ports : (int, int)
        The first and the last port that may be used; (0, 0) for any.
    """

    options: list[str]
    job_id: str = ""
    directory: str
    python: list[str]
    queue_timeout: float
    lease: float
    address: str = ""
    ports: tuple[int, int] = (0, 0)


# -- what the server tells --


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open the kernel's ports, submit the job, and start the kernel in it.

    Attributes
    ----------
    name : str
        What the kernel is of, for people.
    connection : dict
        The content of the connection file.
    job : JobRequest
        The job.
    question : Prepare
        What to plan on the node.
    command : list of str
        The kernel's command, with ``{connection_file}``.
    transport : {"ipc", "tcp"}
        How the kernel is reached on the node.
    """

    name: str
    connection: dict[str, Any]
    job: JobRequest
    question: Prepare
    command: list[str]
    transport: str


class Again(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start the kernel again, in the same job.

    Attributes
    ----------
    start : int
        Counts the starts; that of `Begin` is 0.
    question, command
        As for `Begin`.
    """

    start: int
    question: Prepare
    command: list[str]


class SendSignal(msgspec.Struct, frozen=True, tag=True):
    """Send a signal to the kernel and its children.

    Attributes
    ----------
    number : int
        Its number.
    """

    number: int


class EndJob(msgspec.Struct, frozen=True, tag=True):
    """End the kernel, the job and the relay."""


# -- what the relay tells --


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel is not there yet.

    Attributes
    ----------
    job : str
        The number of the job; empty before it is submitted.
    text : str
        What it waits for, for people.
    node : str
        The node; empty while the job is pending.
    """

    job: str = ""
    text: str
    node: str = ""


class KernelUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel answers.

    Attributes
    ----------
    start : int
        The start that has led to it.
    job, node : str
        Its job and its node.
    """

    start: int
    job: str
    node: str


class KernelDown(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel has ended; its job goes on.

    Attributes
    ----------
    start : int
        The start that had led to it.
    status : int
        Its exit status; negative: the signal that ended it.
    """

    start: int
    status: int


class JobOver(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """There is no job any more; the relay answers in the place of the kernel.

    Attributes
    ----------
    error : dict
        Why; see `SpackKernelError.as_dict`.
    """

    error: dict[str, Any]


FromServer = Begin | Again | SendSignal | EndJob
FromRelay = Waiting | KernelUp | KernelDown | JobOver


def line_of(body: FromServer | FromRelay) -> bytes:
    """Return a message as a line."""
    return json.dumps(msgspec.to_builtins(body)).encode("ascii") + b"\n"


class Lines:
    """Takes messages from what was received."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[FromServer | FromRelay]:
        """Return the messages that `data` completes.

        Raises
        ------
        ValueError
            When something is not a message.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            raise ValueError("a line of the relay is too long")
        either: Any = FromServer | FromRelay
        return [msgspec.convert(json.loads(line), either) for line in lines]
