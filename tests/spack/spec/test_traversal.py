"""Closures in the traversal order of real Spacks, and damaged databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.spec.traversal import environment_order, reachable, topological
from tests.records import make_store, node, readable_hash
from tests.spack.golden_environments import ORDERED, open_golden

if TYPE_CHECKING:
    from pathlib import Path

    from spack_kernel.spack.spec.spec import Spec


@pytest.mark.parametrize("version", ORDERED)
def test_closures_are_in_spacks_order(version: str, tmp_path: Path) -> None:
    golden = open_golden(version, tmp_path)
    assert len(golden.traversals) >= 23
    for root, order in golden.traversals.items():
        spec = golden.store.by_hash(root)
        assert spec is not None
        assert [each.hash for each in golden.store.closure(spec)] == order


def names(specs: list[Spec]) -> str:
    return " ".join(spec.name for spec in specs)


def test_breadth_and_depth_differ_where_they_should(tmp_path: Path) -> None:
    records = (
        node("root", ("a", "link"), ("b", "link")),
        node("a", ("c", "run")),
        node("b"),
        node("c"),
    )
    store = make_store(tmp_path, *records)
    root = store.by_hash(readable_hash("root"))
    assert root is not None
    graph = reachable([root], store.by_hash)
    assert names(topological(graph, "breadth")) == "root a b c"
    assert names(topological(graph, "depth")) == "root b a c"
    assert names(environment_order(graph, "breadth")) == "root a b c"
    assert names(environment_order(graph, "depth")) == "root a b c"


def test_only_the_deptypes_asked_for_are_followed(tmp_path: Path) -> None:
    store = make_store(
        tmp_path, node("root", ("a", "build"), ("b", "test link")), node("a"), node("b")
    )
    root = store.by_hash(readable_hash("root"))
    assert root is not None
    assert names(store.closure(root)) == "root b"
    assert names(store.closure(root, deptypes=("build",))) == "root a"
    assert names(store.closure(root, deptypes=("build", "link"))) == "root a b"


def test_roots_below_each_other_and_twice(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("a", ("b", "link")), node("b"))
    a, b = store.by_hash(readable_hash("a")), store.by_hash(readable_hash("b"))
    assert a is not None
    assert b is not None
    assert names(store.closure(b, a, b, a)) == "a b"


def test_an_edge_recorded_once_a_deptype_is_one_edge(tmp_path: Path) -> None:
    record = node("a", ("b", "build"), ("b", "run"), ("b", "link"))
    store = make_store(tmp_path, record, node("b"))
    a = store.by_hash(readable_hash("a"))
    assert a is not None
    (edge,) = reachable([a], store.by_hash).edges[a.hash]
    assert set(edge.deptypes) == {"link", "run"}


@pytest.mark.parametrize("version", ["7", "8"])
def test_a_cycle_is_refused(tmp_path: Path, version: str) -> None:
    store = make_store(
        tmp_path,
        node("root", ("a", "link")),
        node("a", ("b", "link")),
        node("b", ("a", "run")),
        version=version,
    )
    root = store.by_hash(readable_hash("root"))
    assert root is not None
    with pytest.raises(DatabaseError) as caught:
        store.closure(root)
    assert caught.value.summary == "the recorded dependencies form a cycle"
    assert "  a@1.0/aaaaaaa" in caught.value.details
    assert "spack reindex" in caught.value.hint
