"""Make text from other sources safe to print: without characters that control a terminal."""

from __future__ import annotations

import re

#: Control characters except tab and newline, characters that change the text direction, line
#: separators, and lone surrogates, which cannot be encoded.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return `text` with characters that control a terminal escaped.

    Examples
    --------
    >>> print(printable("a \033[31mred\033[0m name"))
    a \x1b[31mred\x1b[0m name
    """
    return _ACTING.sub(_escape, text) if _ACTING.search(text) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
