"""`spack-kernel sync`: what it writes to disk, and what it never touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.discovery.manager import SpackKernelSpecManager
from spack_kernel.jupyter.kernelspecs.files import list_kernelspecs
from tests.cloned_store import ClonedStore
from tests.demo_versions import OTHER_NUMPY
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.jupyter.discovery.test_offers import site
from tests.small_store import SmallStore

pytestmark = pytest.mark.usefixtures("jupyter_home")


@pytest.fixture
def sites(tmp_path: Path) -> tuple[SmallStore, str]:
    """Write a store with two packages; return the store and the hash of its Python."""
    store, python, _ = site(tmp_path / "site")
    store.add("py-first", "1.0", python)
    store.add("py-second", "1.0", python)
    store.write()
    return store, python


@pytest.fixture
def kernels(jupyter_home: Path) -> Path:
    return jupyter_home / "data" / "kernels"


def sync(store: SmallStore | None, *options: str) -> int:
    stores = [] if store is None else ["--store", str(store.root)]
    return main(["sync", "--user", *stores, *options])


def states(kernels: Path) -> dict[str, tuple[int, int]]:
    """Return the inode and the modification time of each kernel.json."""
    found = {path.parent.name: path.stat() for path in kernels.glob("*/kernel.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def test_a_synced_kernel_starts_where_no_server_is_asked(
    demo_store: DemoStore, start: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    query = f"py-numpy@{OTHER_NUMPY}"
    assert main(["sync", "--user", "--store", str(demo_store.root), "--query", query]) == 0
    name = f"spack-py-numpy-{OTHER_NUMPY}-{demo_store.hash(query)[:7]}"
    assert capsys.readouterr().out == (
        "+ spack-notebook  Spack (chosen by the notebook)\n"
        f"+ {name}  py-numpy {OTHER_NUMPY} (Spack /{demo_store.hash(query)[:7]})\n"
        "2 added\n"
    )
    assert name in KernelSpecManager().find_kernel_specs()
    running: Running = start(name)
    assert execute(running[1], "import numpy; print(numpy.__version__)") == OTHER_NUMPY


def test_it_writes_what_is_new_removes_what_is_gone_and_leaves_the_rest(
    sites: tuple[SmallStore, str], kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, python = sites
    assert sync(store) == 0
    before = states(kernels)
    assert len(before) == 3
    third = store.add("py-third", "1.0", python)
    (first,) = [k for k, r in store.records.items() if r["spec"]["name"] == "py-first"]
    store.records[first]["installed"] = False
    store.write()
    capsys.readouterr()
    assert sync(store) == 0
    assert capsys.readouterr().out == (
        f"- spack-py-first-1.0-{first[:7]}  py-first 1.0 (Spack /{first[:7]})\n"
        f"+ spack-py-third-1.0-{third[:7]}  py-third 1.0 (Spack /{third[:7]})\n"
        "1 added, 1 removed, 2 kept\n"
    )
    after = states(kernels)
    assert set(after) - set(before) == {f"spack-py-third-1.0-{third[:7]}"}
    assert set(before) - set(after) == {f"spack-py-first-1.0-{first[:7]}"}
    assert all(after[name] == before[name] for name in set(before) & set(after))
    assert not list(kernels.glob(".spack-kernel-*"))


def test_what_changed_is_written_anew_and_the_logos_stay(
    sites: tuple[SmallStore, str], kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = sites
    sync(store)
    capsys.readouterr()
    assert sync(store, "--display-name", "{name} here", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["directory"] == str(kernels)
    assert [(c["action"], c["display_name"]) for c in answer["changes"]] == [
        ("kept", "Spack (chosen by the notebook)"),
        ("updated", "py-first here"),
        ("updated", "py-second here"),
    ]
    for change in answer["changes"]:
        place = Path(change["directory"])
        content = json.loads((place / "kernel.json").read_text())
        assert content["display_name"] == change["display_name"]
        assert (place / "logo-svg.svg").exists()
        assert not list(place.glob(".spack-kernel-*"))


def test_a_dry_run_tells_the_same_and_does_nothing(
    sites: tuple[SmallStore, str], kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync(sites[0], "--dry-run") == 0
    told = capsys.readouterr().out
    assert told.endswith("3 added (dry run)\n")
    assert not kernels.exists()
    assert sync(sites[0]) == 0
    assert capsys.readouterr().out.replace("3 added\n", "") in told


def test_only_what_it_made_is_touched(
    sites: tuple[SmallStore, str],
    kernels: Path,
    write_kernel: WriteKernel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, _ = sites
    (first,) = [k for k, r in store.records.items() if r["spec"]["name"] == "py-first"]
    name = f"spack-py-first-1.0-{first[:7]}"
    mine = write_kernel(name, hash=first).read_text()
    write_kernel("spack-by-hand", hash=first)
    (kernels / "spack-py-second").write_text("a file")
    assert sync(store, "--group", "one") == 0
    told = f"{kernels / name} does not belong to this group and is left unchanged"
    assert told in capsys.readouterr().err
    assert (kernels / name / "kernel.json").read_text() == mine
    assert sync(store, "--group", "two", "--query", "py-nothing") == 1, "it may be a mistake"
    assert sync(store, "--group", "two", "--limit", "0") == 0
    assert len(list(kernels.glob("*/kernel.json"))) == 4
    assert sync(store, "--group", "one", "--limit", "0") == 0
    assert {path.parent.name for path in kernels.glob("*/kernel.json")} == {
        name,
        "spack-by-hand",
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--store", "{none}"], "error: there is no directory {none}"),
        (["--query", "py-first@@"], "warning: the query `py-first@@` is left out"),
    ],
)
def test_nothing_is_removed_while_something_cannot_be_read(
    sites: tuple[SmallStore, str],
    kernels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    store, _ = sites
    sync(store)
    before = states(kernels)
    none = str(tmp_path / "none")
    given = [option.format(none=none) for option in options]
    assert sync(None if "--store" in given else store, *given) == 1
    words = capsys.readouterr().err
    assert told.format(none=none) in words
    assert words.endswith("Nothing was removed, because not everything could be read.\n")
    assert states(kernels) == before


class TestConfiguration:
    def write(self, home: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Path:
        monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
        path = home / "config" / "jupyter_server_config.py"
        path.write_text("\n".join(f"c.SpackKernelSpecManager.{line}" for line in lines))
        return path

    def test_it_is_the_servers_and_options_go_before_it(
        self,
        sites: tuple[SmallStore, str],
        jupyter_home: Path,
        kernels: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store = f"stores = [{str(sites[0].root)!r}]"
        self.write(
            jupyter_home, monkeypatch, store, "queries = ['py-first']", "notebook_kernel = False"
        )
        assert sync(None) == 0
        assert [path.name.rpartition("-")[0] for path in kernels.iterdir()] == [
            "spack-py-first-1.0"
        ]
        assert sync(None, "--query", "py-second") == 0
        assert [path.name.rpartition("-")[0] for path in kernels.iterdir()] == [
            "spack-py-second-1.0"
        ]

    def test_one_can_be_named_and_left_out(
        self,
        sites: tuple[SmallStore, str],
        jupyter_home: Path,
        kernels: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = self.write(jupyter_home, monkeypatch, "limit = 0")
        assert sync(sites[0], "--no-config") == 0
        assert len(list(kernels.iterdir())) == 3
        other = path.rename(jupyter_home / "site_config.py")
        assert sync(sites[0], "--config", str(other)) == 0
        assert len(list(kernels.iterdir())) == 0

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("limit = 'many'", "a trait of SpackKernelSpecManager has an invalid value"),
            ("limit = 1 / 0", "Jupyter's configuration cannot be read: "),
        ],
    )
    def test_what_is_wrong_in_it_is_told(
        self,
        sites: tuple[SmallStore, str],
        jupyter_home: Path,
        kernels: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        line: str,
        told: str,
    ) -> None:
        self.write(jupyter_home, monkeypatch, line)
        assert sync(sites[0]) == 1
        words = capsys.readouterr().err
        assert told in words
        assert "Traceback" not in words
        assert not kernels.exists()

    def test_one_that_is_not_there(
        self, sites: tuple[SmallStore, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert sync(sites[0], "--config", "nowhere.py") == 1
        assert "there is no configuration file /" in capsys.readouterr().err

    def test_none_is_read_from_the_working_directory(
        self,
        sites: tuple[SmallStore, str],
        kernels: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "jupyter_server_config.py").write_text("raise SystemExit(7)")
        (tmp_path / "jupyter_config.py").write_text("raise SystemExit(7)")
        monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
        monkeypatch.chdir(tmp_path)
        assert sync(sites[0]) == 0
        assert len(list(kernels.iterdir())) == 3


def test_front_ends_without_a_server_see_what_a_server_offers(
    sites: tuple[SmallStore, str], kernels: Path
) -> None:
    store = str(sites[0].root)
    offered = SpackKernelSpecManager(stores=[store]).get_all_specs()
    assert sync(sites[0]) == 0
    seen = KernelSpecManager().get_all_specs()
    assert set(seen) == set(offered)
    for name in (name for name in offered if name.startswith("spack-")):
        assert seen[name]["spec"]["metadata"].pop("spack_kernel_sync") == "default"
        assert seen[name]["spec"] == offered[name]["spec"]


class TestWhatIsAway:
    """A store that is unreachable today may be back tomorrow, so its kernels are kept."""

    def synced(self, site: ClonedStore) -> set[str]:
        assert main(["sync", "--no-config", "--user", "--store", str(site.root)]) == 0
        return self.names()

    def names(self) -> set[str]:
        return {spec.name for spec in list_kernelspecs()}

    def test_the_prefixes(
        self,
        demo_store: DemoStore,
        tmp_path: Path,
        jupyter_home: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        site = ClonedStore(demo_store, tmp_path / "store")
        before = self.synced(site)
        (tree,) = (path for path in site.root.iterdir() if path.name != ".spack-db")
        tree.rename(tmp_path / "away")
        words = ["--no-config", "--user", "--store", str(site.root)]
        assert main(["sync", *words]) == 1
        told = capsys.readouterr().err
        assert self.names() == before
        assert "its prefix does not exist" in told
        assert "Nothing was removed" in told
        assert main(["list", "--all", "--store", str(site.root), "py-numpy"]) == 0
        label = f"py-ipykernel@7.2.0/{site.hash('py-ipykernel')[:7]}"
        assert f"{label} is recorded, but its prefix does not exist" in capsys.readouterr().out
        (tmp_path / "away").rename(tree)
        assert self.synced(site) == before

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--query", "py-nunpy"], "query `py-nunpy` matches nothing: Did you mean py-numpy"),
            (["--companion", "nope"], "the companion query `nope` matches nothing"),
            (["--companion", "py-numpy"], "companion query `py-numpy` matches 2 installed specs"),
        ],
    )
    def test_a_mistake_in_what_is_asked_for(
        self,
        words: list[str],
        told: str,
        demo_store: DemoStore,
        tmp_path: Path,
        jupyter_home: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        site = ClonedStore(demo_store, tmp_path / "store")
        before = self.synced(site)
        assert main(["sync", "--no-config", "--user", "--store", str(site.root), *words]) == 1
        assert told in capsys.readouterr().err
        assert self.names() == before

    def test_an_environment_that_nobody_knows(
        self,
        demo_store: DemoStore,
        jupyter_home: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        words = ["--no-config", "--user", "--store", str(demo_store.root)]
        main(["sync", *words, "--environment", "plts"])
        assert "no Spack environment is named plts" in capsys.readouterr().err

    def test_everything_is_removed_when_that_is_said(
        self, demo_store: DemoStore, jupyter_home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--no-config", "--user", "--store", str(demo_store.root)]
        assert main(["sync", *words]) == 0
        assert "spack-notebook" in self.names()
        assert main(["sync", *words, "--no-notebook-kernel"]) == 0
        assert "spack-notebook" not in self.names()
        assert main(["sync", *words, "--limit", "0", "--environment", ""]) == 0
        assert self.names() == set()
        assert "beyond the limit" not in capsys.readouterr().err
