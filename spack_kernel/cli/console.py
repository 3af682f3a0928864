"""The output of the command: results on standard output, everything else on standard error.

With ``--json``, an error is printed twice: as an object ``{"error": …}`` on standard output for
the program that reads it, and as text on standard error for the user.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from spack_kernel.spack.system import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.spack.errors import SpackKernelError

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "magenta": "35",
    "cyan": "36",
    # The parts of a spec, in Spack's colours.
    "version": "36",
    "variants": "34",
    "compiler": "32",
    "architecture": "35",
    "hash": "90",
}

_NOT_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Console:
    """Standard output and error of one run of the command.

    Parameters
    ----------
    color : {"auto", "always", "never"}
        ``auto`` colours output to a terminal, unless ``NO_COLOR`` is set and not empty.
    json : bool
        Whether to print results as JSON.
    verbose : bool
        Whether to print more on standard error.
    """

    def __init__(self, color: str = "auto", *, json: bool = False, verbose: bool = False) -> None:
        self.out = sys.stdout
        self.err = sys.stderr
        self.json = json
        self.verbose = verbose
        # Marks the output of `style`; random, so that text from a store cannot contain it.
        self._mark = f"\x00{os.urandom(8).hex()}"
        self._styled = re.compile(re.escape(self._mark) + r"([\d]*);")
        #: Whether a warning was printed.
        self.warned = False
        self._color = {stream: _wants_color(color, stream) for stream in (self.out, self.err)}

    @property
    def width(self) -> int | None:
        """How many characters a line of the terminal has; None if this is not a terminal."""
        return _width(self.out)

    def style(self, kind: str, text: str, stream: TextIO | None = None) -> str:
        """Return `text` in the style of `kind`, or unchanged if colours are off."""
        code = _STYLES.get(kind)
        if not text or code is None or not self._color[stream or self.out]:
            return text
        return f"{self._mark}{code};{text}{self._mark}0;"

    def _shown(self, text: str) -> str:
        """Return `text` with our colours, and with other control characters escaped."""
        parts = self._styled.split(text)
        parts[::2] = map(printable, parts[::2])
        parts[1::2] = [f"\033[{code}m" for code in parts[1::2]]
        return "".join(parts)

    def print(self, text: str = "") -> None:
        """Print a line of the result."""
        self.out.write(self._shown(text) + "\n")

    def entry(self, label: str, width: int, path: str, note: str = "") -> None:
        """Print a path behind the spec that it belongs to; below it if the line is too narrow.

        Parameters
        ----------
        label : str
            The spec, styled, padded to `width` characters.
        width : int
            The characters that `label` takes.
        path, note : str
            The path, and what is said about it in parentheses.
        """
        said = f"  ({note})" if note else ""
        shown = self.style("yellow", said)
        if self.width is None or width + len(path) + len(said) + 4 <= self.width:
            self.print(f"  {label}  {path}{shown}")
            return
        if label.strip():
            self.print(f"  {label.rstrip()}")
        self.print(f"      {path}")
        if said:
            self.print(f"    {shown}")

    def row(self, cells: Iterable[str]) -> None:
        """Print a row of a table on one line, even if a cell contains a newline."""
        self.print("  ".join(cells).rstrip().replace("\n", "\\n"))

    def print_json(self, value: Any) -> None:
        """Print a result as JSON."""
        import json

        text = json.dumps(value, indent=2, ensure_ascii=False)
        # JSON escapes the other control characters itself.
        self.out.write(_NOT_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")

    def note(self, text: str) -> None:
        """Print a note on standard error."""
        self.err.write(self._shown(text) + "\n")
        self.err.flush()

    def replace_line(self, text: str) -> None:
        """Write `text` over the last line of the terminal, cut to its width; "" clears it."""
        width = (_width(self.err) or 1) - 1
        self.err.write(f"\r\033[K{self._shown(text[:width])}")
        self.err.flush()

    def warn(self, text: str) -> None:
        """Print a warning on standard error."""
        self.warned = True
        self.note(f"{self.style('yellow', 'warning:', self.err)} {text}")

    def error(self, error: SpackKernelError, *, json: bool = True) -> None:
        """Print what failed, what was found instead, and what to do next.

        Parameters
        ----------
        error : SpackKernelError
            The error.
        json : bool
            False if the result that was printed as JSON already contains the error.
        """
        if self.json and json:
            self.print_json({"error": error.as_dict()})
        lines = [f"{self.style('red', 'error:', self.err)} {error.summary}"]
        details = [line if line.startswith(" ") else f"  {line}" for line in error.details]
        lines += self._folded(details)
        for number, line in enumerate(error.hint.splitlines()):
            lead = self.style("cyan", "hint:", self.err) if number == 0 else "     "
            lines.append(f"{lead} {line}")
        self.out.flush()
        self.note("\n".join(lines))

    def _folded(self, details: Sequence[str]) -> Iterator[str]:
        """Yield lines that fit the terminal; a query and the line that points at it stay whole."""
        import textwrap

        width = _width(self.err)
        for number, line in enumerate(details):
            is_query = any(map(_is_pointer, details[number : number + 2]))
            if width is None or len(line) <= width or is_query:
                yield line
                continue
            indent = " " * (len(line) - len(line.lstrip()) + 4)
            yield from textwrap.wrap(
                line,
                width,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _width(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _is_pointer(line: str) -> bool:
    return "^" in line and not line.strip(" ^")


def _wants_color(color: str, stream: TextIO) -> bool:
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
