"""Records as rows: names and edges decoded, everything else left as text until it is needed.

A scan of a whole store finds the same architectures, compilers and variants thousands of times. A
row stores the text of each, so that equal texts are recognized without decoding them. Each text is
decoded only once, with the spec of a row that contains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spack_kernel.spack.spec.spec import Dependency
from spack_kernel.spack.spec.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spack_kernel.spack.spec.spec import Arch, Compiler, Spec, VariantValue

#: Text from a record, or a substitute for it if the record had to be decoded.
Text = bytes | tuple[str, str]

#: How many bits of a packed edge hold its kind; the others hold the number of its child.
KIND_BITS = 20
KIND_MASK = (1 << KIND_BITS) - 1

_NOTHING = msgspec.Raw()


class _Edge(msgspec.Struct, gc=False):
    hash: str
    name: str = ""
    type: msgspec.Raw = _NOTHING  # specfile formats 1 to 3
    parameters: msgspec.Raw = _NOTHING  # from format 4 on


class _BareNode(msgspec.Struct, gc=False):
    name: str
    version: str
    arch: msgspec.Raw
    namespace: str | None = None
    parameters: msgspec.Raw = _NOTHING
    patches: msgspec.Raw = _NOTHING
    compiler: msgspec.Raw = _NOTHING
    annotations: msgspec.Raw = _NOTHING
    external: msgspec.Raw = _NOTHING


class _Node(_BareNode, gc=False):
    dependencies: tuple[_Edge, ...] | None = None


class _Record(msgspec.Struct, gc=False):
    spec: _Node
    installed: bool = False
    # Not used, but if one of these is malformed, so is the record.
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
        The same as in its spec.
    installed : bool
        The same as in its spec.
    texts : tuple of (Text, Text, Text)
        The texts from which `Rows` derives its architecture, its compiler, and its variants and
        flags.
    dependencies : sequence
        The edges as recorded, for `Rows.edges`.
    """

    hash: str
    name: str
    namespace: str
    version: str
    installed: bool
    texts: tuple[Text, Text, Text]
    dependencies: Sequence[_Edge | Dependency]


class Rows:
    """Reads the rows of a store and caches the meaning of their texts.

    Parameters
    ----------
    record : callable
        Gives the record of a DAG hash as JSON; None where the spec is to be asked.
    spec : callable
        Returns the spec of a DAG hash, or None.
    """

    def __init__(
        self, record: Callable[[str], msgspec.Raw | None], spec: Callable[[str], Spec | None]
    ) -> None:
        self._record = record
        self._spec = spec
        self._arches: dict[Text, Arch] = {}
        self._compilers: dict[Text, Compiler | None] = {}
        self._parameters: dict[Text, tuple[Any, Any]] = {}
        #: The combinations of texts for which everything above is known.
        self._known_texts: dict[tuple[Text, Text, Text], tuple[Text, Text, Text]] = {}
        self._externals: set[bytes] = set()
        self._codes: dict[bytes, int] = {}
        self._edges: dict[str, list[tuple[str, str, int]]] = {}
        self._dependencies: dict[str, Sequence[Dependency]] = {}
        #: By number, the deptypes and virtual packages of each kind of edge found so far.
        self.kinds: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def row(self, dag_hash: str) -> Row | None:
        """Return the row of a DAG hash; None where nothing is recorded.

        Raises
        ------
        DatabaseError
            When its record is malformed. Malformed text is detected where it first occurs.
        """
        record = self._record(dag_hash)
        try:
            decoded = None if record is None else _decode(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            decoded = None
        if decoded is None or not decoded.spec.name:  # an old format, or malformed
            spec = self._spec(dag_hash)
            return None if spec is None else self._row_of(spec)
        return self._known(dag_hash, decoded.spec, decoded.installed, decoded.spec.dependencies)

    def bare_row(self, dag_hash: str) -> Row | None:
        """Return the row of a DAG hash without reading its dependencies.

        Otherwise the same as `row`.
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
        compiler, parameters = bytes(node.compiler), bytes(node.parameters)
        if node.annotations is not _NOTHING:
            compiler += bytes(node.annotations)
        if node.patches is not _NOTHING:
            parameters += bytes(node.patches)
        texts = bytes(node.arch), compiler, parameters
        known = self._known_texts.get(texts)
        row = Row(
            dag_hash,
            node.name,
            node.namespace or "builtin",
            node.version,
            installed,
            known or texts,  # the same object in all rows that have them
            dependencies or (),
        )
        if known is None:
            if not (
                texts[0] in self._arches
                and compiler in self._compilers
                and parameters in self._parameters
            ):
                self._learn(row)
            self._known_texts[texts] = texts
        if node.external is not _NOTHING and (text := bytes(node.external)) not in self._externals:
            self._learn(row)
            self._externals.add(text)
        return row

    def edges(self, row: Row) -> list[tuple[str, str, int]]:
        """Return package, DAG hash and kind (see `kinds`) of each dependency, as recorded.

        Raises
        ------
        DatabaseError
            When the record of the row is malformed.
        """
        try:
            return self._coded(row.dependencies)
        except (KeyError, AttributeError):  # a new kind, or edges of a spec
            return self._learn_edges(row)

    def packed(self, row: Row, numbers: Mapping[str, int]) -> list[int]:
        """Return the edges of a row as numbers: the child's, shifted by `KIND_BITS`, plus the kind.

        Parameters
        ----------
        row : Row
            The row.
        numbers : mapping of str to int
            DAG hash → number.

        Raises
        ------
        KeyError
            When a DAG hash has no number.
        DatabaseError
            When the record of the row is malformed.
        """
        codes = self._codes
        try:
            return [
                numbers[edge.hash] << KIND_BITS | codes[bytes(edge.parameters) or bytes(edge.type)]  # type: ignore[union-attr]
                for edge in row.dependencies
            ]
        except (KeyError, AttributeError):
            return [numbers[end] << KIND_BITS | code for _, end, code in self.edges(row)]

    def edges_of(self, dag_hash: str) -> list[tuple[str, str, int]]:
        """Return the same as `edges` for a DAG hash; empty if nothing is recorded.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        edges = self._edges.get(dag_hash)
        if edges is None:
            edges = self._edges[dag_hash] = self._read_edges(dag_hash)
        return edges

    def _read_edges(self, dag_hash: str) -> list[tuple[str, str, int]]:
        record = self._record(dag_hash)
        if record is not None:
            try:
                return self._coded(_decode_edges(record).spec.dependencies)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, KeyError):
                pass  # a new kind, an old format, or malformed
        row = self.row(dag_hash)
        return [] if row is None else self.edges(row)

    def _coded(self, edges: Sequence[_Edge | Dependency]) -> list[tuple[str, str, int]]:
        """Return the edges of a record; raise KeyError or AttributeError for unknown kinds."""
        codes = self._codes
        return [
            (edge.name, edge.hash, codes[bytes(edge.parameters) or bytes(edge.type)])  # type: ignore[union-attr]
            for edge in edges
        ]

    def dependencies(self, dag_hash: str) -> Sequence[Dependency]:
        """Return the edges of a DAG hash as in its spec; empty if nothing is recorded.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        known = self._dependencies.get(dag_hash)
        if known is None:
            edges, kinds = self.edges_of(dag_hash), self.kinds
            known = [Dependency(name, end, *kinds[code]) for name, end, code in edges]
            self._dependencies[dag_hash] = known
        return known

    def arch(self, row: Row) -> Arch:
        """Return the architecture of a row."""
        return self._arches[row.texts[0]]

    def compiler(self, row: Row) -> Compiler | None:
        """Return the compiler of a row."""
        return self._compilers[row.texts[1]]

    def variants(self, row: Row) -> dict[str, VariantValue]:
        """Return the variants of a row."""
        variants: dict[str, VariantValue] = self._parameters[row.texts[2]][0]
        return variants

    def flags(self, row: Row) -> dict[str, tuple[str, ...]]:
        """Return the compiler flags of a row."""
        flags: dict[str, tuple[str, ...]] = self._parameters[row.texts[2]][1]
        return flags

    def version(self, row: Row) -> Version:
        """Return the version of a row."""
        return Version(row.version)

    def _learn(self, row: Row) -> Spec:
        spec = self._spec(row.hash)
        assert spec is not None
        arch, compiler, parameters = row.texts
        self._arches.setdefault(arch, spec.arch)
        self._compilers.setdefault(compiler, spec.compiler)
        self._parameters.setdefault(parameters, (spec.variants, spec.flags))
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
            (own, own, own),
            spec.dependencies,
        )
        self._arches[own] = spec.arch
        self._compilers[own] = spec.compiler
        self._parameters[own] = spec.variants, spec.flags
        return row
