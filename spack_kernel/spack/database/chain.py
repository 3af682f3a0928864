"""The databases of a site as one: those of a store, then those of its upstreams."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.spec.spec import Spec
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES, reachable, rule_for, topological
from spack_kernel.spack.system import file_checks

from .columns import INSTALLED, LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spack_kernel.spack.spec.records import Kind

    from .database import Database

#: A node is the number of a database, shifted by these bits, and a row of its columns.
_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1

#: Records that `Chain.moved_from` checks.
_CHECKED_RECORDS = 32


class Chain:
    """Databases in the order in which Spack searches them; a hash in several counts once.

    Parameters
    ----------
    databases : sequence of Database
        The local one first. An installed record wins over one that is not.
    """

    def __init__(self, databases: Sequence[Database]) -> None:
        self.databases = tuple(databases)
        self._is_single = len(self.databases) == 1
        self._nodes: dict[str, int] = {}
        self._unrecorded: dict[str, int] = {}

    @property
    def root(self) -> str:
        """The local install tree."""
        return str(self.databases[0].root)

    @cached_property
    def virtuals(self) -> Mapping[str, frozenset[str]]:
        """Virtual package → packages that provide it, as far as dependents recorded it."""
        found: dict[str, set[str]] = {}
        for database in self.databases:
            for virtual, packages in database.virtuals().items():
                found.setdefault(virtual, set()).update(packages)
        return {virtual: frozenset(packages) for virtual, packages in found.items()}

    def moved_from(self) -> str | None:
        """Return the install tree that the records name, if this one is a moved copy of it.

        Records whose prefix does not exist show this: this tree contains the end of that path.
        """
        database = self.databases[0]
        root = str(database.root)
        for dag_hash in islice(database, _CHECKED_RECORDS):
            try:
                spec = database.get(dag_hash)
                prefix = spec.prefix if spec is not None and spec.external is None else None
            except DatabaseError:
                continue
            if not prefix or prefix.startswith(f"{root}/") or file_checks.is_dir(prefix):
                continue
            parts = prefix.strip("/").split("/")
            for count in range(1, len(parts)):
                if file_checks.is_dir("/".join([root, *parts[-count:]])):
                    return "/" + "/".join(parts[:-count])
        return None

    # -- nodes: every record once, and what only edges mention, as numbers --

    def place(self, node: int) -> tuple[int, int]:
        """Return the number of the database of a node, and its row there."""
        return node >> _ROW_BITS, node & _ROW_MASK

    def node(self, dag_hash: str) -> int | None:
        """Return the node of a DAG hash, None if nothing is recorded.

        An installed record takes precedence over one that is not, and a valid one over a malformed
        one.
        """
        if self._is_single:
            return self.databases[0].columns.row(dag_hash)
        known = self._nodes.get(dag_hash)
        if known is None:
            known = self._nodes[dag_hash] = self._choose(dag_hash)
        return known if known >= 0 else None

    def _choose(self, dag_hash: str) -> int:
        valid = malformed = -1
        for number, database in enumerate(self.databases):
            row = database.columns.row(dag_hash)
            if row is None:
                continue
            node = number << _ROW_BITS | row
            try:
                database.require(row)
            except DatabaseError:
                malformed = node if malformed < 0 else malformed
                continue
            if database.columns.states[row] & INSTALLED:
                return node
            valid = node if valid < 0 else valid
        return malformed if valid < 0 else valid

    def hash_of(self, node: int) -> str:
        """Return the DAG hash of a node."""
        number, row = self.place(node)
        return self.databases[number].columns.hashes[row]

    def is_valid(self, node: int) -> bool:
        """Return whether a node has a valid record; warn about one that is malformed."""
        number, row = self.place(node)
        database = self.databases[number]
        columns = database.columns
        if columns.states[row] > LEFT_OUT:
            return True
        return row < columns.recorded and database.is_valid(row)

    def is_installed(self, node: int) -> bool:
        """Return whether a valid node is recorded as installed."""
        number, row = self.place(node)
        return bool(self.databases[number].columns.states[row] & INSTALLED)

    def value(self, column: str, node: int) -> Any:
        """Return the value of a column for a valid node."""
        number, row = self.place(node)
        return self.databases[number].columns.value(column, row)

    def edges_of(self, node: int) -> list[tuple[int, Kind, str]]:
        """Return node, kind and package of each dependency of a node, in recorded order."""
        number, row = self.place(node)
        columns = self.databases[number].columns
        if not self.is_valid(node):
            return []
        kinds = columns.values["kind"]
        edges = columns.edges(row)
        if self._is_single:
            return [(end, kinds[kind], name) for end, kind, name in edges]
        return [(self.end(number, end), kinds[kind], name) for end, kind, name in edges]

    def end(self, number: int, row: int) -> int:
        """Return the node to which an edge in a database leads."""
        if self._is_single:
            return row
        dag_hash = self.databases[number].columns.hashes[row]
        node = self.node(dag_hash)
        if node is None:  # not recorded: one node for all databases that mention it
            node = self._unrecorded.setdefault(dag_hash, number << _ROW_BITS | row)
        return node

    def nodes_named(self, name: str) -> list[int]:
        """Return the nodes of all records of a package, in recorded order."""
        if self._is_single:
            return list(self.databases[0].rows_named(name))
        return self._each(
            number << _ROW_BITS | row
            for number, database in enumerate(self.databases)
            for row in database.rows_named(name)
        )

    def all_nodes(self, installed: bool | None = None) -> list[int]:
        """Return the nodes of all valid records; installed ones, others, or both (None)."""
        found: list[int] = []
        good = {s for s in range(LEFT_OUT + 1, 32) if installed in (None, bool(s & INSTALLED))}
        for number, database in enumerate(self.databases):
            columns = database.whole()
            states = columns.states[: columns.recorded]
            rows = [row for row, state in enumerate(states) if state in good]
            if self._is_single:
                return rows
            found += [number << _ROW_BITS | row for row in rows]
        both = self._each(found)
        return both if installed is None else [n for n in both if self.is_installed(n) is installed]

    def _each(self, nodes: Iterable[int]) -> list[int]:
        """Return the nodes that count for the DAG hashes of `nodes`, each once."""
        counting = dict.fromkeys(map(self.node, map(self.hash_of, nodes)))
        return [node for node in counting if node is not None]

    def nodes_with_prefix(self, prefix: str) -> list[int]:
        """Return the nodes of all records whose DAG hash begins with `prefix`, sorted by hash."""
        hashes = {h for base in self.databases for h in base.with_hash_prefix(prefix)}
        return [node for h in sorted(hashes) if (node := self.node(h)) is not None]

    @cached_property
    def dependents(self) -> Dependents:
        """What tells which nodes depend on a node; reads all records."""
        return Dependents(self)

    # -- specs --

    def spec(self, node: int) -> Spec:
        """Return the spec of a node.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        number, row = self.place(node)
        return self.databases[number].spec(row)

    def specs_of(self, nodes: Iterable[int]) -> list[Spec]:
        """Return the specs of valid nodes, which read their attributes when these are accessed."""
        if self._is_single:
            (database,) = self.databases
            hashes = database.columns.hashes
            return [Spec.of_row(hashes[row], database, row) for row in nodes]
        return [self.spec(node) for node in nodes]

    def __iter__(self) -> Iterator[Spec]:
        """Yield every recorded spec once, local records first, in recorded order.

        Malformed records are left out with a `DatabaseWarning`, here and in `named`.
        """
        return self._specs(h for database in self.databases for h in database)

    def by_hash(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this 32-character DAG hash, or None.

        Raises
        ------
        DatabaseError
            When its record is malformed, and no other database of the chain has a valid one.
        """
        node = self.node(dag_hash)
        return None if node is None else self.spec(node)

    def dependency(self, spec: Spec, name: str) -> Spec | None:
        """Return the spec to which the recorded edge of a spec to a package leads, or None.

        Raises
        ------
        DatabaseError
            When a record is malformed.
        """
        node = self.node(spec.hash)
        for end, _, package in self.edges_of(node) if node is not None else ():
            if package == name:
                return self.by_hash(self.hash_of(end))
        return None

    def named(self, name: str) -> list[Spec]:
        """Return every recorded spec of the package `name`, installed or not, in recorded order."""
        return [self.spec(node) for node in self.nodes_named(name) if self.is_valid(node)]

    def has_package(self, name: str) -> bool:
        """Return whether any spec of the package `name` is recorded, installed or not."""
        return any(database.rows_named(name) for database in self.databases)

    def specs(self, hashes: Iterable[str]) -> list[Spec]:
        """Return the specs with these DAG hashes, without those that are not recorded.

        Malformed records are left out with a `DatabaseWarning`.
        """
        return list(self._specs(hashes))

    def names(self) -> set[str]:
        """Return every recorded package name."""
        return set().union(*(database.names() for database in self.databases))

    def with_hash_prefix(self, prefix: str) -> list[Spec]:
        """Return every recorded spec whose DAG hash begins with `prefix`, sorted by hash.

        Raises
        ------
        DatabaseError
            When the only matching record is malformed.
        """
        nodes = self.nodes_with_prefix(prefix)
        if len(nodes) == 1:
            return [self.spec(nodes[0])]
        return [self.spec(node) for node in nodes if self.is_valid(node)]

    def edges(self, dag_hash: str, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a spec that have one of these types.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        for database in self.databases:
            if dag_hash in database:
                return database.edges(dag_hash, deptypes)
        return ()

    def absent(self) -> set[str]:
        """Return the DAG hashes that are recorded, but of which no database has an installed spec.

        Deprecated specs are not among them: Spack has put a link to the replacement in their place.
        """
        absent = {h for database in self.databases for h in database.absent()}
        if len(self.databases) > 1:
            absent = {h for h in absent if (spec := self.by_hash(h)) and not spec.installed}
        return absent

    def __contains__(self, dag_hash: object) -> bool:
        """Return whether a DAG hash is recorded, installed or not."""
        return any(dag_hash in database for database in self.databases)

    def explicit(self) -> list[Spec]:
        """Return the explicitly installed specs, local ones first."""
        hashes = dict.fromkeys(h for database in self.databases for h in database.explicit())
        return [spec for spec in self._specs(hashes) if spec.installed]

    def _specs(self, hashes: Iterable[str]) -> Iterator[Spec]:
        seen: set[int] = set()
        for dag_hash in hashes:
            node = self.node(dag_hash)
            if node is not None and node not in seen:
                seen.add(node)
                if self.is_valid(node):
                    yield self.spec(node)

    def closure(self, *roots: Spec, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> list[Spec]:
        """Return the roots and their recursive dependencies, in Spack's topological order.

        Raises
        ------
        DatabaseError
            When the recorded dependencies form a cycle.
        """
        return topological(
            reachable(roots, self.by_hash, deptypes), rule_for(self.databases[0].version)
        )


class Dependents:
    """The reversed edges of a chain.

    Parameters
    ----------
    chain : Chain
        The databases, all records of which are read.
    """

    def __init__(self, chain: Chain) -> None:
        self._single = chain.databases[0].whole().reversed() if len(chain.databases) == 1 else None
        self._all: dict[int, list[tuple[int, bool]]] = {}
        if self._single is None:
            for node in chain.all_nodes():
                for end, kind, _ in chain.edges_of(node):
                    is_runtime = not _RUNTIME.isdisjoint(kind.deptypes)
                    self._all.setdefault(end, []).append((node, is_runtime))

    def of(self, node: int) -> Iterable[tuple[int, int]]:
        """Return each node that depends on a node, and whether it does so at run time."""
        return self._all.get(node, ()) if self._single is None else self._single.of(node)

    def above(self, seeds: Iterable[int], *, runtime: bool = False) -> set[int]:
        """Return which nodes depend on `seeds`, over all edges or only over those of run time."""
        found: set[int] = set()
        stack = list(seeds)
        while stack:
            for parent, is_runtime in self.of(stack.pop()):
                if parent not in found and (is_runtime or not runtime):
                    found.add(parent)
                    stack.append(parent)
        return found


_RUNTIME = frozenset(RUNTIME_DEPTYPES)
