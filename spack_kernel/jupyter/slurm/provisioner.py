"""SpackSlurmProvisioner: starts a kernel of Spack specs in a job of Slurm."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec
from jupyter_core.paths import jupyter_data_dir

from spack_kernel.jupyter.errors import JobEndedError, KernelDiedError
from spack_kernel.jupyter.helper import Prepare, Prepared
from spack_kernel.jupyter.kernelspecs import kernel_command, starts_ipykernel
from spack_kernel.jupyter.provisioner import SpackProvisioner, is_port_taken, shown
from spack_kernel.kernels.isolated import isolated_command
from spack_kernel.spack.errors import SpackKernelError, StoreNotFound

from .endings import error_of
from .options import JobOptions
from .process import JobProcess
from .relay_messages import Begin, JobRequest
from .traits import JobTraits, range_of

#: Seconds between two looks at a kernel that starts.
_INTERVAL = 0.025

#: Variables of the server that the kernel gets as well: which notebook it is of.
_OF_SESSION = ("JPY_SESSION_NAME", "SPACK_KERNEL_NOTEBOOK")


class SpackSlurmProvisioner(SpackProvisioner, JobTraits):
    """Starts a kernel of Spack specs in a job of Slurm.

    It has all traits of `SpackProvisioner`. Those that begin with ``slurm_``, and those that say
    how the nodes are reached, are set in the site's configuration alone.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._job: JobProcess | None = None
        self._options = JobOptions()
        #: Whether a user asks for the start that is next; a manager's own is for the same job.
        self._is_wanted = True
        self._ended: SpackKernelError | None = None
        #: What the log has said last of a job that waits.
        self._shown = ""
        self._is_announced = self._is_again = False
        super().__init__(**kwargs)

    # -- starting --

    async def _prepare(self, base: dict[str, str], told: bool, kwargs: dict[str, Any]) -> Prepared:
        """Plan the kernel here as well: what is wrong with it need not wait for a job."""
        is_again, self._is_wanted = self._started and not self._is_wanted, False
        self._options = self.options()
        if is_again and not (self._job is not None and self._job.has_job):
            raise self._ended or JobEndedError(
                "the kernel's job has ended", hint="Restart the kernel to ask for another job."
            )
        try:
            prepared = await super()._prepare(base, told, kwargs)
        except StoreNotFound:
            # The store may be on the nodes alone; what is planned there counts in any case.
            prepared = self._unplanned(base)
        # Between the hosts the connection is encrypted, whatever the kernel itself can.
        return msgspec.structs.replace(prepared, unencrypted="")

    def _unplanned(self, base: dict[str, str]) -> Prepared:
        request = self._request
        name = " ".join(request.named) or f"/{request.hash[:7]}"
        label = (request.spec or name, request.hash)
        stores = list(request.stores) or [""]
        return Prepared(
            head=[], replaced=0, environment=base, name=name, specs=[label], stores=stores
        )

    async def _spawn(self, cmd: list[str], kwargs: dict[str, Any]) -> None:
        if self._is_fallback:
            await super()._spawn(cmd, kwargs)
            return
        question, command = self._question_for_node(kwargs), self._command()
        if self._job is not None and self._job.has_job:
            self._job.again(question, command)
        else:
            if self._job is not None:
                self._job.kill()
            options = self._scrub_kwargs(kwargs)
            self._capture(options)
            try:
                begin = self._begin(question, command)
                self._job = await asyncio.to_thread(JobProcess, begin, options.get("stderr"))
            except OSError as error:
                raise KernelDiedError(
                    f"the relay of the kernel cannot be started: {error.strerror or error}"
                ) from error
            finally:
                if self._tail is not None:
                    self._tail.opened()
        self._ended = None
        self._is_announced, self._is_again = False, self._started
        self.process = self._job
        self.pid, self.pgid = self._job.pid, None
        self.cwd = kwargs.get("cwd") or Path.cwd()

    def _question_for_node(self, kwargs: dict[str, Any]) -> Prepare:
        assert self._question is not None
        base = self._question.base
        session = {name: base[name] for name in _OF_SESSION if name in base}
        directory = os.fspath(kwargs.get("cwd") or Path.cwd())
        return msgspec.structs.replace(self._question, base=session, directory=directory)

    def _command(self) -> list[str]:
        """Return the kernel's command, with a placeholder for its connection file."""
        manager = self.parent
        assert manager is not None
        words = manager.format_kernel_cmd(self._arguments.get("extra_arguments", []))
        file = os.path.realpath(manager.connection_file)
        return kernel_command([word.replace(file, "{connection_file}") for word in words])

    def _begin(self, question: Prepare, command: list[str]) -> Begin:
        directory = self.job_directory or f"{jupyter_data_dir()}/spack-kernel/jobs"
        module = "spack_kernel.jupyter.slurm.runner"
        own = [*self.node_python, "-I", "-m", module] if self.node_python else None
        job = JobRequest(
            options=self._options.words(step=bool(self.job_id)),
            job_id=str(self.job_id),
            directory=os.path.expanduser(directory),  # noqa: PTH111
            python=own or isolated_command(module),
            queue_timeout=self.queue_timeout,
            lease=self.lease,
            address=self.address,
            ports=range_of(self.ports),
        )
        connection = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in self._connection().items()
        }
        return Begin(
            name=self._name,
            connection=connection,
            job=job,
            question=question,
            command=command,
            transport="ipc" if starts_ipykernel(command) else "tcp",
        )

    async def _watch(self, _: list[str]) -> None:
        """Return when the kernel answers, or the job is in the queue after `start_wait`.

        Raises
        ------
        SpackKernelError
            When there will be no kernel.
        """
        deadline = time.monotonic() + self.start_wait
        while True:
            status = await self.poll()
            job = self._job
            assert job is not None
            if job.over is not None:
                raise error_of(job.over.error)
            if status is not None:
                lines = await self.last_words()
                if is_port_taken(self._connection(), lines, has_ended=True):
                    raise self._port_taken(lines)
                raise KernelDiedError(
                    f"the relay of the kernel of {self._name} has ended with status {status}",
                    details=shown(lines),
                    hint="This is a defect in spack-kernel; its last lines tell why.",
                )
            if job.is_up:
                return
            if job.job and time.monotonic() > deadline:
                self._go_on_waiting(job)
                return
            await asyncio.sleep(_INTERVAL)

    def _go_on_waiting(self, job: JobProcess) -> None:
        """Let the job wait, unless somebody wants to know whether the kernel works."""
        if getattr(self.parent, "is_check", False):
            raise JobEndedError(
                f"the kernel is not there after {self.start_wait:g} s",
                details=[f"  {job.waiting.text}" if job.waiting else ""],
                hint="Its job was canceled. Increase --timeout to wait longer.",
            )

    def _note_start(self) -> None:
        """Report that the kernel answers; one whose job waits is reported when it does."""
        if self._job is not None and self._job.is_up:
            self._is_announced = True
            self._report.started(again=self._is_again)

    # -- dying --

    async def poll(self) -> int | None:
        """Return the exit status, None while the kernel runs or its job waits."""
        status = await super().poll()
        job = self._job
        if job is None or self.process is not job:
            return status
        if job.waiting is not None:
            if job.waiting.text != self._shown:
                self._shown = job.waiting.text
                self.log.info("spack-kernel: the kernel of %s: %s", self._name, self._shown)
            self._report.waits(job.waiting.text, starts=bool(job.node))
        elif self._is_up and not self._is_announced:
            self._note_start()
        if job.over is not None and self._ended is None:
            self._ended = error_of(job.over.error)
            if self._is_up:  # not while it is started, where the error is raised
                self._is_up = False
                self._report.died(None, self._ended)
        return status

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Note that a shutdown of the kernel was requested, and whether a start follows."""
        self._is_wanted = restart
        await super().shutdown_requested(restart=restart)

    async def cleanup(self, restart: bool = False) -> None:
        """End the job, unless the kernel restarts in it."""
        if not restart and self._job is not None:
            self._job.kill()
            self._report.gave_up()
        await super().cleanup(restart=restart)

    async def _end_process(self) -> None:
        """End the job with what is in it."""
        if self._job is not None:
            self._job.kill()
        await super()._end_process()

    def _kill_now(self) -> None:
        if self._job is not None:
            self._job.kill()
        if self.process is not self._job:
            super()._kill_now()

    # -- persistence --

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Return what `SpackProvisioner` does, and the number of the job."""
        info = await super().get_provisioner_info()
        info["slurm_job"] = self._job.job if self._job is not None else ""
        return info
