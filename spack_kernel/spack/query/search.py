"""Find the specs of a store that satisfy a query, and choose the one that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import Query
from .dialects import Dialect, dialect_of
from .parser import parse_queries, parse_query
from .store_index import Selection, memory_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.spack.database.database import Database
    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

    from .matcher import Matcher
    from .virtuals import Providers

#: How many records are looked at to tell which Spack wrote a database of format 6.
_SAMPLE = 64


def dialect_for(store: Store) -> Dialect:
    """Return how queries to `store` are read: as by the Spack that wrote its own database."""
    return _dialect(store.databases[0])


def select(
    store: Store,
    text: str,
    *,
    installed: bool | None = True,
    providers: Providers | None = None,
) -> list[Selection]:
    """Return what satisfies each query in `text`.

    Parameters
    ----------
    store : Store
        Where to look.
    text : str
        Any number of queries.
    installed : bool or None
        Whether the specs must be installed, or must not be; None for both.
    providers : Providers, optional
        What is known of virtual packages beside the database; by default `Store.providers`.

    Raises
    ------
    QuerySyntaxError
        When `text` does not parse.
    """
    queries = parse_queries(text, dialect_for(store))
    return _selections(store, text, queries, installed, providers)


def _selections(
    store: Store,
    text: str,
    queries: Sequence[Query],
    installed: bool | None,
    providers: Providers | None,
) -> list[Selection]:
    """Return what satisfies each of `queries`, which `text` says; everything for none."""
    memory = memory_of(store)
    selections = memory.answered(text, installed) if providers is None else None
    if selections is None:
        known = store.providers if providers is None else providers
        if queries:
            selections = [_select(store, query, installed, known) for query in queries]
        else:
            everything = _select(store, Query(dialect=dialect_for(store)), installed, known)
            selections = [everything._replace(query=None)]
        if providers is None:
            memory.keep(text, installed, selections)
    return selections


def find_specs(
    store: Store,
    text: str,
    *,
    installed: bool | None = True,
    providers: Providers | None = None,
) -> list[Spec]:
    """Return the specs that satisfy any of the queries in `text`, each once.

    Parameters and errors are those of `select`.
    """
    found: dict[str, Spec] = {}
    for selection in select(store, text, installed=installed, providers=providers):
        for spec in selection.specs:
            found.setdefault(spec.hash, spec)
    return list(found.values())


def get_specs(store: Store, text: str, *, providers: Providers | None = None) -> list[Spec]:
    """Return the one installed spec that each query in `text` means, as `spack load` does.

    Raises
    ------
    QuerySyntaxError
        When `text` does not parse.
    NoMatch
        When nothing that is installed satisfies a query.
    Ambiguous
        When more than one does.
    """
    return [_the_one(store, each, providers) for each in select(store, text, providers=providers)]


def get_spec(store: Store, text: str, *, providers: Providers | None = None) -> Spec:
    """Return the one installed spec that the query `text` means, as `spack load` does.

    Errors are those of `get_specs`; no or several queries are a QuerySyntaxError.
    """
    query = parse_query(text, dialect_for(store))
    (selection,) = _selections(store, text, [query], True, providers)
    return _the_one(store, selection, providers)


def _the_one(store: Store, selection: Selection, providers: Providers | None) -> Spec:
    if len(selection.specs) == 1:
        return selection.specs[0]
    from . import diagnostics  # needed only where something is wrong

    if selection.specs:
        raise diagnostics.ambiguous(store, selection)
    raise diagnostics.no_match(
        store, selection, store.providers if providers is None else providers
    )


def _in_state(specs: Iterable[Spec], installed: bool | None) -> Iterator[Spec]:
    return (spec for spec in specs if installed is None or spec.installed is installed)


def _select(store: Store, query: Query, installed: bool | None, providers: Providers) -> Selection:
    memory = memory_of(store)
    name = query.name
    if name is not None and query == Query(name=name) and (all_ := memory.package(name, installed)):
        return Selection(query, tuple(all_))
    if query.hash is not None and query == Query(hash=query.hash):
        same = list(_in_state(store.with_hash_prefix(query.hash), installed))
        return Selection(query, tuple(memory.in_find_order(same)))
    from .matcher import Matcher  # for a hash alone it is not needed

    rows, known = (
        memory.rows_named(name) if name is not None and query.hash is None else (memory.rows(), {})
    )
    lookup = memory.lookup(rows)
    matcher = Matcher(lookup, query.dialect, providers, rows.dependencies, store.has_package)
    pool: Iterable[Spec]
    if query.hash is not None:
        test = matcher.test(query)
        pool = store.with_hash_prefix(query.hash)
    elif name is not None:
        test = matcher.test(query, named=False)
        pool = (memory.spec(row, rows) for row in known.values())
    else:
        return _scanned(store, query, installed, providers, matcher)
    found = [spec for spec in _in_state(pool, installed) if test(spec)]
    if not found and name is not None:
        found = _providing(store, query, installed, providers, matcher)
    return Selection(query, tuple(memory.in_find_order(found, rows, known)), _unknown(matcher))


def _scanned(
    store: Store, query: Query, installed: bool | None, providers: Providers, matcher: Matcher
) -> Selection:
    """Return what of the whole store satisfies a query without a name."""
    memory = memory_of(store)
    scan = memory.scan
    rows, sure = scan.candidates(query, installed, providers)
    if not sure:
        test = matcher.test(query)
        good = {spec.hash for spec in store.specs([scan.hashes[row] for row in rows]) if test(spec)}
        rows = [row for row in rows if scan.hashes[row] in good]
    return Selection(query, tuple(memory.scanned(rows)), _unknown(matcher))


def _unknown(matcher: Matcher) -> tuple[str, ...]:
    return tuple(
        f"which versions of {virtual} its providers provide"
        for virtual in sorted(matcher.unknown_versions)
    )


def _providing(
    store: Store, query: Query, installed: bool | None, providers: Providers, matcher: Matcher
) -> list[Spec]:
    """Return what provides the virtual package `query`; empty when it is none.

    Of a provider only the version of the virtual counts, and the dependencies; so in Spack.
    """
    virtual = query.name
    assert virtual is not None
    packages = recorded_providers(store).get(virtual, set()) | providers.listed(virtual)
    candidates: list[Spec] = []
    if virtual in providers:
        provides = matcher.provider_test(query)
        named = {provision.provider.name or "" for provision in providers.of(virtual)}
        candidates = [spec for name in named for spec in store.named(name) if provides(spec)]
        packages = {package for package in packages if not providers.knows(package)}
    if packages and query.versions != ANY_VERSION:
        matcher.unknown_versions.add(virtual)
    else:
        candidates += [spec for package in packages for spec in store.named(package)]
    rest = matcher.test(Query(dependencies=query.dependencies))
    return [spec for spec in _in_state(candidates, installed) if rest(spec)]


_dialects: WeakKeyDictionary[Database, Dialect] = WeakKeyDictionary()


def _dialect(database: Database) -> Dialect:
    known = _dialects.get(database)
    if known is None:
        sample = list(database)[:: max(1, len(database) // _SAMPLE)]
        known = _dialects[database] = dialect_of(
            database.version,
            build_systems=database.version == "6"
            and any("build_system" in spec.variants for spec in database.specs(sample)),
        )
    return known


def in_find_order(store: Store, specs: Iterable[Spec]) -> list[Spec]:
    """Return specs of `store`, each once, as `spack find` orders them."""
    return memory_of(store).in_find_order(specs)


def recorded_providers(store: Store) -> dict[str, set[str]]:
    """Return virtual package → packages that provide it, as far as dependents recorded it."""
    found: dict[str, set[str]] = {}
    for database in store.databases:
        for virtual, packages in database.virtuals().items():
            found.setdefault(virtual, set()).update(packages)
    return found
