"""A large database is read in pieces, with the same result as in one read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database import index_json
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import DatabaseError
from tests.spack.database.test_index_parts import made, records, write

TEXT = json.dumps({"database": {"version": "8", "installs": made(200)}}).encode()


WAYS: dict[str, dict[str, Any]] = {
    "huge pages": {},
    "none": {"_HUGE_PAGES": None},
    "refused": {"_HUGE_PAGES": -1},
    "slow": {"_SLOW_PIECE": -1.0},
}


@pytest.fixture(params=WAYS)
def read_large(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], Database]:
    """Return a function that reads a database as a large file, on each kind of system."""

    def read(root: Path) -> Database:
        for name, value in {"_LARGE": 10, "_PIECE": 5000, **WAYS[request.param]}.items():
            monkeypatch.setattr(index_json, name, value)
        return Database.read(root)

    return read


@pytest.mark.parametrize("text", [TEXT, TEXT + b" trailing"], ids=["whole", "and more"])
def test_it_is_the_same(
    tmp_path: Path, text: bytes, read_large: Callable[[Path], Database]
) -> None:
    root = write(tmp_path, text)
    small = Database.read(root)
    found = read_large(root)
    assert records(found) == records(small)
    assert found.stamp == small.stamp
    assert found.names() == small.names()
    # We have a copy of the data, so later changes to the file do not matter.
    (root / ".spack-db" / "index.json").write_bytes(b"")
    assert records(found) == records(small)


@pytest.mark.parametrize(
    "text",
    [TEXT[:-1], TEXT[:7000], b"\n" * 50, b"[" * 50, b"\xff" * 50],
    ids=["the last byte", "the middle", "blank", "no object", "no text"],
)
def test_what_is_broken_is_told_alike(
    tmp_path: Path, text: bytes, read_large: Callable[[Path], Database]
) -> None:
    root = write(tmp_path, text)
    with pytest.raises(DatabaseError) as small:
        Database.read(root)
    with pytest.raises(DatabaseError) as found:
        read_large(root)
    assert found.value.summary == small.value.summary


@pytest.mark.parametrize("said", [-700, 0, 700])
def test_a_file_of_another_size_than_it_said(tmp_path: Path, said: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    with path.open("rb", buffering=0) as file:
        assert index_json._read_large(file, len(TEXT) + said) == TEXT[: len(TEXT) + said]
