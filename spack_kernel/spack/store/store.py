"""A site: its databases chained with upstreams; find, get, and explain why not."""

from __future__ import annotations

import os
import warnings
import weakref
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from spack_kernel.spack.database.database import Database
from spack_kernel.spack.database.index_json import INDEX_PATH
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, StoreNotFound, warn_left_out
from spack_kernel.spack.query import search
from spack_kernel.spack.query.virtuals import NO_PROVIDERS, DeferredProviders
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES, reach, rule_for, topological
from spack_kernel.spack.system import file_checks

from . import locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import msgspec

    from spack_kernel.spack.config.config import Config
    from spack_kernel.spack.query.virtuals import Providers
    from spack_kernel.spack.spec.spec import Spec


#: Records that are looked at to tell a store that was moved.
_LOOKED_AT = 32


class Store:
    """An install tree's database, followed by those of its upstreams.

    Made by `open`, `open_all` or `discover`; not changed afterwards (see `refresh`).

    Attributes
    ----------
    databases : tuple of Database
        The local one first. A hash in several counts once; an installed local record wins.
    config : Config or None
        The configuration of the Spack instance the store was opened through; None for an
        install tree opened by itself.
    left_out : tuple of Path
        Upstream install trees that are configured and could not be read.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        config: Config | None = None,
        left_out: Sequence[Path] = (),
    ) -> None:
        self.databases = tuple(databases)
        self.config = config
        self.left_out = tuple(left_out)
        #: What was asked of the file system, beside the databases, to answer queries up to now.
        self.questions: list[file_checks.Question] = []

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        upstreams: Iterable[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Store:
        """Open the store at `root`.

        Parameters
        ----------
        root : path
            An install tree (it holds ``.spack-db/index.json``; or padding directories below
            which that is), or the root of a Spack instance, whose configuration names the
            install tree and its upstreams.
        upstreams : paths, optional
            Install trees to chain behind the ones the configuration names, in this order.
        environ : mapping, optional
            The environment in which Spack's configuration is read; by default this process's.

        Raises
        ------
        StoreNotFound
            When `root` is neither, or a Spack instance that has not installed anything.
        DatabaseError
            When the database of `root` or of one of `upstreams` cannot be read.
        ConfigError
            When the configuration of the Spack instance cannot be understood.

        Warns
        -----
        DatabaseWarning
            For an upstream that the configuration names and that cannot be read: as Spack
            does, we go on without it.
        """
        place = locate.at(root, os.environ if environ is None else environ)
        return cls._read(place, [locate.tree_at(path) for path in upstreams])

    @classmethod
    def open_all(cls, trees: Iterable[str | os.PathLike[str]]) -> Store:
        """Open several install trees as one store: the first as the local one, the others behind.

        Raises
        ------
        ValueError
            When `trees` is empty.
        StoreNotFound, DatabaseError
            When one of them is not an install tree or its database cannot be read.
        """
        first, *others = trees
        return cls.open(first, upstreams=others)

    @classmethod
    def discover(
        cls,
        explicit: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Store:
        """Open the store the caller names, else that of ``$SPACK_ROOT``, else of ``spack`` on PATH.

        Parameters
        ----------
        explicit : path, optional
            What the caller says, as for `open`; nothing else is tried then.
        environ : mapping, optional
            The environment to look in; by default this process's.

        Raises
        ------
        StoreNotFound
            When there is none; lists every place looked in and what was there.
        DatabaseError, ConfigError
            When a place is found and cannot be read.
        """
        environ = os.environ if environ is None else environ
        if explicit is not None:
            return cls.open(explicit, environ=environ)
        return cls._read(locate.discover(environ), [])

    @classmethod
    def _read(cls, place: locate.Place, upstreams: Sequence[Path]) -> Store:
        databases: dict[str, Database] = {}
        left_out: list[Path] = []
        for tree in place.upstreams:
            try:
                databases.setdefault(file_checks.real(tree), Database.read(tree))
            except DatabaseError as error:  # noqa: PERF203
                left_out.append(tree)
                warnings.warn(f"upstream left out: {error.summary}", DatabaseWarning, stacklevel=3)
        for tree in upstreams:
            databases.setdefault(file_checks.real(tree), Database.read(tree))
        databases.pop(file_checks.real(place.tree), None)
        if place.config is None or file_checks.exists(place.tree / INDEX_PATH):
            local = Database.read(place.tree)
        elif databases:  # somebody's own Spack in front of a site's, with nothing of its own yet
            local = Database.empty(place.tree, next(iter(databases.values())).version)
        else:
            raise StoreNotFound(
                f"nothing is installed in {place.tree}, the install tree of the Spack at "
                f"{place.config.spack_root}",
                hint="`spack install` first; `spack config get config` shows install_tree.",
            )
        return cls([local, *databases.values()], place.config, left_out)

    @property
    def root(self) -> str:
        """The local install tree."""
        return str(self.databases[0].root)

    @cached_property
    def providers(self) -> Providers:
        """What the site knows of virtual packages beside the database.

        Taken from the package repositories and ``packages.yaml`` of the configuration, and from
        the recipes Spack leaves in the prefixes; read when it is first needed, which is only for
        names that no package has, and for versions of virtual packages.
        """
        # The store keeps what is made here: without a weak reference neither would be freed.
        reference = weakref.ref(self)

        def read() -> Providers:
            from spack_kernel.spack.repos.repositories import SiteProviders

            store = reference()
            return NO_PROVIDERS if store is None else SiteProviders.of_store(store)

        return DeferredProviders(read)

    def moved_from(self) -> str | None:
        """Return the install tree that the records name where this one is a moved copy of it.

        Told by the first record whose prefix does not exist: its end is looked for in this tree.
        """
        database = self.databases[0]
        root = str(database.root)
        for dag_hash in islice(database, _LOOKED_AT):
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

    def changed(self) -> bool:
        """Return whether a database differs from when it was read. One stat for each."""
        return any(database.changed() for database in self.databases)

    def refresh(self) -> Store:
        """Return a store of today's databases; this one when nothing changed.

        Only databases that changed are read again.

        Raises
        ------
        DatabaseError
            When one that changed cannot be read now.
        """
        databases = [
            Database.read(database.root) if database.changed() else database
            for database in self.databases
        ]
        if all(new is old for new, old in zip(databases, self.databases, strict=True)):
            return self
        return Store(databases, self.config, self.left_out)

    def __repr__(self) -> str:
        return f"<Store {' > '.join(str(database.root) for database in self.databases)}>"

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
            When its record is malformed, and no other database of the chain has a good one.
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
        """Tell whether anything of the package `name` is recorded, installed or not."""
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
            When the only record it can mean is malformed.
        """
        hashes = sorted({h for base in self.databases for h in base.with_hash_prefix(prefix)})
        if len(hashes) == 1:
            spec = self.by_hash(hashes[0])
            return [] if spec is None else [spec]
        return list(self._specs([hashes]))

    def edges(self, dag_hash: str, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a spec that have one of these types.

        Much faster than `by_hash`, for who walks over a whole store.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        for database in self.databases:
            if dag_hash in database:
                return database.edges(dag_hash, deptypes)
        return ()

    def explicit(self) -> list[Spec]:
        """Return the installed specs that somebody asked for, local ones first.

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

    def find(
        self, query: str, *, installed: bool | None = True, providers: Providers | None = None
    ) -> list[Spec]:
        """Return the specs that satisfy `query`, as `spack find` lists them.

        Parameters
        ----------
        query : str
            Any number of abstract specs; what satisfies any of them is found. Blank text finds
            everything.
        installed : bool or None
            Whether the specs must be installed, or must not be; None for both.
        providers : Providers, optional
            What is known of virtual packages beside the database; by default `providers`.

        Raises
        ------
        QuerySyntaxError
            When `query` does not parse.
        """
        return search.find_specs(self, query, installed=installed, providers=providers)

    def get(self, query: str, *, providers: Providers | None = None) -> Spec:
        """Return the one installed spec that satisfies `query`, as `spack load` chooses it.

        Parameters are those of `find`, but for `query`: one abstract spec.

        Raises
        ------
        QuerySyntaxError
            When `query` does not parse, or is none or several.
        NoMatch, Ambiguous
            When nothing, or more than one spec, satisfies it.
        """
        return search.get_spec(self, query, providers=providers)

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
