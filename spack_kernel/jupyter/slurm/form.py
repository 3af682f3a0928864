"""The form for a kernel in a job: its fields, and what the site allows in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The options that every form contains.
_USUAL = ("partition", "time", "cpus-per-task", "mem", "gres")


class JobField(msgspec.Struct, frozen=True, kw_only=True):
    """An option of a job.

    Attributes
    ----------
    name : str
        The long option of sbatch.
    value : str
        Its default; empty for that of Slurm.
    choices : list of str
        The allowed values; empty if they are not a list.
    most : str
        The largest value; empty without a limit.
    locked : bool
        Whether it cannot be changed.
    """

    name: str
    value: str = ""
    choices: list[str] = []
    most: str = ""
    locked: bool = False


def job_form(
    defaults: Mapping[str, Any], limits: Mapping[str, Any], locked: Mapping[str, Any]
) -> list[JobField]:
    """Return the fields of the form for a job; the parameters are those of `job_options`.

    Examples
    --------
    >>> fields = job_form({"time": "1:00:00"}, {"partition": ["cpu", "gpu"], "time": "8:00:00"}, {})
    >>> [(field.name, field.value, field.choices, field.most) for field in fields[:2]]
    [('partition', 'cpu', ['cpu', 'gpu'], ''), ('time', '1:00:00', [], '8:00:00')]
    """
    names = dict.fromkeys((*_USUAL, *limits, *defaults, *locked))
    return [_field(name, defaults, limits, locked) for name in names]


def _field(
    name: str, defaults: Mapping[str, Any], limits: Mapping[str, Any], locked: Mapping[str, Any]
) -> JobField:
    if name in locked:
        return JobField(name=name, value=str(locked[name]), locked=True)
    limit, default = limits.get(name), defaults.get(name, "")
    choices = [str(each) for each in limit] if isinstance(limit, list) else []
    most = str(limit) if limit is not None and not choices else ""
    fallback = choices[0] if choices else (most if name == "time" else "")
    return JobField(name=name, value=str(default or fallback), choices=choices, most=most)
