"""The store of a site: its database and those of its upstreams; find and get specs."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING

from spack_kernel._log import debugger
from spack_kernel.spack.database.chain import Chain
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.database.index_json import INDEX_PATH
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, StoreNotFound
from spack_kernel.spack.query import search
from spack_kernel.spack.query.store_index import StoreIndex
from spack_kernel.spack.query.virtuals import DeferredProviders
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES
from spack_kernel.spack.system import file_checks

from . import locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from spack_kernel.spack.config.config import Config
    from spack_kernel.spack.errors import NoMatch
    from spack_kernel.spack.query.store_index import Selection
    from spack_kernel.spack.query.virtuals import Providers
    from spack_kernel.spack.spec.spec import Spec


_debug = debugger(__name__)


class Store:
    """An install tree's database, followed by those of its upstreams.

    Created by `open`, `open_all` or `discover`; not changed afterwards (see `refresh`).

    Attributes
    ----------
    databases : tuple of Database
        The local one first. A hash in several databases counts once; an installed local record
        takes precedence.
    config : Config or None
        The configuration of the Spack instance the store was opened through; None for an
        install tree that was opened directly.
    left_out : tuple of Path
        Configured upstream install trees that could not be read.
    checks : list of Check
        File-system checks, besides those of the databases, that answers depend on so far.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        config: Config | None = None,
        left_out: Sequence[Path] = (),
    ) -> None:
        self.config = config
        self.left_out = tuple(left_out)
        self.checks: list[file_checks.Check] = []
        self._chain = Chain(databases)

    @property
    def databases(self) -> tuple[Database, ...]:
        """The databases, the local one first."""
        return self._chain.databases

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
            An install tree (it contains ``.spack-db/index.json``, directly or below padding
            directories), or the root of a Spack instance, whose configuration names the
            install tree and its upstreams.
        upstreams : paths, optional
            Install trees to chain after those that the configuration names, in this order.
        environ : mapping, optional
            The environment for reading Spack's configuration; by default this process's.

        Raises
        ------
        StoreNotFound
            When `root` is neither, or a Spack instance that has not installed anything.
        DatabaseError
            When the database of `root` or of one of `upstreams` cannot be read.
        ConfigError
            When the configuration of the Spack instance is invalid.

        Warns
        -----
        DatabaseWarning
            For an upstream that the configuration names but that cannot be read. As in Spack,
            it is left out.
        """
        place = locate.at(root, os.environ if environ is None else environ)
        return cls._read(place, [locate.tree_at(path) for path in upstreams])

    @classmethod
    def open_all(cls, trees: Iterable[str | os.PathLike[str]]) -> Store:
        """Open several install trees as one store: the first is local, the others are upstreams.

        Raises
        ------
        ValueError
            When `trees` is empty.
        StoreNotFound, DatabaseError
            When one of them is not an install tree or its database cannot be read.
        """
        paths = list(trees)
        if not paths:
            raise ValueError("no install trees are given")
        first, *others = paths
        return cls.open(first, upstreams=others)

    @classmethod
    def discover(
        cls,
        explicit: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Store:
        """Open the given store, else that of ``$SPACK_ROOT``, else that of ``spack`` on PATH.

        Parameters
        ----------
        explicit : path, optional
            The store to open, as for `open`; if it is given, nothing else is tried.
        environ : mapping, optional
            The environment to search; by default this process's.

        Raises
        ------
        StoreNotFound
            When there is none; the error lists every place that was searched and what was there.
        DatabaseError, ConfigError
            When a store is found but cannot be read.
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
        elif databases:  # a user's Spack with a site's as upstream, and nothing of its own yet
            local = Database.empty(place.tree, next(iter(databases.values())).version)
        else:
            raise StoreNotFound(
                f"nothing is installed in {place.tree}, the install tree of the Spack at "
                f"{place.config.spack_root}",
                hint="Run `spack install` first; `spack config get config` shows install_tree.",
            )
        _debug(
            "opened the store %s%s; upstreams: %s",
            place.tree,
            f" of the Spack at {place.config.spack_root}" if place.config else "",
            [str(database.root) for database in databases.values()],
        )
        return cls([local, *databases.values()], place.config, left_out)

    @property
    def root(self) -> str:
        """The local install tree."""
        return self._chain.root

    def __repr__(self) -> str:
        return f"<Store {' > '.join(str(database.root) for database in self.databases)}>"

    def changed(self) -> bool:
        """Return whether a database has changed since it was read. Needs one stat for each."""
        return any(database.changed() for database in self.databases)

    def refresh(self) -> Store:
        """Return a store with the current databases; this one if nothing has changed.

        Only databases that have changed, or whose columns are kept by now, are read again.

        Raises
        ------
        DatabaseError
            When a database that has changed cannot be read.
        """
        databases = [database.refreshed() for database in self.databases]
        if all(new is old for new, old in zip(databases, self.databases, strict=True)):
            return self
        return Store(databases, self.config, self.left_out)

    # Queries

    @cached_property
    def providers(self) -> Providers:
        """What is known about virtual packages at the site, apart from the database.

        This comes from the package repositories and ``packages.yaml`` of the configuration, and
        from the recipes that Spack stores in the prefixes. It is read on first use, which happens
        only for names that no package has, and for versions of virtual packages.
        """
        chain, config, checks = self._chain, self.config, self.checks

        def read() -> Providers:
            # Imported when a query needs it: it brings a parser of Python along.
            from spack_kernel.spack.repos.repositories import SiteProviders

            return SiteProviders.of_chain(chain, config, checks)

        return DeferredProviders(read)

    @cached_property
    def index(self) -> StoreIndex:
        """What answers queries, and the answers it has given."""
        return StoreIndex(self._chain, self.providers)

    def find(
        self, query: str, *, installed: bool | None = True, providers: Providers | None = None
    ) -> list[Spec]:
        """Return the specs that satisfy `query`, as `spack find` lists them.

        Parameters
        ----------
        query : str
            Any number of abstract specs; finds the specs that satisfy any of them. Blank text
            finds everything.
        installed : bool or None
            Whether the specs must be installed, or must not be; None for both.
        providers : Providers, optional
            What is known about virtual packages apart from the database; by default `providers`.

        Raises
        ------
        QuerySyntaxError
            When `query` does not parse.
        """
        return search.find_specs(self.index, query, installed=installed, providers=providers)

    def select(
        self, query: str, *, installed: bool | None = True, providers: Providers | None = None
    ) -> list[Selection]:
        """Return what satisfies each abstract spec in `query`; one selection for blank text.

        Parameters and errors are those of `find`.
        """
        return search.select(self.index, query, installed=installed, providers=providers)

    def get(self, query: str, *, providers: Providers | None = None) -> Spec:
        """Return the one installed spec that satisfies `query`, as `spack load` chooses it.

        Parameters are those of `find`, except that `query` is one abstract spec.

        Raises
        ------
        QuerySyntaxError
            When `query` does not parse, or contains no spec or several.
        NoMatch, Ambiguous
            When nothing, or more than one spec, satisfies it.
        """
        return search.get_spec(self.index, query, providers=providers)

    def get_each(self, query: str, *, providers: Providers | None = None) -> list[Spec]:
        """Return the one installed spec for each abstract spec in `query`, in order.

        Parameters and errors are those of `get`, but `query` may be several abstract specs.
        """
        return search.get_specs(self.index, query, providers=providers)

    def no_match(self, selection: Selection) -> NoMatch:
        """Return the error that says why nothing installed satisfies a query.

        Parameters
        ----------
        selection : Selection
            The empty answer of `select`.
        """
        return search.no_match(self.index, selection)

    def meant(self, text: str) -> str:
        """Return the query of something installed that `text`, which matches nothing, may mean.

        Empty if nothing is close.
        """
        return search.meant(self.index, text)

    def packages_meant(self, name: str) -> list[str]:
        """Return the recorded packages that a name of Python or pip may mean: ``PIL``, ``numpy``.

        The likeliest comes first.
        """
        from spack_kernel.spack.query import suggestions  # seldom needed

        return suggestions.packages_meant(self._chain, name)

    def in_find_order(self, specs: Iterable[Spec]) -> list[Spec]:
        """Return specs of this store, each once, as `spack find` orders them."""
        return self.index.in_find_order(specs)

    # Records

    def __iter__(self) -> Iterator[Spec]:
        """Yield every recorded spec once; see `Chain`."""
        return iter(self._chain)

    def by_hash(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this 32-character DAG hash, or None.

        Raises
        ------
        DatabaseError
            When its record is malformed, and no other database of the chain has a valid one.
        """
        return self._chain.by_hash(dag_hash)

    def dependency(self, spec: Spec, name: str) -> Spec | None:
        """Return the spec to which the recorded edge of a spec to a package leads; see `Chain`."""
        return self._chain.dependency(spec, name)

    def named(self, name: str) -> list[Spec]:
        """Return every recorded spec of the package `name`, installed or not, in recorded order."""
        return self._chain.named(name)

    def has_package(self, name: str) -> bool:
        """Return whether anything of the package `name` is recorded, installed or not."""
        return self._chain.has_package(name)

    def specs(self, hashes: Iterable[str]) -> list[Spec]:
        """Return the specs with these DAG hashes, without those that are not recorded."""
        return self._chain.specs(hashes)

    def names(self) -> set[str]:
        """Return every recorded package name."""
        return self._chain.names()

    def with_hash_prefix(self, prefix: str) -> list[Spec]:
        """Return every recorded spec whose DAG hash begins with `prefix`, sorted by hash.

        Raises
        ------
        DatabaseError
            When the only matching record is malformed.
        """
        return self._chain.with_hash_prefix(prefix)

    def edges(self, dag_hash: str, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a spec that have one of these types.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        return self._chain.edges(dag_hash, deptypes)

    def absent(self) -> set[str]:
        """Return the DAG hashes that are recorded as not installed, without deprecated ones."""
        return self._chain.absent()

    def tree_of(self, dag_hash: str) -> str:
        """Return the install tree of the first database that records a DAG hash; else the root."""
        return next((str(base.root) for base in self.databases if dag_hash in base), self.root)

    def __contains__(self, dag_hash: object) -> bool:
        """Return whether a DAG hash is recorded, installed or not."""
        return dag_hash in self._chain

    def explicit(self) -> list[Spec]:
        """Return the explicitly installed specs, local ones first."""
        return self._chain.explicit()

    def closure(self, *roots: Spec, deptypes: Sequence[str] = RUNTIME_DEPTYPES) -> list[Spec]:
        """Return the roots and their recursive dependencies, in Spack's topological order.

        Raises
        ------
        DatabaseError
            When the recorded dependencies form a cycle.
        """
        return self._chain.closure(*roots, deptypes=deptypes)

    def moved_from(self) -> str | None:
        """Return the install tree that the records name, if this one is a moved copy of it."""
        return self._chain.moved_from()
