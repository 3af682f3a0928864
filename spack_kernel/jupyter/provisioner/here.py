"""The place of a kernel on this machine: a child process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.errors import KernelDiedError, KernelSilentError, KernelSpecError
from spack_kernel.kernels.plan import is_too_long, length_cause, too_long

from .deaths import Death, shown
from .spawn import Spawn
from .startup import FirstReply, is_listening, is_port_taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from spack_kernel.jupyter.helper import Prepare, Prepared

    from .place import Launch, News
    from .spawn import Process

#: Seconds between two checks of a starting kernel.
_WATCH_INTERVAL = 0.025


class Here:
    """Starts kernels on this machine. See `Place`."""

    leads_group = True  # launch_kernel makes the process the leader of a session

    async def plan(
        self,
        _: Prepare,
        ask: Callable[[], Awaitable[Prepared]],
        *,
        by_user: bool,  # noqa: ARG002 - every start is a new process
    ) -> Prepared:
        """Return what the helper of the store says."""
        return await ask()

    async def start(self, launch: Launch) -> Process:
        """Start the process.

        Raises
        ------
        KernelSpecError, KernelSilentError, KernelDiedError
            When it cannot be executed, or not in time.
        """
        program = launch.command[0]
        timeout = launch.question.request.start_timeout or None
        try:
            return await Spawn(launch.command, launch.options, launch.tail).process(timeout)
        except ValueError as error:
            raise KernelSpecError(
                f"the kernel cannot be started: {error}",
                details=[f"  {program}"],
                hint="Check the kernelspec's `argv` and `env`: no value can contain a NUL "
                "character, and no variable name a `=`.",
            ) from error
        except asyncio.TimeoutError:
            raise KernelSilentError(
                f"the kernel's program could not be executed within {timeout:g} s",
                details=[f"  {program}"],
                hint="Its file system may hang: ask the administrators whether it is available on "
                "this machine.\n`start_timeout` in the kernel.json sets the time limit.",
            ) from None
        except OSError as error:
            long = too_long(launch.options["env"]) if is_too_long(error) else None
            cause = length_cause(*long) if long else None
            raise KernelDiedError(
                f"the kernel cannot be started: {error.strerror}",
                details=[
                    f"  {program}",
                    *([f"  in {error.filename}"] if error.filename else []),
                    *(cause.details if cause else ()),
                ],
                hint=cause.hint if cause else "",
            ) from error

    async def answered(self, launch: Launch) -> bool:
        """Return when the kernel answers, or if it listens when `start_timeout` expires.

        Raises
        ------
        KernelDiedError, KernelSilentError, PortTakenError
            When it ends, does not listen in time, or cannot have its ports.
        """
        connection, timeout = launch.connection, launch.question.request.start_timeout
        deadline = time.monotonic() + timeout
        reply: FirstReply | None = None
        try:
            while time.monotonic() < deadline:
                if reply is not None and reply.came():
                    return True
                status = await launch.poll()
                lines = await launch.last_words() if status is not None else launch.lines()
                if is_port_taken(connection, lines, has_ended=status is not None):
                    # ipykernel may go on running then, without ever listening.
                    raise launch.port_taken(lines)
                if status is not None:
                    raise await launch.died(Death(status, lines, reply is not None))
                if reply is None and launch.manager is not None and await is_listening(connection):
                    reply = FirstReply(launch.manager.context, connection)
                await asyncio.sleep(_WATCH_INTERVAL)
        finally:
            if reply is not None:
                reply.close()
        if reply is not None or launch.manager is None or not timeout:
            return True
        raise KernelSilentError(
            f"the kernel of {launch.name} did not listen on its ports within {timeout:g} s",
            details=[f"  {' '.join(launch.command[:3])} …", *shown(launch.lines())],
            hint="It was killed. If its file system is slow, set `start_timeout` in the "
            "kernel.json, or\nc.SpackProvisioner.start_timeout in the server's configuration, to "
            "a longer time.",
        )

    def news(self) -> News | None:
        """Return None: the process says it all."""

    def end(self) -> None:
        """Do nothing: there is only the process."""

    def info(self) -> dict[str, Any]:
        """Return nothing."""
        return {}
