"""The grammar of queries: from tokens to `Query`.

::

    queries    = { query }
    query      = node { dependency }
    dependency = ("^" | "%" | "%%") [virtuals "=" ] node
               | ("^[" | "%[" | "%%[") { "deptypes=" | "virtuals=" | "when=" } "]" node
    node       = [ [namespace "."] name | "*" ] { "@" versions | variant | attribute | "/" hash }

In the dialects before Spack 1.0 a ``%`` names the compiler of the node it stands in, and the node
goes on behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from .dialects import SPACK_1, Dialect
from .errors import QuerySyntaxError
from .host import host
from .query import CompilerQuery, Conflict, DependencyQuery, Query, VariantQuery
from .specs import FLAG_NAMES
from .tokens import QUOTED, Token, tokenize
from .versions import ANY_VERSION, EmptyRangeError, VersionError, VersionList

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Compilers that were called differently before they became packages.
COMPILER_PACKAGES = {
    "arm": "acfl",
    "clang": "llvm",
    "intel": "intel-oneapi-compilers-classic",
    "oneapi": "intel-oneapi-compilers",
    "rocmcc": "llvm-amdgpu",
}

#: Attributes that are no variants of a package, so that they cannot be propagated to others.
RESERVED_NAMES = {
    *("arch", "architecture", "branch", "commit", "dev_path", "namespace", "operating_system"),
    *("os", "patches", "platform", "ref", "tag", "target"),
}

DEPTYPES = ("build", "link", "run", "test")

#: Names that stand for what the machine has.
_HOST_OS = ("backend", "be", "default_os", "fe", "frontend")
_HOST_TARGET = ("backend", "be", "default_target", "fe", "frontend")

_replace_quoted = re.compile(QUOTED).sub


def parse_queries(text: str, dialect: Dialect = SPACK_1) -> tuple[Query, ...]:
    """Read a text that holds any number of queries, separated by blanks.

    Parameters
    ----------
    text : str
        What the user typed: ``hdf5@1.14:+mpi ^openmpi  py-numpy``. Blank text holds none.
    dialect : Dialect
        How the Spack of the store reads it.

    Raises
    ------
    QuerySyntaxError
        When it does not parse; the error points at the place.
    """
    return _parsed(text, dialect)


def parse_query(text: str, dialect: Dialect = SPACK_1) -> Query:
    """Read a text that holds one query.

    Parameters and errors are those of `parse_queries`; none or several queries are an error, too.
    """
    queries = parse_queries(text, dialect)
    if not queries:
        raise QuerySyntaxError(
            "the query is empty", text, 0, 0, hint="Type a package name, or * for any spec."
        )
    if len(queries) > 1:
        start, end = queries[1].span
        raise QuerySyntaxError(
            f"one spec is wanted here, and the query holds {len(queries)}",
            text,
            start,
            end - start,
            hint="Leave out the blank if it belongs to the spec before it.",
        )
    return queries[0]


@lru_cache(maxsize=1024)
def _parsed(text: str, dialect: Dialect) -> tuple[Query, ...]:
    return _Parser(text, dialect).queries()


@dataclass
class _Node:
    """A query while it is read."""

    span: tuple[int, int]
    name: str | None = None
    namespace: str | None = None
    versions: VersionList | None = None
    variants: dict[str, VariantQuery] = field(default_factory=dict)
    flags: dict[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    arch: dict[str, str | None] = field(default_factory=dict)
    hash: str | None = None
    compiler: CompilerQuery | None = None
    edges: list[_Edge] = field(default_factory=list)

    def finished(self, text: str, dialect: Dialect) -> Query:
        return Query(
            name=self.name,
            namespace=self.namespace,
            versions=self.versions or ANY_VERSION,
            variants=self.variants,
            flags={name: _in_order(flags) for name, flags in self.flags.items()},
            platform=self.arch.get("platform"),
            os=self.arch.get("os"),
            target=self.arch.get("target"),
            hash=self.hash,
            compiler=self.compiler,
            dependencies=tuple([edge.finished(text, dialect) for edge in self.edges]),
            dialect=dialect,
            text=text,
            span=self.span,
        )

    def constrain(self, other: _Node) -> None:
        """Ask for `other`, too, as Spack does when a dependency is named twice."""
        both = self.finished("", SPACK_1).constrained(other.finished("", SPACK_1))
        self.name, self.namespace, self.hash = both.name, both.namespace, both.hash
        self.versions = both.versions
        self.variants = dict(both.variants)
        self.flags = dict(both.flags)
        self.arch = {"platform": both.platform, "os": both.os, "target": both.target}
        self.compiler = both.compiler


@dataclass
class _Edge:
    """A dependency while it is read."""

    direct: bool
    preferred: bool
    node: _Node
    virtuals: tuple[str, ...] = ()
    deptypes: tuple[str, ...] = ()
    when: Query | None = None
    when_text: str = ""

    def finished(self, text: str, dialect: Dialect) -> DependencyQuery:
        return DependencyQuery(
            self.node.finished(text, dialect),
            self.direct,
            self.virtuals,
            self.deptypes,
            self.preferred,
            self.when,
            self.when_text,
        )


class _Parser:
    """Reads one text from the first token to the last, looking one token ahead."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self._tokens = tokenize(text, dialect)
        self._pushed: list[Token | None] = []
        self._next = next(self._tokens, None)
        self._current = Token("blank", "", 0, 0)

    # Tokens

    def _accept(self, *kinds: str) -> Token | None:
        """Take the next token when it is of one of `kinds`."""
        token = self._next
        if token is None or token.kind not in kinds:
            return None
        self._current = token
        self._next = self._pushed.pop() if self._pushed else next(self._tokens, None)
        return token

    def _push(self, token: Token) -> None:
        self._pushed.append(self._next)
        self._next = token

    def _refuse(self, reason: str, hint: str = "", token: Token | None = None) -> NoReturn:
        token = token or self._current
        raise QuerySyntaxError(reason, self.text, token.start, token.end - token.start, hint=hint)

    # Grammar

    def queries(self) -> tuple[Query, ...]:
        found = []
        while self._next is not None:
            if self._next.kind == "edge_close":
                self._refuse("this bracket closes nothing", token=self._next)
            found.append(self._query().finished(self.text, self.dialect))
        return tuple(found)

    def _query(self) -> _Node:
        root = self._node()
        behind = root
        while token := self._accept("sigil", "edge_open"):
            edge = self._edge(token)
            if not edge.direct:
                self._attach(root, edge)
                # Where the dependency was named before, what follows with a % is lost: so in Spack.
                behind = edge.node
            elif self.dialect.compiler_nodes:
                name = edge.node.name
                edge.node.name = COMPILER_PACKAGES.get(name, name) if name else name
                self._attach(behind, edge)
            else:
                self._set_compiler(behind, edge)
                self._attributes(behind)
        return root

    def _edge(self, sigil: Token) -> _Edge:
        direct = sigil.text[0] == "%"
        attributes: dict[str, Token] = {}
        close = self._edge_attributes(attributes) if sigil.kind == "edge_open" else sigil
        virtuals = self._list(attributes, "virtuals")
        if close.package:
            virtuals += close.virtuals.split(",")
            start = close.end - len(close.package)
            kind = "qualified_name" if "." in close.package else "name"
            self._push(Token(kind, close.package, start, close.end))
        edge = _Edge(
            direct,
            sigil.text.startswith("%%"),
            _Node((0, 0)),
            tuple(virtuals),
            self._deptypes(attributes),
        )
        if "when" in attributes:
            self._condition(edge, attributes["when"])
        if direct and not self.dialect.compiler_nodes:
            edge.node = self._compiler_node()
        else:
            edge.node = self._node()
        return edge

    def _edge_attributes(self, attributes: dict[str, Token]) -> Token:
        """Read up to the closing bracket, and return it."""
        while True:
            if close := self._accept("edge_close"):
                return close
            token = self._accept("pair")
            if token is None:
                self._refuse(
                    "an attribute of the dependency, or a ], is missing here",
                    "Write ^[virtuals=mpi] openmpi or ^[deptypes=build] cmake.",
                    token=self._next or Token("end", "", len(self.text), len(self.text)),
                )
            name = token.text.partition("=")[0].removesuffix(":")
            if name not in ("deptypes", "virtuals", "when"):
                self._refuse(
                    f"a dependency has no attribute {name}",
                    "It has deptypes, virtuals and when.",
                )
            attributes[name] = token

    @staticmethod
    def _list(attributes: dict[str, Token], name: str) -> list[str]:
        if name not in attributes:
            return []
        return attributes[name].text.partition("=")[2].strip("'\" ").split(",")

    def _deptypes(self, attributes: dict[str, Token]) -> tuple[str, ...]:
        asked = self._list(attributes, "deptypes")
        for deptype in asked:
            if deptype not in (*DEPTYPES, "all"):
                self._refuse(
                    f"there is no dependency type {deptype!r}",
                    f"The types are {', '.join(DEPTYPES)}.",
                    token=attributes["deptypes"],
                )
        return tuple(t for t in DEPTYPES if t in asked or "all" in asked)

    def _condition(self, edge: _Edge, token: Token) -> None:
        edge.when_text = token.text.partition("=")[2].strip("'\" ").split(",")[0]
        try:
            edge.when = parse_query(edge.when_text, self.dialect)
        except QuerySyntaxError as error:
            self._refuse(f"the condition does not parse: {error.summary}", token=token)

    def _attach(self, parent: _Node, edge: _Edge) -> None:
        """Add a dependency, or constrain the one that was named before."""
        same_name = [e for e in parent.edges if edge.node.name and e.node.name == edge.node.name]
        for other in same_name:
            if other.deptypes == edge.deptypes and other.when == edge.when:
                try:
                    other.node.constrain(edge.node)
                except Conflict:
                    self._refuse(
                        f"nothing can be both this {edge.node.name} and the one before it",
                        "Each ^ names a dependency; what is said of one belongs behind one ^.",
                    )
                other.virtuals = tuple(dict.fromkeys([*other.virtuals, *edge.virtuals]))
                return
        if all(other.when == edge.when for other in same_name) and any(
            _overlap(other.deptypes, edge.deptypes) for other in same_name
        ):
            self._refuse(
                f"{edge.node.name} is named twice with dependency types that exclude each other"
            )
        if same_name:
            edge.preferred = False
        parent.edges.append(edge)

    def _set_compiler(self, node: _Node, edge: _Edge) -> None:
        if node.compiler is not None:
            self._refuse("a spec has one compiler, and this is the second")
        name = edge.node.name
        assert name is not None
        node.compiler = CompilerQuery(name, edge.node.versions or ANY_VERSION)

    def _compiler_node(self) -> _Node:
        token = self._accept("name", "quoted_name")
        if token is None or token.text == "*":
            self._refuse(
                "the name of a compiler is missing",
                "Write %gcc or %gcc@12.",
                token=token or self._next or Token("end", "", len(self.text), len(self.text)),
            )
        node = _Node((token.start, token.end), token.text)
        if version := self._accept("version"):
            node.versions = self._versions(version)
        return node

    def _node(self) -> _Node:
        start = self._next.start if self._next else len(self.text)
        node = _Node((start, self._next.end if self._next else start))
        if token := self._accept("name"):
            node.name = token.text if token.text != "*" else None
        elif token := self._accept("quoted_name"):
            node.name = token.text[1:-1]
        elif token := self._accept("qualified_name"):
            node.namespace, _, node.name = token.text.rpartition(".")
        elif self._accept("file"):
            self._refuse(
                "a file is no query",
                "Ask for the DAG hash that the file names: /abcdefg.",
            )
        self._attributes(node)
        return node

    def _attributes(self, node: _Node) -> None:
        while True:
            if token := self._accept("version"):
                if node.versions is not None:
                    self._refuse(
                        "a spec has one version, and this is the second",
                        "Alternatives are separated by commas: @1.2,1.4.",
                    )
                node.versions = self._versions(token)
            elif token := self._accept("boolean"):
                self._set(node, token.text[1:].strip(), token.text[0] == "+")
            elif token := self._accept("propagated_boolean"):
                self._set(node, token.text[2:].strip(), token.text[0] == "+", propagate=True)
            elif token := self._accept("pair"):
                self._set_pair(node, *token.text.split("=", 1))
            elif token := self._accept("propagated_pair"):
                self._set_pair(node, *token.text.split("==", 1), propagate=True)
            elif node.hash is None and (token := self._accept("hash")):
                node.hash = token.text[1:].strip()
            else:
                return

    def _versions(self, token: Token) -> VersionList:
        try:
            return VersionList.parse(token.text[1:], prereleases=self.dialect.prereleases)
        except EmptyRangeError as error:
            self._refuse(str(error), "The lower version stands before the colon.", token)
        except VersionError as error:
            self._refuse(str(error), "Versions look like @1.2, @=1.2.3, @1.2:1.4.", token)

    # Attributes

    def _set_pair(self, node: _Node, name: str, value: str, *, propagate: bool = False) -> None:
        exact = name.endswith(":")
        if "'" in value or '"' in value:
            if value[-2:-1] == "\\":
                self._refuse("a value in quotes cannot end in a backslash")
            value = _replace_quoted(_unquoted, value)
        self._set(node, name.removesuffix(":"), value, propagate=propagate, exact=exact)

    def _set(
        self,
        node: _Node,
        name: str,
        value: bool | str,
        *,
        propagate: bool = False,
        exact: bool = False,
    ) -> None:
        if propagate and name in RESERVED_NAMES:
            self._refuse(f"{name} cannot be asked of dependencies, too", f"Write {name}=… .")
        if name in ("arch", "architecture"):
            if isinstance(value, bool):
                self._refuse(f"{name} needs a value", "Write arch=linux-debian12-x86_64_v3.")
            parts = value.split("-")
            platform, os, target = parts if len(parts) == 3 else ("", "", value)
            self._set_arch(node, platform=platform, os=os, target=target)
        elif name in ("platform", "target", "os", "operating_system"):
            # A boolean here is never meant, and never true of a spec; so in Spack.
            text = value if isinstance(value, str) else "True" if value else ""
            self._set_arch(node, **{"os" if name.startswith("o") else name: text})
        elif name == "namespace" and self.dialect.namespace_key:
            node.namespace = str(value)
        elif name in FLAG_NAMES:
            if isinstance(value, bool):
                self._refuse(f"{name} needs a value", f'Write {name}="-O2 -g".')
            if flags := [(flag, propagate) for flag in _flags(value)]:
                node.flags[name] = (*node.flags.get(name, ()), *flags)
        else:
            self._set_variant(node, name, value, propagate, exact)

    def _set_variant(
        self, node: _Node, name: str, value: bool | str, propagate: bool, exact: bool
    ) -> None:
        if name in node.variants:
            self._refuse(f"the variant {name} is given twice")
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if isinstance(value, bool):
            node.variants[name] = VariantQuery(name, (value,), exact=True, propagate=propagate)
            return
        if value == "*":
            node.variants[name] = VariantQuery(name, (), propagate=propagate)
            return
        values = value.split(",")
        if "*" in values:
            self._refuse("the value * stands for any, and stands alone", f"Write {name}=* .")
        node.variants[name] = VariantQuery(name, tuple(sorted(set(values))), exact, propagate)

    def _set_arch(self, node: _Node, **parts: str) -> None:
        if all(node.arch.get(part) for part in ("platform", "os", "target")) and not any(
            mark in (node.arch["target"] or "") for mark in ":,"
        ):
            self._refuse("a spec has one architecture, and this is the second")
        first = not node.arch
        for part, value in parts.items():
            if not first and node.arch.get(part):
                self._refuse(f"{part} is given twice")
            if value == "None" and (first or part == "target"):
                value = ""
            node.arch[part] = self._on_host(node, part, value) or None

    def _on_host(self, node: _Node, part: str, value: str) -> str:
        names = {"os": _HOST_OS, "target": _HOST_TARGET}.get(part, ())
        if value not in names:
            return value
        here = host()
        platform = node.arch.setdefault("platform", here.platform) or here.platform
        node.arch["platform"] = platform
        if platform != here.platform:
            self._refuse(
                f"{part}={value} stands for that of this machine, and the platform is {platform}",
                f"Name the {part}.",
            )
        return here.os if part == "os" else here.target


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether two dependencies of one name cannot both be: the rule of Spack."""
    both = set(one) & set(other)
    return bool(both) or all({"link", "run"} & set(types) for types in (one, other))


def _unquoted(match: re.Match[str]) -> str:
    quote, value = match[0][0], match[0][1:-1]
    return value.replace(f"\\{quote}", quote)


def _flags(value: str) -> list[str]:
    """Cut a list of compiler flags; a word that is no flag is the argument of the one before."""
    flags: list[str] = []
    for word in value.split():
        if flags and not word.startswith("-"):
            flags[-1] += f" {word}"
        else:
            flags.append(word)
    return flags


def _in_order(flags: tuple[tuple[str, bool], ...]) -> tuple[tuple[str, bool], ...]:
    return tuple(sorted(flags, key=lambda flag: flag[1]))
