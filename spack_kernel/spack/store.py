"""A site: its databases chained with upstreams; find, get, and explain why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .database import Database
from .traversal import RUNTIME_DEPTYPES, reach, rule_for, topological

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from .specs import Spec


class Store:
    """An install tree's database, followed by those of its upstreams.

    Attributes
    ----------
    databases : tuple of Database
        The local one first. A hash in several counts once; an installed local record wins.
    """

    def __init__(self, databases: Sequence[Database]):
        self.databases = tuple(databases)

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Store:
        """Open the store at `root`: an install tree, or a Spack root whose configuration names it."""
        return cls([Database.read(root)])

    @property
    def root(self) -> str:
        """The local install tree."""
        return str(self.databases[0].root)

    def __iter__(self) -> Iterator[Spec]:
        """Yield every recorded spec once, local records first, in recorded order."""
        seen: set[str] = set()
        for database in self.databases:
            for dag_hash in database:
                if dag_hash not in seen:
                    seen.add(dag_hash)
                    spec = self.by_hash(dag_hash)
                    assert spec is not None
                    yield spec

    def by_hash(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this 32-character DAG hash, or None."""
        fallback: Spec | None = None
        for database in self.databases:
            spec = database.get(dag_hash)
            if spec is not None and spec.installed:
                return spec
            fallback = fallback or spec
        return fallback

    def named(self, name: str) -> list[Spec]:
        """Return every recorded spec of the package `name`, installed or not, in recorded order."""
        found: dict[str, Spec] = {}
        for database in self.databases:
            for dag_hash in database.names().get(name, ()):
                if dag_hash not in found:
                    spec = self.by_hash(dag_hash)
                    assert spec is not None
                    found[dag_hash] = spec
        return list(found.values())

    def names(self) -> set[str]:
        """Return every recorded package name."""
        return set().union(*(database.names() for database in self.databases))

    def with_hash_prefix(self, prefix: str) -> list[Spec]:
        """Return every recorded spec whose DAG hash begins with `prefix`, sorted by hash."""
        hashes = {h for database in self.databases for h in database.with_hash_prefix(prefix)}
        return [spec for h in sorted(hashes) if (spec := self.by_hash(h)) is not None]

    def find(self, query: str, *, installed: bool | None = True) -> list[Spec]:
        """Return the specs that satisfy `query`, as `spack find` lists them."""
        raise NotImplementedError

    def get(self, query: str) -> Spec:
        """Return the one installed spec that satisfies `query`, as `spack load` chooses it."""
        raise NotImplementedError

    def closure(self, *roots: Spec, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> list[Spec]:
        """Return the roots and their recursive dependencies, in Spack's topological order.

        Raises
        ------
        DatabaseError
            When the recorded dependencies form a cycle.
        """
        return topological(
            reach(roots, self.by_hash, deptypes), rule_for(self.databases[0].version)
        )
