"""Records as rows: names and edges decoded, everything else left as text until it is asked for.

Who surveys a whole store meets the same architectures, compilers and variants thousands of times.
A row keeps the text of each, so that equal texts are told to be equal without decoding them, and
the meaning of a text is taken once from the spec of a row that has it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .specs import Dependency
from .versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .specs import Arch, Compiler, Spec, VariantValue

#: A text of a record, or what stands for it where the record had to be decoded.
Text = bytes | tuple[str, str]


class _Edge(msgspec.Struct, gc=False):
    hash: str
    name: str = ""
    type: msgspec.Raw = msgspec.Raw()  # specfile formats 1 to 3
    parameters: msgspec.Raw = msgspec.Raw()  # from format 4 on


class _BareNode(msgspec.Struct, gc=False):
    name: str
    version: str
    arch: msgspec.Raw
    namespace: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    patches: msgspec.Raw = msgspec.Raw()
    compiler: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()
    external: msgspec.Raw = msgspec.Raw()


class _Node(_BareNode, gc=False):
    dependencies: tuple[_Edge, ...] | None = None


class _Record(msgspec.Struct, gc=False):
    spec: _Node
    installed: bool = False
    # Not asked for, but where one is malformed so is the record.
    path: str | None = None
    explicit: bool | None = False
    deprecated_for: str | None = None
    installation_time: float | None = 0.0


class _BareRecord(msgspec.Struct, gc=False):
    spec: _BareNode
    installed: bool = False


class _EdgesNode(msgspec.Struct, gc=False):
    name: str  # a node of format 1 has none here, and no edges either
    dependencies: tuple[_Edge, ...] = ()


class _EdgesRecord(msgspec.Struct, gc=False):
    spec: _EdgesNode


_decode = msgspec.json.Decoder(_Record).decode
_decode_bare = msgspec.json.Decoder(_BareRecord).decode
_decode_edges = msgspec.json.Decoder(_EdgesRecord).decode


class Row(NamedTuple):
    """One record.

    Attributes
    ----------
    hash, name, namespace, version : str
        As of its spec.
    installed : bool
        Likewise.
    arch, compiler, parameters : Text
        What `Rows` makes its architecture, its compiler, and its variants and flags from.
    dependencies : sequence
        What `Rows.edges` makes its edges from.
    """

    hash: str
    name: str
    namespace: str
    version: str
    installed: bool
    arch: Text
    compiler: Text
    parameters: Text
    dependencies: Sequence[_Edge | Dependency]


class Rows:
    """Reads the rows of a store, and knows what their texts mean.

    Parameters
    ----------
    record : callable
        Gives the record of a DAG hash as JSON; None where the spec is to be asked.
    spec : callable
        Gives the spec of a DAG hash, or None.
    """

    def __init__(
        self, record: Callable[[str], msgspec.Raw | None], spec: Callable[[str], Spec | None]
    ) -> None:
        self._record = record
        self._spec = spec
        self._arches: dict[Text, Arch] = {}
        self._compilers: dict[Text, Compiler | None] = {}
        self._parameters: dict[Text, tuple[Any, Any]] = {}
        self._externals = {b""}
        self._codes: dict[bytes, int] = {}
        #: By their numbers, deptypes and virtual packages of the kinds of edges met so far.
        self.kinds: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def row(self, dag_hash: str) -> Row | None:
        """Return the row of a DAG hash; None where nothing is recorded.

        Raises
        ------
        DatabaseError
            When its record is malformed. What is malformed shows where a text is first met.
        """
        record = self._record(dag_hash)
        try:
            decoded = None if record is None else _decode(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            decoded = None
        if decoded is None or not decoded.spec.name:  # an old shape, or malformed
            spec = self._spec(dag_hash)
            return None if spec is None else self._row_of(spec)
        return self._known(dag_hash, decoded.spec, decoded.installed, decoded.spec.dependencies)

    def bare_row(self, dag_hash: str) -> Row | None:
        """Return the row of a DAG hash without its dependencies, which are not looked at.

        Otherwise as `row`.
        """
        record = self._record(dag_hash)
        try:
            decoded = None if record is None else _decode_bare(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            decoded = None
        if decoded is None or not decoded.spec.name:
            return self.row(dag_hash)
        return self._known(dag_hash, decoded.spec, decoded.installed, ())

    def _known(
        self,
        dag_hash: str,
        node: _BareNode,
        installed: bool,
        dependencies: tuple[_Edge, ...] | None,
    ) -> Row:
        """Return a row whose texts are known."""
        row = Row(
            dag_hash,
            node.name,
            node.namespace or "builtin",
            node.version,
            installed,
            bytes(node.arch),
            bytes(node.compiler) + bytes(node.annotations),
            bytes(node.parameters) + bytes(node.patches),
            dependencies or (),
        )
        external = bytes(node.external)
        if not (
            row.arch in self._arches
            and row.compiler in self._compilers
            and row.parameters in self._parameters
            and external in self._externals
        ):
            self._learn(row)
            self._externals.add(external)
        return row

    def edges(self, row: Row) -> list[tuple[str, str, int]]:
        """Return package, DAG hash and kind (see `kinds`) of each dependency, as recorded.

        Raises
        ------
        DatabaseError
            When the record of the row is malformed.
        """
        codes = self._codes
        try:
            return [
                (edge.name, edge.hash, codes[bytes(edge.parameters) or bytes(edge.type)])  # type: ignore[union-attr]
                for edge in row.dependencies
            ]
        except (KeyError, AttributeError):  # a kind that is new, or edges of a spec
            return self._learn_edges(row)

    def dependencies(self, dag_hash: str) -> Sequence[Dependency]:
        """Return the edges of a DAG hash as its spec has them; none where nothing is recorded.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        record = self._record(dag_hash)
        kinds, codes = self.kinds, self._codes
        if record is not None:
            with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError, KeyError):
                return [
                    Dependency(
                        edge.name,
                        edge.hash,
                        *kinds[codes[bytes(edge.parameters) or bytes(edge.type)]],
                    )
                    for edge in _decode_edges(record).spec.dependencies
                ]
        row = self.row(dag_hash)
        if row is None:
            return ()
        return [Dependency(name, h, *kinds[code]) for name, h, code in self.edges(row)]

    def arch(self, row: Row) -> Arch:
        """Return the architecture of a row."""
        return self._arches[row.arch]

    def compiler(self, row: Row) -> Compiler | None:
        """Return the compiler of a row."""
        return self._compilers[row.compiler]

    def variants(self, row: Row) -> dict[str, VariantValue]:
        """Return the variants of a row."""
        variants: dict[str, VariantValue] = self._parameters[row.parameters][0]
        return variants

    def flags(self, row: Row) -> dict[str, tuple[str, ...]]:
        """Return the compiler flags of a row."""
        flags: dict[str, tuple[str, ...]] = self._parameters[row.parameters][1]
        return flags

    def version(self, row: Row) -> Version:
        """Return the version of a row."""
        return Version(row.version)

    def _learn(self, row: Row) -> Spec:
        spec = self._spec(row.hash)
        assert spec is not None
        self._arches.setdefault(row.arch, spec.arch)
        self._compilers.setdefault(row.compiler, spec.compiler)
        self._parameters.setdefault(row.parameters, (spec.variants, spec.flags))
        return spec

    def _learn_edges(self, row: Row) -> list[tuple[str, str, int]]:
        spec = self._learn(row)
        edges = []
        for recorded, edge in zip(row.dependencies, spec.dependencies, strict=True):
            meaning = edge.deptypes, edge.virtuals
            if isinstance(recorded, _Edge):
                text = bytes(recorded.parameters) or bytes(recorded.type)
            else:
                text = repr(meaning).encode()
            code = self._codes.get(text)
            if code is None:
                code = self._codes[text] = len(self.kinds)
                self.kinds.append(meaning)
            edges.append((edge.name, edge.hash, code))
        return edges

    def _row_of(self, spec: Spec) -> Row:
        own = ("spec", spec.hash)
        row = Row(
            spec.hash,
            spec.name,
            spec.namespace,
            spec.version.text,
            spec.installed,
            own,
            own,
            own,
            spec.dependencies,
        )
        self._arches[row.arch] = spec.arch
        self._compilers[row.compiler] = spec.compiler
        self._parameters[row.parameters] = spec.variants, spec.flags
        return row
