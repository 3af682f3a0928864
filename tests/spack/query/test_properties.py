"""Properties of all queries and specs, tested on generated ones and on real stores."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.query.abstract_spec import AbstractSpec
from spack_kernel.spack.query.dialects import SPACK_0_16, SPACK_0_19, SPACK_0_21, SPACK_1, Dialect
from spack_kernel.spack.query.parser import parse_queries, parse_query
from spack_kernel.spack.query.virtuals import NO_PROVIDERS
from spack_kernel.spack.store.store import Store
from tests.spack.golden_queries import STORES, read_queries

from .naive_matcher import NaiveMatcher

DIALECTS = (SPACK_0_16, SPACK_0_19, SPACK_0_21, SPACK_1)

slowly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Parts of queries, some of which cannot be combined.
names = st.sampled_from(["zlib", "hdf5", "py-numpy", "builtin.openmpi", "mpi", "*", "gcc", "2to3"])
versions = st.sampled_from(
    [
        *("@1", "@=1.2.3", "@1.2:1.4,1.6:", "@:2", "@2:1", "@1.0rc1:", "@develop", "@ 1 , 2"),
        *("@git.main", "@git.a/b=1.2", "@" + "ab" * 20, "@1,git.x", "@1:git.x", "@a,git.b:c"),
    ]
)
keys = st.sampled_from(["mpi", "build_type", "patches", "a-b.c", "cflags", "os", "target", "arch"])
values = st.one_of(
    st.sampled_from(["x", "a,b", "True", "*", "none", "x86_64_v2:,zen3", "linux-rhel8-zen2", "fe"]),
    st.text(" abc'\"=,:%^\\-O2é\n", max_size=8).map(
        lambda text: '"' + text.replace("\\", "/").replace('"', '\\"') + '"'
    ),
    st.text("abc-O2 ", min_size=1, max_size=8).map("'{}'".format),
)
attributes = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["+", "~", " -", "++", "~~", " --"]), keys),
    st.builds(" {}{}{}".format, keys, st.sampled_from(["=", "==", ":="]), values),
    st.sampled_from([" /abc", "/abcdefghij"]),
    versions,
)
nodes = st.builds(
    lambda name, attributes: name + "".join(attributes),
    st.one_of(names, st.just("")),
    st.lists(attributes, max_size=4),
)
sigils = st.sampled_from(
    [
        *(" ^", "^ ", "%", "%%", "^mpi=", "%c,cxx=", " ^[virtuals=mpi] ", "%[when=@1:2] "),
        *(" %[deptypes=build,link]", "^[deptypes=build] c=", " ^[when='+mpi' virtuals=\"a,b\"] "),
    ]
)
texts = st.builds(
    lambda first, others: first + "".join(others),
    nodes,
    st.lists(st.builds(str.__add__, sigils, nodes), max_size=3),
)


@slowly
@given(texts, st.sampled_from(DIALECTS))
def test_what_is_printed_is_read_as_it_was(text: str, dialect: Dialect):
    try:
        queries = parse_queries(text, dialect)
    except QuerySyntaxError:
        return
    for query in queries:
        assert parse_query(str(query), dialect) == query
        assert str(parse_query(str(query), dialect)) == str(query)
        assert hash(parse_query(str(query), dialect)) == hash(query)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, golden_store) -> Store:
    return golden_store(request.param)


def test_a_spec_satisfies_itself(store):
    dialect = store.index.dialect
    matcher = NaiveMatcher(store.by_hash, dialect, NO_PROVIDERS)
    for spec in store:
        query = AbstractSpec.of(spec, dialect)
        assert parse_query(str(query), dialect) == query, str(query)
        assert matcher.test(query)(spec), str(query)
        assert query.intersects(AbstractSpec.of(spec, dialect))


def test_a_spec_is_found_by_what_it_says(store):
    dialect = store.index.dialect
    for spec in list(store)[::11]:
        text = f"{AbstractSpec.of(spec, dialect)} /{spec.hash}"
        assert store.find(text, installed=None) == [spec]
        assert store.find(f"{AbstractSpec.of(spec, dialect)}", installed=None).count(spec) == 1


def pairs(version: str, store: Store) -> list[tuple[AbstractSpec, AbstractSpec]]:
    """Return pairs of queries that may match the same package."""
    by_name: dict[str | None, dict[str, AbstractSpec]] = {}
    for golden in read_queries(version, store):
        try:
            queries = parse_queries(golden.query, store.index.dialect)
        except QuerySyntaxError:
            continue
        for query in queries:
            if not query.dependencies:
                by_name.setdefault(query.name, {})[str(query)] = query
    chosen = random.Random(version)
    some = [each for each in by_name.values() if len(each) > 3]
    return [tuple(chosen.sample(list(chosen.choice(some).values()), 2)) for _ in range(300)]


@pytest.mark.parametrize("version", STORES)
def test_queries_that_do_not_intersect_share_no_spec(version, golden_store):
    """Also, a query that does not intersect any of the specs finds none."""
    store = golden_store(version)
    dialect = store.index.dialect
    matcher = NaiveMatcher(store.by_hash, dialect, NO_PROVIDERS)
    specs = list(store)
    apart = 0
    for one, other in pairs(version, store):
        named = [spec for spec in specs if one.name in (None, spec.name)]
        ours, theirs = matcher.test(one), matcher.test(other)
        assert one.intersects(other) == other.intersects(one)
        if not one.intersects(other):
            apart += 1
            assert not any(ours(spec) and theirs(spec) for spec in named), (str(one), str(other))
        if not any(one.intersects(AbstractSpec.of(spec, dialect)) for spec in named):
            assert not any(map(ours, named)), str(one)
    assert 10 < apart < 290


@pytest.mark.parametrize("version", ["0.20", "0.23", "1.3"])
def test_the_columns_find_what_asking_each_spec_finds(version, golden_store):
    """Asking each spec by itself, one after the other, gives the same result."""
    store = golden_store(version)
    dialect = store.index.dialect
    texts = [
        "+mpi", "%gcc", "^python@3.11", "^zlib %gcc@12", "^mpi", "^[virtuals=mpi] openmpi", "*",
        "++shared", "@1:2 ^gcc-runtime", "^/a", "^[deptypes=link] zlib", "%c=gcc", "~shared^python",
        "^[when=+mpi] openmpi", "^*+shared", "target=x86_64_v3: ^hdf5~~mpi", "^nosuch", "cflags=-g",
        "namespace=builtin", "patches=*", "^python ^perl %gcc@11", "^[virtuals=c] *",
    ]  # fmt: skip
    for text in texts:
        (query,) = parse_queries(text, dialect)
        test = NaiveMatcher(store.by_hash, dialect, NO_PROVIDERS).test(query)
        wanted = {spec for spec in store if spec.installed and test(spec)}
        assert set(store.find(text, providers=NO_PROVIDERS)) == wanted, text
