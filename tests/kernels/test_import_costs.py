"""The cost of a long PYTHONPATH for a real kernel, in system calls; benchmarks measure times."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import image, imports, slow_filesystem
from benchmarks.kernel_process import can_count_calls, first_reply
from spack_kernel.demo import DemoStore
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

pytestmark = pytest.mark.slow

#: The allowed ratio of calls with 200 prefixes to calls with everything in one directory.
BAR = 1.15


@pytest.fixture(scope="module")
def ipykernel(demo_store: DemoStore) -> tuple[str, list[Path]]:
    """Return the demo store's interpreter and the directories of py-ipykernel's closure."""
    store = Store.open(demo_store.root)
    plan = plan_kernel(store, store.named("py-ipykernel"))
    assert plan.interpreter is not None
    return plan.interpreter.path, [Path(entry.path) for entry in plan.pythonpath]


def test_200_prefixes_cost_as_many_calls_as_one_directory(
    ipykernel: tuple[str, list[Path]], tmp_path: Path
) -> None:
    if not can_count_calls():
        pytest.skip("missing component: strace")
    python, packages = ipykernel
    prefixes = imports.Prefixes(tmp_path, packages, 200)
    prefixes.compile(python)
    ways = imports.commands(python, prefixes.path, prefixes.merged)
    calls = {way: first_reply(*ways[way], count_calls=True).calls for way in ways}
    assert calls["indexed"] <= BAR * calls["merged"], calls
    assert calls["plain"] > 3 * calls["merged"], calls


def test_a_start_image_spares_most_calls(demo_store: DemoStore, tmp_path: Path) -> None:
    if not can_count_calls():
        pytest.skip("missing component: strace")
    store = Store.open(demo_store.root)
    roots = [store.get("py-libensemble"), store.get("py-matplotlib"), store.get("py-numpy@2.1.3")]
    plan = plan_kernel(store, roots)
    assert plan.interpreter is not None
    python = plan.interpreter.path
    prefixes = imports.Prefixes(tmp_path, [Path(entry.path) for entry in plan.pythonpath], 100)
    prefixes.compile(python)
    time.sleep(2.5)  # what has just changed is in no image
    made = tmp_path / "images" / "start.img"
    ways = image.commands(python, prefixes.path, prefixes.merged, made)
    image.record(ways["imaged"], made)
    found = {
        way: first_reply(*ways[way], code=image.CODE, count_calls=True, below=tmp_path)
        for way in ("merged", "imaged", "trusting")
    }
    assert found["imaged"].calls < 0.36 * found["merged"].calls, found
    assert found["trusting"].calls < 0.25 * found["merged"].calls, found
    assert found["trusting"].below < 0.15 * found["merged"].below, found


def test_on_a_slow_file_system_too(ipykernel: tuple[str, list[Path]], tmp_path: Path) -> None:
    if not slow_filesystem.is_possible():
        pytest.skip("missing component: FUSE (fuse3) and mfusepy")
    python, packages = ipykernel
    prefixes = imports.Prefixes(tmp_path / "prefixes", packages, 100)
    prefixes.compile(python)
    rows = list(imports.compare_slow(python, prefixes, tmp_path / "mount", ways=("indexed",)))
    calls = next(row for row in rows if row.unit == "calls")
    assert calls.other_values[0] > 1000
    assert calls.ratios[0] <= BAR, calls
