"""The options of a job: what a kernelspec asks for, and what the site sets, limits and locks.

The names are those of sbatch's long options. The limits spare users a refusal in the queue; what
must be enforced is enforced by Slurm, whose sbatch every user can run.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.jupyter.errors import JobRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The long options of sbatch that a kernel can have. sbatch accepts abbreviations of them, which
#: would pass by the site's limits: only these names are accepted.
NAMES = frozenset(
    [
        "account",
        "acctg-freq",
        "batch",
        "bb",
        "bbf",
        "begin",
        "cluster-constraint",
        "clusters",
        "comment",
        "constraint",
        "container",
        "contiguous",
        "core-spec",
        "cores-per-socket",
        "cpu-freq",
        "cpus-per-gpu",
        "cpus-per-task",
        "deadline",
        "delay-boot",
        "dependency",
        "distribution",
        "exclude",
        "exclusive",
        "extra-node-info",
        "gpu-bind",
        "gpu-freq",
        "gpus",
        "gpus-per-node",
        "gpus-per-socket",
        "gpus-per-task",
        "gres",
        "gres-flags",
        "hint",
        "job-name",
        "licenses",
        "mail-type",
        "mail-user",
        "mcs-label",
        "mem",
        "mem-bind",
        "mem-per-cpu",
        "mem-per-gpu",
        "mincpus",
        "network",
        "nice",
        "nodefile",
        "nodelist",
        "nodes",
        "ntasks",
        "ntasks-per-core",
        "ntasks-per-gpu",
        "ntasks-per-node",
        "ntasks-per-socket",
        "overcommit",
        "oversubscribe",
        "partition",
        "power",
        "prefer",
        "priority",
        "profile",
        "propagate",
        "qos",
        "reboot",
        "reservation",
        "signal",
        "sockets-per-node",
        "spread-job",
        "switches",
        "thread-spec",
        "threads-per-core",
        "time",
        "time-min",
        "tmp",
        "tres-bind",
        "tres-per-task",
        "use-min-nodes",
        "wait-all-nodes",
        "wckey",
    ]
)

#: Those that need no value.
_WITHOUT_VALUE = frozenset(
    [
        *("contiguous", "exclusive", "nice", "overcommit", "oversubscribe", "propagate", "reboot"),
        *("spread-job", "use-min-nodes"),
    ]
)

#: Options of sbatch that a kernel's job cannot have, with what sets them instead.
_REFUSED = {
    "output": "the node runner writes the job's output into the directory of its files",
    "error": "the node runner writes the job's output into the directory of its files",
    "input": "a job has no standard input",
    "array": "a kernel is one job",
    "chdir": "the kernel starts in the directory of its notebook",
    "export": "a job gets the variables of a login on its node",
    "export-file": "a job gets the variables of a login on its node",
    "requeue": "a kernel's job is never submitted again by itself",
    "no-requeue": "this is always set",
    "parsable": "this is always set",
    "wait": "the notebook shows what a job waits for",
    "wrap": "the job starts the node runner",
    "hold": "such a job would not start; `begin` sets when it does",
}

#: Those that a step in a job that exists can have, too: the options of srun that limit it.
_OF_STEPS = frozenset({"cpus-per-task", "gres", "gpus", "mem", "mem-per-cpu", "time"})

_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is submitted with.

    Attributes
    ----------
    values : dict of str to str
        Long options of sbatch; an empty text is an option without a value.
    """

    values: dict[str, str] = {}

    def refuse_for_step(self, given: Mapping[str, Any]) -> None:
        """Refuse what a kernelspec asks for and a step in a job that exists cannot have.

        Raises
        ------
        JobRefusedError
            For the first such option.
        """
        for name in given:
            if name not in _OF_STEPS and not _is_off(given[name]):
                raise JobRefusedError(
                    f"a kernel in a job that exists cannot have the option `{name}`",
                    details=[f"  but only: {', '.join(sorted(_OF_STEPS))}"],
                    hint=f"Remove `{name}` from `slurm` in the kernel.json, or `job_id`.",
                )

    def words(self, *, step: bool = False) -> list[str]:
        """Return the options for the command line of sbatch; for a step, for that of srun."""
        return [
            f"--{name}={value}" if value else f"--{name}"
            for name, value in self.values.items()
            if not step or name in _OF_STEPS
        ]


def job_options(
    given: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    locked: Mapping[str, Any] | None = None,
) -> JobOptions:
    """Return the options of a job.

    Parameters
    ----------
    given : mapping
        What the kernelspec asks for, by the names of sbatch's long options. True is an option
        without a value; False, None and an empty text are none, and switch off a default.
    defaults : mapping
        What holds where the kernelspec does not name an option.
    limits : mapping
        For each option, the largest number, time or size; or a list of the allowed values. The
        first value of a list also is the default.
    locked : mapping
        What no kernelspec can change.

    Raises
    ------
    JobRefusedError
        For an option that does not exist, is set by the site, or is over a limit.
    """
    limits, locked = limits or {}, locked or {}
    check_limits(limits)
    wanted = checked(given, "the kernelspec")
    for name in wanted:
        if name in locked and wanted[name] != _text(locked[name]):
            raise JobRefusedError(
                f"the site sets the option `{name}` of jobs to {_text(locked[name]) or True}",
                details=[f"  but the kernelspec asks for {wanted[name]}"],
                hint=f"Remove `{name}` from `slurm` in the kernel.json.",
            )
    values = checked(defaults or {}, "the configuration")
    for name in given:
        if _is_off(given[name]) and name not in limits:
            values.pop(name, None)
    for name, limit in limits.items():
        # Without a time of its own, a job would get that of the partition, which can be longer.
        if (isinstance(limit, list) and limit) or name == "time":
            values.setdefault(name, str(limit[0] if isinstance(limit, list) else limit))
    values = {**values, **wanted, **checked(locked, "the configuration")}
    for name, limit in limits.items():
        if name in values and name not in locked:
            _check_limit(name, values[name], limit)
    return JobOptions(values=values)


def option_of(text: str) -> tuple[str, str | bool]:
    """Return name and value of an option that a user types: ``partition=gpu``, ``exclusive``.

    Raises
    ------
    JobRefusedError
        When there is no such option, or it needs a value.
    """
    name, has_value, value = text.strip().lstrip("-").partition("=")
    _check_name(name, "the option --slurm")
    if not has_value and name not in _WITHOUT_VALUE:
        raise JobRefusedError(
            f"the option --slurm {name} has no value", hint=f"Write --slurm {name}=VALUE."
        )
    checked({name: value}, "the option --slurm")
    return name, {"false": False, "true": True}.get(value, value) if has_value else True


def check_limits(limits: Mapping[str, Any]) -> None:
    """Check that limits are ones.

    Raises
    ------
    JobRefusedError
        For an option that does not exist, and what is neither an amount nor a list.
    """
    for name, limit in limits.items():
        _check_name(name, "the site")
        if not isinstance(limit, list) and _amount(name, str(limit)) is None:
            raise JobRefusedError(
                f"the site's limit of `{name}` is neither an amount nor a list: {limit!r}",
                hint="Tell the administrators: it is c.SpackSlurmProvisioner.slurm_limits.",
            )


def checked(options: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return options as text, without those that are switched off.

    Parameters
    ----------
    options : mapping
        Options of sbatch.
    where : str
        Who names them, for messages.

    Raises
    ------
    JobRefusedError
        For an option that does not exist or cannot be set, and for a value that is not one.
    """
    values = {}
    for name, value in options.items():
        _check_name(name, where)
        if _is_off(value):
            continue
        if not isinstance(value, str | int | float):
            raise JobRefusedError(
                f"{where} has a value for the option `{name}` of jobs that is not text: {value!r}"
            )
        text = _text(value)
        if any(ord(c) < 32 for c in text):
            raise JobRefusedError(
                f"{where} has a control character in the option `{name}` of jobs: {text!r}"
            )
        values[name] = text
    return values


def _is_off(value: object) -> bool:
    return value is None or value is False or value == ""


def _text(value: object) -> str:
    return "" if value is True else str(value)


def _check_name(name: object, where: str) -> None:
    if name in NAMES:
        return
    if name in _REFUSED:
        raise JobRefusedError(
            f"{where} cannot set the option `{name}` of jobs: {_REFUSED[str(name)]}",
            hint="Remove it.",
        )
    close = difflib.get_close_matches(str(name).lower(), sorted(NAMES), n=1)
    raise JobRefusedError(
        f"a kernel's job has no option `{name}`, which {where} sets",
        details=["  the names are those of sbatch's long options: partition, time, mem, gres, …"],
        hint=f"Did you mean `{close[0]}`?" if close else "`man sbatch` describes them.",
    )


def _check_limit(name: str, value: str, limit: object) -> None:
    if isinstance(limit, list):
        allowed = [str(each) for each in limit]
        wrong = [each for each in value.split(",") if each not in allowed]
        if wrong:
            raise JobRefusedError(
                f"the site does not allow {wrong[0]!r} as `{name}` of a kernel's job",
                details=[f"  allowed: {', '.join(allowed)}"],
                hint="Choose one of these.",
            )
        return
    amount, most = _amount(name, value), _amount(name, str(limit)) or 0.0
    if amount is None:
        raise JobRefusedError(
            f"the value of the option `{name}` of jobs is no amount: {value!r}",
            details=[f"  the site allows at most {limit}"],
            hint="`man sbatch` describes how it is written.",
        )
    if amount > most:
        raise JobRefusedError(
            f"the site allows a kernel's job at most {limit} as `{name}`",
            details=[f"  asked for: {value}"],
            hint="Ask for less.",
        )


def _amount(name: str, text: str) -> float | None:
    """Return a number, minutes for a time, or mebibytes for memory; None if it is none of them."""
    if name.startswith("time"):
        return _minutes(text)
    if name.startswith("mem") and re.fullmatch("0+[KMGT]?B?", text, re.IGNORECASE):
        return float("inf")  # all memory of the node
    # `nodes` can be a range, and the largest counts; gres is gpu:TYPE:COUNT.
    last = re.split(r"[-:]", text)[-1]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", last, re.IGNORECASE)
    if match is None:
        return 1.0 if name in ("gres", "gpus") and text else None
    number, unit = match.groups()
    if not unit:
        return float(number)
    return float(number) * _UNITS[unit.upper()]


def _minutes(text: str) -> float | None:
    """Return a time of Slurm in minutes.

    Examples
    --------
    >>> [_minutes(text) for text in ("90", "1:30", "1:30:00", "1-0", "1-2:30", "UNLIMITED")]
    [90.0, 1.5, 90.0, 1440.0, 1590.0, inf]
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "-1") or not text.strip("0:-"):
        return float("inf")
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        return None
    days, *rest = match.groups()
    first, second, third = (int(part) if part else 0 for part in rest)
    if days is not None:
        return int(days) * 1440.0 + first * 60 + second + third / 60
    if match.group(4) is not None:
        return first * 60.0 + second + third / 60
    return first + second / 60
