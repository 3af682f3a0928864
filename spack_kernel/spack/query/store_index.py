"""Cache the data of a store between queries: its columns, and the orders of its packages.

Modules that read and order many specs are imported where they are needed: a command that names one
spec by hash needs none of them.
"""

from __future__ import annotations

import threading
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.errors import DatabaseError, warn_left_out
from spack_kernel.spack.spec.spec import DeferredSpecs

from .dialects import dialect_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.database.find_order import FindOrder
    from spack_kernel.spack.database.rows import Row, Rows
    from spack_kernel.spack.spec.spec import Spec

    from .abstract_spec import AbstractSpec
    from .dialects import Dialect
    from .scan import Scan
    from .scan_order import ScanNodes
    from .virtuals import Providers


#: Maximum number of specs in all cached answers of a store together; 8 bytes each.
ANSWERED_SPECS = 250_000


class Selection(NamedTuple):
    """The specs that satisfy a query.

    Attributes
    ----------
    query : AbstractSpec or None
        The query; None for blank text, which every spec satisfies.
    specs : tuple of Spec
        In the order in which `spack find` lists them.
    unknown : tuple of str
        The missing information without which the answer is uncertain; empty when the database has
        it all. Each item completes "the database does not record ...".
    """

    query: AbstractSpec | None
    specs: tuple[Spec, ...]
    unknown: tuple[str, ...] = ()


class _Answer(NamedTuple):
    """A selection, as the DAG hashes of its specs."""

    query: AbstractSpec | None
    hashes: tuple[str, ...]
    unknown: tuple[str, ...]


def _size(answers: Sequence[_Answer]) -> int:
    """Return the share of the cache that answers take; one without specs also takes some."""
    return sum(64 + len(answer.hashes) for answer in answers)


class StoreIndex:
    """The databases of a store, what is known of virtual packages, and answers given before.

    Parameters
    ----------
    chain : Chain
        The databases.
    providers : Providers
        What the site knows of virtual packages.
    """

    def __init__(self, chain: Chain, providers: Providers) -> None:
        self.chain = chain
        self.providers = providers
        self._deferred = DeferredSpecs(chain.by_hash)
        self._packages: dict[str, list[tuple[str, bool]]] = {}
        self._answers: dict[tuple[str, bool | None], list[_Answer]] = {}
        self._room = ANSWERED_SPECS
        self._lock = threading.Lock()

    @cached_property
    def dialect(self) -> Dialect:
        """The dialect of queries: that of the Spack that wrote the local database."""
        local = self.chain.databases[0]
        return dialect_of(
            local.version,
            build_systems=local.version == "6" and local.records_build_systems,
        )

    def rows(self) -> Rows:
        """Return a reader for the rows of the store; its own cache is freed with it."""
        from spack_kernel.spack.database.rows import Rows

        return Rows(self.chain.record, self.chain.by_hash)

    # Answers

    def answered(self, text: str, installed: bool | None) -> list[Selection] | None:
        """Return the cached selections of the queries in `text`, if any; specs load on demand."""
        answers = self._answers.get((text, installed))
        if answers is None:
            return None
        return [
            Selection(answer.query, tuple(self._deferred.all(answer.hashes)), answer.unknown)
            for answer in answers
        ]

    def keep(self, text: str, installed: bool | None, selections: Iterable[Selection]) -> None:
        """Cache the selections of the queries in `text`, up to `ANSWERED_SPECS` in total."""
        answers = [
            _Answer(each.query, tuple([spec.hash for spec in each.specs]), each.unknown)
            for each in selections
        ]
        needed = _size(answers)
        if needed > ANSWERED_SPECS:
            return
        with self._lock:
            while self._answers and needed > self._room:
                self._room += _size(self._answers.pop(next(iter(self._answers))))
            if self._answers.setdefault((text, installed), answers) is answers:
                self._room -= needed

    # Specs of one package

    @cached_property
    def _order(self) -> FindOrder[str]:
        from spack_kernel.spack.database.find_order import FindOrder

        return FindOrder(self.chain.hashes_named, {})

    def rows_named(self, name: str) -> tuple[Rows, dict[str, Row]]:
        """Return the reader used, and the rows of a package by DAG hash in recorded order.

        Warns
        -----
        DatabaseWarning
            For each record that is malformed; it is left out.
        """
        rows, named = self.rows(), {}
        for dag_hash in self.chain.hashes_named(name):
            try:
                row = rows.row(dag_hash)
            except DatabaseError as error:
                warn_left_out(error, stacklevel=3)
                continue
            if row is not None:
                named[dag_hash] = row
        return rows, named

    def lookup(self, rows: Rows) -> Callable[[str], Spec | None]:
        """Return a function that returns the spec of a DAG hash, or None; it reads only the row."""

        @cache
        def lookup(dag_hash: str) -> Spec | None:
            row = rows.bare_row(dag_hash)
            return None if row is None else self.spec(row, rows)

        return lookup

    def spec(self, row: Row, rows: Rows) -> Spec:
        """Return the spec of a row; other attributes are read from its record on demand."""
        return self._deferred.one(
            row.hash,
            name=row.name,
            namespace=row.namespace,
            version=rows.version(row),
            variants=rows.variants(row),
            flags=rows.flags(row),
            arch=rows.arch(row),
            compiler=rows.compiler(row),
            installed=row.installed,
        )

    def package(self, name: str, installed: bool | None) -> list[Spec]:
        """Return the specs of a package in find order; they are read on demand."""
        if name not in self._packages:
            from spack_kernel.spack.database.find_order import RowNodes

            rows, named = self.rows_named(name)
            ordered = self._order.sorted(RowNodes(rows, named), {name: named})
            self._packages[name] = [(dag_hash, named[dag_hash].installed) for dag_hash in ordered]
        states = (True, False) if installed is None else (installed,)
        hashes = [dag_hash for dag_hash, state in self._packages[name] if state in states]
        return self._deferred.all(hashes)

    def in_find_order(
        self,
        specs: Iterable[Spec],
        rows: Rows | None = None,
        known: Mapping[str, Row] | None = None,
    ) -> list[Spec]:
        """Return specs of the store without duplicates, in the order of `spack find`.

        Parameters
        ----------
        specs : iterable of Spec
            The specs to order.
        rows : Rows, optional
            A reader that has already read rows.
        known : mapping of str to Row, optional
            Rows that it has read, by DAG hash.
        """
        by_hash = {spec.hash: spec for spec in specs}
        if len(by_hash) < 2:
            return list(by_hash.values())
        from spack_kernel.spack.database.find_order import RowNodes

        by_name: dict[str, list[str]] = {}
        for spec in by_hash.values():
            by_name.setdefault(spec.name, []).append(spec.hash)
        nodes = RowNodes(rows or self.rows(), known or {})
        return [by_hash[dag_hash] for dag_hash in self._order.sorted(nodes, by_name)]

    # The whole store

    @cached_property
    def scan(self) -> Scan:
        """The columns of the store."""
        from .scan import Scan

        hashes = dict.fromkeys(h for database in self.chain.databases for h in database)
        return Scan(hashes, self.rows())

    @cached_property
    def _scan_nodes(self) -> ScanNodes:
        from .scan_order import ScanNodes

        return ScanNodes(self.scan)

    @cached_property
    def _scan_order(self) -> FindOrder[int]:
        from spack_kernel.spack.database.find_order import FindOrder

        return FindOrder(self._scan_nodes.package, self._scan_nodes.ranks)

    def scanned(self, rows: Iterable[int]) -> list[Spec]:
        """Return the specs of rows of `scan` in find order; they are read on demand."""
        ordered = self._scan_order.sorted(self._scan_nodes, self.scan.by_name(rows))
        return self._deferred.all(map(self.scan.hashes.__getitem__, ordered))
