"""The order in which `spack find` lists specs.

Specs are compared by their own attributes (name, namespace, version, variants, compiler, flags,
architecture). Specs with equal attributes are compared by their dependencies, breadth first, and
finally by the edges between these. The rules are those of Spack 1.x; older versions visited the
dependencies in an order that changed from run to run.
"""

from __future__ import annotations

import sys
from array import array
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.spec.spec import FLAG_NAMES
from spack_kernel.spack.spec.traversal import depflag

from .columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spack_kernel.spack.spec.records import Parameters
    from spack_kernel.spack.spec.spec import Arch, Compiler, VariantValue

    from .chain import Chain

_Key = tuple[Any, ...]


class FindOrder:
    """Sorts nodes of a chain, and keeps what it has read of each.

    Parameters
    ----------
    chain : Chain
        The databases.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._keys: dict[int, _Key] = {}
        self._children: dict[int, list[int]] = {}
        #: For each database and column, the sort keys by code.
        self._parts: list[dict[str, dict[int, Any]]] = [
            {column: {} for column in COLUMNS} for _ in chain.databases
        ]

    def sorted(self, nodes: Iterable[int]) -> list[int]:
        """Return nodes as `spack find` orders them."""
        few = list(nodes)
        if len(few) < 2:
            return few
        databases = self._chain.databases
        columns = databases[0].columns
        if len(databases) == 1 and columns.ranks is None and len(few) > columns.recorded // 4:
            self.rank()
        if len(databases) == 1 and columns.ranks is not None:
            return sorted(few, key=columns.ranks.__getitem__)
        return self._compared_all(few)

    def rank(self) -> None:
        """Find out the place of each record of the only database, so that it can be kept."""
        (database,) = self._chain.databases
        columns = database.whole()
        ranks = array("I", bytes(4 * len(columns.hashes)))
        for rank, node in enumerate(self._compared_all(self._chain.all_nodes())):
            ranks[node] = rank
        columns.ranks = ranks
        # What was read for it is no longer needed.
        self._keys, self._children = {}, {}

    def _compared_all(self, nodes: Iterable[int]) -> list[int]:
        keyed = sorted(((self._key(node), node) for node in nodes), key=itemgetter(0))
        ordered: list[int] = []
        for _, group in groupby(keyed, key=itemgetter(0)):
            alike = [node for _, node in group]
            ordered += self._by_walks(alike) if len(alike) > 1 else alike
        return ordered

    def _by_walks(self, nodes: list[int]) -> Iterator[int]:
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
            parts: dict[int, list[_Walk]] = {}
            for walk, rank in zip(walks, ranks, strict=True):
                parts.setdefault(rank, []).append(walk)
            stack += [(parts[rank], position + compared) for rank in sorted(parts, reverse=True)]

    def _compared(self, ahead: list[list[int]]) -> tuple[Sequence[int], int]:
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

    def _ranks(self, nodes: Iterable[int]) -> dict[int, int]:
        """Return the ranks of some nodes, starting at 0."""
        ranks: dict[int, int] = {}
        keyed = sorted(((self._key(node), node) for node in nodes), key=itemgetter(0))
        for rank, (_, group) in enumerate(groupby(keyed, key=itemgetter(0))):
            ranks.update((node, rank) for _, node in group)
        return ranks

    # -- nodes --

    def _key(self, node: int) -> _Key:
        """Return the sort key of a node's own attributes; empty if it is not recorded."""
        key = self._keys.get(node)
        if key is None:
            key = self._keys[node] = self._read_key(node)
        return key

    def _read_key(self, node: int) -> _Key:
        chain = self._chain
        number, row = chain.place(node)
        if not chain.is_valid(node):
            return ()  # a dependency that is malformed or not recorded
        columns = chain.databases[number].columns
        known = self._parts[number]
        parts = []
        for column in COLUMNS:
            code = columns.codes[column][row]
            part = known[column].get(code)
            if part is None:
                part = known[column][code] = _KEYS[column](columns.values[column][code])
            parts.append(part)
        name, namespace, version, (variants, flags), compiler, arch = parts
        return name, namespace, version, variants, compiler, flags, arch

    def children(self, node: int) -> list[int]:
        """Return the children of a node, in the order in which Spack visits them."""
        children = self._children.get(node)
        if children is None:
            children = self._children[node] = [end for *_, end in self.edges(node)]
        return children

    def edges(self, node: int) -> list[tuple[int, tuple[str, ...], int]]:
        """Return deptypes, virtuals and child of each edge, as Spack visits them."""
        edges = [
            (name, depflag(kind.deptypes), kind.virtuals, end)
            for end, kind, name in self._chain.edges_of(node)
        ]
        edges.sort(key=itemgetter(0, 1, 2))
        return [edge[1:] for edge in edges]


class _Walk:
    """The dependencies of a node, breadth first, read only as far as comparisons need them."""

    def __init__(self, root: int, order: FindOrder) -> None:
        self.root = root
        self._order = order
        self._nodes = [root]
        self._seen = {root}
        self._next = 0  # the first node whose dependencies have not been read

    def ahead(self, position: int) -> list[int]:
        """Return some dependencies from `position` on; none after the last one."""
        nodes, seen = self._nodes, self._seen
        while len(nodes) <= position + 1 and self._next < len(nodes):
            for child in self._order.children(nodes[self._next]):
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
            for depflags, virtuals, child in self._order.edges(parent)
        ]


def _parameters_key(parameters: Parameters) -> tuple[_Key, _Key]:
    """Return the sort keys of variants and of compiler flags."""
    variants, flags = parameters
    return (
        tuple(sorted((name, _words(value)) for name, value in variants.items())),
        tuple([flags.get(kind, ()) for kind in FLAG_NAMES]),
    )


def _words(value: VariantValue) -> tuple[str, ...]:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)


def _compiler_key(compiler: Compiler | None) -> _Key:
    return () if compiler is None else (compiler.name, compiler.version.order)


def _arch_key(arch: Arch) -> _Key:
    return arch.platform, arch.os, arch.target


#: The function that returns the sort key of a value, by column.
_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "name": str,
    "namespace": str,
    "version": attrgetter("order"),
    "parameters": _parameters_key,
    "compiler": _compiler_key,
    "arch": _arch_key,
}
