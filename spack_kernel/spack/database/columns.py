"""The records of one database as columns: what each node is, as numbers, and the edges.

A store has the same names, versions, architectures, compilers and variants thousands of times.
Each distinct one is decoded once and has a code; a query tests each code once. The columns are
filled row by row, as far as somebody needs them, or come complete from a file that `column_file`
reads.
"""

from __future__ import annotations

import threading
from array import array
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.spack.spec.records import Kind, external_of, kind_of
from spack_kernel.spack.spec.spec import Dependency
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES

from .values import Values, new_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spack_kernel.spack.spec.records import Node, Record

#: The state of a row: not read yet, or malformed, or a sum of the flags below.
UNREAD, LEFT_OUT = 0, 1
READ, INSTALLED, EXPLICIT, DEPRECATED = 2, 4, 8, 16

#: The columns in the order in which specs are compared; variants and flags share one.
COLUMNS = ("name", "namespace", "version", "parameters", "compiler", "arch")


class Edges(NamedTuple):
    """The edges of all rows: those of row n are at ``starts[n]`` to ``starts[n + 1]``.

    Attributes
    ----------
    starts, ends : sequence of int
        Where the edges of each row begin, and the row to which each edge leads.
    kinds : sequence of int
        The code of the kind of each edge; in reversed edges, whether it is needed at run time.
    """

    starts: Sequence[int]
    ends: Sequence[int]
    kinds: Sequence[int]

    def of(self, row: int) -> Iterable[tuple[int, int]]:
        """Return where each edge of a row leads, and its kind."""
        first, last = self.starts[row], self.starts[row + 1]
        return zip(self.ends[first:last], self.kinds[first:last], strict=True)


class Columns:
    """The columns of a database.

    Parameters
    ----------
    hashes : sequence of str
        The DAG hash of each record, in recorded order.
    read : callable
        Returns the record in a row; raises ValueError when it is malformed.
    find : callable, optional
        Returns the row in which a DAG hash is recorded, if that needs no table of all hashes.

    Attributes
    ----------
    hashes : sequence of str
        The DAG hash of each row. After the records come the hashes that only edges mention.
    recorded : int
        The number of records.
    states : sequence of int
        For each row `UNREAD`, `LEFT_OUT`, or a sum of `READ`, `INSTALLED`, `EXPLICIT` and
        `DEPRECATED`.
    codes : dict of str to sequence of int
        For each column, the codes of the rows; 0 for one that has not been read.
    values : dict of str to Values
        For each column, and for ``kind``, the values of its codes.
    """

    def __init__(
        self,
        hashes: Sequence[str],
        read: Callable[[int], Record],
        find: Callable[[str], int | None] | None = None,
    ) -> None:
        count = len(hashes)
        self.hashes = hashes
        self.recorded = count
        self.states: Any = bytearray(count)
        self.codes: dict[str, Any] = {name: array("I", bytes(4 * count)) for name in COLUMNS}
        self.values = new_values()
        self.complete = False
        self._read_record = read
        self._find = find
        self._lock = threading.RLock()
        self._rows: dict[str, int] | None = None
        self._by_texts: dict[tuple[bytes, ...], tuple[int, int, int]] = {}
        self._by_str: dict[str, dict[str, int]] = {"name": {}, "namespace": {}, "version": {}}
        self._kind_codes: dict[bytes, int] = {}
        self._edges: Edges | None = None
        self._reversed: Edges | None = None
        #: Until all rows have been read: row → end, kind and name of each edge.
        self._read_edges: dict[int, list[tuple[int, int, str]]] = {}
        #: What edges call a row that has no name of its own: not recorded, or malformed.
        self.end_names: dict[int, str] = {}
        #: What one edge calls the row at its end, if that has another name.
        self.edge_names: dict[tuple[int, int], str] = {}
        #: The place of each row in the order of `spack find`, if that is known.
        self.ranks: Sequence[int] | None = None
        self._named: tuple[Sequence[int], Sequence[int]] | None = None
        self._virtuals: dict[str, set[str]] | None = None
        self._of_types: dict[tuple[str, ...], list[bool]] = {}

    # -- rows --

    def row(self, dag_hash: str) -> int | None:
        """Return the row of the record of a DAG hash, None if there is none."""
        if self._find is not None:
            return self._find(dag_hash)
        if self._rows is None:
            self._rows = dict(zip(self.hashes, range(len(self.hashes)), strict=True))
        row = self._rows.get(dag_hash)
        return None if row is None or row >= self.recorded else row

    def any_row(self, dag_hash: str) -> int | None:
        """Return the row of a DAG hash, also if only edges mention it; None if nothing does."""
        row = self.row(dag_hash)
        if row is None:
            for each in range(self.recorded, len(self.hashes)):
                if self.hashes[each] == dag_hash:
                    return each
        return row

    def read(self, row: int) -> None:
        """Read a row, unless that has been done or nothing is recorded there.

        Raises
        ------
        ValueError
            When its record is malformed.
        """
        if self.states[row] > LEFT_OUT or row >= self.recorded:
            return
        with self._lock:
            if self.states[row] > LEFT_OUT:
                return
            record = self._read_record(row)
            node, columns = record.spec, self.codes
            arch, compiler, parameters = self._shared_codes(node)
            name = self._code("name", node.name)
            namespace = self._code("namespace", node.namespace or "builtin")
            version = self._code("version", node.version)
            if self.complete:
                for edge in node.edges():
                    kind_of(edge.text)
                raise ValueError("it was malformed when it was read first")
            self.states[row] = LEFT_OUT
            self._read_edges[row] = self._edges_of(node)
            columns["name"][row], columns["namespace"][row] = name, namespace
            columns["version"][row], columns["arch"][row] = version, arch
            columns["compiler"][row], columns["parameters"][row] = compiler, parameters
            self.states[row] = _state_of(record)

    def _shared_codes(self, node: Node) -> tuple[int, int, int]:
        """Return the codes of architecture, compiler and parameters, which many nodes share.

        Raises ValueError when one of them, or what makes the node external, is malformed.
        """
        texts = (
            bytes(node.arch),
            bytes(node.compiler),
            bytes(node.annotations),
            bytes(node.parameters),
            bytes(node.patches),
        )
        codes = self._by_texts.get(texts)
        if codes is None:
            codes = self._by_texts[texts] = (
                self.values["arch"].code(texts[0]),
                self.values["compiler"].code(node.compiler_text),
                self.values["parameters"].code(node.parameters_text),
            )
        external_of(node.external)  # malformed, it would make the record malformed later
        return codes

    def _code(self, column: str, text: str) -> int:
        codes = self._by_str[column]
        code = codes.get(text)
        if code is None:
            code = codes[text] = self.values[column].code(text.encode())
        return code

    def _edges_of(self, node: Node) -> list[tuple[int, int, str]]:
        self.row("")  # so that the rows are known
        rows, codes = self._rows, self._kind_codes
        assert rows is not None
        edges = []
        for edge in node.edges():
            text = bytes(edge.parameters) or b"type " + bytes(edge.type)
            code = codes.get(text)
            if code is None:
                code = codes[text] = self.values["kind"].code(edge.text)
            row = rows.get(edge.hash)
            if row is None:
                row = self._unrecorded(edge.hash)
            edges.append((row, code, edge.name))
        return edges

    def _unrecorded(self, dag_hash: str) -> int:
        """Return a new row for a DAG hash that only edges mention."""
        if not isinstance(self.hashes, list):
            self.hashes = list(self.hashes)
        self.hashes.append(dag_hash)
        self.states.append(LEFT_OUT)
        for codes in self.codes.values():
            codes.append(0)
        assert self._rows is not None
        row = self._rows[dag_hash] = len(self.hashes) - 1
        return row

    # -- edges --

    def edges(self, row: int) -> list[tuple[int, int, str]]:
        """Return row, kind and package of each dependency of a row that has been read."""
        read = self._read_edges
        if self._edges is None:
            return read.get(row, [])
        if self.edge_names or self.end_names:
            return [(end, kind, self.edge_name(row, end)) for end, kind in self._edges.of(row)]
        names, codes = self.values["name"], self.codes["name"]
        return [(end, kind, names[codes[end]]) for end, kind in self._edges.of(row)]

    def ends(self, row: int, deptypes: tuple[str, ...]) -> list[int]:
        """Return the rows of the dependencies of a row that have one of some types."""
        if self._edges is None:
            kinds, wanted = self.values["kind"], set(deptypes)
            edges = self.edges(row)
            return [end for end, kind, _ in edges if not wanted.isdisjoint(kinds[kind].deptypes)]
        marked = self._of_types.get(deptypes)
        if marked is None:
            marked = self._of_types[deptypes] = self.of_types(deptypes)
        return [end for end, kind in self._edges.of(row) if marked[kind]]

    def edge_name(self, row: int, end: int) -> str:
        """Return the package to which an edge leads; all rows must have been read."""
        name = self.edge_names.get((row, end)) if self.edge_names else None
        if name is None:
            code = self.codes["name"][end]
            name = self.values["name"][code] if code else self.end_names[end]
        return name

    def packed(self) -> Edges:
        """Return the edges of all rows."""
        assert self._edges is not None
        return self._edges

    def reversed(self) -> Edges:
        """Return the reversed edges of all rows; their kind is whether they are of run time."""
        if self._reversed is None:
            self._reversed = _reversed(self.packed(), self.of_types(RUNTIME_DEPTYPES))
        return self._reversed

    def of_types(self, deptypes: Iterable[str]) -> list[bool]:
        """Return for each code of a kind of edge whether it has one of some types."""
        kinds: Values[Kind] = self.values["kind"]
        wanted = set(deptypes)
        return [False, *(not wanted.isdisjoint(kinds[c].deptypes) for c in range(1, len(kinds)))]

    # -- all of them --

    def read_all(self, failed: Callable[[int], str]) -> None:
        """Read all rows.

        Parameters
        ----------
        failed : callable
            Is called with each malformed row; returns the name of its package, if that is known.
        """
        with self._lock:
            if self.complete:
                return
            for row in range(self.recorded):
                try:
                    self.read(row)
                except ValueError:  # noqa: PERF203
                    self.states[row] = LEFT_OUT
                    name = failed(row)
                    if name:
                        code = self.values["name"].code(name.encode())
                        self.codes["name"][row] = code
            self._pack()
            self.complete = True

    def malformed(self) -> list[int]:
        """Return the rows of malformed records; all rows must have been read."""
        states = bytes(self.states[: self.recorded])
        return [row for row, state in enumerate(states) if state == LEFT_OUT] if 1 in states else []

    def _pack(self) -> None:
        count = len(self.hashes)
        starts, ends = array("I", [0]), array("I")
        kinds = array("H" if len(self.values["kind"]) < 1 << 16 else "I")
        names, codes = self.values["name"], self.codes["name"]
        for row in range(count):
            for end, kind, name in self._read_edges.get(row, ()):
                ends.append(end)
                kinds.append(kind)
                code = codes[end]
                if name != (names[code] if code else self.end_names.setdefault(end, name)):
                    self.edge_names[row, end] = name
            starts.append(len(ends))
        self._edges = Edges(starts, ends, kinds)
        self._read_edges = {}

    def set_complete(
        self,
        edges: Edges,
        reversed_edges: Edges,
        ranks: Sequence[int],
        named: tuple[Sequence[int], Sequence[int]],
        virtuals: dict[str, set[str]],
    ) -> None:
        """Take over what `read_all` and others would find out."""
        self._edges, self._reversed, self.ranks, self._named = edges, reversed_edges, ranks, named
        self._virtuals = virtuals
        self.complete = True

    def named(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return where the rows of each name begin, by code, and the rows themselves."""
        if self._named is None:
            codes = self.codes["name"][: self.recorded]
            starts, rows = _grouped(codes, len(self.values["name"]))
            self._named = starts, rows
        return self._named

    def virtuals(self) -> dict[str, set[str]]:
        """Return virtual package → packages that provide it on an edge; all rows must be read."""
        if self._virtuals is None:
            kinds: Values[Kind] = self.values["kind"]
            virtuals = [kinds[code].virtuals if code else () for code in range(len(kinds))]
            found: dict[str, set[str]] = {}
            for row in range(self.recorded if any(virtuals) else 0):
                for end, kind in self.packed().of(row):
                    for name in virtuals[kind]:
                        found.setdefault(name, set()).add(self.edge_name(row, end))
            self._virtuals = found
        return self._virtuals

    # -- values --

    def value(self, column: str, row: int) -> Any:
        """Return the value of a column in a row that has been read."""
        return self.values[column][self.codes[column][row]]

    def attributes(self, row: int, name: str) -> dict[str, Any]:
        """Return an attribute of the spec in a row that has been read; empty if it is elsewhere."""
        if name in ("variants", "flags"):
            variants, flags = self.value("parameters", row)
            return {"variants": variants, "flags": flags}
        if name in self.codes:
            return {name: self.value(name, row)}
        if name in ("installed", "explicit"):
            state = self.states[row]
            return {"installed": bool(state & INSTALLED), "explicit": bool(state & EXPLICIT)}
        if name == "dependencies":
            kinds, hashes = self.values["kind"], self.hashes
            return {
                "dependencies": tuple(
                    [Dependency(n, hashes[end], *kinds[kind]) for end, kind, n in self.edges(row)]
                )
            }
        return {}


def _state_of(record: Record) -> int:
    state = READ
    if record.installed:
        state |= INSTALLED
    if record.explicit:
        state |= EXPLICIT
    if record.deprecated_for:
        state |= DEPRECATED
    return state


def _reversed(edges: Edges, marked: Sequence[bool]) -> Edges:
    """Return the reversed edges; the kind of each is whether its kind is marked."""
    count = len(edges.starts) - 1
    rows = array("I")
    for row in range(count):
        rows.extend(repeat(row, edges.starts[row + 1] - edges.starts[row]))
    starts, order = _grouped(edges.ends, count)
    ends = array("I", [rows[place] for place in order])
    kinds = array("B", [marked[edges.kinds[place]] for place in order])
    return Edges(starts, ends, kinds)


def _grouped(keys: Sequence[int], count: int) -> tuple[array[int], array[int]]:
    """Return the positions of keys, grouped by key: where each group begins, and the positions.

    Parameters
    ----------
    keys : sequence of int
        Numbers below `count`.
    count : int
        The number of groups.
    """
    counts = [0] * (count + 1)
    for key in keys:
        counts[key + 1] += 1
    starts = array("I", accumulate(counts))
    free = starts[:]
    positions = array("I", bytes(4 * len(keys)))
    for position, key in enumerate(keys):
        positions[free[key]] = position
        free[key] += 1
    return starts, positions
