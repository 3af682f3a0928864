"""Find the specs of a store that satisfy a query, and choose the one that is meant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from .dialects import Dialect, dialect_of
from .matching import Matcher
from .ordering import FindOrder, RowNodes
from .parser import parse_queries, parse_query
from .query import Query
from .rows import Rows
from .scan import Scan
from .scan_order import ScanNodes
from .specs import deferred
from .version_lists import ANY_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .database import Database
    from .providers import Providers
    from .specs import Spec
    from .store import Store

#: How many records are looked at to tell which Spack wrote a database of format 6.
_SAMPLE = 64


@dataclass(frozen=True)
class Selection:
    """What satisfies a query.

    Attributes
    ----------
    query : Query or None
        The query; None for blank text, which everything satisfies.
    specs : tuple of Spec
        In the order in which `spack find` lists them.
    unknown : tuple of str
        What would have to be known to be sure of the answer; empty when the database says it
        all. Each completes "the database does not record ...".
    """

    query: Query | None
    specs: tuple[Spec, ...]
    unknown: tuple[str, ...] = ()


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
    providers = store.providers if providers is None else providers
    queries = parse_queries(text, dialect_for(store))
    if not queries:
        everything = Query(dialect=dialect_for(store))
        matcher = Matcher(store.by_hash, everything.dialect, providers)
        found = _scanned(store, everything, installed, providers, matcher)
        return [replace(found, query=None)]
    return [_select(store, query, installed, providers) for query in queries]


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
    providers = store.providers if providers is None else providers
    return [_the_one(store, s, providers) for s in select(store, text, providers=providers)]


def get_spec(store: Store, text: str, *, providers: Providers | None = None) -> Spec:
    """Return the one installed spec that the query `text` means, as `spack load` does.

    Errors are those of `get_specs`; no or several queries are a QuerySyntaxError.
    """
    providers = store.providers if providers is None else providers
    query = parse_query(text, dialect_for(store))
    return _the_one(store, _select(store, query, True, providers), providers)


def _the_one(store: Store, selection: Selection, providers: Providers) -> Spec:
    if len(selection.specs) == 1:
        return selection.specs[0]
    from . import explain  # needed only where something is wrong

    if selection.specs:
        raise explain.ambiguous(store, selection)
    raise explain.no_match(store, selection, providers)


def _in_state(specs: Iterable[Spec], installed: bool | None) -> Iterator[Spec]:
    return (spec for spec in specs if installed is None or spec.installed is installed)


def _select(store: Store, query: Query, installed: bool | None, providers: Providers) -> Selection:
    dependencies = _rows(store).dependencies
    matcher = Matcher(store.by_hash, query.dialect, providers, dependencies, store.has_package)
    if query.name is None and query.hash is None:
        return _scanned(store, query, installed, providers, matcher)
    if query.name is None:
        test = matcher.test(query)
        pool = store.with_hash_prefix(query.hash or "")
        found = [spec for spec in _in_state(pool, installed) if test(spec)]
    elif query == Query(name=query.name) and (found := _of_package(store, query.name, installed)):
        return Selection(query, tuple(found))
    else:
        test = matcher.test(query, named=False)
        found = [spec for spec in _in_state(store.named(query.name), installed) if test(spec)]
        if not found:
            found = _providing(store, query, installed, providers, matcher)
    return Selection(query, tuple(in_find_order(store, found)), _unknown(matcher))


def _of_package(store: Store, name: str, installed: bool | None) -> list[Spec]:
    """Return the specs of a package in find order, to be read when they are looked at."""
    known = _packages.get(store)
    if known is None:
        known = _packages[store] = _Packages({}, deferred(_twin(store).by_hash))
    if name not in known.states:
        specs = in_find_order(store, store.named(name))
        known.states[name] = [(spec.hash, spec.installed) for spec in specs]
    states = (True, False) if installed is None else (installed,)
    return [known.make(dag_hash) for dag_hash, state in known.states[name] if state in states]


def _scanned(
    store: Store, query: Query, installed: bool | None, providers: Providers, matcher: Matcher
) -> Selection:
    """Return what of the whole store satisfies a query without a name."""
    scanned = _scan_of(store)
    scan = scanned.scan
    rows, sure = scan.candidates(query, installed, providers)
    if not sure:
        test = matcher.test(query)
        good = {spec.hash for spec in store.specs([scan.hashes[row] for row in rows]) if test(spec)}
        rows = [row for row in rows if scan.hashes[row] in good]
    ordered = scanned.order.sorted(scan.by_name(rows))
    specs = tuple([scanned.make(scan.hashes[row]) for row in ordered])
    return Selection(query, specs, _unknown(matcher))


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


class _Packages(NamedTuple):
    """Packages that were asked for by name alone.

    Attributes
    ----------
    states : dict of str to list of (str, bool)
        The DAG hashes of each in find order, with whether they are installed.
    make : callable
        Makes a spec of a DAG hash, to be read when it is looked at.
    """

    states: dict[str, list[tuple[str, bool]]]
    make: Callable[[str], Spec]


_dialects: WeakKeyDictionary[Database, Dialect] = WeakKeyDictionary()
_scans: WeakKeyDictionary[Store, _Scanned] = WeakKeyDictionary()
_orders: WeakKeyDictionary[Store, FindOrder[str]] = WeakKeyDictionary()
_packages: WeakKeyDictionary[Store, _Packages] = WeakKeyDictionary()


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


class _Scanned(NamedTuple):
    """A store that was read as a whole.

    Attributes
    ----------
    scan : Scan
        What was read.
    order : FindOrder
        The order of its rows.
    make : callable
        Makes a spec of a DAG hash, to be read when it is looked at.
    """

    scan: Scan
    order: FindOrder[int]
    make: Callable[[str], Spec]


def scan_of(store: Store) -> Scan:
    """Return the columns of `store`, read when first asked for and kept as long as it is."""
    return _scan_of(store).scan


def _scan_of(store: Store) -> _Scanned:
    known = _scans.get(store)
    if known is None:
        twin = _twin(store)
        hashes = dict.fromkeys(h for database in store.databases for h in database)
        scan = Scan(hashes, _rows(twin))
        nodes = ScanNodes(scan)
        known = _Scanned(scan, FindOrder(nodes, nodes.package, nodes.ranks), deferred(twin.by_hash))
        _scans[store] = known
    return known


def in_find_order(store: Store, specs: Iterable[Spec]) -> list[Spec]:
    """Return specs of `store`, each once, as `spack find` orders them."""
    by_hash = {spec.hash: spec for spec in specs}
    if len(by_hash) < 2:
        return list(by_hash.values())
    order = _orders.get(store)
    if order is None:
        twin = _twin(store)
        order = _orders[store] = FindOrder(RowNodes(_rows(twin)), twin.hashes_named, {})
    by_name: dict[str, list[str]] = {}
    for spec in by_hash.values():
        by_name.setdefault(spec.name, []).append(spec.hash)
    return [by_hash[dag_hash] for dag_hash in order.sorted(by_name)]


def _twin(store: Store) -> Store:
    """Return another store of the same databases: what is kept for a store must not keep it."""
    return type(store)(store.databases)


def _rows(store: Store) -> Rows:
    return Rows(store.record, store.by_hash)


def recorded_providers(store: Store) -> dict[str, set[str]]:
    """Return virtual package → packages that provide it, as far as dependents recorded it."""
    found: dict[str, set[str]] = {}
    for database in store.databases:
        for virtual, packages in database.virtuals().items():
            found.setdefault(virtual, set()).update(packages)
    return found
