"""The columns of a database say what its records say."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning
from spack_kernel.spack.spec.records import spec_from_node
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash

ATTRIBUTES = (
    *("name", "namespace", "version", "variants", "flags", "arch", "compiler", "dependencies"),
    *("external", "prefix", "installed"),
)


@pytest.mark.parametrize("whole", [False, True], ids=["row by row", "all rows"])
def test_a_spec_says_what_its_record_says(store: Store, whole: bool) -> None:
    for database in store.databases:
        if whole:
            database.whole()
        content = json.loads(database.path.read_text())["database"]["installs"]
        for dag_hash, record in content.items():
            spec = database.get(dag_hash)
            plain = spec_from_node(
                dag_hash, record["spec"], installed=record["installed"], prefix=record["path"]
            )
            assert spec is not None
            for name in ATTRIBUTES:
                assert getattr(spec, name) == getattr(plain, name), (spec, name)


def test_a_package_is_found_alike_alone_and_through_the_names(store: Store) -> None:
    database = store.databases[0]
    for name in [*sorted(database.names())[::25], "no-such-package"]:
        expected = [spec.hash for spec in database.specs() if spec.name == name]
        fresh = Store.open(store.root).databases[0]
        assert fresh.named(name) == expected
        fresh.whole()
        assert fresh.named(name) == expected
        assert fresh.names() == database.names()


def test_the_order_is_the_same_for_a_part_and_for_all(store: Store) -> None:
    whole = store.find("")
    again = Store.open(store.root)
    for name in list(store.names())[::10]:
        expected = [spec for spec in whole if spec.name == name]
        part = [again.by_hash(spec.hash) for spec in reversed(expected)][: len(expected) // 3]
        ordered = again.in_find_order([spec for spec in part if spec is not None])
        assert ordered == [spec for spec in expected if spec in part]
        assert again.find(name) == expected


def test_a_spec_is_read_when_it_is_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    decoded = Database._decoded

    def counted(self: Database, row: int) -> Any:
        read.append(row)
        return decoded(self, row)

    monkeypatch.setattr(Database, "_decoded", counted)
    for known in list(store)[::20]:
        read.clear()
        spec = Store.open(store.root).by_hash(known.hash)
        assert spec is not None
        assert {spec} == {known}
        assert len(read) == 1
        with pytest.raises(AttributeError):
            spec.nothing  # type: ignore[attr-defined]  # noqa: B018
        assert (spec.label, str(spec)) == (known.label, str(known))
        assert len(read) == 1
        assert repr(spec) == repr(known)
        assert len(read) <= 4  # and the nodes below, whose names it shows
        assert copy.copy(spec).prefix == known.prefix
        with pytest.raises(AttributeError):
            spec.name = "other"  # type: ignore[misc]


def test_a_spec_that_was_not_looked_at_can_be_sent(store: Store) -> None:
    found = store.find("zlib")
    for sent, spec in zip(pickle.loads(pickle.dumps(found)), found, strict=True):
        assert sent.label == spec.label
        assert sent.prefix == spec.prefix
        assert sent.dependencies == spec.dependencies


def test_what_is_not_recorded_has_no_row(store: Store) -> None:
    assert store.databases[0].columns.row("a" * 32) is None
    assert store.by_hash("a" * 32) is None


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
def test_a_malformed_record_is_left_out_of_the_columns(tmp_path: Path, broken: dict) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5"))
    index = tmp_path / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["installs"][readable_hash("hdf5")]["spec"].update(broken)
    index.write_text(json.dumps(content))
    store = Store.open(tmp_path)
    with pytest.raises(DatabaseError):
        store.by_hash(readable_hash("hdf5"))
    with pytest.warns(DatabaseWarning, match="left out"):
        store.find("@2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [spec.name for spec in store.find("@1:")] == ["zlib"]
