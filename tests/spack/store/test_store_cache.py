"""Caching stores in a long-lived process."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database import index_json
from spack_kernel.spack.database.database import Database
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, StoreNotFound
from spack_kernel.spack.store.store import Store
from spack_kernel.spack.store.store_cache import StoreCache
from tests.spack.trees import make_instance, recorded, write
from tests.threads import run_in_threads


@pytest.fixture
def records() -> dict[str, Any]:
    return dict(list(recorded("1.3")["database"]["installs"].items())[:5])


def test_read_once_and_again_when_it_changes(tmp_path: Path, records: dict[str, Any]) -> None:
    root = write(tmp_path, records)
    cache = StoreCache()
    first = cache.open(root)
    assert cache.open(str(root)) is first
    write(tmp_path, dict(list(records.items())[:2]))
    second = cache.open(root)
    assert second is not first
    assert (len(list(first)), len(list(second))) == (5, 2)
    cache.clear()
    assert cache.open(root) is not second


def test_what_fails_is_tried_again(tmp_path: Path, records: dict[str, Any]) -> None:
    cache = StoreCache()
    with pytest.raises(StoreNotFound):
        cache.open(tmp_path)
    write(tmp_path, records)
    store = cache.open(tmp_path)
    write(tmp_path, "")
    with pytest.raises(DatabaseError):
        cache.open(tmp_path)
    assert len(list(store)) == 5
    write(tmp_path, records)
    assert len(list(cache.open(tmp_path))) == 5


def test_threads_read_it_once(
    tmp_path: Path, records: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, records)
    started, reads = threading.Barrier(8), []
    read_bytes = index_json.read_whole
    monkeypatch.setattr(
        index_json, "read_whole", lambda path: (reads.append(path), read_bytes(path))[1]
    )
    cache, stores = StoreCache(), []

    def ask() -> None:
        started.wait()
        stores.append(cache.open(root))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    assert len({id(store) for store in stores}) == 1


def test_one_store_many_threads(tmp_path: Path) -> None:
    """Threads that share a store get the same answers, even while it fills its caches."""
    expected = recorded("0.23")["database"]["installs"]
    root = write(tmp_path, expected, "7")
    database = Database.read(root)
    names = {name: database.named(name) for name in database.names()}
    found = [spec.hash for spec in Store.open(root).find("^python")]
    assert found
    for _ in range(3):
        store = StoreCache().open(root)

        def ask(store: Any = store) -> None:
            assert {name: [s.hash for s in store.named(name)] for name in names} == names
            assert [spec.hash for spec in store.find("^python")] == found
            assert [spec.hash for spec in store] == list(expected)
            for dag_hash in list(expected)[::50]:
                assert store.with_hash_prefix(dag_hash[:9])[0].hash == dag_hash

        run_in_threads(ask, 6)


def test_a_database_that_was_replaced_is_freed_at_once(
    tmp_path: Path, records: dict[str, Any]
) -> None:
    """It can be large, and a server lives for weeks."""
    root = write(tmp_path, records)
    stores = StoreCache()
    store = stores.open(root)
    assert [spec.label for spec in store.find("")]
    former = weakref.ref(store.databases[0])
    del store
    write(tmp_path, records)  # the same content in another file
    stores.open(root)
    assert former() is None


def test_an_upstream_that_comes_later(tmp_path: Path, records: dict[str, Any]) -> None:
    root = make_instance(
        tmp_path / "spack", upstreams=f"upstreams: {{site: {{install_tree: {tmp_path}/site}}}}\n"
    )
    write(root / "opt/spack", {})
    cache = StoreCache()
    environ = {"SPACK_ROOT": str(root), "HOME": str(tmp_path), "SPACK_DISABLE_LOCAL_CONFIG": "1"}
    with pytest.warns(DatabaseWarning, match="upstream left out: there is no directory"):
        first = cache.discover(environ)
    assert cache.discover(environ) is first
    write(tmp_path / "site", records)
    second = cache.discover(environ)
    assert len(list(second)) == 5
    assert cache.discover(environ) is second


def test_discovery_is_keyed_by_the_environment(tmp_path: Path, records: dict[str, Any]) -> None:
    cache = StoreCache()
    stores = []
    for name in ("a", "b"):
        root = make_instance(tmp_path / name)
        write(root / "opt/spack", records)
        stores.append(cache.discover({"SPACK_ROOT": str(root), "HOME": str(tmp_path)}))
    assert [store.root for store in stores] == [str(tmp_path / n / "opt/spack") for n in "ab"]
    again = cache.discover({"SPACK_ROOT": str(tmp_path / "b"), "HOME": str(tmp_path), "X": "1"})
    assert again is stores[1]
