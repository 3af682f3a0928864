"""The life of a kernel's job: submitted, waiting, running, over; and its end by our side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import JobEndedError, JobRefusedError
from spack_kernel.spack.errors import SpackKernelError

from .bootstrap import write_bootstrap
from .commands import Job, JobState, cancel, limit_of, slurm_environment, state_of, submit
from .endings import ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bootstrap import Bootstrap
    from .relay_messages import JobRequest

#: Seconds between two questions to Slurm about a job that waits, by how long it has waited.
_INTERVALS = ((10.0, 0.5), (60.0, 2.0), (600.0, 5.0), (float("inf"), 15.0))

#: Seconds between two questions about a job that runs, whose node runner has not called back.
_SOON = 0.3

#: Seconds in which the node runner calls back once the job runs.
_CALL_BACK = 90.0

#: Seconds for the node runner to end by itself before the job is canceled.
_GRACE = 4.0

#: Seconds for Slurm to say how a job has ended that is about to.
_SETTLE = 30.0

#: What Slurm says of a job that it does not run any more.
_GONE = re.compile("Invalid job id|already complet")

#: Variables of the server that a step gets which srun starts in a job that exists.
_OF_USER = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER")


class JobLife:
    """One job, or one step of a job that exists.

    Parameters
    ----------
    wanted : JobRequest
        What to submit or join.
    show : callable
        Called with what the job waits for, for people.

    Attributes
    ----------
    number : str
        The number of the job; empty before it is submitted.
    heard : float
        When something was last heard of the node runner, on the monotonic clock; 0 for never.
    said_bye : str
        Why the node runner has said that it ends; empty if it has not.
    """

    def __init__(self, wanted: JobRequest, show: Callable[[str], None]) -> None:
        self._wanted, self._show = wanted, show
        self.heard = 0.0
        self.said_bye = ""
        self._job: Job | None = None
        self._step: asyncio.subprocess.Process | None = None
        self._directory: Path | None = None
        self._submitting: asyncio.Future[Job] | None = None

    @property
    def number(self) -> str:
        """The number of the job; empty before it is submitted."""
        return self._job.number if self._job is not None else ""

    @property
    def label(self) -> str:
        """The job, as the beginning of a sentence."""
        return f"Job {self.number}" if self.number else "The job"

    # -- its beginning --

    async def begin(self, bootstrap: Bootstrap) -> None:
        """Submit the job, or start a step in the one that is named.

        Raises
        ------
        JobRefusedError
            When that is not possible.
        OSError
            When its files cannot be written.
        """
        parent = Path(self._wanted.directory)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(prefix="job-", dir=parent))
        file = write_bootstrap(self._directory, bootstrap)
        words = [*self._wanted.python, str(file)]
        if self._wanted.job_id:
            await self._join(self._wanted.job_id, words)
            return
        # With a backslash in the path, sbatch replaces nothing.
        path = str(self._output)
        output = f"--output={path if chr(92) in path else path.replace('%', '%%')}"
        script = f"#!/bin/sh\nexec {shlex.join(words)}\n"
        options = ["--job-name=spack-kernel", output, *self._wanted.options]
        self._submitting = asyncio.ensure_future(asyncio.to_thread(submit, options, script))
        self._job = await asyncio.shield(self._submitting)

    async def _join(self, number: str, words: list[str]) -> None:
        job = Job(number)
        state = await asyncio.to_thread(state_of, job)
        if state.state != "RUNNING":
            raise JobRefusedError(
                f"there is no running job {number} to join"
                + (f": its state is {state.state}" if state.state else ""),
                hint="`squeue --me` lists your jobs; set `job_id` in the kernel.json to one of "
                "them, or remove it.",
            )
        self._job = job
        environment = slurm_environment(os.environ)
        kept = {name: environment[name] for name in _OF_USER if name in environment}
        slurm = {k: v for k, v in environment.items() if k.startswith("SLURM_")}
        options = [f"--jobid={number}", "--overlap", "--nodes=1", "--ntasks=1", "--unbuffered"]
        with self._output.open("wb") as output:
            self._step = await asyncio.create_subprocess_exec(
                *("srun", *options, *self._wanted.options, *words),
                env={**kept, **slurm},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def wait_for_node(self) -> None:
        """Show what the job waits for, and return when the node runner calls back.

        Raises
        ------
        JobEndedError
            When it does not, with the reason.
        """
        began, running_since = time.monotonic(), 0.0
        while not self.heard:
            waited = time.monotonic() - began
            assert self._job is not None
            try:
                state = await asyncio.to_thread(state_of, self._job)
            except SpackKernelError as error:
                self._show(f"{self.label}: {error.summary}; asking again.")
                await self._pause(_INTERVALS[2][1])
                continue
            if self.heard:
                return
            if state.is_over or (self._step is not None and self._step.returncode is not None):
                raise self._ending(state, "before it started the kernel")
            self._refuse_to_wait(state, waited)
            if not state.is_pending:
                running_since = running_since or time.monotonic()
            if running_since and time.monotonic() > running_since + _CALL_BACK:
                raise JobEndedError(
                    f"job {self.number} runs on {state.nodes}, but nothing there has called back "
                    f"within {_CALL_BACK:g} s",
                    details=self._printed(),
                    hint="It was canceled. A firewall may be between the node and this machine: "
                    "see\nc.SpackSlurmProvisioner.ports and .address.",
                )
            self._show(f"{self.label}: {waiting(state)}")
            interval = next(each for until, each in _INTERVALS if waited < until)
            await self._pause(_SOON if running_since else interval)

    def _refuse_to_wait(self, state: JobState, waited: float) -> None:
        limit = self._wanted.queue_timeout
        if state.is_hopeless:
            raise JobEndedError(
                f"job {self.number} would never start: Slurm says {state.reason}",
                details=[f"  asked for: {' '.join(self._wanted.options) or 'the defaults'}"],
                hint="It was canceled. `sinfo` shows what there is; change `slurm` in the "
                "kernel.json.",
            )
        if state.is_pending and limit and waited > limit:
            raise JobEndedError(
                f"job {self.number} did not start within {limit_of(limit)}",
                details=[f"  {waiting(state)}"],
                hint="It was canceled. Restart the kernel to try again, ask for less in `slurm` "
                "of the kernel.json,\nor set `queue_timeout` there to a longer time.",
            )

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the node runner calls back."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.heard:
            await asyncio.sleep(0.05)

    # -- its end --

    def is_silent(self) -> bool:
        """Return whether the node runner ends, or nothing was heard of it for the lease."""
        return bool(self.said_bye) or time.monotonic() > self.heard + self._wanted.lease

    async def is_over(self) -> bool:
        """Return whether Slurm says that the job has ended; False if it says nothing."""
        assert self._job is not None
        with contextlib.suppress(SpackKernelError):
            return (await asyncio.to_thread(state_of, self._job)).is_over
        return False

    async def why_silent(self, node: str) -> JobEndedError:
        """Return why the node runner ends, or is silent."""
        state = await self._final_state()
        if state.is_over or self.said_bye:
            return self._ending(state, "")
        return JobEndedError(
            f"the connection to the kernel on {node} was lost: no sign of life for "
            f"{self._wanted.lease:g} s",
            details=[f"  Slurm says that job {self.number} is {state.state}"],
            hint="The job was canceled. Restart the kernel to ask for another.",
        )

    async def _final_state(self) -> JobState:
        """Return the state of a job that is about to end; its last known one if Slurm is silent."""
        assert self._job is not None
        deadline = time.monotonic() + _SETTLE
        state = JobState(state="UNKNOWN")
        while time.monotonic() < deadline:
            with contextlib.suppress(SpackKernelError):
                state = await asyncio.to_thread(state_of, self._job)
                # A job whose node runner is silent, without a word, can go on for days.
                is_ending = self.said_bye and self._step is None
                if state.is_over or not (is_ending or state.state == "COMPLETING"):
                    return state
            await asyncio.sleep(0.2)
        return state

    def _ending(self, state: JobState, when: str) -> JobEndedError:
        return ending(self.number, state, when, self._printed())

    @property
    def _output(self) -> Path:
        assert self._directory is not None
        return self._directory / "output.txt"

    def _printed(self) -> list[str]:
        """Return the last lines of the job's output as details of an error."""
        try:
            text = self._output.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [f"  | {line[:500]}" for line in text.splitlines()[-12:] if line.strip()]

    async def end(self, say_end: Callable[[], None]) -> None:
        """End the node runner and the job, however far they are.

        Parameters
        ----------
        say_end : callable
            Tells the node runner to end.
        """
        if self._submitting is not None and self._job is None:
            with contextlib.suppress(SpackKernelError, OSError):
                self._job = await self._submitting
        if self.heard and not self.is_silent():
            say_end()
            deadline = time.monotonic() + _GRACE
            while not self.said_bye and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
        if self._step is not None:
            await self._end_step(self._step)
        elif self._job is not None:
            await self._cancel(self._job)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _end_step(self, step: asyncio.subprocess.Process) -> None:
        if step.returncode is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(step.wait(), 2 if self.said_bye else 0.1)
        if step.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(step.pid, signal.SIGTERM)

    async def _cancel(self, job: Job) -> None:
        """Cancel a job until Slurm has taken it; a controller that is down may come back."""
        pause = 1.0
        while True:
            error = await asyncio.to_thread(_canceled, job)
            if error is None or any(_GONE.search(line) for line in error.details) or pause > 60:
                return
            await asyncio.sleep(pause)
            pause *= 2


def _canceled(job: Job) -> SpackKernelError | None:
    """Cancel a job; return the error if that was not possible."""
    try:
        cancel(job)
    except SpackKernelError as error:
        return error
    return None


def waiting(state: JobState) -> str:
    """Return what a job waits for, in Slurm's words.

    Examples
    --------
    >>> waiting(JobState(state="PENDING", reason="Resources", start="2026-11-26 12:00:00"))
    'pending (Resources), expected to start at 2026-11-26 12:00:00'
    """
    words = state.state.lower()
    if state.reason:
        words += f" ({state.reason})"
    if state.is_pending and state.start:
        words += f", expected to start at {state.start}"
    if state.nodes:
        words += f" on {state.nodes}"
    return words
