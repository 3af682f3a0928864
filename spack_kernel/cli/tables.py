"""Tables that fit the terminal, and cells that the tables of `spack-kernel list` share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.kernels.candidates import Candidate

#: What stays together when a cell is folded: text without blanks, and a variant of a spec.
_WORD = re.compile(r"\s*(?:[+~]|[^\s+~])[^\s+~]*")


def column_widths(
    rows: Sequence[Sequence[str]], width: int | None, foldable: Sequence[int] = ()
) -> list[int]:
    """Return the widths of the columns of a table.

    Parameters
    ----------
    rows : sequence of sequence of str
        The cells, with those of the heading.
    width : int or None
        How many characters a line may have; None for any number.
    foldable : sequence of int
        The columns that are narrowed if the table is too wide.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is None:
        return widths
    excess = total_width(widths) - width
    least = {column: _longest_word(row[column] for row in rows) for column in foldable}
    while excess > 0:
        wide = [column for column in foldable if widths[column] > least[column]]
        if not wide:
            break
        widths[max(wide, key=lambda column: widths[column])] -= 1
        excess -= 1
    return widths


def total_width(widths: Sequence[int]) -> int:
    """Return how many characters a line of columns has."""
    return sum(widths) + 2 * (len(widths) - 1)


def _longest_word(cells: Iterable[str]) -> int:
    return max((len(word.strip()) for cell in cells for word in _WORD.findall(cell)), default=0)


def folded(cells: Sequence[str], widths: Sequence[int]) -> Iterator[list[str]]:
    """Yield the lines of a row, as cells padded to their widths."""
    columns = [fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, columns))):
        yield [
            (column[number] if number < len(column) else "").ljust(width)
            for column, width in zip(columns, widths, strict=True)
        ]


def fold(cell: str, width: int) -> list[str]:
    """Return a cell on lines of at most `width` characters, if its words are not longer."""
    lines = [""]
    for word in _WORD.findall(cell) or [cell]:
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append(word.lstrip())
        else:
            lines[-1] += word
    return lines


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row of a table on one line."""
    return "  ".join(c.ljust(width) for c, width in zip(cells, widths, strict=True)).rstrip()


def ipykernel_text(candidate: Candidate) -> str:
    """Return the ipykernel that a candidate uses, or why it has none, for a table column."""
    if candidate.source is None:
        return f"none: {candidate.why_not}"
    version = candidate.ipykernel_version or "unknown version"
    if candidate.source == "companion" and candidate.ipykernel is not None:
        return f"{version}, companion /{candidate.ipykernel.hash[:7]}"
    return f"{version}, {candidate.source}"
