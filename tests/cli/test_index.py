"""The command ``index``: columns for this user, and for everybody."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from spack_kernel.spack.database import column_cache, column_writer
from spack_kernel.spack.database.database import Database
from tests.records import make_store, node

from .conftest import Runner


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small store, the columns of which are kept nevertheless."""
    monkeypatch.setattr(column_cache, "MIN_SIZE", 0)
    monkeypatch.setattr(column_writer, "_SETTLED", 0.0)
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "store"
    make_store(root, node("zlib"), node("hdf5", ("zlib", "link")))
    return root


def test_for_this_user(store: Path, run: Runner, tmp_path: Path) -> None:
    result = run("index", "--store", str(store))
    assert result.status == 0
    (file,) = (tmp_path / "cache").iterdir()
    assert result.out.startswith(f"{file}: 2 records of {store}, ")
    assert Database.read(store).is_kept
    assert run("index", "--store", str(store)).status == 0  # again


def test_for_everybody(
    store: Path, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o077)
    try:
        site = tmp_path / "site" / "index"
        result = run("index", "--json", "--store", str(store), "--output", str(site))
    finally:
        os.umask(before)
    assert result.status == 0
    (made,) = json.loads(result.out)
    (file,) = site.iterdir()
    assert made == {
        "tree": str(store), "records": 2, "path": str(file), "size": file.stat().st_size,
        "reason": "",
    }  # fmt: skip
    assert stat.S_IMODE(site.stat().st_mode) == stat.S_IMODE(site.parent.stat().st_mode) == 0o755
    assert not Database.read(store).is_kept
    monkeypatch.setenv("SPACK_KERNEL_INDEX", str(site))
    assert Database.read(store).is_kept


def test_a_directory_of_others_is_a_warning(store: Path, run: Runner, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    site.chmod(0o777)
    result = run("index", "--store", str(store), "--output", str(site))
    assert result.status == 0
    assert "other users will not use" in result.err
    assert f"owns {site} or can write there" in result.err


def test_what_is_not_kept_is_a_failure_for_a_timer(store: Path, run: Runner) -> None:
    index = store / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["version"] = "9"
    index.write_text(json.dumps(content))
    result = run("index", "--store", str(store))
    assert result.status == 1
    assert "are not kept: its format is 9" in result.err
    result = run("index", "--json", "--store", str(store))
    assert result.status == 1
    assert json.loads(result.out)[0]["path"] is None


@pytest.mark.parametrize("value", ["", "cache"], ids=["empty", "relative"])
def test_without_a_cache(
    store: Path, run: Runner, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", value)
    result = run("index", "--store", str(store))
    assert result.status == 1
    assert "SPACK_KERNEL_CACHE is " + ("empty" if not value else "no absolute path") in result.err
    assert "--output DIR" in result.err


def test_an_output_that_cannot_be(store: Path, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("index", "--store", str(store), "--output", str(tmp_path / "file" / "x"))
    assert result.status == 1
    assert f"{tmp_path / 'file' / 'x'} cannot be created: " in result.err
    assert run("index", "--store", str(store), "--output", "").status == 2
