"""The order in which `spack find` lists specs.

Specs are compared by what they say of themselves (name, namespace, version, variants, compiler,
flags, architecture), then, where two are alike, by their dependencies breadth first, and last by
the edges between them. The rules are those of Spack 1.x; older ones came to the dependencies in an
order that changed from run to run.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .specs import FLAG_NAMES
from .traversal import depflag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .specs import Dependency, Spec

_Key = tuple[Any, ...]


def in_find_order(specs: Iterable[Spec], lookup: Callable[[str], Spec | None]) -> list[Spec]:
    """Return `specs` as `spack find` orders them.

    Parameters
    ----------
    specs : iterable of Spec
        What to sort.
    lookup : callable
        Gives the spec of a DAG hash, or None; asked only about dependencies of specs that are
        otherwise alike.
    """
    keyed = sorted(((_node_key(spec), spec) for spec in specs), key=itemgetter(0))
    ordered: list[Spec] = []
    graph = _Graph(lookup)
    for _, group in groupby(keyed, key=itemgetter(0)):
        alike = [spec for _, spec in group]
        if len(alike) > 1:
            alike.sort(key=lambda spec: _Walk(spec.hash, graph))
        ordered += alike
    return ordered


def _node_key(spec: Spec) -> _Key:
    return (
        spec.name,
        spec.namespace,
        spec.version,
        tuple(sorted((name, _words(value)) for name, value in spec.variants.items())),
        () if spec.compiler is None else (spec.compiler.name, spec.compiler.version),
        tuple([spec.flags.get(kind, ()) for kind in FLAG_NAMES]),
        spec.arch.platform,
        spec.arch.os,
        spec.arch.target,
    )


def _words(value: bool | str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)


class _Graph:
    """Nodes and edges as comparisons come to them, each looked up once."""

    def __init__(self, lookup: Callable[[str], Spec | None]) -> None:
        self._lookup = lookup
        self._keys: dict[str, _Key] = {}
        self._edges: dict[str, list[Dependency]] = {}

    def key(self, dag_hash: str) -> _Key:
        self._read(dag_hash)
        return self._keys[dag_hash]

    def edges(self, dag_hash: str) -> list[Dependency]:
        """Return the edges of a node in the order in which Spack visits them."""
        self._read(dag_hash)
        return self._edges[dag_hash]

    def _read(self, dag_hash: str) -> None:
        if dag_hash not in self._keys:
            spec = self._lookup(dag_hash)
            self._keys[dag_hash] = _node_key(spec) if spec is not None else ()
            self._edges[dag_hash] = sorted(spec.dependencies if spec else (), key=_edge_order)


class _Walk:
    """The dependencies of a spec, breadth first, and how two specs compare by them."""

    def __init__(self, root: str, graph: _Graph) -> None:
        self._graph = graph
        self._numbers = {root: 0}
        self._nodes: list[str] = []
        self._edges: list[_Key] = []
        self._steps = self._walk(root)

    def _walk(self, root: str) -> Iterator[None]:
        """Go on node by node."""
        queue = deque([root])
        while queue:
            parent = queue.popleft()
            for edge in self._graph.edges(parent):
                new = edge.hash not in self._numbers
                if new:
                    self._numbers[edge.hash] = len(self._numbers)
                    self._nodes.append(edge.hash)
                    queue.append(edge.hash)
                ends = self._numbers[parent], self._numbers[edge.hash]
                self._edges.append((*ends, depflag(edge.deptypes), edge.virtuals))
                if new:
                    yield

    def node(self, position: int) -> str | None:
        """Return the hash of the node at `position`; None behind the last one."""
        while len(self._nodes) <= position:
            if next(self._steps, self) is self:
                return None
        return self._nodes[position]

    def __lt__(self, other: _Walk) -> bool:
        position = 0
        while True:
            ours, theirs = self.node(position), other.node(position)
            if ours is None or theirs is None:
                break
            if ours != theirs:
                our_key, their_key = self._graph.key(ours), self._graph.key(theirs)
                if our_key != their_key:
                    return our_key < their_key
            position += 1
        if ours is not theirs:
            return ours is None
        return self._edges < other._edges


def _edge_order(edge: Dependency) -> tuple[str, int, tuple[str, ...]]:
    return edge.name, depflag(edge.deptypes), edge.virtuals
