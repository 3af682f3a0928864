"""Finding stores, chaining them, and querying a chain."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.errors import ConfigError, DatabaseError, DatabaseWarning, StoreNotFound
from spack_kernel.spack.store.install_tree import padded
from spack_kernel.spack.store.store import Store
from tests.spack.trees import make_instance, recorded, unpack, write


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    """Return an environment without any configuration of this machine."""
    return {
        "HOME": str(tmp_path / "home"),
        "SPACK_SYSTEM_CONFIG_PATH": str(tmp_path / "no-system"),
        "PATH": "",
        **more,
    }


@pytest.fixture
def few() -> dict[str, Any]:
    return dict(list(recorded("1.3")["database"]["installs"].items())[:20])


class TestOpen:
    def test_an_install_tree(self, tmp_path: Path) -> None:
        store = Store.open(unpack("1.3", tmp_path))
        assert store.root == str(tmp_path)
        assert store.config is None
        assert len(list(store)) == len(recorded("1.3")["database"]["installs"])
        assert Store.open(str(tmp_path)).root == str(tmp_path)

    def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "tree", {})
        monkeypatch.setenv("HOME", str(tmp_path))
        assert Store.open("~/tree").root == str(tmp_path / "tree")

    def test_a_spack_root(self, tmp_path: Path, few: dict[str, Any]) -> None:
        root = make_instance(tmp_path / "spack")
        write(root / "opt/spack", few)
        store = Store.open(root, environ=environ(tmp_path))
        assert store.root == str(root / "opt/spack")
        assert store.config is not None
        assert store.config.spack_root == root

    def test_the_configured_tree(self, tmp_path: Path, few: dict[str, Any]) -> None:
        config = "config:\n  install_tree:\n    root: $TREES/here\n    projections: {all: x}\n"
        root = make_instance(tmp_path / "spack", config=config)
        write(tmp_path / "trees/here", few)
        store = Store.open(root, environ=environ(tmp_path, TREES=str(tmp_path / "trees")))
        assert store.root == str(tmp_path / "trees/here")

    def test_a_padded_tree(self, tmp_path: Path, few: dict[str, Any]) -> None:
        tree = tmp_path / "tree"
        config = f"config:\n  install_tree: {{root: {tree}, padded_length: 250}}\n"
        root = make_instance(tmp_path / "spack", config=config)
        real = Path(padded(str(tree), 250))
        write(real, few)
        assert len(str(real)) == 250
        assert Store.open(root, environ=environ(tmp_path)).root == str(real)
        # The unpadded path that the administrator knows also leads there.
        assert Store.open(tree).root == str(real)

    def test_two_padded_trees(self, tmp_path: Path, few: dict[str, Any]) -> None:
        trees = [write(Path(padded(str(tmp_path), length)), few) for length in (230, 250)]
        with pytest.raises(StoreNotFound) as caught:
            Store.open(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path} has several padded install trees\n"
            + "\n".join(f"  {tree}" for tree in sorted(trees))
            + "\nName one of them."
        )

    def test_an_instance_that_installs_into_itself(
        self, tmp_path: Path, few: dict[str, Any]
    ) -> None:
        root = make_instance(tmp_path, config="config: {install_tree: {root: $spack}}\n")
        (root / "etc/spack/upstreams.yaml").write_text("upstreams: {u: {install_tree: up}}\n")
        write(root, few)
        write(root / "etc/spack/up", {})
        assert len(Store.open(root, environ=environ(tmp_path)).databases) == 2

    @pytest.mark.parametrize("place", ["no", "file", "empty"])
    def test_neither(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "empty").mkdir()
        path = tmp_path / place
        with pytest.raises(StoreNotFound) as caught:
            Store.open(path)
        assert (
            caught.value.summary
            == {
                "no": f"there is no directory {path}",
                "file": f"{path} is not a directory",
                "empty": f"{path} is neither an install tree (no .spack-db/index.json) "
                "nor a Spack root (no bin/spack)",
            }[place]
        )
        assert "set SPACK_KERNEL_STORE" in caught.value.hint

    def test_something_inside_a_store(self, tmp_path: Path, few: dict[str, Any]) -> None:
        write(tmp_path, few)
        with pytest.raises(StoreNotFound) as caught:
            Store.open(tmp_path / ".spack-db" / "index.json")
        assert caught.value.hint == f"Did you mean {tmp_path}?"

    def test_a_broken_database_is_an_error_of_its_own(self, tmp_path: Path) -> None:
        with pytest.raises(DatabaseError, match=r"index\.json is empty"):
            Store.open(write(tmp_path, ""))


class TestDiscover:
    def test_the_order(self, tmp_path: Path, few: dict[str, Any]) -> None:
        roots = {}
        for name in ("said", "root", "path"):
            roots[name] = make_instance(tmp_path / name)
            write(roots[name] / "opt/spack", few)
        found = environ(tmp_path, SPACK_ROOT=str(roots["root"]), PATH=str(roots["path"] / "bin"))

        def root(explicit: Path | None = None) -> str:
            return Store.discover(explicit, found).root

        assert root(roots["said"]) == str(roots["said"] / "opt/spack")
        assert root() == str(roots["root"] / "opt/spack")
        del found["SPACK_ROOT"]
        assert root() == str(roots["path"] / "opt/spack")

    def test_what_the_caller_says_is_all_that_is_tried(self, tmp_path: Path) -> None:
        write(make_instance(tmp_path / "spack") / "opt/spack", {})
        with pytest.raises(StoreNotFound, match="there is no directory"):
            Store.discover(tmp_path / "no", environ(tmp_path, SPACK_ROOT=str(tmp_path / "spack")))

    def test_links_and_relative_entries(
        self, tmp_path: Path, few: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = make_instance(tmp_path / "spack")
        write(root / "opt/spack", few)
        (tmp_path / "links").mkdir()
        (tmp_path / "links/spack").symlink_to(root / "bin/spack")
        by_link = environ(tmp_path, PATH=f":bin:{tmp_path / 'links'}")
        assert Store.discover(None, by_link).root == str(root / "opt/spack")
        monkeypatch.chdir(root)
        for path in ("bin", "", ":", "."):
            with pytest.raises(StoreNotFound) as caught:
                Store.discover(None, environ(tmp_path, PATH=path))
            assert "  there is no spack on PATH" in caught.value.details

    def test_a_wrong_spack_root_is_not_passed_over_in_silence(
        self, tmp_path: Path, few: dict[str, Any]
    ) -> None:
        root = make_instance(tmp_path / "spack")
        write(root / "opt/spack", few)
        there = environ(tmp_path, SPACK_ROOT=str(tmp_path / "no"), PATH=str(root / "bin"))
        with pytest.warns(DatabaseWarning) as caught:
            assert Store.discover(None, there).root == str(root / "opt/spack")
        assert str(caught[0].message) == (
            f"SPACK_ROOT={tmp_path / 'no'}: there is no directory {tmp_path / 'no'}; "
            f"using the store of {root / 'bin/spack'} on PATH"
        )

    def test_the_error_lists_every_place(self, tmp_path: Path) -> None:
        empty = make_instance(tmp_path / "empty")
        wrapper = tmp_path / "local/bin/spack"
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text("#!/bin/sh\n")
        wrapper.chmod(0o755)
        with pytest.raises(StoreNotFound) as caught:
            Store.discover(None, environ(tmp_path, SPACK_ROOT=str(empty), PATH=str(wrapper.parent)))
        assert str(caught.value).splitlines() == [
            "no Spack store found",
            "checked:",
            "  SPACK_KERNEL_STORE is not set",
            f"  SPACK_ROOT={empty}: nothing is installed in its install tree {empty}/opt/spack",
            f"  spack on PATH, {wrapper}: {tmp_path / 'local'} is neither an install tree "
            "(no .spack-db/index.json) nor a Spack root (no bin/spack)",
            "Name an install tree (the directory that holds .spack-db) or the root of a Spack",
            "instance, or set SPACK_KERNEL_STORE to one of them.",
        ]
        with pytest.raises(StoreNotFound) as caught:
            Store.discover(None, {})
        assert caught.value.details == (
            "checked:",
            "  SPACK_KERNEL_STORE is not set",
            "  SPACK_ROOT is not set",
            "  there is no spack on PATH",
        )

    def test_a_store_that_is_found_and_broken_is_an_error(self, tmp_path: Path) -> None:
        root = make_instance(tmp_path / "spack")
        write(root / "opt/spack", "{")
        with pytest.raises(DatabaseError, match="truncated"):
            Store.discover(None, environ(tmp_path, SPACK_ROOT=str(root)))
        (root / "etc/spack/config.yaml").write_text("config: [")
        with pytest.raises(ConfigError, match=r"config.yaml:2: not YAML"):
            Store.discover(None, environ(tmp_path, SPACK_ROOT=str(root)))

    def test_nothing_is_run(self, tmp_path: Path, few: dict[str, Any]) -> None:
        """The `spack` in this test would leave a file behind if it were run."""
        root = make_instance(tmp_path / "spack")
        (root / "bin/spack").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        write(root / "opt/spack", few)
        Store.discover(None, environ(tmp_path, PATH=f"{root}/bin:{os.defpath}"))
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", ["0.23", "1.3"])
class TestRealChains:
    """A second store of the same Spack, with the first as its upstream."""

    def open(self, tmp_path: Path, version: str) -> Store:
        local = unpack(f"{version}/chain", tmp_path / "local")
        return Store.open(local, upstreams=[unpack(version, tmp_path / "upstream")])

    def test_by_configuration(self, tmp_path: Path, version: str) -> None:
        local = unpack(f"{version}/chain", tmp_path / "local")
        upstream = unpack(version, tmp_path / "upstream")
        root = make_instance(
            tmp_path / "spack",
            config=f"config: {{install_tree: {{root: {local}}}}}\n",
            upstreams=f"upstreams:\n  site:\n    install_tree: {upstream}\n",
        )
        store = Store.open(root, environ=environ(tmp_path))
        assert [database.root for database in store.databases] == [local, upstream]
        other = self.open(tmp_path, version)
        assert [spec.hash for spec in store] == [spec.hash for spec in other]

    def test_edges_lead_upstream(self, tmp_path: Path, version: str) -> None:
        store = self.open(tmp_path, version)
        local, upstream = store.databases
        crossing = [
            edge
            for spec in local.specs()
            for edge in spec.dependencies
            if edge.hash not in local and edge.hash in upstream
        ]
        assert crossing
        for edge in crossing:
            spec = store.by_hash(edge.hash)
            assert spec is not None
            assert spec.name == edge.name

    def test_every_hash_counts_once(self, tmp_path: Path, version: str) -> None:
        store = self.open(tmp_path, version)
        hashes = [spec.hash for spec in store]
        assert len(hashes) == len(set(hashes))
        assert set(hashes) == set(store.databases[0]) | set(store.databases[1])
        assert hashes[: len(store.databases[0])] == list(store.databases[0])
        assert store.names() == {spec.name for spec in store}
        for name in ("python", "py-numpy"):
            assert [s.hash for s in store.named(name)] == [s.hash for s in store if s.name == name]
        for prefix in (hashes[0][:5], hashes[-1][:3], hashes[-1][:1]):
            expected = sorted(h for h in hashes if h.startswith(prefix))
            assert [spec.hash for spec in store.with_hash_prefix(prefix)] == expected


class TestChains:
    def test_the_installed_one_wins_and_then_the_local_one(
        self, tmp_path: Path, few: dict[str, Any]
    ) -> None:
        hashes = list(few)[:4]

        def tree(name: str, *installed: bool) -> Path:
            return write(
                tmp_path / name,
                {
                    dag_hash: {**few[dag_hash], "installed": there, "path": f"/{name}"}
                    for dag_hash, there in zip(hashes, installed, strict=True)
                },
            )

        local = tree("local", True, True, False, False)
        first = tree("first", True, False, True, False)
        second = tree("second", True, True, True, False)
        store = Store.open_all([local, first, second])
        specs = [store.by_hash(dag_hash) for dag_hash in hashes]
        assert [(s.prefix, s.installed) for s in specs if s] == [
            ("/local", True),
            ("/local", True),
            ("/first", True),
            ("/local", False),
        ]

    def test_a_tree_twice(self, tmp_path: Path, few: dict[str, Any]) -> None:
        tree = write(tmp_path / "tree", few)
        (tmp_path / "link").symlink_to(tree)
        store = Store.open_all([tree, tmp_path / "link", tree])
        assert [database.root for database in store.databases] == [tree]

    def test_an_upstream_that_is_missing(self, tmp_path: Path, few: dict[str, Any]) -> None:
        upstreams = f"upstreams:\n  a: {{install_tree: {tmp_path}/no}}\n"
        root = make_instance(tmp_path / "spack", upstreams=upstreams)
        write(root / "opt/spack", few)
        with pytest.warns(DatabaseWarning) as caught:
            store = Store.open(root, environ=environ(tmp_path))
        assert str(caught[0].message) == (f"upstream left out: there is no directory {tmp_path}/no")
        assert store.left_out == (tmp_path / "no",)
        assert len(store.databases) == 1
        with pytest.raises(StoreNotFound):  # an upstream that the caller names must exist
            Store.open(root, upstreams=[tmp_path / "no"], environ=environ(tmp_path))

    def test_nothing_of_ones_own_yet(self, tmp_path: Path, few: dict[str, Any]) -> None:
        """A user's fresh clone of Spack, chained to a site's store."""
        site = write(tmp_path / "site", few, "7")
        upstreams = f"upstreams:\n  site: {{install_tree: {site}}}\n"
        root = make_instance(tmp_path / "spack", upstreams=upstreams)
        store = Store.discover(None, environ(tmp_path, SPACK_ROOT=str(root)))
        assert store.root == str(root / "opt/spack")
        assert [spec.hash for spec in store] == list(few)
        assert store.databases[0].version == "7"
        assert store.refresh() is store
        write(root / "opt/spack", few)
        assert store.changed()
        assert len(store.refresh().databases[0]) == len(few)

    def test_nothing_anywhere(self, tmp_path: Path) -> None:
        root = make_instance(tmp_path / "spack")
        with pytest.raises(StoreNotFound) as caught:
            Store.open(root, environ=environ(tmp_path))
        assert caught.value.summary == (
            f"nothing is installed in {root}/opt/spack, the install tree of the Spack at {root}"
        )
        assert "`spack config get config` shows install_tree" in caught.value.hint


class TestMalformed:
    def test_a_good_record_elsewhere_in_the_chain(
        self, tmp_path: Path, few: dict[str, Any]
    ) -> None:
        dag_hash = next(iter(few))
        bad = write(tmp_path / "bad", {dag_hash: {"spec": 3}})
        good = write(tmp_path / "good", few)
        assert Store.open_all([bad, good]).by_hash(dag_hash) is not None

    def test_only_when_it_is_needed(self, tmp_path: Path, few: dict[str, Any]) -> None:
        dag_hash, other = list(few)[:2]
        few[dag_hash] = {**few[dag_hash], "path": []}
        name = few[dag_hash]["spec"]["name"]
        store = Store.open(write(tmp_path, few))
        assert store.by_hash(other) is not None
        with pytest.raises(DatabaseError, match=f"the record of /{dag_hash} "):
            store.by_hash(dag_hash)
        with pytest.raises(DatabaseError, match=f"the record of /{dag_hash} "):
            store.with_hash_prefix(dag_hash[:10])
        with pytest.warns(DatabaseWarning, match=f"the record of /{dag_hash} .*; it is left out"):
            assert dag_hash not in [spec.hash for spec in store.named(name)]
        with pytest.warns(DatabaseWarning, match="; it is left out"):
            assert len(list(store)) == len(few) - 1


class TestRefresh:
    def test_only_what_changed_is_read(self, tmp_path: Path, few: dict[str, Any]) -> None:
        trees = [write(tmp_path / name, few) for name in ("a", "b")]
        store = Store.open_all(trees)
        assert not store.changed()
        assert store.refresh() is store
        write(trees[1], {})
        assert store.changed()
        fresh = store.refresh()
        assert fresh.databases[0] is store.databases[0]
        assert len(fresh.databases[1]) == 0
        assert len(store.databases[1]) == len(few)
        (trees[0] / ".spack-db/index.json").unlink()
        with pytest.raises(DatabaseError, match="nothing has been installed there yet"):
            fresh.refresh()


def test_a_good_store_gives_no_warning(tmp_path: Path) -> None:
    root = make_instance(tmp_path / "spack")
    unpack("1.3", root / "opt/spack")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Store.discover(None, environ(tmp_path, SPACK_ROOT=str(root)))
        assert len(list(store)) == len(store.databases[0])
