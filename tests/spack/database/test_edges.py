"""The fast path through a store gives the same results as the careful one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash


@pytest.mark.parametrize("deptypes", [RUNTIME_DEPTYPES, ("build",), ("build", "test")])
def test_edges_are_those_of_the_specs(store: Store, deptypes: tuple[str, ...]) -> None:
    for spec in store:
        expected = [e.hash for e in spec.dependencies if set(e.deptypes) & set(deptypes)]
        assert list(store.edges(spec.hash, deptypes)) == expected


def test_explicit_are_those_that_say_so(store: Store) -> None:
    expected = [spec.hash for spec in store if spec.explicit and spec.installed]
    assert expected
    assert [spec.hash for spec in store.explicit()] == expected


def test_an_unknown_hash_has_no_edges(tmp_path: Path) -> None:
    assert make_store(tmp_path, node("zlib")).edges("x" * 32) == ()


def test_a_word_of_a_variant_makes_no_spec_explicit(tmp_path: Path) -> None:
    record = node("zlib", parameters={"explicit": True})
    record["explicit"] = False
    assert make_store(tmp_path, record).explicit() == []


def test_a_malformed_record_is_told(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("zlib", ("gcc", "link")))
    index = tmp_path / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["installs"][readable_hash("zlib")]["spec"]["dependencies"] = 7
    index.write_text(json.dumps(content))
    with pytest.raises(DatabaseError, match="malformed"):
        store.refresh().edges(readable_hash("zlib"))
