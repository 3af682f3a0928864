"""How values are written in a query so that they are read as they were."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from .tokens import SHORT_BARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A compiler flag, and whether it is asked of the dependencies, too.
Flag = tuple[str, bool]

_is_bare = re.compile(SHORT_BARE).fullmatch


def flag_words(name: str, flags: tuple[Flag, ...]) -> Iterator[str]:
    """Yield ``cflags=…`` so that reading it gives the same flags again."""
    for propagate in (False, True):
        together: list[str] = []
        for flag, propagated in flags:
            if propagated is not propagate:
                continue
            if together and not flag.startswith("-"):  # it would be read as an argument
                yield _flag_word(name, together, propagate)
                together = []
            together.append(flag)
        if together:
            yield _flag_word(name, together, propagate)


def _flag_word(name: str, flags: Iterable[str], propagate: bool) -> str:
    return f"{name}{'==' if propagate else '='}{quoted(' '.join(flags), always=True)}"


@lru_cache(maxsize=4096)
def quoted(value: str, *, always: bool = False) -> str:
    """Return `value` as it can stand behind ``name=``, in quotes where it needs some."""
    if not always and _is_bare(value) and not value.startswith("="):
        return value
    quote = "'" if "'" not in value and '"' in value else '"'
    return quote + value.replace(quote, f"\\{quote}") + quote


def bracketed(value: str) -> str:
    """Return `value` as it can stand in brackets, where quotes cannot be escaped."""
    if _is_bare(value) and not value.startswith("="):
        return value
    unescaped = re.search(r"(?<!\\)\"", value)
    return f"'{value}'" if unescaped else f'"{value}"'
