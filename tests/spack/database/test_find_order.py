"""The order of specs, checked with a plain comparison of everything that Spack compares."""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st

from spack_kernel.spack.spec.spec import Spec
from spack_kernel.spack.spec.traversal import depflag
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node

#: So few choices that most specs have much in common.
_NAMES = ("a", "b", "c")
_TYPES = ("build", "link run")


@st.composite
def _records(draw: st.DrawFn) -> list[Any]:
    """Return records, many of which have equal nodes."""
    count = draw(st.integers(2, 14))
    hashes = [f"{number:02}" + "x" * 30 for number in range(count)]
    names = [draw(st.sampled_from(_NAMES)) for _ in range(count)]
    records = []
    for number in range(count):
        below = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        edges = [
            (names[other], draw(st.sampled_from(_TYPES)), hashes[other]) for other in sorted(below)
        ]
        version = draw(st.sampled_from(("1", "2"))) if draw(st.integers(0, 4)) == 0 else "1"
        record = node(names[number], *edges, version=version)
        record["spec"]["hash"] = hashes[number]
        records.append(record)
    return draw(st.permutations(records))


def _plainly(spec: Spec, store: Store) -> tuple[Any, ...]:
    """Return everything that is compared to order specs."""
    nodes, edges, queue = [spec], [], deque([spec])
    numbers = {spec.hash: 0}
    while queue:
        parent = queue.popleft()
        recorded = sorted(
            parent.dependencies, key=lambda e: (e.name, depflag(e.deptypes), e.virtuals)
        )
        for edge in recorded:
            if edge.hash not in numbers:
                numbers[edge.hash] = len(nodes)
                child = store.by_hash(edge.hash)
                assert child is not None
                nodes.append(child)
                queue.append(child)
            edges.append(
                (numbers[parent.hash], numbers[edge.hash], depflag(edge.deptypes), edge.virtuals)
            )
    own = [(each.name, each.version) for each in nodes]
    return own[0], own[1:], edges


@settings(max_examples=300, deadline=None)
@given(_records())
def test_specs_are_ordered_as_when_all_of_them_is_compared(records: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        make_store(Path(directory), *records)
        store = Store.open(directory)
        whole = store.find("")
        expected = sorted(_plainly(spec, store) for spec in whole)
        assert [_plainly(spec, store) for spec in whole] == expected
        for name in _NAMES:
            alone = Store.open(directory).find(name)
            assert [_plainly(spec, store) for spec in alone] == [
                each for each in expected if each[0][0] == name
            ]
