"""Decoding a database in parts gives the same result as decoding it at once."""

from __future__ import annotations

import json
import lzma
import threading
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database import index_json, index_parts
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import DatabaseError
from tests.places import DATA

VERSIONS = sorted(path.parent.name for path in DATA.glob("*/index.json.xz"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_parts, "CHUNK", 2000)
    monkeypatch.setattr(index_json, "_LARGE", 1000)


def in_a_thread(root: Path) -> Any:
    """Read a database in another thread; return it, or the error."""
    found: list[Any] = []

    def read() -> None:
        try:
            found.append(Database.read(root))
        except DatabaseError as error:
            found.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return found[0]


def write(root: Path, data: bytes) -> Path:
    (root / ".spack-db").mkdir(exist_ok=True)
    (root / ".spack-db" / "index.json").write_bytes(data)
    return root


def records(database: Database) -> dict[str, bytes]:
    return {h: bytes(raw) for h in database if (raw := database.record(h)) is not None}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_records_are_the_same(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lzma.decompress((DATA / version / "index.json.xz").read_bytes())
    root = write(tmp_path, data)
    parts = index_parts.split(data)
    assert parts is not None
    assert len(parts[0]) > 10
    whole, split = Database.read(root), in_a_thread(root)
    assert list(split) == list(whole)
    assert records(split) == records(whole)
    assert split.version == whole.version
    assert split.names() == whole.names()


def made(count: int = 60) -> dict[str, Any]:
    node = {"name": "zlib", "version": "1.3", "arch": {}, "note": '},"' + "a" * 32 + '":{"spec":'}
    return {f"{n:032}": {"spec": node, "installed": True} for n in range(count)}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"database": {"version": "8", "installs": made()}}),
        json.dumps({"database": {"installs": made(), "version": "8"}}, indent=1),
        json.dumps({"other": 1, "database": {"version": "8", "installs": made()}}),
        json.dumps({"database": {"version": 8, "more": {}, "installs": made()}}),
        json.dumps({"database": {"version": "8", "installs": made()}}) + "trailing",
        json.dumps({"database": {"version": "8", "installs": {"x": {"y": made()}, **made()}}}),
        json.dumps({"database": {"version": "8", "installs": {**made(), "x": {"y": made()}}}}),
    ],
)
def test_any_layout_is_read_alike(tmp_path: Path, text: str) -> None:
    root = write(tmp_path, text.encode())
    whole, split = Database.read(root), in_a_thread(root)
    assert records(split) == records(whole)
    assert split.version == whole.version


@pytest.mark.parametrize("cut", [50, 3000, 9000, -1])
def test_what_is_broken_is_told_alike(tmp_path: Path, cut: int) -> None:
    data = json.dumps({"database": {"version": "8", "installs": made()}}).encode()
    root = write(tmp_path, data[:cut])
    with pytest.raises(DatabaseError) as whole:
        Database.read(root)
    split = in_a_thread(root)
    assert isinstance(split, DatabaseError)
    assert split.summary == whole.value.summary
