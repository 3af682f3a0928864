"""Sort the rows of a scan, which already contains what sorting needs of each node."""

from __future__ import annotations

import heapq
from array import array
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.database.find_order import arch_key, compiler_key, flags_key, variants_key
from spack_kernel.spack.database.rows import KIND_BITS, KIND_MASK
from spack_kernel.spack.spec.traversal import depflag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .scan import Scan

#: How many values to sort in one operation; this takes a few milliseconds.
_CHUNK = 1024

#: The facets in the order in which specs are compared, and the sort key of their values.
_FACETS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("name", str),
    ("namespace", str),
    ("version", attrgetter("order")),
    ("variants", variants_key),
    ("compiler", compiler_key),
    ("flags", flags_key),
    ("arch", arch_key),
)


class ScanNodes:
    """The rows of a scan as nodes of `spack_kernel.spack.database.find_order`.

    Parameters
    ----------
    scan : Scan
        The scan of a store.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._keys = _keys(scan)
        #: The sort key of each row; 0 for one that is left out.
        self.key = self._keys.__getitem__
        self._kinds = [(depflag(deptypes), virtuals) for deptypes, virtuals in scan.kinds]
        self._kind_places = _places(self._kinds, tuple)
        names = scan.columns["name"]
        called = sorted({*names.values, *scan.edge_names.values()})
        place_of = {name: place for place, name in enumerate(called)}
        by_code = [0, *map(place_of.__getitem__, names.values)]
        self._name_places = array("I", map(by_code.__getitem__, names.codes))
        for row, name in scan.edge_names.items():
            self._name_places[row] = place_of[name]
        self._packages: dict[str, array[int]] | None = None
        #: Space for the rank of each row within its package.
        self.ranks = array("I", bytes(4 * len(scan.hashes)))

    def package(self, name: str) -> Sequence[int]:
        """Return all rows of a package."""
        if self._packages is None:
            codes = self._scan.columns["name"].codes
            rows = self._scan.by_name(row for row, code in enumerate(codes) if code)
            self._packages = {name: array("I", group) for name, group in rows.items()}
        return self._packages.get(name, ())

    def children(self, node: int) -> list[int]:
        """Return the rows of the children of a node, in the order in which Spack visits them."""
        return [packed >> KIND_BITS for packed in self._visited(node)]

    def edges(self, node: int) -> list[tuple[int, tuple[str, ...], int]]:
        """Return deptypes, virtuals and row of each edge, as Spack visits them."""
        kinds = self._kinds
        return [(*kinds[p & KIND_MASK], p >> KIND_BITS) for p in self._visited(node)]

    def _visited(self, node: int) -> list[int]:
        """Return the packed edges of a node, sorted by name, deptypes and virtuals."""
        names, kinds = self._name_places, self._kind_places
        return sorted(
            self._scan.dependencies[node],
            key=lambda p: names[p >> KIND_BITS] << KIND_BITS | kinds[(p & KIND_MASK) + 1],
        )


def _keys(scan: Scan) -> Sequence[int]:
    """Return for each row a number that sorts like its own attributes; 0 for one left out."""
    greatest = 1
    keys = [1 if code else 0 for code in scan.columns["name"].codes]
    for facet, sorts_by in _FACETS:
        column = scan.columns[facet]
        places = _places(column.values, sorts_by)
        count = max(places) + 1
        greatest = greatest * count + count
        keys = [key * count + places[code] for key, code in zip(keys, column.codes, strict=True)]
    return array("Q", keys) if greatest < 1 << 64 else keys


def _places(values: Sequence[Any], key: Callable[[Any], Any]) -> list[int]:
    """Return the rank of each value by code (starting at 1); equal values share a rank."""
    places = [0] * (len(values) + 1)
    keyed = [(key(value), code) for code, value in enumerate(values, 1)]
    first = itemgetter(0)
    # Sorting thousands of versions in one operation would block all other threads.
    parts = [
        sorted(keyed[start : start + _CHUNK], key=first) for start in range(0, len(keyed), _CHUNK)
    ]
    for place, (_, group) in enumerate(groupby(heapq.merge(*parts, key=first), key=first)):
        for _, code in group:
            places[code] = place
    return places
