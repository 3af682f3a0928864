"""Kept columns answer as the database does, and count only where nothing is odd about them."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database import column_cache, column_file, column_writer
from spack_kernel.spack.database.column_cache import INDEX_VARIABLE
from spack_kernel.spack.database.column_file import ColumnFile
from spack_kernel.spack.database.column_writer import NotKept, keep
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, QuerySyntaxError
from spack_kernel.spack.query.virtuals import NO_PROVIDERS
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES
from spack_kernel.spack.store import column_keeper
from spack_kernel.spack.store.store import Store
from spack_kernel.spack.store.store_cache import StoreCache
from tests.mutations import mutate_bytes
from tests.records import make_store, node, readable_hash
from tests.spack.golden_queries import STORES, read_queries
from tests.spack.trees import FORMATS, unpack
from tests.threads import run_in_threads

MUTATIONS = int(os.environ.get("SPACK_KERNEL_FUZZ", "20000"))

#: Only every n-th query is run: the golden tests run all of them on columns in memory.
EVERY = 3


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the columns of databases of any size in a cache of this test."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(directory))
    monkeypatch.setattr(column_cache, "MIN_SIZE", 0)
    monkeypatch.setattr(column_writer, "_SETTLED", 0.0)
    return directory


def kept(root: str | Path) -> Database:
    """Return a database from columns that are kept now."""
    assert keep(Database.read(root, use_kept=False)) is not None
    database = Database.read(root)
    assert database.is_kept
    return database


def kept_file(root: Path) -> Path:
    """Return the file of columns of a database, which are kept now."""
    file = keep(Database.read(root))
    assert file is not None
    return file


@pytest.mark.parametrize("version", STORES)
def test_every_query_is_answered_alike(version: str, golden_store: Any, cache: Path) -> None:
    store = golden_store(version)
    again = Store([kept(database.root) for database in store.databases], store.config)
    for golden in read_queries(version, store)[::EVERY]:
        for installed in (True, None):
            try:
                expected = store.select(golden.query, installed=installed, providers=NO_PROVIDERS)
            except QuerySyntaxError:
                continue
            found = again.select(golden.query, installed=installed, providers=NO_PROVIDERS)
            assert found == expected, golden.query


@pytest.mark.parametrize("version", sorted(FORMATS))
def test_every_spec_says_the_same(version: str, tmp_path: Path, cache: Path) -> None:
    root = unpack(version, tmp_path)
    plain, database = Database.read(root), kept(root)
    assert list(database) == list(plain)
    assert database.names() == plain.names()
    assert {n: database.named(n) for n in plain.names()} == {
        n: plain.named(n) for n in plain.names()
    }
    assert database.explicit() == plain.explicit()
    assert database.absent() == plain.absent()
    assert database.virtuals() == plain.virtuals()
    found = 0
    for dag_hash in plain:
        assert repr(database.get(dag_hash)) == repr(plain.get(dag_hash))
        assert database.edges(dag_hash, ALL_DEPTYPES) == plain.edges(dag_hash, ALL_DEPTYPES)
        assert database.with_hash_prefix(dag_hash[:2]) == plain.with_hash_prefix(dag_hash[:2])
        for name in ("python", "cmake", "py-numpy"):
            first = plain.first_dependent(name, dag_hash)
            assert database.first_dependent(name, dag_hash) == first
            found += first is not None
    assert found
    for unknown in ("", "zz", "a" * 32, "a" * 40, "é"):
        assert database.get(unknown) is None
        assert unknown not in database
        assert database.with_hash_prefix(unknown) == plain.with_hash_prefix(unknown)


def test_hashes_are_found_one_by_one_and_all_at_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = unpack(max(FORMATS), tmp_path)
    plain = list(Database.read(root, use_kept=False))
    absent = "z" * 32
    for many in (3, len(plain) + 1):
        monkeypatch.setattr(column_file, "_MANY", many)
        columns = kept(root).columns
        assert [columns.row(each) for each in reversed(plain)] == [*reversed(range(len(plain)))]
        assert columns.row(absent) is columns.row(plain[0][:31]) is None
        assert [columns.hashes[row] for row in range(len(plain))] == plain


def broken_store(root: Path, broken: dict[str, Any]) -> Path:
    """Return the database file of a store in which the record of hdf5 is malformed."""
    make_store(root, node("zlib"), node("hdf5", ("zlib", "link"), ("gone", "link")))
    index = root / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["installs"][readable_hash("hdf5")]["spec"].update(broken)
    index.write_text(json.dumps(content))
    return index


@pytest.mark.parametrize(
    "broken",
    [{"arch": 5}, {"version": 5}, {"external": 5}, {"dependencies": 7}, {"parameters": {"a": 5}}],
    ids=lambda broken: next(iter(broken)),
)
def test_a_malformed_record_is_told_as_before(
    tmp_path: Path, cache: Path, broken: dict[str, Any]
) -> None:
    broken_store(tmp_path, broken)
    told = []
    for read in (lambda: Database.read(tmp_path), lambda: kept(tmp_path)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            database = read()
        with pytest.raises(DatabaseError, match="malformed") as caught:
            database.get(readable_hash("hdf5"))
        with pytest.warns(DatabaseWarning, match="left out"):
            assert [spec.name for spec in Store([database]).find("")] == ["zlib"]
        with pytest.warns(DatabaseWarning, match="left out"):
            assert Store([database]).find("hdf5") == []
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_one_bad_record_costs_only_itself(tmp_path: Path, cache: Path) -> None:
    """It has no name, so that only the edges to it say what it is."""
    make_store(tmp_path, node("zlib"), *(node(f"p{n}", ("zlib", "link")) for n in range(40)))
    index = tmp_path / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["installs"][readable_hash("zlib")] = 5
    content["database"]["installs"][readable_hash("p1")]["spec"]["dependencies"][0]["name"] = "zlob"
    index.write_text(json.dumps(content))
    plain, database = Database.read(tmp_path), kept(tmp_path)
    for number in range(40):
        spec = database.get(readable_hash(f"p{number}"))
        assert spec is not None
        assert spec.dependencies == plain.get(spec.hash).dependencies  # type: ignore[union-attr]
        assert [edge.name for edge in spec.dependencies] == ["zlob" if number == 1 else "zlib"]


def test_a_newer_format_is_not_kept(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5", ("zlib", "link")))
    index = tmp_path / ".spack-db" / "index.json"
    content = json.loads(index.read_text())
    content["database"]["version"] = "9"
    index.write_text(json.dumps(content))
    with pytest.warns(DatabaseWarning):
        database = Database.read(tmp_path)
    with pytest.raises(NotKept, match="its format is 9"):
        keep(database)


def test_a_dependency_that_is_not_recorded_keeps_its_name(tmp_path: Path, cache: Path) -> None:
    broken_store(tmp_path, {})
    database = kept(tmp_path)
    spec = database.get(readable_hash("hdf5"))
    assert spec is not None
    assert [edge.name for edge in spec.dependencies] == ["zlib", "gone"]
    assert [s.name for s in Store([database]).find("^zlib")] == ["hdf5"]
    assert Store([database]).find("^gone") == []


# -- what is odd --


def test_mutated_files_are_ignored(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5", ("zlib", "link")), node("gcc"))
    file = kept_file(tmp_path)
    data = file.read_bytes()
    ColumnFile(memoryview(data))
    rng = random.Random(16)
    for _ in range(MUTATIONS * 5):
        mutated = mutate_bytes(data, rng)
        if mutated != data:
            with pytest.raises(ValueError):  # noqa: PT011
                ColumnFile(memoryview(mutated))


def test_a_damaged_file_is_as_none(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    file = kept_file(tmp_path)
    good = file.read_bytes()
    assert Database.read(tmp_path).is_kept
    other = good.replace(b"columns 1", b"columns 2")
    for data in (b"", good[:-1], good[:100], good + b"x", other, b"\0" * len(good)):
        file.write_bytes(data)
        database = Database.read(tmp_path)
        assert not database.is_kept
        assert [spec.name for spec in database.specs()] == ["zlib"]
    file.unlink()
    file.mkdir()
    assert not Database.read(tmp_path).is_kept
    file.rmdir()
    os.mkfifo(file)
    assert not Database.read(tmp_path).is_kept


def test_a_link_is_not_followed(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    file = kept_file(tmp_path)
    elsewhere = file.rename(tmp_path / "elsewhere")
    file.symlink_to(elsewhere)
    assert not Database.read(tmp_path).is_kept


def test_a_file_that_others_can_write_is_not_used(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    file = kept_file(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # In a directory of a group, nobody else can make a file of this user.
    cache.chmod(0o770)
    assert Database.read(tmp_path).is_kept
    file.chmod(0o620)
    assert not Database.read(tmp_path).is_kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_file_of_another_user_is_not_used(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    file = kept_file(tmp_path)
    os.chown(file, 12345, 12345)
    assert not Database.read(tmp_path).is_kept


def test_what_an_administrator_made_is_used(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, directory = tmp_path / "store", tmp_path / "site"
    make_store(store, node("zlib"))
    directory.mkdir()
    file = keep(Database.read(store), directory)
    assert file is not None
    assert file.parent == directory
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert not Database.read(store).is_kept
    monkeypatch.setenv(INDEX_VARIABLE, f"relative:/nowhere:{directory}")
    assert Database.read(store).is_kept
    if os.geteuid() == 0:
        os.chown(file, 12345, 12345)
        assert not Database.read(store).is_kept  # neither root's nor the owner's
        os.chown(store / ".spack-db" / "index.json", 12345, 12345)
        keep(Database.read(store), directory)
        os.chown(file, 12345, 12345)
        assert Database.read(store).is_kept
    directory.chmod(0o777)
    assert not Database.read(store).is_kept
    directory.chmod(0o755)
    assert Database.read(store).is_kept
    directory.parent.chmod(0o770)
    assert not Database.read(store).is_kept


# -- change --


def test_a_database_that_was_replaced_is_read_again(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    database = kept(tmp_path)
    spec = next(database.specs())
    make_store(tmp_path, node("hdf5"))
    assert database.changed()
    # What was opened before still has the old answer.
    assert spec.prefix == next(database.specs()).prefix
    assert [each.name for each in database.specs()] == ["zlib"]
    assert not Database.read(tmp_path).is_kept
    assert [each.name for each in database.refreshed().specs()] == ["hdf5"]


@pytest.mark.parametrize("change", ["edited", "truncated", "emptied"])
def test_a_database_that_changes_in_place_is_never_mixed(
    tmp_path: Path, cache: Path, change: str
) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5"))
    database = kept(tmp_path)
    index = tmp_path / ".spack-db" / "index.json"
    text = index.read_text()
    changed = {"edited": text.replace("/zlib", "/zlob"), "truncated": text[:300], "emptied": ""}
    with index.open("r+") as file:
        file.write(changed[change])
        file.truncate(len(changed[change]))
    spec = database.get(readable_hash("hdf5"))
    assert spec is not None
    for each in database.specs():
        if each.name == "zlib" or change != "edited":
            with pytest.raises(DatabaseError, match="was changed while it was read"):
                each.prefix  # noqa: B018
    assert database.changed()


@pytest.mark.kernel
def test_columns_that_come_later_replace_what_was_read(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    stores = StoreCache()
    before = stores.open(tmp_path)
    assert not before.databases[0].is_kept
    assert stores.open(tmp_path) is before
    keep(Database.read(tmp_path))
    after = stores.open(tmp_path)
    assert after.databases[0].is_kept
    assert stores.open(tmp_path) is after
    assert after.find("") == before.find("")


@pytest.mark.kernel
def test_a_database_that_changes_gets_new_columns(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = unpack("1.3", tmp_path)
    index = root / ".spack-db" / "index.json"
    content = index.read_bytes() + b" " * 5_000_000
    index.write_bytes(content)
    monkeypatch.undo()
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(cache))
    stores = StoreCache()

    def wait_until_kept() -> None:
        deadline = time.monotonic() + 30
        while not stores.open(root).databases[0].is_kept and time.monotonic() < deadline:
            time.sleep(0.05)
        assert stores.open(root).databases[0].is_kept

    wait_until_kept()
    index.write_bytes(content + b" ")
    assert not stores.open(root).databases[0].is_kept
    wait_until_kept()


# -- writing --


def test_a_file_that_was_only_just_written_is_waited_for(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the resolution of the time would not be noticed."""
    monkeypatch.setattr(column_writer, "_SETTLED", 0.3)
    make_store(tmp_path, node("zlib"))
    database = Database.read(tmp_path)
    began = time.monotonic()
    assert keep(database) is not None
    assert time.monotonic() - began > 0.2
    make_store(tmp_path, node("hdf5"))
    with pytest.raises(NotKept, match="has changed"):
        keep(database)


def test_two_at_once(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"), node("hdf5"))

    def make() -> None:
        for _ in range(20):
            assert keep(Database.read(tmp_path, use_kept=False)) is not None
            assert len(list(Database.read(tmp_path).specs())) == 2

    run_in_threads(make, 4)
    assert len(list(cache.iterdir())) == 1


def test_the_cache_is_bounded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_writer, "_MAX_FILES", 3)
    cache.mkdir()
    left = [cache / ".columns-abc.xyz", cache / "columns-abc.claim"]
    for each in left:
        each.write_bytes(b"x")
        os.utime(each, (1, 1))
    other = cache / "python-abc.json"
    other.write_bytes(b"x")
    os.utime(other, (1, 1))
    for number in range(5):
        root = tmp_path / str(number)
        make_store(root, node("zlib"))
        file = keep(Database.read(root))
        assert file is not None
        os.utime(file, (number + 1, number + 1))
    assert len(list(cache.glob("columns-*"))) == 3
    assert not any(each.exists() for each in left)
    assert other.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_cache_that_cannot_be_written(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path / "store", node("zlib"))
    cache.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        keep(Database.read(tmp_path / "store"))


@pytest.mark.kernel
def test_a_full_disk_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    root = unpack("1.3", tmp_path)
    code = (
        "import resource, signal, sys\n"
        "from spack_kernel.spack.database import column_writer\n"
        "from spack_kernel.spack.database.database import Database\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "column_writer._SETTLED = 0\n"
        "try:\n"
        "    column_writer.keep(Database.read(sys.argv[1]))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip()
    assert list(cache.iterdir()) == []


def test_without_a_cache_nothing_is_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", "")
    make_store(tmp_path, node("zlib"))
    assert keep(Database.read(tmp_path)) is None
    column_keeper.keep_in_background(Store.open(tmp_path))
    assert not cache.exists()


# -- in the background --


@pytest.mark.kernel
def test_columns_are_made_in_the_background(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = unpack("1.3", tmp_path)
    content = (root / ".spack-db" / "index.json").read_bytes()
    (root / ".spack-db" / "index.json").write_bytes(content + b" " * 5_000_000)
    monkeypatch.undo()
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(cache))
    store = Store.open(root)
    for _ in range(3):
        column_keeper.keep_in_background(store)  # the first one has it done
    assert [path.suffix for path in cache.iterdir()] == [".claim"]
    deadline = time.monotonic() + 30
    while not Database.read(root).is_kept and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Database.read(root).is_kept
    while len(list(cache.iterdir())) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path.suffix for path in cache.iterdir()] == [""]
    column_keeper.keep_in_background(store.refresh())
    assert len(list(cache.iterdir())) == 1


def test_a_claim_that_was_left_behind_expires(tmp_path: Path, cache: Path) -> None:
    make_store(tmp_path, node("zlib"))
    path = Database.read(tmp_path).path
    assert column_keeper._claim(str(cache), path)
    assert not column_keeper._claim(str(cache), path)
    (claim,) = cache.iterdir()
    os.utime(claim, (1, 1))
    assert column_keeper._claim(str(cache), path)
    later = time.time() + 3600  # the clock of another machine
    os.utime(claim, (later, later))
    assert column_keeper._claim(str(cache), path)
