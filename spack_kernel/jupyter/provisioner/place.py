"""The place where a kernel's process runs: what a provisioner asks of it, and tells it.

`SpackProvisioner` plans a kernel, explains what goes wrong, and reports to Jupyter. Its place
starts the process. Another scheduler is another `Place`, and a subclass of the provisioner that
has its traits and returns it from `make_place`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from spack_kernel.jupyter.errors import PortTakenError

from .deaths import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from spack_kernel.jupyter.errors import KernelDiedError
    from spack_kernel.jupyter.helper import Prepare, Prepared
    from spack_kernel.spack.errors import SpackKernelError

    from .deaths import Death
    from .spawn import Process
    from .startup import StderrTail


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel: what a place needs to know of it.

    Attributes
    ----------
    name : str
        What messages call the kernel.
    command : list of str
        The command on this machine.
    options : dict
        Other arguments of `jupyter_client.launcher.launch_kernel`, such as ``env`` and ``cwd``.
    directory : Path or str
        The working directory.
    extra_arguments : list of str
        What the front end adds to the kernelspec's ``argv``.
    question : Prepare
        The question that the store's helper answered.
    connection : dict
        The connection information, with ``transport``.
    manager : KernelManager or None
        Jupyter's manager of the kernel.
    tail : StderrTail or None
        What reads the process's standard error.
    poll : callable
        Returns the exit status of the process, None while it runs.
    died : callable
        Returns the error for an end of the process during the start.
    """

    name: str
    command: list[str]
    options: dict[str, Any]
    directory: Path | str
    extra_arguments: list[str]
    question: Prepare
    connection: dict[str, Any]
    manager: Any
    tail: StderrTail | None
    poll: Callable[[], Awaitable[int | None]]
    died: Callable[[Death], Awaitable[KernelDiedError]]

    @property
    def is_check(self) -> bool:
        """Whether somebody only wants to know if the kernel works."""
        return bool(getattr(self.manager, "is_check", False))

    def lines(self) -> list[str]:
        """Return what the process has printed last on its standard error."""
        return self.tail.lines() if self.tail else []

    async def last_words(self) -> list[str]:
        """Return the last lines of a process that has ended."""
        return await self.tail.last_lines() if self.tail else []

    def port_taken(self, lines: list[str]) -> PortTakenError:
        """Return the error for a port that another program uses."""
        return PortTakenError(
            f"a port of the kernel of {self.name} is used by another program",
            details=shown(lines),
            hint="Start it again.",
        )


class News(NamedTuple):
    """What a place knows of a kernel that was started in it.

    Attributes
    ----------
    answers : bool
        Whether the kernel answers.
    waits_for : str
        What a kernel waits for that does not answer yet; empty for nothing.
    node : str
        The machine on which it runs or starts; empty as long as it has none.
    end : SpackKernelError or None
        Why there is nothing any more in which the kernel could run.
    """

    answers: bool = False
    waits_for: str = ""
    node: str = ""
    end: SpackKernelError | None = None


class Place(Protocol):
    """Where the processes of one kernel run, one after the other.

    The provisioner calls `plan`, `start` and `answered` for each start, `news` at each poll, and
    `end` when nothing of the kernel must remain.
    """

    #: Whether the process leads a group on this machine, to which signals are sent.
    leads_group: bool

    async def plan(
        self, question: Prepare, ask: Callable[[], Awaitable[Prepared]], *, by_user: bool
    ) -> Prepared:
        """Return what a start needs, before anything is started.

        Parameters
        ----------
        question : Prepare
            The question for the store's helper.
        ask : callable
            Asks the helper of the store on this machine.
        by_user : bool
            False if Jupyter restarts, by itself, a kernel that has died.

        Raises
        ------
        SpackKernelError
            When the kernel cannot be started here.
        """

    async def start(self, launch: Launch) -> Process:
        """Start the process, without waiting until the kernel answers.

        Raises
        ------
        SpackKernelError
            When it cannot be started.
        """

    async def answered(self, launch: Launch) -> bool:
        """Return True when the kernel answers, and False if it may do so later.

        Raises
        ------
        SpackKernelError
            When it does not.
        """

    def news(self) -> News | None:
        """Return what has become of the kernel; None if its process says it all. Never wait."""

    def end(self) -> None:
        """End what the kernel has beside its process here, without waiting for that."""

    def info(self) -> dict[str, Any]:
        """Return what is noted with the provisioner's own data."""
