"""All records of a store at once: their attributes as columns, and their dependencies.

A query without a name may match any of fifty thousand specs. Decoding them takes seconds. Testing
each distinct version, architecture or set of variants once, and following the edges backwards
from the matches, takes milliseconds. For such queries, a store is read once into columns, which
need about a tenth of the memory of the specs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from functools import cached_property
from itertools import accumulate, repeat
from operator import rshift
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.database.rows import KIND_BITS, KIND_MASK
from spack_kernel.spack.errors import DatabaseError, warn_left_out
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES

from .predicates import predicates_of, variant_test

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from spack_kernel.spack.database.rows import Row, Rows
    from spack_kernel.spack.spec.spec import VariantValue

    from .abstract_spec import AbstractSpec, DependencyConstraint, VariantConstraint
    from .dialects import Dialect
    from .virtuals import Providers

#: How many edges to count in one operation, which no other thread can interrupt.
_CHUNK = 1 << 15

_NOT_INSTALLED, _INSTALLED, _LEFT_OUT = range(3)


class Scan:
    """The columns of a store.

    Parameters
    ----------
    hashes : iterable of str
        The DAG hash of every record, each once.
    rows : Rows
        Reads them.

    Warns
    -----
    DatabaseWarning
        For each record that is malformed; it is left out.
    """

    def __init__(self, hashes: Iterable[str], rows: Rows) -> None:
        self.hashes = list(hashes)
        #: The names of nodes without a row, from the edges to them.
        self.edge_names: dict[int, str] = {}
        #: For each record, one of `_NOT_INSTALLED`, `_INSTALLED` and `_LEFT_OUT`.
        self._states = bytearray()
        self.columns = {
            "name": _Column(lambda row: row.name),
            "namespace": _Column(lambda row: row.namespace),
            "version": _Column(rows.version),
            "arch": _Column(rows.arch),
            "compiler": _Column(rows.compiler),
            "variants": _Column(rows.variants),
        }
        # Variants and flags have the same text.
        self.columns["flags"] = self.columns["variants"].twin(rows.flags)
        recorded = len(self.hashes)
        self.dependencies = self._survey(rows)
        self.kinds = list(rows.kinds)
        self._runtime = [not set(RUNTIME_DEPTYPES).isdisjoint(types) for types, _ in self.kinds]
        for column in self.columns.values():
            column.finish()
        for number in range(recorded):
            if self._states[number] == _LEFT_OUT and self._dependents[number]:
                dependent = self.hashes[self._dependents[number][0] >> 1]
                called = {edge.hash: edge.name for edge in rows.dependencies(dependent)}
                self.edge_names[number] = called[self.hashes[number]]

    def _survey(self, rows: Rows) -> _Edges:
        """Fill the columns, and return the edges."""
        recorded = len(self.hashes)
        number_of = {dag_hash: number for number, dag_hash in enumerate(self.hashes)}
        edges = _Edges()
        columns = [column for facet, column in self.columns.items() if facet != "flags"]
        names, namespaces, versions, *others = columns
        add_name, add_namespace, add_version, add_arch, add_compiler, add_variants = [
            column.codes.append for column in columns
        ]
        by_texts: dict[object, list[int]] = {}

        def leave_out() -> None:
            self._states.append(_LEFT_OUT)
            for column in columns:
                column.codes.append(0)
            edges.add(())

        for dag_hash in self.hashes[:recorded]:
            try:
                row = rows.row(dag_hash)
                packed = [] if row is None else self._packed(rows, row, number_of)
            except DatabaseError as error:
                warn_left_out(error, stacklevel=6)
                row = None
            if row is None:
                leave_out()
                continue
            _, name, namespace, version, installed, texts, _ = row
            codes = by_texts.get(texts)
            if codes is None:
                codes = [column.code(key, row) for column, key in zip(others, texts, strict=True)]
                by_texts[texts] = codes
            self._states.append(installed)
            add_name(names.known.get(name) or names.code(name, row))
            add_namespace(namespaces.known.get(namespace) or namespaces.code(namespace, row))
            add_version(versions.known.get(version) or versions.code(version, row))
            add_arch(codes[0])
            add_compiler(codes[1])
            add_variants(codes[2])
            edges.add(packed)
        # A hash without a record is a node without a row: others may depend on it.
        for _ in self.hashes[recorded:]:
            leave_out()
        return edges

    def _packed(self, rows: Rows, row: Row, number_of: dict[str, int]) -> list[int]:
        """Return the packed edges of a row; a child without a record also gets a number."""
        try:
            return rows.packed(row, number_of)
        except KeyError:
            for name, end, _ in rows.edges(row):
                if end not in number_of:
                    number = number_of[end] = len(self.hashes)
                    self.hashes.append(end)
                    self.edge_names[number] = name
            return rows.packed(row, number_of)

    @cached_property
    def _dependents(self) -> _Edges:
        """The reversed edges: the dependent row, and whether it depends at run time."""
        return self.dependencies.reversed(self._runtime)

    def candidates(
        self, query: AbstractSpec, installed: bool | None, providers: Providers
    ) -> tuple[list[int], bool]:
        """Return the numbers of rows that may satisfy `query`, and whether all of them do.

        Parameters
        ----------
        query : AbstractSpec
            The query; its name is ignored.
        installed : bool or None
            Whether the specs must be installed, or must not be; None for both.
        providers : Providers
            What is known about virtual packages.
        """
        rows = self._matching(query, self._in_state(installed), named=False)
        for variant in query.variants.values():
            if variant.propagate and query.dialect.weak_propagation:
                bad = self._violating(variant, query.dialect)
                rows = [row for row in rows if not bad[row]]
        sure = True
        for dependency in query.dependencies:
            mask, exact = self._depending(dependency, query.dialect, providers)
            sure = sure and exact
            if mask is not None:
                rows = [row for row in rows if mask[row]]
        return rows, sure

    def by_name(self, rows: Iterable[int]) -> dict[str, list[int]]:
        """Return rows by package name."""
        column = self.columns["name"]
        groups: dict[int, list[int]] = {}
        for row in rows:
            groups.setdefault(column.codes[row], []).append(row)
        return {column.values[code - 1]: group for code, group in groups.items()}

    def _in_state(self, installed: bool | None) -> list[int]:
        if installed is None:
            return [row for row, state in enumerate(self._states) if state != _LEFT_OUT]
        return [row for row, state in enumerate(self._states) if state == installed]

    def _violating(self, variant: VariantConstraint, dialect: Dialect) -> bytearray:
        """Return which rows have another value of the variant, or depend on such a row."""
        name, wanted = variant.name, variant_test(variant, dialect)

        def otherwise(variants: dict[str, VariantValue]) -> bool:
            return name in variants and not wanted(variants)

        violating = self.columns["variants"].rows(otherwise)
        mask = self._above(violating)
        for row in violating:
            mask[row] = 1
        return mask

    def _matching(self, query: AbstractSpec, rows: Iterable[int], *, named: bool) -> list[int]:
        for facet, test in predicates_of(query, query.dialect, named=named):
            if facet == "hash":
                rows = [row for row in rows if test(self.hashes[row])]
                continue
            column, rows = self.columns[facet], list(rows)
            codes = column.codes
            good = column.good({codes[row] for row in rows}, test)
            rows = [row for row in rows if codes[row] in good]
        return list(rows)

    def _depending(
        self, dependency: DependencyConstraint, dialect: Dialect, providers: Providers
    ) -> tuple[bytearray | None, bool]:
        """Return which rows may have a dependency (None: any), and whether all of them do."""
        query = dependency.query
        if dependency.when is not None or (query.name is None and dependency.virtuals):
            return None, False
        everything = self._in_state(None)
        nodes = self._matching(query, everything, named=True)
        sure = not (dependency.virtuals or dependency.deptypes or query.dependencies)
        sure = sure and not any(variant.propagate for variant in query.variants.values())
        stands_for = [query.name in virtuals for _, virtuals in self.kinds]
        provided: list[int] = []
        if not dialect.edge_virtuals and query.name not in (None, *self.columns["name"].values):
            for provision in providers.of(query.name or ""):
                provided += self._matching(provision.provider, everything, named=True)
        sure = sure and not provided and not any(stands_for)
        virtual_edges = list(self._edges_of(stands_for))
        seeds = [*nodes, *provided, *(child for _, child in virtual_edges)]
        if not dialect.compiler_nodes:
            return self._above(seeds), sure
        mask = bytearray(len(self.hashes))
        if not dependency.direct:
            mask = self._above(seeds, runtime=True)
        for row in self._parents(nodes):
            mask[row] = 1
        for parent, _ in virtual_edges:
            mask[parent] = 1
        compiled = self.columns["compiler"].rows(lambda compiler: compiler is not None)
        for row in compiled:
            mask[row] = 1
        return mask, sure and not compiled

    def _edges_of(self, kinds: list[bool]) -> Iterator[tuple[int, int]]:
        """Yield parent and child of the edges of these kinds."""
        if any(kinds):
            yield from self.dependencies.ends(lambda packed: kinds[packed & KIND_MASK])

    def _parents(self, nodes: Iterable[int]) -> Iterable[int]:
        """Return which rows have an edge to one of `nodes`."""
        if "_dependents" in self.__dict__:
            return [packed >> 1 for node in nodes for packed in self._dependents[node]]
        # Reversing all edges takes several times as long as iterating over them.
        ends = set(nodes)
        return [row for row, _ in self.dependencies.ends(lambda p: p >> KIND_BITS in ends)]

    def _above(self, seeds: Iterable[int], *, runtime: bool = False) -> bytearray:
        """Return which rows depend on `seeds`, over all edges or only over runtime edges."""
        mask = bytearray(len(self.hashes))
        dependents = self._dependents
        stack = list(seeds)
        while stack:
            for packed in dependents[stack.pop()]:
                parent = packed >> 1
                if not mask[parent] and (packed & 1 or not runtime):
                    mask[parent] = 1
                    stack.append(parent)
        return mask


class _Edges:
    """The edges of each node, in one array; an entry is a node's number and the kind of edge."""

    def __init__(self, code: str = "Q") -> None:
        self._entries = array(code)
        self._starts = array("I", [0])

    def add(self, packed: Iterable[int]) -> None:
        """Add the edges of the next node."""
        self._entries.extend(packed)
        self._starts.append(len(self._entries))

    def __getitem__(self, node: int) -> array[int]:
        return self._entries[self._starts[node] : self._starts[node + 1]]

    def ends(self, test: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        """Yield both nodes of each edge for which `test` is true."""
        starts = self._starts
        for position, entry in enumerate(self._entries):
            if test(entry):
                yield bisect_right(starts, position) - 1, entry >> KIND_BITS

    def reversed(self, marked: list[bool]) -> _Edges:
        """Return the reversed edges: a node's number, and whether the kind of edge is marked.

        The number is shifted by one bit.
        """
        # No list per node: the garbage collector would traverse them all and block other threads.
        counts = Counter[int]()
        for start in range(0, len(self._entries), _CHUNK):
            stretch = self._entries[start : start + _CHUNK]
            counts.update(map(rshift, stretch, repeat(KIND_BITS)))
        edges = _Edges("I")
        edges._starts.extend(accumulate(counts[node] for node in range(len(self._starts) - 1)))
        free = edges._starts[:]
        entries = edges._entries = array("I", bytes(4 * len(self._entries)))
        for node in range(len(self._starts) - 1):
            plain, other = node << 1, node << 1 | 1
            for entry in self[node]:
                end = entry >> KIND_BITS
                place = free[end]
                free[end] = place + 1
                entries[place] = other if marked[entry & KIND_MASK] else plain
        return edges


class _Column:
    """One facet of all records: the distinct values, and which of them each record has."""

    def __init__(self, value: Callable[[Row], Any]) -> None:
        self.values: list[Any] = []
        #: For each record, the position in `values`, starting at 1; 0 for one that is left out.
        self.codes = array("I")
        #: The codes added so far, by key.
        self.known: dict[Hashable, int] = {}
        self._value = value
        self._twin: _Column | None = None

    def twin(self, value: Callable[[Row], Any]) -> _Column:
        """Return a column with other values for the same texts."""
        twin = self._twin = _Column(value)
        twin.codes = self.codes
        return twin

    def code(self, key: Hashable, row: Row) -> int:
        """Return the code for `key`, which is the key of `row`."""
        code = self.known.get(key)
        if code is not None:
            return code
        self.values.append(self._value(row))
        if self._twin is not None:
            self._twin.values.append(self._twin._value(row))
        self.known[key] = len(self.values)
        return len(self.values)

    def finish(self) -> None:
        """Discard what is needed only for adding."""
        del self.known, self._value

    def good(self, codes: Iterable[int], test: Callable[[Any], bool]) -> set[int]:
        """Return which of `codes` have a value for which `test` is true."""
        return {code for code in codes if code and test(self.values[code - 1])}

    def rows(self, test: Callable[[Any], bool]) -> list[int]:
        good = self.good(range(1, len(self.values) + 1), test)
        return [row for row, code in enumerate(self.codes) if code in good]
