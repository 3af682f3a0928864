"""Write values in a query so that parsing it gives the same values again."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from .tokens import BARE, SHORT_BARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A compiler flag, and whether it also applies to the dependencies.
Flag = tuple[str, bool]

#: An argument with a value, and values that Spack does not quote; both are Spack's own.
_KEY_VALUE = re.compile(r"^([a-zA-Z_0-9][a-zA-Z_0-9\-.]*)(:?==?)(.*)$")
_NEEDS_NO_QUOTES = re.compile(r"^[a-zA-Z0-9,/_.\-\[\]]+$")

_is_bare = re.compile(SHORT_BARE).fullmatch
_is_bare_with_sigils = re.compile(BARE).fullmatch


def flag_words(name: str, flags: tuple[Flag, ...]) -> Iterator[str]:
    """Yield ``cflags=…`` so that parsing it gives the same flags again."""
    for propagate in (False, True):
        together: list[str] = []
        for flag, propagated in flags:
            if propagated is not propagate:
                continue
            # A flag without a dash would be parsed as an argument; a backslash escapes a quote.
            if together and (not flag.startswith("-") or flag.endswith("\\")):
                yield _flag_word(name, together, propagate)
                together = []
            together.append(flag)
        if together:
            yield _flag_word(name, together, propagate)


def _flag_word(name: str, flags: Iterable[str], propagate: bool) -> str:
    return f"{name}{'==' if propagate else '='}{quoted(' '.join(flags))}"


@lru_cache(maxsize=4096)
def quoted(value: str) -> str:
    """Return `value` as written after ``name=``, in quotes if necessary.

    A value that ends in a backslash cannot be quoted; see `is_spellable`.

    Examples
    --------
    >>> quoted("-O2"), quoted("-O2 -g")
    ('-O2', '"-O2 -g"')
    """
    if not value.startswith("=") and (
        _is_bare(value) or (value.endswith("\\") and _is_bare_with_sigils(value))
    ):
        return value
    quote = "'" if "'" not in value and '"' in value else '"'
    return quote + value.replace(quote, f"\\{quote}") + quote


def join_words(words: Iterable[str]) -> str:
    """Return the text of the queries that the arguments of a command form.

    The shell has removed the quotes from ``cflags="-O2 -g"``. As in Spack (`quote_kvp` in
    ``spack.cmd``), what follows the ``=`` of an argument is its value, and is quoted if it needs to
    be.

    Examples
    --------
    >>> join_words(["py-numpy", "cflags=-O2 -g", "^[virtuals=blas]", "openblas"])
    "py-numpy cflags='-O2 -g' ^[virtuals=blas] openblas"
    """
    return " ".join(map(_requoted, words))


def _requoted(word: str) -> str:
    match = _KEY_VALUE.match(word)
    if match is None:
        return word
    key, delimiter, value = match.groups()
    if not _NEEDS_NO_QUOTES.match(value):
        value = json.dumps(value) if "'" in value else f"'{value}'"
    return f"{key}{delimiter}{value}"


def is_spellable(value: str) -> bool:
    """Return whether parsing the result of `quoted` gives `value` again."""
    return not value.endswith("\\") or quoted(value) == value


def bracketed(value: str) -> str:
    """Return `value` as written in brackets, where quotes cannot be escaped."""
    if _is_bare(value) and not value.startswith("="):
        return value
    unescaped = re.search(r"(?<!\\)\"", value)
    return f"'{value}'" if unescaped else f'"{value}"'
