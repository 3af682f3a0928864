"""The cache between queries does not change any answer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.query import search, store_index
from spack_kernel.spack.query.virtuals import Providers
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash

QUERIES = ("zlib", "zlib@1:", "hdf5 ^zlib", "^zlib", "%gcc", "", "/ab", "mpi", "python py-numpy@1:")


def test_an_answer_is_the_same_the_second_time(store: Store) -> None:
    some = next(iter(store))
    queries = [*QUERIES, f"/{some.hash[:8]}", f"{some.name}/{some.hash[:8]}", f"zlib/{some.hash}"]
    first = {text: store.select(text) for text in queries}
    random.Random(1).shuffle(queries)
    for text in queries:
        again = store.select(text)
        assert again == first[text], text
        assert again == Store.open(store.root).select(text), text
        assert all(spec.installed for each in again for spec in each.specs)
    assert store.find("zlib", installed=None) == Store.open(store.root).find("zlib", installed=None)


def test_a_kept_answer_is_not_searched_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.find("python@3:")
    assert first
    monkeypatch.setattr(search, "_select", None)
    again = store.find("python@3:")
    assert [spec.label for spec in again] == [spec.label for spec in first]


def test_other_providers_are_asked_anew(tmp_path: Path) -> None:
    make_store(tmp_path, node("mpich"), node("hdf5", ("mpich", "link")))
    store = Store.open(tmp_path)
    assert store.find("tuner") == []
    assert [
        s.name for s in store.find("tuner", providers=Providers.parse({"tuner": ["mpich"]}))
    ] == ["mpich"]
    assert store.find("tuner") == []


def test_the_room_for_answers_is_limited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_index, "ANSWERED_SPECS", 400)
    fresh = Store.open(store.root)
    names = sorted(fresh.names())[:40]
    whole = store.find("")
    for name in [*names, *names]:
        assert fresh.find(name) == [spec for spec in whole if spec.name == name]
    kept = fresh.index
    assert kept.answered(names[-1], True) is not None
    assert kept.answered(names[0], True) is None


def test_a_hash_with_a_name_reads_no_other_spec_of_the_package(tmp_path: Path) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5", ("zlib", "link")))
    store = Store.open(tmp_path)
    assert store.get(f"hdf5/{readable_hash('hdf5')[:6]}").name == "hdf5"
    assert store.find(f"zlib/{readable_hash('hdf5')[:6]}") == []
    assert store.find(f"hdf5@2/{readable_hash('hdf5')[:6]}") == []


@pytest.mark.parametrize("text", ["", "zlib hdf5"])
def test_exactly_one_query_is_wanted(tmp_path: Path, text: str) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5"))
    store = Store.open(tmp_path)
    store.find(text)
    with pytest.raises(QuerySyntaxError):
        store.get(text)
