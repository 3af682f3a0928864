"""Find all nodes of a store that satisfy a query without a name.

Asking each of fifty thousand nodes what is below it is slow. Its own columns exclude most of them,
and what a query says of a dependency is followed up from the few nodes that it can mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .abstract_spec import AbstractSpec
from .matcher import anything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spack_kernel.spack.database.chain import Chain

    from .abstract_spec import DependencyConstraint
    from .matcher import Matcher


def everywhere(matcher: Matcher, query: AbstractSpec, installed: bool | None) -> list[int]:
    """Return all nodes of the store that satisfy a query without a name.

    Parameters
    ----------
    matcher : Matcher
        What tests single nodes.
    query : AbstractSpec
        The query.
    installed : bool or None
        Whether the nodes must be installed, or must not be; None for both.
    """
    nodes = matcher.in_columns(query, matcher.chain.all_nodes(installed))
    unsure = []
    for dependency in query.dependencies:
        above, is_sure = _depending(matcher, dependency)
        if above is not None:
            nodes = [node for node in nodes if node in above]
        if not is_sure:
            unsure.append(dependency)
    propagated = {name: v for name, v in query.variants.items() if v.propagate}
    test = matcher.test(
        AbstractSpec(variants=propagated, dependencies=tuple(unsure), dialect=query.dialect)
    )
    return nodes if test is anything else [node for node in nodes if test(node)]


def _depending(matcher: Matcher, dependency: DependencyConstraint) -> tuple[set[int] | None, bool]:
    """Return the nodes that may have a dependency (None: all), and whether all of them do.

    Walking up from the few nodes that a query can mean is faster than asking each node of the
    store what is below it.
    """
    query, chain = dependency.query, matcher.chain
    if dependency.when is not None or (query.name is None and dependency.virtuals):
        return None, False
    sure = not (dependency.virtuals or dependency.deptypes or query.dependencies)
    sure = sure and not any(variant.propagate for variant in query.variants.values())
    if query.name is not None:
        nodes = matcher.in_columns(query, filter(chain.is_valid, chain.nodes_named(query.name)))
    else:
        nodes = matcher.in_columns(query, chain.all_nodes())
    seeds = set(nodes)
    is_unknown = query.name is not None and not chain.has_package(query.name)
    if is_unknown and not matcher.dialect.edge_virtuals:
        for provision in matcher.providers.of(query.name or ""):
            named = chain.nodes_named(provision.provider.name or "")
            seeds.update(matcher.in_columns(provision.provider, filter(chain.is_valid, named)))
            sure = False
    virtual_edges = list(_virtual_edges(chain, query.name)) if query.name is not None else []
    seeds.update(end for _, end in virtual_edges)
    sure = sure and not virtual_edges
    dependents = chain.dependents
    if not matcher.dialect.compiler_nodes:
        return dependents.above(seeds), sure
    found = set() if dependency.direct else dependents.above(seeds, runtime=True)
    found.update(parent for node in nodes for parent, _ in dependents.of(node))
    found.update(parent for parent, _ in virtual_edges)
    if any(value is not None for value in _compilers(chain)):
        compilers = chain.value
        found.update(n for n in chain.all_nodes() if compilers("compiler", n) is not None)
        sure = False
    return found, sure


def _compilers(chain: Chain) -> Iterator[Any]:
    for database in chain.databases:
        values = database.columns.values["compiler"]
        yield from (values[code] for code in range(1, len(values)))


def _virtual_edges(chain: Chain, virtual: str) -> Iterator[tuple[int, int]]:
    """Yield both nodes of each edge that provides a virtual package."""
    if virtual not in chain.virtuals:
        return
    for package in chain.virtuals[virtual]:
        for end in chain.nodes_named(package):
            for parent, _ in chain.dependents.of(end):
                if any(e == end and virtual in k.virtuals for e, k, _ in chain.edges_of(parent)):
                    yield parent, end
