"""Split the text of a query into tokens.

Tokens do not depend on their position, so one regular expression finds them all. If several rules
match, the first one in `_rules` is used. No rule has ambiguous nested repetitions, so the time is
bounded by the length of the text times the length of a token.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.errors import QuerySyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialects import Dialect

#: The name of a package or virtual package, without and with a namespace.
IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
QUALIFIED = rf"{IDENTIFIER}(?:\.{IDENTIFIER})+"
LOOSE_QUALIFIED = rf"{IDENTIFIER}(?:\.+{IDENTIFIER})+"

#: The name of a variant, a flag list or another attribute.
ATTRIBUTE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

#: A value in quotes; a quote after a backslash does not end it.
QUOTED = r"""(?:'(?:[^']|(?<=\\)')*'|"(?:[^"]|(?<=\\)")*")"""

#: A value without quotes; in some dialects it ends where a dependency or compiler begins.
BARE = r"[A-Za-z0-9_+*.,:=~/\\%^-]+"
SHORT_BARE = r"[A-Za-z0-9_+*.,:=~/\\-]+"

_COMMIT = r"[A-Fa-f0-9]{40}"
_GIT = rf"(?:git\.[A-Za-z0-9_][A-Za-z0-9_./-]*|{_COMMIT})"


#: The longest query accepted; a spec with all its dependencies may need 20,000 characters.
LONGEST = 50_000


class Token(NamedTuple):
    """A piece of a query.

    Attributes
    ----------
    kind : str
        The rule that matched it; see `_rules`.
    text : str
        ``query[start:end]``.
    start, end : int
        Its position in the query.
    virtuals, package : str
        For ``^mpi=openmpi`` (also after ``]``): ``mpi`` and ``openmpi``; otherwise empty.
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
    # Text followed by "=" does not end a range: it is the name of an attribute.
    end = r"(?![A-Za-z0-9_.-])" if loose else r"\b"
    version = rf"=?[A-Za-z0-9_][A-Za-z0-9_.-]*{end}"
    gap = r"\s*" if dialect.blank_ranges else ""
    span = rf"(?:{version}{gap})?:(?:{version}(?!\s*=))?"
    item = rf"(?:{span}|{version})"
    qualified = LOOSE_QUALIFIED if loose else QUALIFIED
    # In dialects without compiler nodes, ^name=value is a variant of an anonymous dependency.
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
        When the iteration reaches a character that does not begin a token, or the text is longer
        than `LONGEST`.
    """
    if len(query) > LONGEST:
        raise QuerySyntaxError(
            f"the query is longer than {LONGEST} characters", query, LONGEST, hint="Use a DAG hash."
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
    "@": "A version must directly follow the @: @1.2, @=1.2.3, @1.2:1.4, @:1.4 or @1.2,1.4.",
    "+": "The name of a variant must follow: +shared.",
    "~": "The name of a variant must follow: ~shared.",
    "-": "The name of a variant must follow: -shared, or preferably ~shared.",
    "/": "The beginning of a DAG hash must directly follow the /: /abcdefg.",
    "=": "Write name=value without spaces around the =; a value can be quoted.",
    ",": "Commas separate only versions and values; separate specs with spaces.",
    ":": "Only versions and targets have ranges: @1.2:1.4, target=x86_64_v2:.",
    "[": "Brackets must directly follow a ^ or a %: ^[virtuals=mpi] openmpi.",
    '"': 'Only values can be quoted, and both quotes are required: cflags="-O2 -g".',
    "'": "Only values can be quoted, and both quotes are required: cflags='-O2 -g'.",
    ".": "Write a namespace before the name, with one dot between them: builtin.zlib.",
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
