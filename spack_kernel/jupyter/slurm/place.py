"""The place of a kernel in a job of Slurm: its relay on this machine, the kernel on a node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
from jupyter_core.paths import jupyter_data_dir

from spack_kernel.jupyter.errors import (
    JobEndedError,
    JobRefusedError,
    KernelDiedError,
    ServerStopsError,
)
from spack_kernel.jupyter.helper import Prepare, Prepared
from spack_kernel.jupyter.kernelspecs import kernel_command, starts_ipykernel
from spack_kernel.jupyter.provisioner import News, is_port_taken, shown
from spack_kernel.spack.errors import SpackKernelError, StoreNotFound
from spack_kernel.spack.system import isolated_command

from . import commands
from .endings import error_of
from .options import JobOptions
from .process import JobProcess
from .relay_messages import Begin, JobRequest
from .traits import range_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from spack_kernel.jupyter.provisioner import Launch, Process

    from .traits import JobTraits

#: Seconds between two looks at a kernel that starts.
_INTERVAL = 0.025

#: Variables of the server that the kernel gets as well: which notebook it is of.
_OF_SESSION = ("JPY_SESSION_NAME", "SPACK_KERNEL_NOTEBOOK")


class JobPlace:
    """Starts kernels in a job. See `Place`.

    Parameters
    ----------
    traits : JobTraits
        What the kernelspec and the site have set.
    """

    leads_group = False  # the relay is not the kernel: it passes signals on

    def __init__(self, traits: JobTraits) -> None:
        self._traits = traits
        self._job: JobProcess | None = None
        self._options = JobOptions()
        self._ended: SpackKernelError | None = None

    # -- starting --

    async def plan(
        self, question: Prepare, ask: Callable[[], Awaitable[Prepared]], *, by_user: bool
    ) -> Prepared:
        """Plan the kernel here as well: what is wrong with it need not wait for a job."""
        self._options = self._traits.options()
        if not by_user and not (self._job is not None and self._job.has_job):
            raise self._ended or JobEndedError(
                "the kernel's job has ended", hint="Restart the kernel to ask for another job."
            )
        try:
            prepared = await ask()
        except StoreNotFound:
            # The store may be on the nodes alone; what is planned there counts in any case.
            prepared = _unplanned(question)
        # Between the hosts the connection is encrypted, whatever the kernel itself can.
        return msgspec.structs.replace(prepared, unencrypted="")

    async def start(self, launch: Launch) -> Process:
        """Start the relay, which asks for a job; or the kernel again, in the job that it has.

        Raises
        ------
        KernelDiedError
            When the relay cannot be started.
        """
        question, command = _question_for_node(launch), _command(launch)
        self._ended = None
        if self._job is not None and self._job.has_job:
            self._job.again(question, command)
            return self._job
        self.end()
        begin = self._begin(launch, question, command)
        try:
            stderr = launch.options.get("stderr")
            self._job = await asyncio.to_thread(JobProcess, begin, stderr)
        except OSError as error:
            raise KernelDiedError(
                f"the relay of the kernel cannot be started: {error.strerror or error}"
            ) from error
        finally:
            if launch.tail is not None:
                launch.tail.opened()
        return self._job

    def _begin(self, launch: Launch, question: Prepare, command: list[str]) -> Begin:
        traits = self._traits
        directory = traits.job_directory or f"{jupyter_data_dir()}/spack-kernel/jobs"
        module = "spack_kernel.jupyter.slurm.runner"
        own = [*traits.node_python, "-I", "-m", module] if traits.node_python else None
        job = JobRequest(
            options=self._options.words(step=bool(traits.job_id)),
            job_id=str(traits.job_id),
            directory=os.path.expanduser(directory),  # noqa: PTH111
            python=own or isolated_command(module),
            queue_timeout=traits.queue_timeout,
            lease=traits.lease,
            address=traits.address,
            ports=range_of(traits.ports),
        )
        connection = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in launch.connection.items()
        }
        return Begin(
            name=launch.name,
            connection=connection,
            job=job,
            question=question,
            command=command,
            transport="ipc" if starts_ipykernel(command) else "tcp",
        )

    async def answered(self, launch: Launch) -> bool:
        """Return when the kernel answers, or the job is in the queue after `start_wait`.

        Raises
        ------
        SpackKernelError
            When there will be no kernel.
        """
        deadline = time.monotonic() + self._traits.start_wait
        while True:
            status = await launch.poll()
            job = self._job
            assert job is not None
            if job.over is not None:
                raise error_of(job.over.error)
            if status is not None and (job.is_ended or not status):
                raise ServerStopsError("the server, or the kernel, was stopped during the start")
            if status is not None:
                lines = await launch.last_words()
                if is_port_taken(launch.connection, lines, has_ended=True):
                    raise launch.port_taken(lines)
                raise KernelDiedError(
                    f"the relay of the kernel of {launch.name} has ended with status {status}",
                    details=shown(lines),
                    hint="This is a defect in spack-kernel; its last lines tell why.",
                )
            if job.is_up:
                return True
            if time.monotonic() > deadline and launch.is_check:
                raise JobEndedError(
                    f"the kernel is not there after {self._traits.start_wait:g} s",
                    details=[f"  {job.waiting.text}"] if job.waiting else [],
                    hint=("Its job was canceled. " if job.job else "")
                    + "Increase --timeout to wait longer.",
                )
            if time.monotonic() > deadline and job.job:
                return False  # it waits in the queue
            await asyncio.sleep(_INTERVAL)

    # -- running and ending --

    def news(self) -> News | None:
        """Return what the job waits for, that the kernel answers, or why the job has ended."""
        job = self._job
        if job is None:
            return None
        if job.over is not None and self._ended is None:
            self._ended = error_of(job.over.error)
        elif job.lost and self._ended is None:
            self._ended = JobEndedError(
                f"the relay of the kernel on this machine was lost: {job.lost}",
                details=[f"  job {job.job} is canceled"] if job.job else [],
                hint="Restart the kernel to ask for another job.",
            )
            self._cancel(job)
        return News(
            answers=job.is_up,
            waits_for=job.waiting.text if job.waiting is not None else "",
            node=job.node,
            end=self._ended,
        )

    @staticmethod
    def _cancel(job: JobProcess) -> None:
        """Cancel a job whose relay cannot do it any more; its node runner would need longer."""

        def cancel() -> None:
            with contextlib.suppress(JobRefusedError):
                commands.cancel(commands.Job(job.job))

        if job.job:
            threading.Thread(target=cancel, name="spack-kernel-cancel", daemon=True).start()

    def end(self) -> None:
        """End the job with what is in it."""
        if self._job is not None:
            self._job.kill()

    def info(self) -> dict[str, Any]:
        """Return the number of the job."""
        return {"slurm_job": self._job.job if self._job is not None else ""}


def _question_for_node(launch: Launch) -> Prepare:
    base = launch.question.base
    session = {name: base[name] for name in _OF_SESSION if name in base}
    directory = os.fspath(launch.directory)
    return msgspec.structs.replace(launch.question, base=session, directory=directory)


def _command(launch: Launch) -> list[str]:
    """Return the kernel's command, with a placeholder for its connection file."""
    manager = launch.manager
    words = manager.format_kernel_cmd(launch.extra_arguments)
    file = os.path.realpath(manager.connection_file)
    return kernel_command([word.replace(file, "{connection_file}") for word in words])


def _unplanned(question: Prepare) -> Prepared:
    request = question.request
    name = " ".join(request.named) or f"/{request.hash[:7]}"
    label = (request.spec or name, request.hash)
    stores = list(request.stores) or [""]
    return Prepared(
        head=[], replaced=0, environment=question.base, name=name, specs=[label], stores=stores
    )
