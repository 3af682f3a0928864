"""Whose record of a spec counts, where several databases of a chain know the same hash.

Spack links the records of each database with those in the same database, else with those in the
first upstream behind it that has them (`_assign_dependencies` in ``spack.database``). So one hash
can stand for several records, and a spec is extended only by those that are linked with its own.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.spec.traversal import depflag, topological

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.spec.spec import Dependency, Spec
    from spack_kernel.spack.spec.traversal import Graph, Rule
    from spack_kernel.spack.store.store import Store

    #: The number of a database, and a DAG hash.
    _Record = tuple[int, str]


class Dependent(NamedTuple):
    """A spec of a closure that depends on another.

    Attributes
    ----------
    spec : Spec
        The spec.
    edge : Dependency
        The edge from it.
    is_linked : bool
        Whether it depends on the record that counts; otherwise Spack overlooks it.
    """

    spec: Spec
    edge: Dependency
    is_linked: bool


class LinkedRecords:
    """The records that a closure consists of.

    Parameters
    ----------
    graph : Graph
        The closure.
    store : Store
        Where it is recorded.
    rule : {"breadth", "depth"}
        The order in which Spack walks; see `rule_for`.

    Attributes
    ----------
    graph : Graph
        The closure with the specs of these records.
    """

    def __init__(self, graph: Graph, store: Store, rule: Rule) -> None:
        self.graph = graph
        self._databases = store.databases
        #: Hash → the number of the database whose record counts.
        self._chosen: dict[str, int] = {}
        if len(self._databases) > 1:
            self._choose(rule)

    def dependents(self, node: Spec) -> list[Dependent]:
        """Return the dependents of `node` in the closure, as Spack's database lists them.

        Spack groups them by package name. The position of a name is that of its first record, in
        the closure or not, that is linked with `node`; upstreams are read first. Within a name,
        edges are sorted by deptype.
        """
        readers = self._readers(node.hash)
        found = [
            Dependent(self.graph.nodes[parent], edge, self._chosen.get(parent, 0) in readers)
            for parent, edges in self.graph.edges.items()
            for edge in edges
            if edge.hash == node.hash
        ]
        names = {each.spec.name for each in found}
        first = {name: self._first(readers, name, node.hash) for name in names}
        wanted = {(self._chosen.get(each.spec.hash, 0), each.spec.hash) for each in found}
        position = self._positions(readers, {*wanted, *filter(None, first.values())})
        last = len(position)

        def key(each: Dependent) -> tuple[bool, int, str, int, int]:
            spec = each.spec
            own = self._chosen.get(spec.hash, 0), spec.hash
            return (
                not each.is_linked,
                position.get(first[spec.name] or own, last),
                spec.name,
                depflag(each.edge.deptypes),
                position.get(own, last),
            )

        return sorted(found, key=key)

    def _choose(self, rule: Rule) -> None:
        """Choose the record of each node, as Spack's walk meets it first."""
        graph = self.graph
        queue = deque((root, self._of_root(root)) for root in graph.roots)
        expanded: dict[str, int] = {}
        while queue:
            dag_hash, number = queue.popleft()
            if dag_hash not in expanded:
                expanded[dag_hash] = number
                queue += [(e.hash, self._behind(number, e.hash)) for e in graph.edges[dag_hash]]
        # A node without dependencies is not expanded: it is what the first edge leads to.
        leaves: dict[str, int] = {}
        for spec in topological(graph, rule):
            for edge in graph.edges[spec.hash]:
                if not graph.edges[edge.hash]:
                    leaves.setdefault(edge.hash, self._behind(expanded[spec.hash], edge.hash))
        self._chosen = {**expanded, **leaves}
        nodes = {dag_hash: self._spec(dag_hash, spec) for dag_hash, spec in graph.nodes.items()}
        self.graph = msgspec.structs.replace(graph, nodes=nodes)

    def _spec(self, dag_hash: str, known: Spec) -> Spec:
        """Return the spec of the record that counts, unless it is not installed or damaged."""
        with contextlib.suppress(DatabaseError):
            spec = self._databases[self._chosen[dag_hash]].get(dag_hash)
            if spec is not None and spec.installed:
                return spec
        return known

    def _of_root(self, dag_hash: str) -> int:
        """Return the database of a root: the first in which it is installed."""
        there = [n for n, database in enumerate(self._databases) if dag_hash in database]
        for number in there:
            with contextlib.suppress(DatabaseError):
                spec = self._databases[number].get(dag_hash)
                if spec is not None and spec.installed:
                    return number
        return there[0] if there else 0

    def _behind(self, number: int, dag_hash: str) -> int:
        """Return the database with which the records of a database are linked for a hash."""
        others: tuple[int, ...] = (*range(number, len(self._databases)), *range(number))
        for other in others:
            if dag_hash in self._databases[other]:
                return other
        return number

    def _readers(self, dag_hash: str) -> list[int]:
        """Return the databases whose records are linked with the node, in the order of reading."""
        chosen = self._chosen.get(dag_hash, 0)
        readers = [chosen]
        while readers[-1] > 0 and dag_hash not in self._databases[readers[-1] - 1]:
            readers.append(readers[-1] - 1)
        return readers

    def _first(self, readers: Sequence[int], name: str, dependency: str) -> _Record | None:
        """Return the first record of the package `name` that depends on `dependency`."""
        for number in readers:
            dag_hash = self._databases[number].first_dependent(name, dependency)
            if dag_hash is not None:
                return number, dag_hash
        return None

    def _positions(self, readers: Sequence[int], records: set[_Record]) -> dict[_Record, int]:
        """Return the positions of records in the order in which Spack reads them."""
        found: list[tuple[int, int, _Record]] = []
        for number, dag_hash in records:
            row = self._databases[number].columns.row(dag_hash)
            if number in readers and row is not None:
                found.append((readers.index(number), row, (number, dag_hash)))
        return {record: place for place, (_, _, record) in enumerate(sorted(found))}
