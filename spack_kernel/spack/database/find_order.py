"""The order in which `spack find` lists specs.

Specs are compared by their own attributes (name, namespace, version, variants, compiler, flags,
architecture). Specs with equal attributes are compared by their dependencies, breadth first, and
finally by the edges between these. The rules are those of Spack 1.x; older versions visited the
dependencies in an order that changed from run to run.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.spec.spec import FLAG_NAMES
from spack_kernel.spack.spec.traversal import depflag

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from spack_kernel.spack.spec.spec import Arch, Compiler, VariantValue

    from .rows import Row, Rows, Text

_Key = tuple[Any, ...]

#: The identifier of a node: its DAG hash or its number.
Node = TypeVar("Node", bound="Hashable")


class Nodes(Protocol[Node]):
    """The interface of nodes that can be sorted."""

    def key(self, node: Node) -> Any:
        """Return the sort key of the node's own attributes; the lowest if it is not recorded."""

    def children(self, node: Node) -> list[Node]:
        """Return the children of a node, in the order in which Spack visits them."""

    def edges(self, node: Node) -> list[tuple[int, tuple[str, ...], Node]]:
        """Return deptypes, virtuals and child of each edge, as Spack visits them."""


class FindOrder(Generic[Node]):
    """The order of one store's specs, cached for packages that are queried again.

    Parameters
    ----------
    package : callable
        Returns all nodes of a package.
    ranks : mutable mapping or array
        Where the rank of each node within its package is cached.
    """

    def __init__(self, package: Callable[[str], Sequence[Node]], ranks: Any) -> None:
        self._package = package
        self._ranks = ranks
        self._ranked: set[str] = set()
        self._asked: Counter[str] = Counter()

    def sorted(self, nodes: Nodes[Node], by_name: Mapping[str, Collection[Node]]) -> list[Node]:
        """Return nodes as `spack find` orders them.

        Parameters
        ----------
        nodes : Nodes
            The interface to them.
        by_name : mapping of str to collection
            The nodes by package.
        """
        ordered: list[Node] = []
        sorting = _Sorting(nodes)
        for name in sorted(by_name):
            group = by_name[name]
            ordered += self._sort(name, list(group), sorting) if len(group) > 1 else group
        return ordered

    def _sort(self, name: str, group: list[Node], sorting: _Sorting[Node]) -> list[Node]:
        if name not in self._ranked:
            package = self._package(name)
            self._asked[name] += 1
            if self._asked[name] == 1 and len(group) < len(package) / 2:
                return sorting.sorted(group)
            everything = dict.fromkeys([*package, *group])
            for rank, node in enumerate(sorting.sorted(everything)):
                self._ranks[node] = rank
            self._ranked.add(name)
        return sorted(group, key=self._ranks.__getitem__)


class _Sorting(Generic[Node]):
    """One sort, which reads the key and the children of each node only once."""

    def __init__(self, nodes: Nodes[Node]) -> None:
        self._key = cache(nodes.key)
        self.children = cache(nodes.children)
        self.edges = nodes.edges

    def sorted(self, nodes: Iterable[Node]) -> list[Node]:
        keyed = sorted(((self._key(node), node) for node in nodes), key=itemgetter(0))
        ordered: list[Node] = []
        for _, group in groupby(keyed, key=itemgetter(0)):
            alike = [node for _, node in group]
            ordered += self._by_walks(alike) if len(alike) > 1 else alike
        return ordered

    def _by_walks(self, nodes: list[Node]) -> Iterator[Node]:
        """Yield nodes with equal attributes, ordered by their dependencies."""
        stack = [([_Walk(node, self) for node in nodes], 0)]
        while stack:
            walks, position = stack.pop()
            if len(walks) == 1:
                yield walks[0].root
                continue
            ahead = [walk.ahead(position) for walk in walks]
            if not any(ahead):  # all nodes are equal, so the edges decide
                yield from (walk.root for walk in sorted(walks, key=_Walk.edges))
                continue
            ranks, compared = self._compared(ahead)
            parts: dict[int, list[_Walk[Node]]] = {}
            for walk, rank in zip(walks, ranks, strict=True):
                parts.setdefault(rank, []).append(walk)
            stack += [(parts[rank], position + compared) for rank in sorted(parts, reverse=True)]

    def _compared(self, ahead: list[list[Node]]) -> tuple[Sequence[int], int]:
        """Return the ranks of walks by the first nodes that differ, and the number compared."""
        compared = 0
        for nodes in zip(*ahead, strict=False):
            compared += 1
            different = set(nodes)
            if len(different) > 1:
                ranks = self._ranks(different)
                if any(ranks.values()):
                    return [ranks[node] for node in nodes], compared
        if compared:
            return [0] * len(ahead), compared
        return [len(nodes[:1]) for nodes in ahead], 0  # a walk that has ended comes first

    def _ranks(self, nodes: Iterable[Node]) -> dict[Node, int]:
        """Return the ranks of some nodes, starting at 0."""
        ranks: dict[Node, int] = {}
        keyed = sorted(((self._key(node), node) for node in nodes), key=itemgetter(0))
        for rank, (_, group) in enumerate(groupby(keyed, key=itemgetter(0))):
            ranks.update((node, rank) for _, node in group)
        return ranks


class _Walk(Generic[Node]):
    """The dependencies of a node, breadth first, read only as far as comparisons need them."""

    def __init__(self, root: Node, sorting: _Sorting[Node]) -> None:
        self.root = root
        self._sorting = sorting
        self._nodes = [root]
        self._seen = {root}
        self._next = 0  # the first node whose dependencies have not been read

    def ahead(self, position: int) -> list[Node]:
        """Return some dependencies from `position` on; none after the last one."""
        nodes, seen = self._nodes, self._seen
        while len(nodes) <= position + 1 and self._next < len(nodes):
            for child in self._sorting.children(nodes[self._next]):
                if child not in seen:
                    seen.add(child)
                    nodes.append(child)
            self._next += 1
        return nodes[position + 1 :]

    def edges(self) -> list[_Key]:
        """Return all edges in the order of the walk, each with the numbers of its two nodes."""
        self.ahead(sys.maxsize - 1)
        numbers = {node: number for number, node in enumerate(self._nodes)}
        return [
            (number, numbers[child], depflags, virtuals)
            for parent, number in numbers.items()
            for depflags, virtuals, child in self._sorting.edges(parent)
        ]


class RowNodes:
    """Nodes by DAG hash, read one by one.

    Parameters
    ----------
    rows : Rows
        Reads them.
    known : mapping of str to Row
        Nodes that have already been read.
    """

    def __init__(self, rows: Rows, known: Mapping[str, Row]) -> None:
        self._rows = rows
        self._known = known
        self._keys: dict[tuple[Text, Text, Text], tuple[_Key, _Key, _Key, _Key]] = {}
        self._kinds: list[tuple[int, tuple[str, ...]]] = []

    def key(self, node: str) -> _Key:
        """Return the sort key of a node's own attributes; empty if it is not recorded."""
        try:
            row = self._known.get(node) or self._rows.bare_row(node)
        except DatabaseError:  # a malformed dependency; the specs themselves are valid
            row = None
        if row is None:
            return ()
        rows = self._rows
        keys = self._keys.get(row.texts)
        if keys is None:
            keys = self._keys[row.texts] = (
                variants_key(rows.variants(row)),
                compiler_key(rows.compiler(row)),
                flags_key(rows.flags(row)),
                arch_key(rows.arch(row)),
            )
        return row.name, row.namespace, rows.version(row).order, *keys

    def children(self, node: str) -> list[str]:
        """Return the hashes of the children of a node, in the order in which Spack visits them."""
        return [end for _, _, end in self.edges(node)]

    def edges(self, node: str) -> list[tuple[int, tuple[str, ...], str]]:
        """Return deptypes, virtuals and hash of each edge, as Spack visits them."""
        try:
            recorded = self._rows.edges_of(node)
        except DatabaseError:
            return []
        kinds = self._kinds
        for deptypes, virtuals in self._rows.kinds[len(kinds) :]:
            kinds.append((depflag(deptypes), virtuals))
        edges = [(name, *kinds[code], end) for name, end, code in recorded]
        edges.sort(key=itemgetter(0, 1, 2))
        return [edge[1:] for edge in edges]


def variants_key(variants: Mapping[str, VariantValue]) -> _Key:
    """Return the sort key of variants."""
    return tuple(sorted((name, _words(value)) for name, value in variants.items()))


def flags_key(flags: Mapping[str, tuple[str, ...]]) -> _Key:
    """Return the sort key of compiler flags."""
    return tuple([flags.get(kind, ()) for kind in FLAG_NAMES])


def compiler_key(compiler: Compiler | None) -> _Key:
    """Return the sort key of a node's compiler."""
    return () if compiler is None else (compiler.name, compiler.version.order)


def arch_key(arch: Arch) -> _Key:
    """Return the sort key of architectures."""
    return arch.platform, arch.os, arch.target


def _words(value: bool | str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)
