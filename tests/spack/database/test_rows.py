"""Rows agree with specs."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path

import pytest

from spack_kernel.spack.database.rows import Rows
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning
from spack_kernel.spack.spec.spec import DeferredSpecs, Spec
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash


@pytest.mark.parametrize("read", ["the records", "the specs"])
def test_a_row_is_its_spec(store: Store, read: str) -> None:
    rows = Rows(
        store.index.chain.record if read == "the records" else lambda _: None, store.by_hash
    )
    for spec in store:
        row = rows.row(spec.hash)
        assert row is not None
        assert (row.hash, row.name, row.namespace) == (spec.hash, spec.name, spec.namespace)
        assert rows.version(row).text == spec.version.text
        assert row.installed == spec.installed
        assert rows.arch(row) == spec.arch
        assert rows.compiler(row) == spec.compiler
        assert rows.variants(row) == spec.variants
        assert rows.flags(row) == spec.flags
        assert tuple(rows.dependencies(spec.hash)) == spec.dependencies
        assert [(n, h, *rows.kinds[code]) for n, h, code in rows.edges(row)] == [
            (edge.name, edge.hash, edge.deptypes, edge.virtuals) for edge in spec.dependencies
        ]


def test_a_package_is_found_alike_alone_and_through_the_names(store: Store) -> None:
    names = store.databases[0].names()
    for name in [*list(names)[::25], "no-such-package"]:
        fresh = Store.open(store.root).databases[0]
        assert list(fresh.named(name)) == list(names.get(name, ()))
        assert list(fresh.named(name)) == list(names.get(name, ()))
        assert fresh.names() == names


def test_the_order_is_the_same_for_a_part_and_for_all(store: Store) -> None:
    whole = store.find("")
    again = Store.open(store.root)
    for name in list(store.names())[::10]:
        expected = [spec for spec in whole if spec.name == name]
        part = [again.by_hash(spec.hash) for spec in reversed(expected)][: len(expected) // 3]
        ordered = again.in_find_order([spec for spec in part if spec is not None])
        assert ordered == [spec for spec in expected if spec in part]
        assert again.find(name) == expected


def test_a_spec_is_read_when_it_is_looked_at(store: Store) -> None:
    asked: list[str] = []

    def lookup(readable_hash: str) -> Spec | None:
        asked.append(readable_hash)
        return store.by_hash(readable_hash)

    make = DeferredSpecs(lookup).one
    for known in list(store)[::20]:
        spec = make(known.hash)
        assert isinstance(spec, Spec)
        assert spec == known
        assert {spec} == {known}
        assert not asked
        with pytest.raises(AttributeError):
            spec.nothing  # type: ignore[attr-defined]  # noqa: B018
        assert (spec.label, str(spec)) == (known.label, str(known))
        assert repr(spec) == repr(known)
        assert asked == [known.hash]
        assert type(spec) is Spec
        assert copy.copy(spec).prefix == known.prefix
        with pytest.raises(AttributeError):
            spec.name = "other"  # type: ignore[misc]
        asked.clear()


def test_a_spec_that_was_not_looked_at_can_be_sent(store: Store) -> None:
    found = store.find("zlib")
    for sent, spec in zip(pickle.loads(pickle.dumps(found)), found, strict=True):
        assert sent.label == spec.label
        assert sent.prefix == spec.prefix
        assert sent.dependencies == spec.dependencies


def test_what_is_not_recorded_has_no_row(store: Store) -> None:
    rows = Rows(store.index.chain.record, store.by_hash)
    assert rows.row("a" * 32) is None
    assert list(rows.dependencies("a" * 32)) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"arch": 5},
        {"parameters": {"mpi": 5}},
        {"dependencies": [{"name": "zlib", "hash": readable_hash("zlib"), "parameters": []}]},
        {"version": 5},
        {"compiler": []},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_malformed_record_is_left_out_of_a_scan(tmp_path: Path, broken: dict) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5"))
    index = tmp_path / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["installs"][readable_hash("hdf5")]["spec"].update(broken)
    index.write_text(json.dumps(content))
    store = Store.open(tmp_path)
    rows = Rows(store.index.chain.record, store.by_hash)
    with pytest.raises(DatabaseError):
        rows.edges(rows.row(readable_hash("hdf5")))
    with pytest.warns(DatabaseWarning, match="left out"):
        store.index.scan  # noqa: B018
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [spec.name for spec in store.find("@1:")] == ["zlib"]
