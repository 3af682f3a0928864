"""Sorting the rows of a scan, which knows already what a sorting asks of each node."""

from __future__ import annotations

from array import array
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .ordering import arch_key, compiler_key, flags_key, variants_key
from .scan import KIND_BITS, KIND_MASK
from .traversal import depflag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .scan import Scan

#: The facets in the order in which specs are compared by them, and what their values sort by.
_FACETS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("name", str),
    ("namespace", str),
    ("version", lambda version: version),
    ("variants", variants_key),
    ("compiler", compiler_key),
    ("flags", flags_key),
    ("arch", arch_key),
)


class ScanNodes:
    """The rows of a scan as nodes of `spack_kernel.spack.ordering`.

    Parameters
    ----------
    scan : Scan
        What was read of a store.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._places = [
            (scan.columns[facet].codes, _places(scan.columns[facet].values, key))
            for facet, key in _FACETS
        ]
        self._names = scan.columns["name"]
        self._kinds = [(depflag(deptypes), virtuals) for deptypes, virtuals in scan.kinds]
        self._packages: dict[str, array[int]] | None = None
        #: Room for the place of each row among those of its package.
        self.ranks = array("I", bytes(4 * len(scan.hashes)))

    def package(self, name: str) -> Sequence[int]:
        """Return all rows of a package."""
        if self._packages is None:
            codes = self._names.codes
            rows = self._scan.by_name(row for row, code in enumerate(codes) if code)
            self._packages = {name: array("I", group) for name, group in rows.items()}
        return self._packages.get(name, ())

    def key(self, node: int) -> tuple[Any, ...]:
        """Return what a node says of itself; nothing for one without a row."""
        if not self._names.codes[node]:
            return ()
        return tuple([places[codes[node]] for codes, places in self._places])

    def edges(self, node: int) -> list[tuple[str, int, tuple[str, ...], int]]:
        """Return package, deptypes, virtuals and row of the edges, as Spack visits them."""
        codes, values = self._names.codes, self._names.values
        edges = []
        for packed in self._scan.dependencies[node]:
            child = packed >> KIND_BITS
            code = codes[child]
            name = values[code - 1] if code else self._scan.edge_names[child]
            edges.append((name, *self._kinds[packed & KIND_MASK], child))
        edges.sort(key=itemgetter(0, 1, 2))
        return edges


def _places(values: Sequence[Any], key: Callable[[Any], Any]) -> list[int]:
    """Return by code (counted from 1) the place of each value; equal values share one."""
    places = [0] * (len(values) + 1)
    keyed = sorted(((key(value), code) for code, value in enumerate(values, 1)), key=itemgetter(0))
    for place, (_, group) in enumerate(groupby(keyed, key=itemgetter(0))):
        for _, code in group:
            places[code] = place
    return places
