"""The orders in which Spack walks the dependencies of specs.

The rules are those of ``spack.traverse`` and ``spack.build_environment.effective_deptypes``,
derived from their behaviour: children are visited by name, and an order is topological when every
dependent comes before its dependencies.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from spack_kernel.spack.errors import DatabaseError

from .spec import Dependency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .spec import Spec

#: The dependencies that a spec needs for use, not for its build.
RUNTIME_DEPTYPES = ("link", "run")
ALL_DEPTYPES = ("build", "link", "run", "test")

#: How topological ties are broken: ``breadth`` is Spack 1.x, ``depth`` Spack 0.21 to 0.23.
Rule = Literal["breadth", "depth"]

_DEPFLAGS = {"build": 1, "link": 2, "run": 4, "test": 8}


def rule_for(database_version: str) -> Rule:
    """Return the rule of the Spack that reads databases of the format `database_version`.

    Format 7 is Spack 0.21 to 0.23. Older versions walk in post-order, which is not topological from
    the root; the rule of 1.x is also used for them.
    """
    return "depth" if database_version == "7" else "breadth"


@cache
def depflag(deptypes: tuple[str, ...]) -> int:
    """Return the number by which Spack sorts edges with different deptypes."""
    return sum(_DEPFLAGS.get(deptype, 0) for deptype in deptypes)


class Graph(msgspec.Struct, frozen=True):
    """The specs reached from some roots over edges of some deptypes.

    Attributes
    ----------
    roots : tuple of str
        DAG hashes of the roots, in the order given, each once.
    nodes : mapping of str to Spec
        Every spec reached, by DAG hash.
    edges : mapping of str to tuple of Dependency
        For each DAG hash, the edges followed, in the order in which Spack visits them.
    missing : tuple of (Spec, Dependency)
        Edges to hashes that are in no database; Spack warns about them and continues.
    """

    roots: tuple[str, ...]
    nodes: Mapping[str, Spec]
    edges: Mapping[str, tuple[Dependency, ...]]
    missing: tuple[tuple[Spec, Dependency], ...]


def reachable(
    roots: Sequence[Spec],
    lookup: Callable[[str], Spec | None],
    deptypes: Iterable[str] = RUNTIME_DEPTYPES,
) -> Graph:
    """Collect the specs that are reached from `roots` over edges with any of `deptypes`.

    Parameters
    ----------
    roots : sequence of Spec
        Where to start.
    lookup : callable
        Returns the spec of a DAG hash, or None; called once per hash.
    deptypes : iterable of str
        Some of ``build``, ``link``, ``run``, ``test``.
    """
    wanted = frozenset(deptypes)
    nodes = {root.hash: root for root in roots}
    edges: dict[str, tuple[Dependency, ...]] = {}
    missing: list[tuple[Spec, Dependency]] = []
    unknown: set[str] = set()
    queue = deque(nodes.values())
    while queue:
        spec = queue.popleft()
        followed = []
        for edge in _children(spec, wanted):
            if edge.hash not in nodes:
                child = None if edge.hash in unknown else lookup(edge.hash)
                if child is None:
                    unknown.add(edge.hash)
                    missing.append((spec, edge))
                    continue
                nodes[edge.hash] = child
                queue.append(child)
            followed.append(edge)
        edges[spec.hash] = tuple(followed)
    return Graph(tuple(dict.fromkeys(root.hash for root in roots)), nodes, edges, tuple(missing))


def topological(graph: Graph, rule: Rule = "breadth") -> list[Spec]:
    """Return all specs of `graph`, dependents before dependencies, as `spack load` walks them.

    Raises
    ------
    DatabaseError
        When the recorded dependencies form a cycle.
    """
    order = _breadth_order(graph) if rule == "breadth" else _depth_order(graph)
    return [graph.nodes[dag_hash] for dag_hash in order]


def environment_order(graph: Graph, rule: Rule = "breadth") -> list[Spec]:
    """Return all specs of `graph` in the order in which Spack collects their environments.

    Specs with dependencies come first, topologically; then those without, in the order in which
    an edge first leads to them. Spack applies the result back to front.
    """
    if rule == "breadth":
        order = _breadth_order(graph)
        discovered = dict.fromkeys(graph.roots)
        for dag_hash in order:
            discovered.update(dict.fromkeys(edge.hash for edge in graph.edges[dag_hash]))
        inner = [dag_hash for dag_hash in order if graph.edges[dag_hash]]
    else:
        walked = list(reversed(_depth_edges(graph)))
        discovered = dict.fromkeys(child for _, child in walked)
        inner = list(dict.fromkeys(parent for parent, _ in walked if parent is not None))
    leaves = [dag_hash for dag_hash in discovered if not graph.edges[dag_hash]]
    return [graph.nodes[dag_hash] for dag_hash in (*inner, *leaves)]


def _children(spec: Spec, wanted: frozenset[str]) -> list[Dependency]:
    merged: dict[str, Dependency] = {}
    for edge in spec.dependencies:
        if wanted.isdisjoint(edge.deptypes):
            continue
        other = merged.get(edge.hash)
        if other is not None:  # recorded once per deptype
            edge = Dependency(
                edge.name,
                edge.hash,
                tuple(dict.fromkeys((*other.deptypes, *edge.deptypes))),
                tuple(dict.fromkeys((*other.virtuals, *edge.virtuals))),
            )
        merged[edge.hash] = edge
    return sorted(merged.values(), key=lambda e: (e.name, depflag(e.deptypes), e.virtuals))


def _breadth_order(graph: Graph) -> list[str]:
    """Kahn's algorithm, first in first out."""
    waiting = dict.fromkeys(graph.nodes, 0)
    for edges in graph.edges.values():
        for edge in edges:
            waiting[edge.hash] += 1
    order = [dag_hash for dag_hash in graph.roots if not waiting[dag_hash]]
    for dag_hash in order:  # grows while it is walked
        for edge in graph.edges[dag_hash]:
            waiting[edge.hash] -= 1
            if not waiting[edge.hash]:
                order.append(edge.hash)
    if len(order) < len(graph.nodes):
        _raise_cycle([graph.nodes[dag_hash] for dag_hash, count in waiting.items() if count])
    return order


def _depth_order(graph: Graph) -> list[str]:
    """Depth-first post-order, reversed."""
    seen: set[str] = set()
    finished = []
    for _, child in _depth_edges(graph):
        if child not in seen:
            seen.add(child)
            finished.append(child)
    return finished[::-1]


def _depth_edges(graph: Graph) -> list[tuple[str | None, str]]:
    """Return every edge as (parent, child), in the order in which a depth-first walk leaves it.

    A root has the parent None. The edge through which a node is found comes after all edges
    below it; an edge to a node that was already found comes immediately.
    """
    found: set[str] = set()
    finished: set[str] = set()
    walked: list[tuple[str | None, str]] = []
    for root in graph.roots:
        if root in found:
            walked.append((None, root))
            continue
        found.add(root)
        stack: list[tuple[str | None, str, Iterator[Dependency]]] = []
        stack.append((None, root, iter(graph.edges[root])))
        while stack:
            parent, node, edges = stack[-1]
            for edge in edges:
                if edge.hash not in found:
                    found.add(edge.hash)
                    stack.append((node, edge.hash, iter(graph.edges[edge.hash])))
                    break
                if edge.hash not in finished:
                    _raise_cycle([graph.nodes[dag_hash] for _, dag_hash, _ in stack])
                walked.append((node, edge.hash))
            else:
                stack.pop()
                finished.add(node)
                walked.append((parent, node))
    return walked


def _raise_cycle(specs: Sequence[Spec]) -> NoReturn:
    raise DatabaseError(
        "the recorded dependencies form a cycle",
        details=[f"  {spec.label}" for spec in specs[:10]],
        hint="The database is damaged; `spack reindex` rebuilds it.",
    )
