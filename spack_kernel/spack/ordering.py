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
    from collections.abc import Callable, Iterable

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
    nodes: dict[str, _Key] = {}
    for _, group in groupby(keyed, key=itemgetter(0)):
        alike = [spec for _, spec in group]
        if len(alike) > 1:
            alike.sort(key=lambda spec: _graph_key(spec, lookup, nodes))
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


def _graph_key(
    spec: Spec, lookup: Callable[[str], Spec | None], nodes: dict[str, _Key]
) -> tuple[list[_Key], list[_Key]]:
    """Return the keys of all dependencies, then those of the edges, as a walk comes to them."""
    numbers = {spec.hash: 0}
    node_keys: list[_Key] = []
    edge_keys: list[_Key] = []
    queue = deque([spec])
    while queue:
        parent = queue.popleft()
        for edge in sorted(parent.dependencies, key=_edge_order):
            child = lookup(edge.hash)
            if child is None:
                continue
            if edge.hash not in numbers:
                numbers[edge.hash] = len(numbers)
                key = nodes.get(edge.hash)
                if key is None:
                    key = nodes[edge.hash] = _node_key(child)
                node_keys.append(key)
                queue.append(child)
            edge_keys.append(
                (numbers[parent.hash], numbers[edge.hash], depflag(edge.deptypes), edge.virtuals)
            )
    return node_keys, edge_keys


def _edge_order(edge: Dependency) -> tuple[str, int, tuple[str, ...]]:
    return edge.name, depflag(edge.deptypes), edge.virtuals
