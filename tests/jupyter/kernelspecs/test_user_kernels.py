"""The kernels that a user has chosen: kept ones, recent ones, and how many of these remain."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs import Place, user_kernels
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack import Store

pytestmark = pytest.mark.kernel


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        kept=str(tmp_path / "kernels"),
        recent=str(tmp_path / "recent"),
        others=[str(tmp_path / "site")],
    )


def add(store: Store, place: Place, query: str, **options: bool) -> user_kernels.UserKernel:
    request = KernelRequest(stores=(store.root,), spec=query)
    kernel = user_kernels.add_kernel(store, request, place, **options)
    time.sleep(0.02)  # the clock of a file system is coarse
    return kernel


def names(place: Place) -> list[str]:
    return [kernel.metadata["spack_package"] for kernel in user_kernels.list_kernels(place)]


def test_only_the_latest_remain(
    demo_store: DemoStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_kernels, "RECENT", 2)
    store = Store.open(demo_store.root)
    for query in ("py-libensemble", "py-matplotlib", "py-libensemble", "py-ipykernel"):
        add(store, place, query)
    assert names(place) == ["py-ipykernel", "py-libensemble"]
    add(store, place, "py-matplotlib", kept=True)
    assert names(place) == ["py-matplotlib", "py-ipykernel", "py-libensemble"]


def test_keeping_a_recent_kernel_moves_it(demo_store: DemoStore, place: Place) -> None:
    store = Store.open(demo_store.root)
    recent = add(store, place, "py-libensemble")
    kept = add(store, place, "py-libensemble", kept=True)
    assert (kept.name, kept.kept) == (recent.name, True)
    assert not list(Path(place.recent).iterdir())
    assert user_kernels.remove_kernel(place, kept.name).kept
    assert user_kernels.list_kernels(place) == []
    with pytest.raises(KernelSpecError, match="you have no kernel"):
        user_kernels.remove_kernel(place, kept.name)


def test_a_kernel_of_the_site_that_starts_the_same_is_used(
    demo_store: DemoStore, place: Place
) -> None:
    store = Store.open(demo_store.root)
    site = Place(kept=place.others[0], recent=place.recent)
    theirs = add(store, site, "py-libensemble", kept=True)
    mine = add(store, place, "py-libensemble")
    assert mine.name == theirs.name
    assert user_kernels.list_kernels(place) == []


def test_what_is_not_a_kernelspec_is_left_alone(place: Place, tmp_path: Path) -> None:
    recent = Path(place.recent)
    (recent / "directory").mkdir(parents=True)
    (recent / "file").write_text("x")
    os.mkfifo(recent / "directory" / "kernel.json")
    assert user_kernels.list_kernels(place) == []
    assert user_kernels.list_kernels(Place(str(tmp_path / "no"), "/proc/nothing")) == []
