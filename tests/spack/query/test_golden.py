"""Thousands of queries run by real Spacks: the same specs, choices, orders and errors."""

from __future__ import annotations

import pytest

from spack_kernel.spack.errors import Ambiguous, NoMatch, QuerySyntaxError
from spack_kernel.spack.query import builder, parser
from spack_kernel.spack.query.parser import parse_queries
from spack_kernel.spack.query.virtuals import NO_PROVIDERS, Providers
from spack_kernel.spack.spec.host import Host
from spack_kernel.spack.store.store import Store
from tests.places import DOCS
from tests.spack.golden_queries import ACCIDENTS, STORES, GoldenQuery, read_queries
from tests.spack.unanswerable import (
    DIFFERENT,
    PROVIDERS,
    UNANSWERABLE,
    UNINSTALLED,
    UNRECORDED,
    UNUSED,
    VERSIONS,
)

#: Build the error text for every n-th query only, because that is slower than finding the error.
EVERY = 7

Answer = list[list[str]]


@pytest.fixture(scope="module", autouse=True)
def spacks_host():
    """Imitate the machine that the Spacks ran on, for os=fe and target=default_target."""
    parser._parsed.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "host", lambda: Host("linux", "debian12", "zen2", "x86_64"))
        yield
    parser._parsed.cache_clear()


@pytest.fixture(scope="module", params=STORES)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def store(version: str, golden_store) -> Store:
    return golden_store(version)


@pytest.fixture(scope="module")
def queries(version: str, store: Store) -> list[GoldenQuery]:
    queries = read_queries(version, store)
    assert len(queries) > 1000
    return queries


@pytest.fixture(scope="module")
def providers(version: str) -> Providers:
    return Providers.parse(PROVIDERS[version.removesuffix("/chain")])


@pytest.fixture(scope="module")
def answers(store, queries, providers) -> list[tuple[GoldenQuery, Answer]]:
    """Return our answer to each recorded query: the hashes found for each spec in it."""
    return answer(store, queries, providers)


def answer(store, queries, providers) -> list[tuple[GoldenQuery, Answer]]:
    answers = []
    for golden in queries:
        if golden.find is not None:
            selections = store.select(golden.query, providers=providers)
            answers.append((golden, [[spec.hash for spec in each.specs] for each in selections]))
    return answers


def differing(answers: list[tuple[GoldenQuery, Answer]]) -> set[str]:
    return {golden.query for golden, found in answers if set().union(*found) != set(golden.find)}


def named(table: dict[str, dict[str, list[str]]], version: str) -> set[str]:
    return {query for queries in table.get(version, {}).values() for query in queries}


def test_found_with_what_a_store_knows_by_itself(version, store, queries):
    """Without recipes, the builtin providers are used, and only known differences remain."""
    assert differing(answer(store, queries, None)) == named(DIFFERENT, version)


def test_found_with_what_recipes_say(version, answers):
    """With known providers, only the differences between old and newer Spacks remain."""
    assert differing(answers) == named(DIFFERENT, version)


def test_found_from_the_database_alone(version, store, queries):
    """Without providers, exactly those queries differ that a database cannot answer."""
    answers = answer(store, queries, NO_PROVIDERS)
    assert differing(answers) == named(DIFFERENT, version) | named(UNANSWERABLE, version)


def test_order(version, answers):
    """The order is that of Spack 1.x; older versions had no stable order."""
    ordered = [(golden, found) for golden, found in answers if golden.ordered]
    assert version not in ("1.3", "1.3/chain") or len(ordered) > 400
    for golden, found in ordered:
        assert [dag_hash for each in found for dag_hash in each] == list(golden.find)


def test_chosen(version, answers):
    """The spec that `spack load` selects, or an error if none or several match."""
    for golden, found in answers:
        if golden.query in named(DIFFERENT, version):
            continue
        if isinstance(golden.load, tuple):
            assert found == [[dag_hash] for dag_hash in golden.load], golden.query
        elif golden.load == "none":
            assert [] in found, golden.query
        elif golden.load == "several":
            assert any(len(each) > 1 for each in found), golden.query
        elif golden.load not in ACCIDENTS:
            assert found == [[golden.load]], golden.query


def test_get(version, store, answers, providers):
    for golden, found in answers[::EVERY]:
        if golden.query in named(DIFFERENT, version):
            continue
        if golden.load in ("none", "several"):
            with pytest.raises((NoMatch, Ambiguous)) as caught:
                store.get_each(golden.query, providers=providers)
            if len(found) == 1:
                assert caught.type is (NoMatch if golden.load == "none" else Ambiguous)
            assert caught.value.details
        elif golden.load not in ACCIDENTS:
            specs = store.get_each(golden.query, providers=providers)
            wanted = golden.load if isinstance(golden.load, tuple) else (golden.load,)
            assert tuple(spec.hash for spec in specs) == wanted, golden.query


@pytest.mark.parametrize("newest", ["1.3", "1.3/chain"])
def test_errors(newest, golden_store):
    """Exactly those queries fail that fail in Spack 1.x, at the position that it underlines."""
    pointed = 0
    for golden in read_queries(newest, golden_store(newest)):
        if golden.error == "ValueError":
            continue
        if not golden.error:
            parse_queries(golden.query)
            continue
        with pytest.raises(QuerySyntaxError) as caught:
            parse_queries(golden.query)
        if golden.position is not None:
            pointed += 1
            assert caught.value.position == golden.position, golden.query
    assert pointed > 80


def test_hashes_of_what_is_not_installed(version, store):
    """Old Spacks find these; we report that they are deprecated or no longer installed."""
    for query in DIFFERENT.get(version, {}).get(UNINSTALLED, ()):
        with pytest.raises(NoMatch, match=r"was deprecated in favour of|is no longer installed"):
            store.get(query)


def test_canonical_spelling(store, queries):
    """A parsed query is printed in a form that parses to the same query."""
    dialect = store.index.dialect
    for golden in queries:
        try:
            parsed = parse_queries(golden.query, dialect)
        except QuerySyntaxError:
            continue
        for query in parsed:
            assert parse_queries(str(query), dialect) == (query,), (golden.query, str(query))


def test_documented_counts(golden_store):
    """docs/queries.md states how many queries a database cannot answer."""
    text = (DOCS / "queries.md").read_text(encoding="utf-8")
    total = 0
    for release in ("0.16", "0.17", "0.20", "0.23", "1.3"):
        stores = [name for name in STORES if name.removesuffix("/chain") == release]
        answered = sum(
            golden.find is not None
            for name in stores
            for golden in read_queries(name, golden_store(name))
        )
        total += answered
        counts = dict.fromkeys((UNRECORDED, VERSIONS, UNUSED), 0)
        for name in stores:
            for reason, queries in UNANSWERABLE[name].items():
                counts[reason] += len(queries)
        if counts[VERSIONS]:
            assert f"{release}: {counts[VERSIONS]} of {answered}" in text
            assert f"{release}: {counts[UNRECORDED] + counts[UNUSED]} of {answered}" in text
        else:
            assert f"{release}: {counts[UNRECORDED]} of {answered}" in text
    assert f"{total:,} queries" in text
