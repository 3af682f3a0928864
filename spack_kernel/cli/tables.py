"""Cells and rows that the tables of `spack-kernel list` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.kernels.candidates import Candidate


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row of a table."""
    return "  ".join(c.ljust(width) for c, width in zip(cells, widths, strict=True)).rstrip()


def ipykernel_text(candidate: Candidate) -> str:
    """Return the ipykernel that a candidate uses, or why it has none, for a table column."""
    if candidate.source is None:
        return f"none: {candidate.why_not}"
    version = candidate.ipykernel_version or "unknown version"
    if candidate.source == "companion" and candidate.ipykernel is not None:
        return f"{version}, companion /{candidate.ipykernel.hash[:7]}"
    return f"{version}, {candidate.source}"


def ipykernel_dict(candidate: Candidate) -> dict[str, Any] | None:
    """Return the ipykernel that a candidate uses as JSON types, or None if there is none."""
    if candidate.source is None:
        return None
    kernel = candidate.ipykernel
    return {
        "from": candidate.source,
        "version": candidate.ipykernel_version or None,
        "hash": kernel.hash if kernel else None,
    }
