"""The order in which `spack find` lists specs.

Specs are compared by what they say of themselves (name, namespace, version, variants, compiler,
flags, architecture), then, where two are alike, by their dependencies breadth first, and last by
the edges between them. The rules are those of Spack 1.x; older ones came to the dependencies in an
order that changed from run to run.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .errors import DatabaseError
from .specs import FLAG_NAMES
from .traversal import depflag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .rows import Row, Rows, Text
    from .specs import Spec

_Key = tuple[Any, ...]


class FindOrder:
    """The order of one store's specs, kept for packages that are asked about again.

    Parameters
    ----------
    rows : Rows
        What reads the records.
    package : callable
        Gives the DAG hashes of all records of a package.
    """

    def __init__(self, rows: Rows, package: Callable[[str], Sequence[str]]) -> None:
        self._rows = rows
        self._package = package
        self._ranks: dict[str, dict[str, int]] = {}
        self._asked: Counter[str] = Counter()

    def sorted(self, specs: Iterable[Spec]) -> list[Spec]:
        """Return `specs`, each once, as `spack find` orders them."""
        by_name: dict[str, dict[str, Spec]] = {}
        for spec in specs:
            by_name.setdefault(spec.name, {})[spec.hash] = spec
        ordered: list[Spec] = []
        sorting = _Sorting(self._rows)
        for name in sorted(by_name):
            group = by_name[name]
            hashes: Iterable[str] = group
            if len(group) > 1:
                hashes = self._sort(name, list(group), sorting)
            ordered += [group[dag_hash] for dag_hash in hashes]
        return ordered

    def _sort(self, name: str, hashes: list[str], sorting: _Sorting) -> list[str]:
        ranks = self._ranks.get(name)
        if ranks is None:
            package = self._package(name)
            self._asked[name] += 1
            if self._asked[name] == 1 and len(hashes) < len(package) / 2:
                return sorting.sorted(hashes)
            known = sorting.sorted(dict.fromkeys([*package, *hashes]))
            ranks = self._ranks[name] = {dag_hash: rank for rank, dag_hash in enumerate(known)}
        return sorted(hashes, key=ranks.__getitem__)


class _Sorting:
    """Nodes and edges as one sorting comes to them, each read once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._nodes: dict[str, tuple[_Key, Row | None]] = {}
        self._children: dict[str, list[str]] = {}
        self._parameters: dict[Text, tuple[_Key, _Key]] = {}

    def sorted(self, hashes: Iterable[str]) -> list[str]:
        keyed = sorted(((self.key(h), h) for h in hashes), key=itemgetter(0))
        ordered: list[str] = []
        for _, group in groupby(keyed, key=itemgetter(0)):
            alike = [dag_hash for _, dag_hash in group]
            ordered += self._by_walks(alike) if len(alike) > 1 else alike
        return ordered

    def _by_walks(self, hashes: list[str]) -> Iterator[str]:
        """Yield specs that say the same of themselves in the order of what they depend on."""
        stack = [([_Walk(dag_hash, self) for dag_hash in hashes], 0)]
        while stack:
            walks, position = stack.pop()
            if len(walks) == 1:
                yield walks[0].root
                continue
            nodes = {walk.node(position) for walk in walks}
            if nodes == {None}:  # the edges tell apart those whose nodes are alike to the end
                yield from (walk.root for walk in sorted(walks, key=_Walk.edges))
                continue
            parts: dict[int, list[_Walk]] = {}
            ranks = self._ranks(nodes)
            for walk in walks:
                parts.setdefault(ranks[walk.node(position)], []).append(walk)
            stack += [(parts[rank], position + 1) for rank in sorted(parts, reverse=True)]

    def _ranks(self, nodes: set[str | None]) -> dict[str | None, int]:
        """Return the places of some nodes; a walk that has ended is before the others."""
        if len(nodes) == 1:
            return dict.fromkeys(nodes, 0)
        ranks: dict[str | None, int] = {None: -1}
        keyed = sorted(((self.key(h), h) for h in nodes if h is not None), key=itemgetter(0))
        for rank, (_, group) in enumerate(groupby(keyed, key=itemgetter(0))):
            ranks.update((dag_hash, rank) for _, dag_hash in group)
        return ranks

    def key(self, dag_hash: str) -> _Key:
        """Return what a node says of itself; nothing for one that is not recorded."""
        return self._node(dag_hash)[0]

    def children(self, dag_hash: str) -> list[str]:
        """Return the hashes of the dependencies of a node, as Spack visits them."""
        children = self._children.get(dag_hash)
        if children is None:
            children = [edge[-1] for edge in self.edges(dag_hash)]
            self._children[dag_hash] = children
        return children

    def edges(self, dag_hash: str) -> list[tuple[str, int, tuple[str, ...], str]]:
        """Return package, deptypes, virtuals and hash of the edges, as Spack visits them."""
        row = self._node(dag_hash)[1]
        try:
            recorded = self._rows.edges(row) if row is not None else []
        except DatabaseError:
            recorded = []
        kinds = self._rows.kinds
        edges = []
        for name, child, code in recorded:
            deptypes, virtuals = kinds[code]
            edges.append((name, depflag(deptypes), virtuals, child))
        edges.sort(key=itemgetter(0, 1, 2))
        return edges

    def _node(self, dag_hash: str) -> tuple[_Key, Row | None]:
        node = self._nodes.get(dag_hash)
        if node is None:
            try:
                row = self._rows.row(dag_hash)
            except DatabaseError:  # a dependency that is malformed; the specs themselves are not
                row = None
            node = self._nodes[dag_hash] = () if row is None else self._key_of(row), row
        return node

    def _key_of(self, row: Row) -> _Key:
        rows = self._rows
        compiler, arch = rows.compiler(row), rows.arch(row)
        parameters = self._parameters.get(row.parameters)
        if parameters is None:
            flags = rows.flags(row)
            parameters = self._parameters[row.parameters] = (
                tuple(sorted((name, _words(value)) for name, value in rows.variants(row).items())),
                tuple([flags.get(kind, ()) for kind in FLAG_NAMES]),
            )
        return (
            row.name,
            row.namespace,
            rows.version(row),
            parameters[0],
            () if compiler is None else (compiler.name, compiler.version),
            parameters[1],
            arch.platform,
            arch.os,
            arch.target,
        )


def _words(value: bool | str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)


class _Walk:
    """The dependencies of a spec, breadth first, read as far as comparisons need them."""

    def __init__(self, root: str, sorting: _Sorting) -> None:
        self.root = root
        self._sorting = sorting
        self._nodes = [root]
        self._seen = {root}
        self._next = 0  # the node whose dependencies were not looked at yet

    def node(self, position: int) -> str | None:
        """Return the hash of the dependency at `position`; None behind the last one."""
        nodes, seen = self._nodes, self._seen
        while len(nodes) <= position + 1:
            if self._next == len(nodes):
                return None
            for child in self._sorting.children(nodes[self._next]):
                if child not in seen:
                    seen.add(child)
                    nodes.append(child)
            self._next += 1
        return nodes[position + 1]

    def edges(self) -> list[_Key]:
        """Return all edges in the order of the walk, each by the numbers of its ends."""
        while self.node(len(self._nodes)) is not None:
            pass
        numbers = {dag_hash: number for number, dag_hash in enumerate(self._nodes)}
        return [
            (number, numbers[child], depflags, virtuals)
            for parent, number in numbers.items()
            for _, depflags, virtuals, child in self._sorting.edges(parent)
        ]
