"""What can follow in a query, at each kind of place."""

from __future__ import annotations

from pathlib import Path

import pytest

from spack_kernel.kernels.picker import complete
from spack_kernel.spack import Store
from tests.small_store import SmallStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    small = SmallStore(tmp_path / "sw")
    python = small.add("python", "3.11.9")
    blas = small.add("openblas", "0.3.26", variants={"threads": "openmp"})
    for version, mpi in (("1.24.4", False), ("1.26.4", True)):
        small.add(
            "py-numpy",
            version,
            python,
            blas,
            variants={"mpi": mpi, "build_type": "Release" if mpi else "Debug", "tests": ("a", "b")},
        )
    small.add("py-numpydoc", "1.5", python)
    small.add("hdf5", "1.14.3")
    return small.open()


def texts(store: Store, query: str, cursor: int | None = None) -> list[str]:
    """Return the queries that completing gives."""
    found = complete(store, query, cursor)
    return [query[: found.start] + item.text + query[found.end :] for item in found.items]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("py-n", ["py-numpy", "py-numpydoc"]),
        ("nump", ["py-numpy", "py-numpydoc"]),
        ("hd", ["hdf5"]),
        ("py-numpy@", ["py-numpy@1.26.4", "py-numpy@1.24.4"]),
        ("py-numpy@1.24", ["py-numpy@1.24.4"]),
        ("py-numpy@1.24.4:", ["py-numpy@1.24.4:1.26.4", "py-numpy@1.24.4:1.24.4"]),
        ("py-numpy+", ["py-numpy+mpi"]),
        ("py-numpy ~m", ["py-numpy ~mpi"]),
        ("py-numpy -", ["py-numpy -mpi"]),
        ("py-numpy build_type=", ["py-numpy build_type=Debug", "py-numpy build_type=Release"]),
        ("py-numpy build_type=R", ["py-numpy build_type=Release"]),
        ("py-numpy tests=a,", ["py-numpy tests=a,a", "py-numpy tests=a,b"]),
        ("py-numpy target=", ["py-numpy target=x86_64_v3"]),
        ("py-numpy +mpi @", ["py-numpy +mpi @1.26.4"]),
        ("py-numpy ^", ["py-numpy ^openblas", "py-numpy ^python"]),
        ("py-numpy ^open", ["py-numpy ^openblas"]),
        ("py-numpy ^openblas threads=", ["py-numpy ^openblas threads=openmp"]),
        ("py-numpy ^python@", ["py-numpy ^python@3.11.9"]),
        ("nothing@", []),
        ("py-numpy [", []),
    ],
)
def test_what_can_follow(store: Store, query: str, expected: list[str]) -> None:
    assert texts(store, query) == expected


def test_hashes(store: Store) -> None:
    hashes = {f"py-numpy/{spec.hash[:7]}" for spec in store.named("py-numpy")}
    assert set(texts(store, "py-numpy/")) == hashes
    one = store.named("hdf5")[0].hash
    assert texts(store, f"/{one[:3]}") == [f"/{one[:7]}"]
    assert texts(store, "/") == []


def test_in_the_middle_of_a_query(store: Store) -> None:
    assert texts(store, "py-numpy@1.2 +mpi", 12) == ["py-numpy@1.26.4 +mpi", "py-numpy@1.24.4 +mpi"]


@pytest.mark.parametrize("cursor", [-5, 0, 99])
def test_a_cursor_outside_does_no_harm(store: Store, cursor: int) -> None:
    found = complete(store, "hdf5", cursor)
    assert 0 <= found.start <= found.end <= 4


def test_details_say_how_many(store: Store) -> None:
    details = {item.text: item.detail for item in complete(store, "py-numpy").items}
    assert details == {"py-numpy": "2 builds", "py-numpydoc": "1 build"}
    (mpi,) = complete(store, "py-numpy+").items
    assert mpi.detail == "+mpi, ~mpi"
