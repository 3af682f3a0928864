"""Explain why a kernel ended."""

from __future__ import annotations

import asyncio
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.jupyter.errors import KernelDiedError
from spack_kernel.jupyter.helper import Diagnose, Diagnosis, ask
from spack_kernel.kernels.exits import describe_exit, ipython_directory
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.jupyter.helper import Prepare, Prepared

_log = logging.getLogger(__name__)

#: How many lines of a failed kernel's standard error are shown.
_SHOWN_LINES = 15

#: Seconds that a diagnosis may take.
_TIMEOUT = 5.0


class Death(NamedTuple):
    """How a kernel ended.

    Attributes
    ----------
    status : int
        Its exit status; negative: the signal that ended it.
    lines : list of str
        The last lines of its standard error.
    listened : bool
        Whether it was already listening, but had not answered.
    """

    status: int
    lines: list[str]
    listened: bool = False


async def explain(
    death: Death,
    when: str,
    question: Prepare,
    prepared: Prepared,
    *,
    command: Sequence[str] = (),
    again: str = "",
) -> KernelDiedError:
    """Return the error for a kernel whose process has ended.

    Parameters
    ----------
    death : Death
        How it ended.
    when : str
        When it ended, such as "during startup".
    question, prepared : Prepare, Prepared
        What it was started for, and with.
    command : sequence of str
        Its command, if that is to be shown.
    again : str
        The command that starts it again step by step; empty for none.
    """
    hint = f"`{again}` starts it step by step." if again else ""
    details = [f"  {' '.join(command[:3])} …"] if command else []
    details += shown(death.lines)
    cause = await _diagnosis(death, question, prepared)
    details += cause.details
    if cause.hint:
        hint = f"{cause.hint}\n{hint}".strip()
    if death.listened and not cause.details:
        directory = f"{ipython_directory(prepared.environment)}/profile_default"
        details.append(
            "  it was already listening: IPython then runs its startup files and extensions"
        )
        hint = f"Check the files in {directory}/startup, or move it away.\n{hint}".strip()
    return KernelDiedError(
        f"the kernel of {prepared.name} ended {when}: {describe_exit(death.status)}",
        details=details,
        hint=hint,
    )


def shown(lines: Sequence[str]) -> list[str]:
    """Return the last lines of a program's output as details of an error."""
    kept = list(lines)
    while kept and not kept[-1].strip():
        kept.pop()
    return [f"  | {line}" for line in kept[-_SHOWN_LINES:]]


async def _diagnosis(death: Death, question: Prepare, prepared: Prepared) -> Diagnosis:
    asked = Diagnose(
        prepare=question,
        status=death.status,
        lines=death.lines,
        environment=prepared.environment,
    )
    try:
        answer, _ = await asyncio.wrap_future(ask(question.request.stores, asked, _TIMEOUT))
    except SpackKernelError as error:
        _log.debug("no diagnosis: %s", error)
        return Diagnosis()
    assert isinstance(answer, Diagnosis)
    return answer


def check_command(
    kernel_file: str, request: KernelRequest, given: Mapping[str, Any], prepared: Prepared | None
) -> str:
    """Return the command that starts a kernel again, with the same settings.

    Parameters
    ----------
    kernel_file : str
        Its kernel.json; empty if it has none.
    request : KernelRequest
        What it was started for.
    given : mapping
        The options of its kernelspec.
    prepared : Prepared or None
        What it was started with.
    """
    # Only a server with our extension finds the recent kernels of the picker.
    if kernel_file and Path(kernel_file).parents[2].name != "spack-kernel":
        return f"spack-kernel check {shlex.quote(Path(kernel_file).parent.name)}"
    if prepared is None:
        return ""
    if request.from_notebook:
        words = [word for path in prepared.stores for word in ("--store", path)]
    else:
        words = KernelRequest.from_config(given).to_words("check")
    named = request.environment or request.view
    queries = [] if named else [f"/{dag_hash[:7]}" for _, dag_hash in prepared.specs]
    return shlex.join(["spack-kernel", "check", *words, *queries])
