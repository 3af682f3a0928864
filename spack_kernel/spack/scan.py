"""All records of a store at once: what they say in columns, and who depends on whom.

A query without a name may mean any of fifty thousand specs. Decoding them takes seconds; asking
each distinct version, architecture or set of variants once, and following the edges backwards
from what matches, takes milliseconds. So a store that is asked so is read once into columns,
which need about a tenth of the memory of the specs.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from .facets import FACETS, facet_tests, variant_test
from .traversal import RUNTIME_DEPTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from .dialects import Dialect
    from .providers import Providers
    from .query import DependencyQuery, Query, VariantQuery
    from .specs import Spec, VariantValue

_EdgeKind = tuple[tuple[str, ...], tuple[str, ...]]


#: What tells the values of a facet apart, where they are not hashable or hash slowly.
_KEYS: dict[str, Callable[[Any], Hashable]] = {
    "version": lambda version: version.text,
    "compiler": lambda compiler: compiler and (compiler.name, compiler.version.text),
    "variants": lambda variants: tuple(variants.items()),
    "flags": lambda flags: tuple(flags.items()),
}


class Scan:
    """The columns of a store.

    Parameters
    ----------
    specs : iterable of Spec
        Every record, each once.
    """

    def __init__(self, specs: Iterable[Spec]) -> None:
        self._hashes: list[str] = []
        self._installed = bytearray()
        self._columns = {facet: _Column(_KEYS.get(facet)) for facet in FACETS}
        edges: list[tuple[tuple[str, int], ...]] = []
        kinds: dict[_EdgeKind, int] = {}
        for spec in specs:
            self._hashes.append(spec.hash)
            self._installed.append(spec.installed)
            for facet, column in self._columns.items():
                column.append(getattr(spec, facet))
            edges.append(
                tuple(
                    (edge.hash, kinds.setdefault((edge.deptypes, edge.virtuals), len(kinds)))
                    for edge in spec.dependencies
                )
            )
        self._kinds = list(kinds)
        self._runtime = [not set(RUNTIME_DEPTYPES).isdisjoint(types) for types, _ in self._kinds]
        self._connect(edges)

    def _connect(self, edges: list[tuple[tuple[str, int], ...]]) -> None:
        """Turn the edges around: per record, who depends on it, and by which kind of edge."""
        rows = {dag_hash: row for row, dag_hash in enumerate(self._hashes)}
        known = [[(rows[h], kind) for h, kind in each if h in rows] for each in edges]
        self._starts = array("L", bytes(array("L").itemsize * (len(rows) + 1)))
        for each in known:
            for child, _ in each:
                self._starts[child + 1] += 1
        for row in range(len(rows)):
            self._starts[row + 1] += self._starts[row]
        free = self._starts[:]
        total = self._starts[-1]
        self._parents = array("L", bytes(array("L").itemsize * total))
        self._edge_kinds = array("L", bytes(array("L").itemsize * total))
        for row, each in enumerate(known):
            for child, kind in each:
                self._parents[free[child]] = row
                self._edge_kinds[free[child]] = kind
                free[child] += 1

    def candidates(
        self, query: Query, installed: bool | None, providers: Providers
    ) -> tuple[list[str], bool]:
        """Return the hashes of what may satisfy `query`, and whether that is sure.

        Parameters
        ----------
        query : Query
            What is asked; its name is not looked at.
        installed : bool or None
            Whether the specs must be installed, or must not be; None for both.
        providers : Providers
            What is known of virtual packages.
        """
        rows: Iterable[int] = range(len(self._hashes))
        if installed is not None:
            rows = [row for row in rows if self._installed[row] == installed]
        rows = self._matching(query, rows, named=False)
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
        return [self._hashes[row] for row in rows], sure

    def _violating(self, variant: VariantQuery, dialect: Dialect) -> bytearray:
        """Return which rows have the variant otherwise, or depend on what has it otherwise."""
        name, wanted = variant.name, variant_test(variant, dialect)

        def otherwise(variants: dict[str, VariantValue]) -> bool:
            return name in variants and not wanted(variants)

        violating = self._columns["variants"].rows(otherwise)
        mask = self._above(violating)
        for row in violating:
            mask[row] = 1
        return mask

    def _matching(self, query: Query, rows: Iterable[int], *, named: bool) -> list[int]:
        for facet, test in facet_tests(query, query.dialect, named=named):
            if facet == "hash":
                rows = [row for row in rows if test(self._hashes[row])]
                continue
            column = self._columns[facet]
            codes, good = column.codes, [test(value) for value in column.values]
            rows = [row for row in rows if good[codes[row]]]
        return list(rows)

    def _depending(
        self, dependency: DependencyQuery, dialect: Dialect, providers: Providers
    ) -> tuple[bytearray | None, bool]:
        """Return which rows may have a dependency (None: any), and whether that is sure."""
        query = dependency.query
        if dependency.when is not None or (query.name is None and dependency.virtuals):
            return None, False
        everything = range(len(self._hashes))
        nodes = self._matching(query, everything, named=True)
        sure = not (dependency.virtuals or dependency.deptypes or query.dependencies)
        sure = sure and not any(variant.propagate for variant in query.variants.values())
        stands_for = [query.name in virtuals for _, virtuals in self._kinds]
        provided: list[int] = []
        if not dialect.edge_virtuals and query.name not in (None, *self._columns["name"].values):
            for provision in providers.of(query.name or ""):
                provided += self._matching(provision.provider, everything, named=True)
        sure = sure and not provided and not any(stands_for)
        virtual_edges = list(self._edges_of(stands_for))
        seeds = [*nodes, *provided, *(child for _, child in virtual_edges)]
        if not dialect.compiler_nodes:
            return self._above(seeds), sure
        mask = bytearray(len(self._hashes))
        if not dependency.direct:
            mask = self._above(seeds, self._runtime)
        for row in nodes:
            for parent in self._parents[self._starts[row] : self._starts[row + 1]]:
                mask[parent] = 1
        for parent, _ in virtual_edges:
            mask[parent] = 1
        compiled = self._columns["compiler"].rows(lambda compiler: compiler is not None)
        for row in compiled:
            mask[row] = 1
        return mask, sure and not compiled

    def _edges_of(self, kinds: list[bool]) -> Iterator[tuple[int, int]]:
        """Yield parent and child of the edges of these kinds."""
        if not any(kinds):
            return
        child = 0
        for position, kind in enumerate(self._edge_kinds):
            while self._starts[child + 1] <= position:
                child += 1
            if kinds[kind]:
                yield self._parents[position], child

    def _above(self, seeds: Iterable[int], follow: list[bool] | None = None) -> bytearray:
        """Return which rows depend on `seeds`, over all edges or those of the kinds to `follow`."""
        mask = bytearray(len(self._hashes))
        starts, parents, kinds = self._starts, self._parents, self._edge_kinds
        stack = list(seeds)
        while stack:
            row = stack.pop()
            for position in range(starts[row], starts[row + 1]):
                parent = parents[position]
                if not mask[parent] and (follow is None or follow[kinds[position]]):
                    mask[parent] = 1
                    stack.append(parent)
        return mask


class _Column:
    """One facet of all records: the distinct values, and per record which of them."""

    def __init__(self, key: Callable[[Any], Hashable] | None) -> None:
        self.values: list[Any] = []
        self.codes = array("L")
        self._key = key
        self._known: dict[Hashable, int] = {}

    def append(self, value: Any) -> None:
        key = value if self._key is None else self._key(value)
        code = self._known.get(key)
        if code is None:
            code = self._known[key] = len(self.values)
            self.values.append(value)
        self.codes.append(code)

    def rows(self, test: Callable[[Any], bool]) -> list[int]:
        good = [test(value) for value in self.values]
        return [row for row, code in enumerate(self.codes) if good[code]]
