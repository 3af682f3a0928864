"""The grammar of queries: from tokens to `AbstractSpec`.

::

    queries    = { query }
    query      = node { dependency }
    dependency = ("^" | "%" | "%%") [virtuals "=" ] node
               | ("^[" | "%[" | "%%[") { "deptypes=" | "virtuals=" | "when=" } "]" node
    node       = [ [namespace "."] name | "*" ] { "@" versions | variant | attribute | "/" hash }

In the dialects before Spack 1.0, a ``%`` sets the compiler of the node that it is part of, and more
attributes of that node may follow.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES
from spack_kernel.spack.spec.version_ranges import (
    ANY_VERSION,
    EmptyRangeError,
    VersionError,
    VersionList,
)

from .abstract_spec import CompilerConstraint
from .builder import BuildError, EdgeBuilder, SpecBuilder
from .dialects import SPACK_1, Dialect
from .tokens import Token, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .abstract_spec import AbstractSpec

#: Compilers that had another name before they became packages.
COMPILER_PACKAGES = {
    "arm": "acfl",
    "clang": "llvm",
    "intel": "intel-oneapi-compilers-classic",
    "oneapi": "intel-oneapi-compilers",
    "rocmcc": "llvm-amdgpu",
}


def parse_queries(text: str, dialect: Dialect = SPACK_1) -> tuple[AbstractSpec, ...]:
    """Parse text that contains any number of queries, separated by spaces.

    Parameters
    ----------
    text : str
        What the user typed: ``hdf5@1.14:+mpi ^openmpi  py-numpy``. Blank text contains none.
    dialect : Dialect
        The dialect of the store's Spack.

    Raises
    ------
    QuerySyntaxError
        When it does not parse; the error points to the position.

    Examples
    --------
    >>> [query.name for query in parse_queries("hdf5@1.14:+mpi ^openmpi  py-numpy")]
    ['hdf5', 'py-numpy']
    """
    return _parsed(text, dialect)


def parse_query(text: str, dialect: Dialect = SPACK_1) -> AbstractSpec:
    """Parse text that contains one query.

    Parameters and errors are those of `parse_queries`. No query, or several, is also an error.

    Examples
    --------
    >>> query = parse_query("hdf5@1.14:~mpi %gcc@12")
    >>> query.name, str(query.versions), str(query.variants["mpi"])
    ('hdf5', '1.14:', '~mpi')
    """
    queries = parse_queries(text, dialect)
    if not queries:
        raise QuerySyntaxError(
            "the query is empty", text, 0, 0, hint="Type a package name, or * for any spec."
        )
    if len(queries) > 1:
        start, end = queries[1].span
        raise QuerySyntaxError(
            f"expected one spec, but the query contains {len(queries)}",
            text,
            start,
            end - start,
            hint="Remove the space before it if it belongs to the preceding spec.",
        )
    return queries[0]


@lru_cache(maxsize=1024)
def _parsed(text: str, dialect: Dialect) -> tuple[AbstractSpec, ...]:
    return _Parser(text, dialect).queries()


class _Parser:
    """Parses one text from the first token to the last, with one token of lookahead."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self._tokens = tokenize(text, dialect)
        self._pushed: list[Token | None] = []
        self._next = next(self._tokens, None)
        self._current = Token("blank", "", 0, 0)

    # Tokens

    def _accept(self, *kinds: str) -> Token | None:
        """Consume and return the next token if it is one of `kinds`, else return None."""
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

    def queries(self) -> tuple[AbstractSpec, ...]:
        found = []
        while self._next is not None:
            if self._next.kind == "edge_close":
                self._refuse("unmatched closing bracket", token=self._next)
            found.append(self._query().finished(self.text))
        return tuple(found)

    def _query(self) -> SpecBuilder:
        root = self._node()
        behind = root
        while token := self._accept("sigil", "edge_open"):
            edge = self._edge(token)
            if not edge.direct:
                with self._refusing():
                    root.attach(edge)
                # As in Spack, a % after a dependency that was already named is lost.
                behind = edge.node
            elif self.dialect.compiler_nodes:
                name = edge.node.name
                edge.node.name = COMPILER_PACKAGES.get(name, name) if name else name
                with self._refusing():
                    behind.attach(edge)
            else:
                self._set_compiler(behind, edge)
                self._attributes(behind)
        return root

    def _edge(self, sigil: Token) -> EdgeBuilder:
        direct = sigil.text[0] == "%"
        attributes: dict[str, Token] = {}
        close = self._edge_attributes(attributes) if sigil.kind == "edge_open" else sigil
        virtuals = self._list(attributes, "virtuals")
        if close.package:
            virtuals += close.virtuals.split(",")
            start = close.end - len(close.package)
            kind = "qualified_name" if "." in close.package else "name"
            self._push(Token(kind, close.package, start, close.end))
        deptypes = self._deptypes(attributes)
        edge = EdgeBuilder(SpecBuilder(self.dialect, (0, 0)), direct, tuple(virtuals), deptypes)
        edge.preferred = sigil.text.startswith("%%")
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
                    "expected a dependency attribute or ] here",
                    "Write ^[virtuals=mpi] openmpi or ^[deptypes=build] cmake.",
                    token=self._next or Token("end", "", len(self.text), len(self.text)),
                )
            name = token.text.partition("=")[0].removesuffix(":")
            if name not in ("deptypes", "virtuals", "when"):
                self._refuse(
                    f"a dependency has no attribute {name}",
                    "The attributes are deptypes, virtuals and when.",
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
            if deptype not in ALL_DEPTYPES:
                self._refuse(
                    f"there is no dependency type {deptype!r}",
                    f"The types are {', '.join(ALL_DEPTYPES)}.",
                    token=attributes["deptypes"],
                )
        return tuple(t for t in ALL_DEPTYPES if t in asked)

    def _condition(self, edge: EdgeBuilder, token: Token) -> None:
        edge.when_text = token.text.partition("=")[2].strip("'\" ").split(",")[0]
        try:
            edge.when = parse_query(edge.when_text, self.dialect)
        except QuerySyntaxError as error:
            self._refuse(f"the condition does not parse: {error.summary}", token=token)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn a `BuildError` into an error that points to the current token."""
        try:
            yield
        except BuildError as refusal:
            self._refuse(refusal.reason, refusal.hint)

    def _set_compiler(self, node: SpecBuilder, edge: EdgeBuilder) -> None:
        if node.compiler is not None:
            self._refuse("a spec has one compiler, and this is the second")
        name = edge.node.name
        assert name is not None
        node.compiler = CompilerConstraint(name, edge.node.versions or ANY_VERSION)

    def _compiler_node(self) -> SpecBuilder:
        token = self._accept("name", "quoted_name")
        if token is None or token.text == "*":
            self._refuse(
                "the name of a compiler is missing",
                "Write %gcc or %gcc@12.",
                token=token or self._next or Token("end", "", len(self.text), len(self.text)),
            )
        node = SpecBuilder(self.dialect, (token.start, token.end), token.text)
        if version := self._accept("version"):
            node.versions = self._versions(version)
        return node

    def _node(self) -> SpecBuilder:
        start = self._next.start if self._next else len(self.text)
        node = SpecBuilder(self.dialect, (start, self._next.end if self._next else start))
        if token := self._accept("name"):
            node.name = token.text if token.text != "*" else None
        elif token := self._accept("quoted_name"):
            node.name = token.text[1:-1]
        elif token := self._accept("qualified_name"):
            node.namespace, _, node.name = token.text.rpartition(".")
        elif self._accept("file"):
            self._refuse(
                "a file is not a query",
                "Use the DAG hash in the file instead: /abcdefg.",
            )
        self._attributes(node)
        return node

    def _attributes(self, node: SpecBuilder) -> None:
        with self._refusing():
            while self._attribute(node):
                pass

    def _attribute(self, node: SpecBuilder) -> bool:
        """Parse one attribute of `node`; return False if something else follows."""
        if token := self._accept("version"):
            if node.versions is not None:
                self._refuse(
                    "only one version constraint is allowed, and this is the second",
                    "Alternatives are separated by commas: @1.2,1.4.",
                )
            node.versions = self._versions(token)
        elif token := self._accept("boolean"):
            node.set(token.text[1:].strip(), token.text[0] == "+")
        elif token := self._accept("propagated_boolean"):
            node.set(token.text[2:].strip(), token.text[0] == "+", propagate=True)
        elif token := self._accept("pair"):
            node.set_pair(*token.text.split("=", 1))
        elif token := self._accept("propagated_pair"):
            node.set_pair(*token.text.split("==", 1), propagate=True)
        elif node.hash is None and (token := self._accept("hash")):
            node.hash = token.text[1:].strip()
        else:
            return False
        return True

    def _versions(self, token: Token) -> VersionList:
        try:
            return VersionList.parse(token.text[1:], prereleases=self.dialect.prereleases)
        except EmptyRangeError as error:
            self._refuse(str(error), "Write the lower version before the colon.", token)
        except VersionError as error:
            self._refuse(str(error), "Versions look like @1.2, @=1.2.3, @1.2:1.4.", token)
