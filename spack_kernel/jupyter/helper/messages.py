"""What a server asks a helper, and what the helper answers."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import msgspec

from spack_kernel.jupyter.kernelspecs import Place
from spack_kernel.jupyter.offers import OfferFilter, Offers
from spack_kernel.kernels.request import KernelRequest

from .frames import framed


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for what a kernel's process needs; the answer is `Prepared`.

    Attributes
    ----------
    request : KernelRequest
        What the kernel is requested for.
    base : dict of str to str
        The environment of the server, or the one that it passes for this kernel.
    told : bool
        Whether the server passed that environment for this kernel.
    directory : str
        The kernel's working directory; empty if unknown.
    command : list of str
        The kernel's command, before the connection file is filled in.
    debug : bool
        Whether to also return the log of the planning at level DEBUG.
    """

    doing: ClassVar[str] = "planning the kernel"
    #: Seconds for which a helper that has answered this is kept, because the next may be as warm.
    keep: ClassVar[float] = 60.0

    request: KernelRequest
    base: dict[str, str]
    told: bool = False
    directory: str = ""
    command: list[str] = []
    debug: bool = False


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a kernel's process needs.

    Attributes
    ----------
    head : list of str
        The words that replace the first `replaced` words of the command.
    replaced : int
        Their number.
    environment : dict of str to str
        All variables of the process.
    name : str
        What the kernel is loaded from, for messages.
    specs : list of (str, str)
        Label and DAG hash of each root.
    stores : list of str
        The install trees: the local one, then its upstreams.
    unencrypted : str
        Why the connection to its ipykernel cannot be encrypted; empty when it can.
    python_hash : str
        The DAG hash of the Python that an ipykernel must be installed for; empty without one.
    notes : list of (str, str)
        Topic and text of each note of the plan.
    log : list of (str, int, str)
        Logger, level and text of what was logged.
    """

    head: list[str]
    replaced: int
    environment: dict[str, str]
    name: str
    specs: list[tuple[str, str]]
    stores: list[str]
    unencrypted: str = ""
    python_hash: str = ""
    notes: list[tuple[str, str]] = []
    log: list[tuple[str, int, str]] = []


class Diagnose(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask why a kernel ended; the answer is `Diagnosis`.

    Attributes
    ----------
    prepare : Prepare
        What it was started for.
    status : int
        Its exit status; negative: the signal that ended it.
    lines : list of str
        The last lines that it printed.
    environment : dict of str to str
        The environment it was started with.
    """

    doing: ClassVar[str] = "looking for the cause"
    keep: ClassVar[float] = 10.0

    prepare: Prepare
    status: int
    lines: list[str]
    environment: dict[str, str]


class Diagnosis(msgspec.Struct, frozen=True, tag=True):
    """Why a kernel ended; both are empty if the cause is unknown.

    Attributes
    ----------
    details : list of str
        What was found.
    hint : str
        What to do.
    """

    details: list[str] = []
    hint: str = ""


class Survey(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask what a store offers; the answer is `Surveyed`, with the packages as data.

    Attributes
    ----------
    stores : list of str
        The local store, then its upstreams; if empty, it is discovered.
    selection : OfferFilter
        What to offer.
    checks : list of Check
        Those of an earlier answer: if all of them hold, nothing has changed. If empty, the store
        is read in any case.
    """

    doing: ClassVar[str] = "reading the store"
    #: It ends at once, and the memory for a whole store with it.
    keep: ClassVar[float] = 0.0
    role: ClassVar[str] = "reader"

    stores: list[str]
    selection: OfferFilter
    checks: list[Any] = []


class Recheck(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask whether checks still have the same answers; the answer is `Rechecked`.

    A server asks this every few seconds. It goes to a helper of its own, which needs little memory
    as long as it answers nothing else.

    Attributes
    ----------
    checks : list of Check
        The checks.
    """

    doing: ClassVar[str] = "checking the store for changes"
    keep: ClassVar[float] = 60.0
    role: ClassVar[str] = "watcher"

    checks: list[Any]


class Rechecked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Whether checks still have the same answers.

    Attributes
    ----------
    unchanged : bool
        Whether all of them have.
    """

    unchanged: bool


class Surveyed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a store offers; see `spack_kernel.jupyter.offers.Look`.

    Attributes
    ----------
    offers : Offers or None
        The kernels; None if nothing has changed, or the store cannot be read.
    error : dict or None
        Why it cannot be read; see `SpackKernelError.as_dict`.
    checks : list of Check
        What to check the next time.
    """

    offers: Offers | None = None
    error: dict[str, Any] | None = None
    checks: list[Any] = []


class Search(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Search a store; the answer is `Told`, with a `Results` as data.

    Attributes
    ----------
    stores : list of str
        The local store, then its upstreams; if empty, it is discovered.
    text, cursor, limit, favourites, explain
        As for `Picker.search`.
    """

    doing: ClassVar[str] = "searching the store"
    keep: ClassVar[float] = 60.0

    stores: list[str]
    text: str = ""
    cursor: str = ""
    limit: int = 50
    favourites: list[str] = []
    explain: bool = True


class Complete(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Complete a query; the answer is `Told`, with `Completions` as data.

    Attributes
    ----------
    stores : list of str
        As for `Search`.
    text : str
        The query.
    position : int or None
        As `cursor` of `spack_kernel.kernels.picker.complete`.
    """

    doing: ClassVar[str] = "completing the query"
    keep: ClassVar[float] = 60.0

    stores: list[str]
    text: str
    position: int | None = None


class ShowKernel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Plan a kernel to look at; the answer is `Told`, with a `Preview` as data.

    Attributes
    ----------
    request : KernelRequest
        What the kernel would be requested for.
    kernel : str
        Instead: the name of a kernel of the user.
    place : Place
        Where the kernels of the user are.
    """

    doing: ClassVar[str] = "planning the kernel"
    keep: ClassVar[float] = 60.0

    request: KernelRequest
    place: Place
    kernel: str = ""


class ListEnvironments(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """List the Spack environments of a store; the answer is `Told`.

    Attributes
    ----------
    stores : list of str
        As for `Search`.
    """

    doing: ClassVar[str] = "reading the Spack environments"
    keep: ClassVar[float] = 60.0

    stores: list[str]


class AddKernel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write a kernelspec; the answer is `Told`, with a `UserKernel` as data.

    Attributes
    ----------
    request : KernelRequest
        What the kernel is requested for.
    place : Place
        Where to write it.
    kept : bool
        Whether the user keeps it; else it is one of the recent ones.
    name, display_name : str
        Its name, and the name that front ends show; if empty, the usual ones.
    replace : bool
        Whether to replace a kernelspec that is not ours.
    kernel : str
        Instead of a request: the name of a kernel of the user, which is chosen again.
    job : dict or None
        The traits of `SpackSlurmProvisioner` for a kernel in a job; None for one that runs here.
    """

    doing: ClassVar[str] = "writing the kernelspec"
    keep: ClassVar[float] = 60.0

    request: KernelRequest
    place: Place
    kept: bool = False
    name: str = ""
    display_name: str = ""
    replace: bool = False
    kernel: str = ""
    job: dict[str, Any] | None = None


class ListKernels(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """List the kernels of a user; the answer is `Told`, with a list of `UserKernel` as data.

    Attributes
    ----------
    place : Place
        Where they are.
    """

    doing: ClassVar[str] = "reading the kernelspecs"
    keep: ClassVar[float] = 60.0

    place: Place


class RemoveKernel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Remove a kernel of a user; the answer is `Told`, with its `UserKernel` as data.

    Attributes
    ----------
    place : Place
        Where it is.
    name : str
        Its name.
    """

    doing: ClassVar[str] = "removing the kernelspec"
    keep: ClassVar[float] = 60.0

    place: Place
    name: str


class Told(msgspec.Struct, frozen=True, tag=True):
    """The answer to a question of the picker: JSON as data, which the server only passes on."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The answer to a question that ended in an error.

    Attributes
    ----------
    error : dict
        See `SpackKernelError.as_dict`.
    traceback : str
        That of an exception that is a defect; otherwise empty.
    log : list of (str, int, str)
        As in `Prepared`.
    """

    error: dict[str, Any]
    traceback: str = ""
    log: list[tuple[str, int, str]] = []


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The first thing a helper says.

    Attributes
    ----------
    pid : int
        Its process number.
    """

    pid: int


#: What a server asks.
Question = (
    Prepare
    | Diagnose
    | Survey
    | Recheck
    | Search
    | Complete
    | ShowKernel
    | ListEnvironments
    | AddKernel
    | ListKernels
    | RemoveKernel
)

#: What a helper answers.
Answer = Prepared | Diagnosis | Surveyed | Rechecked | Told


class Message(msgspec.Struct, frozen=True):
    """A question or an answer.

    Attributes
    ----------
    number : int
        The question's number, which its answer repeats.
    body : struct
        The question or the answer.
    """

    number: int
    body: Question | Answer | Failed | Hello


def as_json(content: Any) -> bytes:
    """Return structs and JSON types as JSON text."""
    # A path may hold bytes that are not UTF-8, which json escapes and msgspec refuses.
    return json.dumps(msgspec.to_builtins(content), separators=(",", ":")).encode("ascii")


def frame_of(message: Message, data: bytes = b"") -> bytes:
    """Return a message, and data that belongs to it, as bytes."""
    return framed(as_json(message), data)


def message_of(content: object) -> Message:
    """Return the message that `take_frame` returned as JSON types.

    Raises
    ------
    msgspec.ValidationError
        When it is not a message.
    """
    return msgspec.convert(content, Message)
