"""Cut the text of a query into tokens.

What a token is does not depend on where it stands, so one regular expression finds them all; of
several that fit, the first one in `_rules` is taken. No rule repeats a repetition in two ways, so
the time is bounded by the length of the text times the length of a token.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.errors import QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialects import Dialect

#: A package or virtual name, and one with a namespace in front.
IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
QUALIFIED = rf"{IDENTIFIER}(?:\.{IDENTIFIER})+"
LOOSE_QUALIFIED = rf"{IDENTIFIER}(?:\.+{IDENTIFIER})+"

#: The name of a variant, a flag list or another attribute.
ATTRIBUTE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

#: A value between quotes; a quote behind a backslash does not end it.
QUOTED = r"""(?:'(?:[^']|(?<=\\)')*'|"(?:[^"]|(?<=\\)")*")"""

#: A value without quotes; in some dialects it ends where a dependency or compiler begins.
BARE = r"[A-Za-z0-9_+*.,:=~/\\%^-]+"
SHORT_BARE = r"[A-Za-z0-9_+*.,:=~/\\-]+"

_COMMIT = r"[A-Fa-f0-9]{40}"
_GIT = rf"(?:git\.[A-Za-z0-9_][A-Za-z0-9_./-]*|{_COMMIT})"


#: The longest query that is read; a spec with all its dependencies may need 20,000 characters.
LONGEST = 50_000


class Token(NamedTuple):
    """A piece of a query.

    Attributes
    ----------
    kind : str
        The rule that made it; see `_rules`.
    text : str
        ``query[start:end]``.
    start, end : int
        Where it stands in the query.
    virtuals, package : str
        Of ``^mpi=openmpi`` (also behind ``]``): ``mpi`` and ``openmpi``; else empty.
    """

    kind: str
    text: str
    start: int
    end: int
    virtuals: str = ""
    package: str = ""


def _rules(dialect: Dialect) -> Iterator[tuple[str, str]]:
    loose = dialect.loose_words
    value = rf"(?:{BARE if dialect.compiler_nodes else SHORT_BARE}|{QUOTED})"
    if loose:
        value = rf"(?:[^\s'\"]|{QUOTED})+"
    # What is followed by "=" ends no range: it is the name of an attribute.
    end = r"(?![A-Za-z0-9_.-])" if loose else r"\b"
    version = rf"=?[A-Za-z0-9_][A-Za-z0-9_.-]*{end}"
    gap = r"\s*" if dialect.blank_ranges else ""
    span = rf"(?:{version}{gap})?:(?:{version}(?!\s*=))?"
    item = rf"(?:{span}|{version})"
    qualified = LOOSE_QUALIFIED if loose else QUALIFIED
    # With a compiler instead of compiler nodes, ^name=value asks for a variant of anything.
    provider = r"(?:\s*(?P<virtuals>{0}(?:,{0})*)=(?P<package>{1}|{0}))?"
    provider = provider.format(IDENTIFIER, qualified)
    closing = provider.replace("<", "<closing_") if dialect.compiler_nodes else ""
    name = rf"(?:{ATTRIBUTE})?" if dialect.nameless_pairs else ATTRIBUTE

    yield "edge_open", r"(?:\^|%%?)\["
    yield "edge_close", r"\]" + closing
    if dialect.compiler_nodes:
        yield "sigil", r"(?:\^|%%?)" + provider
    else:
        yield "sigil", r"\^|%%?" + provider
    yield "version", rf"@{_GIT}={version}|@{_GIT}|@\s*{item}(?:\s*,\s*{item})*"
    yield "propagated_boolean", rf"(?:\+\+|~~|--)\s*{ATTRIBUTE}"
    yield "boolean", rf"[+~-]\s*{ATTRIBUTE}"
    if dialect.propagation:
        yield "propagated_pair", rf"{name}:?=={value}"
    yield "pair", rf"{name}:?={value}"
    yield "file", r"(?:\.|/|[A-Za-z0-9_-]*/)[A-Za-z0-9_./-]{0,1000}\.(?:json|yaml)"
    yield "qualified_name", qualified
    yield "name", rf"{IDENTIFIER}|\*"
    yield "hash", r"/\s*[A-Za-z0-9_]+" if loose else r"/[A-Za-z0-9_]+"
    if loose:
        yield "quoted_name", rf"'{IDENTIFIER}'|\"{IDENTIFIER}\""
    yield "blank", r"\s+"
    yield "unexpected", r"."


@lru_cache(maxsize=8)
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?P<{kind}>{rule})" for kind, rule in _rules(dialect)))


def tokenize(query: str, dialect: Dialect) -> Iterator[Token]:
    """Yield the tokens of `query` without blanks.

    Raises
    ------
    QuerySyntaxError
        When the iteration comes to a character that begins no token, or the text is longer than
        anybody means.
    """
    if len(query) > LONGEST:
        raise QuerySyntaxError(
            f"the query is longer than {LONGEST} characters", query, LONGEST, hint="Name a hash."
        )
    for match in _pattern(dialect).finditer(query):
        kind = match.lastgroup
        assert kind is not None
        if kind == "blank":
            continue
        if kind == "unexpected":
            raise _unexpected(query, match.start())
        virtuals = package = None
        if kind == "sigil":
            virtuals, package = match["virtuals"], match["package"]
        elif kind == "edge_close" and dialect.compiler_nodes:
            virtuals, package = match["closing_virtuals"], match["closing_package"]
        yield Token(kind, match.group(), match.start(), match.end(), virtuals or "", package or "")


_ADVICE = {
    "@": "A version follows the @ at once: @1.2, @=1.2.3, @1.2:1.4, @:1.4 or @1.2,1.4.",
    "+": "The name of a variant follows: +shared.",
    "~": "The name of a variant follows: ~shared.",
    "-": "The name of a variant follows: -shared, or better ~shared.",
    "/": "The beginning of a DAG hash follows at once: /abcdefg.",
    "=": "Write name=value without blanks around the =; a value may stand in quotes.",
    ",": "Only versions and values are separated by commas; several specs by blanks.",
    ":": "Only versions and targets have ranges: @1.2:1.4, target=x86_64_v2:.",
    "[": "Brackets follow a ^ or a % at once: ^[virtuals=mpi] openmpi.",
    '"': 'Only values stand in quotes, and both quotes are needed: cflags="-O2 -g".',
    "'": "Only values stand in quotes, and both quotes are needed: cflags='-O2 -g'.",
    ".": "A namespace stands before a name and one dot: builtin.zlib.",
}


def _unexpected(query: str, position: int) -> QuerySyntaxError:
    character = query[position]
    shown = character if character.isprintable() else repr(character)[1:-1]
    return QuerySyntaxError(
        f"unexpected character {shown} in the query",
        query,
        position,
        hint=_ADVICE.get(character, ""),
    )
