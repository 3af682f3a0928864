"""Slurm's commands: submit a job, ask for its state, cancel it."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.jupyter.errors import JobRefusedError
from spack_kernel.spack.system import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds that one of Slurm's commands may take. A controller that is restarted answers again.
_TIMEOUT = 30.0

#: Variables of Slurm that say where it is and how it prints; others belong to the job in which a
#: server may run.
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_SRUN_COMM_IFHN")

#: The states of a job that will change.
_GOING_ON = [
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESIZING",
    "SIGNALING",
    "SPECIAL_EXIT",
    "STAGE_OUT",
    "STOPPED",
]


#: Reasons for which a pending job does not start, whatever becomes free.
_HOPELESS = [
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
]


class Job(msgspec.Struct, frozen=True):
    """A job.

    Attributes
    ----------
    number : str
        Its number.
    cluster : str
        The cluster; empty for the one of this machine.
    """

    number: str
    cluster: str = ""

    @property
    def words(self) -> list[str]:
        """The options that name the cluster to a command."""
        return [f"--clusters={self.cluster}"] if self.cluster else []


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """What Slurm says about a job.

    Attributes
    ----------
    state : str
        Such as PENDING; empty if Slurm does not know the job (any more).
    reason : str
        Why it is pending or has ended, in Slurm's words; empty for none.
    start : str
        When it started or is expected to start; empty if unknown.
    nodes : str
        The nodes; empty while it is pending.
    exit_code : str
        Exit status and signal of the batch script, such as ``1:0``.
    time_limit : str
        Its time limit.
    """

    state: str = ""
    reason: str = ""
    start: str = ""
    nodes: str = ""
    exit_code: str = ""
    time_limit: str = ""

    @property
    def is_pending(self) -> bool:
        """Whether it waits for its nodes."""
        return self.state in ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")

    @property
    def is_hopeless(self) -> bool:
        """Whether it asks for what it will not get, however long it waits."""
        return self.is_pending and self.reason in _HOPELESS

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or does not exist."""
        return self.state not in _GOING_ON


def slurm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for Slurm's commands: none of the job in which this process may run."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("SLURM_") or name in _KEPT
    }


def submit(options: Sequence[str], script: str) -> Job:
    """Submit a job, and return it.

    Parameters
    ----------
    options : sequence of str
        Options of sbatch.
    script : str
        The batch script.

    Raises
    ------
    JobRefusedError
        When it is refused; with what sbatch says.
    """
    # The job gets the variables of a login on its node, not those of this process.
    words = ["sbatch", "--parsable", "--export=NONE", "--no-requeue", *options]
    said = _run(words, "the job was not submitted", script)
    number, _, cluster = said.strip().splitlines()[-1].partition(";")
    if not re.fullmatch(r"\d+", number):
        raise JobRefusedError("sbatch did not print the number of a job", details=[f"  {said!r}"])
    return Job(number, cluster)


def state_of(job: Job) -> JobState:
    """Return what Slurm says about a job.

    Raises
    ------
    JobRefusedError
        When Slurm does not answer.
    """
    words = ["scontrol", *job.words, "--oneliner", "show", "job", job.number]
    try:
        said = _run(words, f"Slurm does not say what became of job {job.number}")
    except JobRefusedError as error:
        if any("Invalid job id" in line for line in error.details):
            return JobState()
        raise
    facts = dict(reversed(re.findall(r"(\w+)=(\S*)", said)))

    def fact(name: str) -> str:
        value = facts.get(name, "")
        return "" if value in ("None", "(null)", "Unknown", "N/A") else value

    return JobState(
        state=fact("JobState"),
        reason=fact("Reason"),
        start=fact("StartTime").replace("T", " "),
        nodes=fact("NodeList"),
        exit_code=fact("ExitCode"),
        time_limit=fact("TimeLimit"),
    )


def cancel(job: Job) -> None:
    """Cancel a job.

    Raises
    ------
    JobRefusedError
        When Slurm does not answer.
    """
    _run(["scancel", *job.words, job.number], f"job {job.number} could not be canceled")


def _run(words: list[str], failure: str, text: str = "") -> str:
    environment = slurm_environment(os.environ)
    program = shutil.which(words[0], path=environment.get("PATH"))
    if program is None:
        raise JobRefusedError(
            f"there is no Slurm on {os.uname().nodename}: `{words[0]}` is not on PATH",
            hint="Start Jupyter where `sbatch` works, or use a kernel without `slurm`.",
        )
    try:
        done = run([program, *words[1:]], environment, _TIMEOUT, text=text.encode())
    except subprocess.TimeoutExpired:
        raise JobRefusedError(
            f"{failure}: `{words[0]}` did not answer within {_TIMEOUT:g} s",
            hint="The controller of Slurm may be down: `scontrol ping` tells. Try again later.",
        ) from None
    except OSError as error:
        raise JobRefusedError(f"{failure}: `{words[0]}`: {error.strerror or error}") from error
    if done.status != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise JobRefusedError(
            failure,
            details=[f"  $ {shlex.join(words)}", *(f"  | {line}" for line in lines[-8:])],
            hint=_advice("\n".join(lines)),
        )
    return done.stdout


def _advice(said: str) -> str:
    """Return what to do about a refusal."""
    for pattern, advice in (
        (
            r"partition",
            "`sinfo -s` lists the partitions; set `slurm.partition` in the kernel.json.",
        ),
        (
            r"account|QOS|qos|association",
            "`sacctmgr show associations user=$USER` lists what you may use; set `slurm.account`, "
            "`slurm.qos` in the kernel.json.",
        ),
        (
            r"[Tt]ime limit|[Nn]ode count|configuration is not available|CPU count|[Mm]emory",
            "Ask for less: change `slurm` in the kernel.json; `sinfo` shows what there is.",
        ),
        (r"contact|connect|Connection", "Slurm's controller may be down: `scontrol ping` tells."),
    ):
        if re.search(pattern, said):
            return advice
    return ""


def limit_of(seconds: float) -> str:
    """Return a duration for people: ``90 s``, ``2 h 30 min``."""
    if seconds < 120 or math.isinf(seconds):
        return f"{seconds:g} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part
    )
