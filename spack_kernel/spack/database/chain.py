"""The databases of a site as one: those of a store, then those of its upstreams."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import DatabaseError, warn_left_out
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES, reachable, rule_for, topological
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import msgspec

    from spack_kernel.spack.spec.spec import Spec

    from .database import Database

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
            except DatabaseError:
                continue
            prefix = spec.prefix if spec is not None and spec.external is None else None
            if not prefix or prefix.startswith(f"{root}/") or file_checks.is_dir(prefix):
                continue
            parts = prefix.strip("/").split("/")
            for count in range(1, len(parts)):
                if file_checks.is_dir("/".join([root, *parts[-count:]])):
                    return "/" + "/".join(parts[:-count])
        return None

    def __iter__(self) -> Iterator[Spec]:
        """Yield every recorded spec once, local records first, in recorded order.

        Malformed records are left out with a `DatabaseWarning`, here and in `named`.
        """
        return self._specs(self.databases)

    def by_hash(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this 32-character DAG hash, or None.

        Raises
        ------
        DatabaseError
            When its record is malformed, and no other database of the chain has a valid one.
        """
        fallback: Spec | None = None
        malformed: DatabaseError | None = None
        for database in self.databases:
            try:
                spec = database.get(dag_hash)
            except DatabaseError as error:
                malformed = malformed or error
                continue
            if spec is not None and spec.installed:
                return spec
            fallback = fallback or spec
        if fallback is None and malformed is not None:
            raise malformed
        return fallback

    def named(self, name: str) -> list[Spec]:
        """Return every recorded spec of the package `name`, installed or not, in recorded order."""
        return list(self._specs(database.named(name) for database in self.databases))

    def hashes_named(self, name: str) -> list[str]:
        """Return the DAG hashes of all records of the package `name`, each once."""
        return list(dict.fromkeys(h for base in self.databases for h in base.named(name)))

    def has_package(self, name: str) -> bool:
        """Return whether any spec of the package `name` is recorded, installed or not."""
        return any(database.named(name) for database in self.databases)

    def specs(self, hashes: Iterable[str]) -> list[Spec]:
        """Return the specs with these DAG hashes, without those that are not recorded.

        Malformed records are left out with a `DatabaseWarning`.
        """
        return list(self._specs([hashes]))

    def record(self, dag_hash: str) -> msgspec.Raw | None:
        """Return the one record of a DAG hash as JSON; None where there are none, or several."""
        if len(self.databases) == 1:
            return self.databases[0].record(dag_hash)
        records = [database.record(dag_hash) for database in self.databases]
        there = [record for record in records if record is not None]
        return there[0] if len(there) == 1 else None

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
        hashes = sorted({h for base in self.databases for h in base.with_hash_prefix(prefix)})
        if len(hashes) == 1:
            spec = self.by_hash(hashes[0])
            return [] if spec is None else [spec]
        return list(self._specs([hashes]))

    def edges(self, dag_hash: str, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a spec that have one of these types.

        Much faster than `by_hash` for walking over a whole store.

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
        """Return the explicitly installed specs, local ones first.

        Malformed records are left out with a `DatabaseWarning`.
        """
        hashes = dict.fromkeys(h for database in self.databases for h in database.explicit())
        return [spec for spec in self._specs([hashes]) if spec.installed]

    def _specs(self, hashes: Iterable[Iterable[str]]) -> Iterator[Spec]:
        if len(self.databases) == 1:
            for group in hashes:
                yield from self.databases[0].specs(group)
            return
        seen: set[str] = set()
        for group in hashes:
            for dag_hash in group:
                if dag_hash in seen:
                    continue
                seen.add(dag_hash)
                try:
                    spec = self.by_hash(dag_hash)
                except DatabaseError as error:
                    warn_left_out(error, stacklevel=3)
                    continue
                if spec is not None:
                    yield spec

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
