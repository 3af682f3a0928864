"""Notes about a plan for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.kernels.interpreters.interpreter import Interpreter
    from spack_kernel.kernels.interpreters.ipykernel import KernelPackage

    from .search_path import Override


class Note(NamedTuple):
    """Something that the user should know about a plan.

    Attributes
    ----------
    topic : str
        ``interpreter``, ``ipykernel``, ``pythonpath``, ``closure``, ``environment`` or
        ``recipes``.
    text : str
        One line.
    """

    topic: str
    text: str


def notes_of(
    interpreter: Interpreter | None,
    ipykernel: KernelPackage | None,
    overrides: Sequence[Override],
) -> list[Note]:
    """Return notes on what was chosen for a kernel."""
    notes = []
    if interpreter is not None:
        notes += [Note("interpreter", text) for text in interpreter.notes]
    if ipykernel is not None:
        notes += [Note("ipykernel", f"not used: {text}") for text in ipykernel.others]
    for used, unused in overrides:
        if used.version == unused.version:
            notes.append(Note("pythonpath", f"{used.label} is used, and {unused.label} is not"))
        else:
            notes.append(
                Note(
                    "pythonpath",
                    f"{used.label} is used, but the companion was built with {unused.label}",
                )
            )
    return notes
