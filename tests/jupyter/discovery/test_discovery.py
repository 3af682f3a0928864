"""SpackKernelSpecManager with the demo store and with stores that change, break and hang."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel, _is_valid_kernel_name
from jupyter_client.manager import KernelManager
from traitlets import TraitError

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.discovery import watch
from spack_kernel.jupyter.discovery.manager import SpackKernelSpecManager
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.failure import KernelStartError, UnknownKernelError
from spack_kernel.jupyter.kernelspecs import install_kernelspec
from spack_kernel.jupyter.kernelspecs.files import RESOURCES
from spack_kernel.jupyter.offers.listing import Look, look_at
from spack_kernel.jupyter.offers.offers import OfferFilter
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from spack_kernel.spack.system import Check, file_checks
from tests.demo_versions import NUMPY
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.jupyter.discovery.test_offers import implicit, site
from tests.places import DOCS
from tests.small_store import SmallStore

pytestmark = pytest.mark.usefixtures("jupyter_home")

#: Always present: the kernel of the server's own Python, and the notebook kernel.
BESIDES = {"python3", "spack-notebook"}


@pytest.fixture
def manager(demo_store: DemoStore) -> SpackKernelSpecManager:
    return SpackKernelSpecManager(stores=[str(demo_store.root)], refresh_interval=0.0)


@pytest.fixture
def sites(tmp_path: Path) -> tuple[SmallStore, str]:
    """Write a store with one package; return the store and the hash of its Python."""
    store, python, _ = site(tmp_path / "site")
    store.add("py-first", "1.0", python)
    store.write()
    return store, python


def ours(manager: SpackKernelSpecManager) -> set[str]:
    return {name for name in manager.get_all_specs() if name.startswith("spack-")} - BESIDES


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Held:
    """A store reader that blocks until it is released, as on a file system that hangs.

    A test cannot make a file system hang without root privileges; everything around the blocked
    call is real.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def __call__(
        self,
        paths: tuple[str, ...],
        selection: OfferFilter,
        checks: Sequence[Check],
        timeout: float,
    ) -> Look:
        if checks and file_checks.unchanged(checks):
            return Look(None, None, list(checks))
        self.calls += 1
        self.go.wait(60)
        return look_at(paths, selection, checks)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    reader = Held()
    monkeypatch.setitem(watch.StoreWatcher.__init__.__kwdefaults__, "reader", reader)
    yield reader
    reader.go.set()


class TestList:
    def test_the_three_ways_to_ask_agree(
        self, manager: SpackKernelSpecManager, demo_store: DemoStore
    ) -> None:
        specs = manager.get_all_specs()
        assert set(specs) == set(manager.find_kernel_specs())
        numpy = f"spack-py-numpy-{NUMPY}-{demo_store.hash(f'py-numpy@{NUMPY}')[:7]}"
        assert {numpy, *BESIDES} < set(specs)
        for name, model in specs.items():
            assert _is_valid_kernel_name(name)
            spec = manager.get_kernel_spec(name)
            assert spec.to_dict() == model["spec"]
            assert spec.resource_dir == model["resource_dir"]
            assert list(Path(spec.resource_dir).glob("logo-*"))
        # In Jupyter's format, so that the server can send it unchanged.
        json.dumps(specs)

    def test_static_kernelspecs_stay_and_win(
        self,
        manager: SpackKernelSpecManager,
        write_kernel: WriteKernel,
        demo_store: DemoStore,
    ) -> None:
        name = f"spack-py-numpy-{NUMPY}-{demo_store.hash(f'py-numpy@{NUMPY}')[:7]}"
        assert manager.get_kernel_spec(name).display_name.startswith(f"py-numpy {NUMPY}")
        write_kernel(name, argv=["python", "mine"])
        write_kernel("other")
        assert manager.get_kernel_spec(name).argv == ["python", "mine"]
        specs = manager.get_all_specs()
        plain = KernelSpecManager().get_all_specs()
        assert {"other", name, "python3"} <= set(plain)
        assert {key: specs[key] for key in plain} == plain
        assert manager.find_kernel_specs()[name] == plain[name]["resource_dir"]

    def test_an_installed_kernel_is_not_offered_a_second_time(
        self, manager: SpackKernelSpecManager, demo_store: DemoStore, jupyter_home: Path
    ) -> None:
        store = Store.open(demo_store.root)
        (spec,) = store.find(f"py-numpy@{NUMPY}")
        offered = f"spack-py-numpy-{NUMPY}-{spec.hash[:7]}"
        assert offered in manager.get_all_specs()
        install_kernelspec(plan_kernel(store, [spec]), name="mine", user=True)
        specs = manager.get_all_specs()
        assert "mine" in specs
        assert offered not in specs
        # A notebook that was saved with that kernel still opens.
        assert manager.get_kernel_spec(offered).metadata["spack_hash"] == spec.hash

    def test_what_a_caller_does_to_the_answer_stays_with_the_caller(
        self, manager: SpackKernelSpecManager
    ) -> None:
        before = json.dumps(manager.get_all_specs())
        for model in manager.get_all_specs().values():
            model["spec"]["metadata"].clear()
            model["spec"].clear()
            model.clear()
        assert json.dumps(manager.get_all_specs()) == before

    def test_a_kernel_json_that_is_a_giant_costs_only_itself(
        self, demo_store: DemoStore, jupyter_home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("giant", "list", "fine"):
            directory = jupyter_home / "data" / "kernels" / name
            directory.mkdir(parents=True)
            text = "[]" if name == "list" else '{"argv": ["x"], "display_name": "x"}'
            (directory / "kernel.json").write_text(text)
        os.truncate(jupyter_home / "data" / "kernels" / "giant" / "kernel.json", 1 << 40)
        manager = SpackKernelSpecManager(stores=[str(demo_store.root)])
        specs = manager.get_all_specs()
        assert "fine" in specs
        assert not {"giant", "list"} & set(specs)
        assert "larger than 1 MiB" in caplog.text

    def test_only_allowed_ones_are_there(
        self, manager: SpackKernelSpecManager, demo_store: DemoStore
    ) -> None:
        numpy = f"spack-py-numpy-{NUMPY}-{demo_store.hash(f'py-numpy@{NUMPY}')[:7]}"
        manager.allowed_kernelspecs = {numpy}
        assert set(manager.get_all_specs()) == {numpy}
        with pytest.raises(NoSuchKernel):
            manager.get_kernel_spec(f"spack-py-libensemble-{demo_store.hash('py-libensemble')}")

    def test_the_notebooks_kernel_can_be_left_out(self, demo_store: DemoStore) -> None:
        manager = SpackKernelSpecManager(stores=[str(demo_store.root)], notebook_kernel=False)
        assert "spack-notebook" not in manager.get_all_specs()

    def test_one_of_a_store_is_not_removed(self, manager: SpackKernelSpecManager) -> None:
        (name, *_) = ours(manager)
        with pytest.raises(KernelSpecError, match="there is no kernelspec to remove"):
            manager.remove_kernel_spec(name)
        assert list(RESOURCES.glob("logo-*"))

    def test_one_that_lies_in_a_file_is(
        self, manager: SpackKernelSpecManager, write_kernel: WriteKernel
    ) -> None:
        path = write_kernel("mine")
        assert manager.remove_kernel_spec("mine") == str(path.parent)
        assert not path.exists()

    def test_traits_are_checked(self) -> None:
        with pytest.raises(TraitError, match=r"it contains `\{nam\}`"):
            SpackKernelSpecManager(name_template="{nam}")

    def test_without_stores_the_environment_names_one(
        self, demo_store: DemoStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo_store.root))
        assert len(ours(SpackKernelSpecManager())) > 3


class TestNames:
    def test_one_that_is_not_listed_starts(
        self, demo_store: DemoStore, manager: SpackKernelSpecManager, start: Any
    ) -> None:
        key = demo_store.hash("py-pydantic")
        name = f"spack-py-pydantic-{key[:7]}"
        assert name not in manager.get_all_specs()
        running: Running = start(name, kernel_spec_manager=manager)
        where = execute(running[1], "import pydantic; print(pydantic.__file__)")
        assert where.startswith(f"{Store.open(demo_store.root).get('py-pydantic').prefix}/")
        until(lambda: any(key[:7] in name for name in ours(manager)))

    def test_names_with_and_without_the_version_are_the_same(
        self, demo_store: DemoStore, manager: SpackKernelSpecManager
    ) -> None:
        key = demo_store.hash(f"py-numpy@{NUMPY}")
        full = manager.get_kernel_spec(f"spack-py-numpy-{NUMPY}-{key[:7]}")
        assert manager.get_kernel_spec(f"Spack-py-numpy-{key[:7]}").to_dict() == full.to_dict()
        assert manager.get_kernel_spec(f"spack-py-numpy-{key}").to_dict() == full.to_dict()

    def test_one_that_no_store_has(self, manager: SpackKernelSpecManager) -> None:
        with pytest.raises(UnknownKernelError) as told:
            manager.get_kernel_spec(f"spack-py-numpy-{NUMPY}-aaaaaaa")
        assert str(told.value).startswith(
            f"No such kernel named spack-py-numpy-{NUMPY}-aaaaaaa: no such spec is recorded in /"
        )
        assert isinstance(told.value, KeyError)
        with pytest.raises(NoSuchKernel):
            manager.get_kernel_spec("nonsense")

    def test_the_package_must_be_right(
        self, demo_store: DemoStore, manager: SpackKernelSpecManager
    ) -> None:
        with pytest.raises(UnknownKernelError):
            manager.get_kernel_spec(f"spack-py-scipy-{demo_store.hash(f'py-numpy@{NUMPY}')[:7]}")

    def test_one_just_installed_is_found(self, sites: tuple[SmallStore, str]) -> None:
        store, python = sites
        manager = SpackKernelSpecManager(stores=[str(store.root)], refresh_interval=3600.0)
        assert len(ours(manager)) == 1
        key = implicit(store, store.add("py-second", "1.0", python))
        store.write()
        spec = manager.get_kernel_spec(f"spack-py-second-1.0-{key[:7]}")
        assert spec.metadata["kernel_provisioner"]["config"]["hash"] == key

    def test_one_that_was_uninstalled_says_so_when_it_starts(
        self, sites: tuple[SmallStore, str]
    ) -> None:
        store, _ = sites
        manager = SpackKernelSpecManager(stores=[str(store.root)], refresh_interval=0.0)
        (name,) = ours(manager)
        manager.get_kernel_spec(name)
        (key,) = [key for key, record in store.records.items() if record["explicit"]]
        del store.records[key]
        store.write()
        until(lambda: not ours(manager))
        kernel = KernelManager(kernel_name=name, kernel_spec_manager=manager)
        with pytest.raises(KernelStartError, match="which this kernel is pinned to") as told:
            kernel.start_kernel()
        assert "requested by" not in str(told.value)


class TestChange:
    def test_what_is_installed_appears_and_what_is_removed_goes(
        self, sites: tuple[SmallStore, str]
    ) -> None:
        store, python = sites
        manager = SpackKernelSpecManager(stores=[str(store.root)], refresh_interval=0.0)
        before = ours(manager)
        key = store.add("py-second", "1.0", python)
        store.write()
        until(lambda: ours(manager) - before == {f"spack-py-second-1.0-{key[:7]}"})
        del store.records[key]
        store.write()
        until(lambda: ours(manager) == before)

    def test_nothing_is_read_while_nothing_changes(
        self, sites: tuple[SmallStore, str], held: Held
    ) -> None:
        held.go.set()
        manager = SpackKernelSpecManager(stores=[str(sites[0].root)], refresh_interval=0.0)
        for _ in range(20):
            manager.get_all_specs()
            time.sleep(0.01)
        assert held.calls == 1

    def test_a_broken_store_costs_its_own_kernels_and_one_line(
        self,
        sites: tuple[SmallStore, str],
        demo_store: DemoStore,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        store, _ = sites
        stores = [str(store.root), str(demo_store.root)]
        log = logging.getLogger("test-discovery")
        manager = SpackKernelSpecManager(stores=stores, refresh_interval=0.0, log=log)
        before = ours(manager)
        index = store.root / ".spack-db" / "index.json"
        content = index.read_text()
        index.write_text(content[: len(content) // 2])
        until(lambda: len(ours(manager)) == len(before) - 1)
        for _ in range(10):
            manager.get_all_specs()
            time.sleep(0.02)
        lines = [record.getMessage() for record in caplog.records if record.levelno >= 30]
        assert lines == [
            f"spack-kernel: no kernels of {store.root}: {index} is truncated after "
            f"{len(content) // 2} bytes; `spack reindex` rebuilds the database from "
            "what is installed."
        ]
        index.write_text(content)
        until(lambda: ours(manager) == before)

    def test_one_that_was_never_there_is_found_when_it_comes(self, tmp_path: Path) -> None:
        manager = SpackKernelSpecManager(stores=[str(tmp_path / "site")], refresh_interval=0.0)
        assert ours(manager) == set()
        store, python, _ = site(tmp_path / "site")
        store.add("py-first", "1.0", python)
        store.write()
        until(lambda: len(ours(manager)) == 1)


class TestWaiting:
    def test_the_first_list_on_an_event_loop_waits_shortly_and_once(
        self,
        sites: tuple[SmallStore, str],
        held: Held,
        write_kernel: WriteKernel,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        write_kernel("mine")
        manager = SpackKernelSpecManager(
            stores=[str(sites[0].root)], refresh_interval=0.0, first_wait=0.2, read_timeout=0.5
        )

        async def ask() -> list[set[str]]:
            return [set(manager.get_all_specs()) for _ in range(50)]

        # The test is that this returns at all while the store hangs.
        answers = asyncio.run(ask())
        for answer in answers:
            assert {"mine", *BESIDES} <= answer
            assert not any(name.startswith("spack-py") for name in answer)
        assert held.calls == 1
        assert not held.go.is_set()
        time.sleep(0.6)
        for _ in range(5):
            manager.get_all_specs()
        lines = [record.getMessage() for record in caplog.records if record.levelno >= 30]
        assert lines == [
            f"spack-kernel: reading {sites[0].root} timed out after 0.5 s. Its file system may hang"
        ]
        held.go.set()
        until(lambda: len(ours(manager)) == 1)

    def test_a_name_does_not_wait_for_a_store_that_hangs(
        self, sites: tuple[SmallStore, str], held: Held
    ) -> None:
        manager = SpackKernelSpecManager(
            stores=[str(sites[0].root)], first_wait=0.05, read_timeout=0.1
        )

        async def ask() -> None:
            for _ in range(3):
                with pytest.raises(NoSuchKernel):
                    manager.get_kernel_spec("spack-py-first-1.0-aaaaaaa")

        asyncio.run(ask())
        assert not held.go.is_set()

    def test_what_was_offered_stays_while_the_store_hangs(
        self, sites: tuple[SmallStore, str], held: Held
    ) -> None:
        store, python = sites
        held.go.set()
        manager = SpackKernelSpecManager(stores=[str(store.root)], refresh_interval=0.0)
        before = ours(manager)
        assert len(before) == 1
        held.go.clear()
        store.add("py-second", "1.0", python)
        store.write()
        until(lambda: held.calls > 1 or bool(manager.get_all_specs()) is False)
        assert ours(manager) == before
        held.go.set()
        until(lambda: len(ours(manager)) == 2)


def test_kernels_carry_what_the_site_inspects(
    sites: tuple[SmallStore, str], tmp_path: Path
) -> None:
    """They name install trees, from which the Spack instance's configuration is not known."""
    store, python = sites
    other = implicit(store, store.add("py-other", "1.0", python))
    store.write()
    instance = tmp_path / "instance"
    for directory in ("bin", "etc/spack/defaults"):
        (instance / directory).mkdir(parents=True)
    (instance / "bin" / "spack").touch()
    (instance / "etc" / "spack" / "config.yaml").write_text(
        f"config: {{install_tree: {{root: {store.root}}}}}\n"
    )
    (instance / "etc" / "spack" / "modules.yaml").write_text(
        "modules: {prefix_inspections: {./lib: [LD_LIBRARY_PATH]}}\n"
    )
    manager = SpackKernelSpecManager(stores=[str(instance)], refresh_interval=3600.0)
    names = [*ours(manager), "spack-notebook", f"spack-py-other-{other[:7]}"]
    assert len(names) == 3
    for name in names:
        spec = manager.get_kernel_spec(name)
        config = spec.metadata["kernel_provisioner"]["config"]
        assert config["store"] == str(store.root)
        assert config["prefix_inspections"] == {"./lib": ["LD_LIBRARY_PATH"]}, name
        assert spec.argv[spec.argv.index("--prefix-inspections") + 1] == (
            '{"./lib":["LD_LIBRARY_PATH"]}'
        )


def test_every_trait_has_help_and_a_row_in_the_documentation() -> None:
    text = (DOCS / "discovery.md").read_text()
    own = set(SpackKernelSpecManager.class_own_traits(config=True))
    for name in own:
        assert SpackKernelSpecManager.class_traits()[name].help, name
        assert f"| `{name}` |" in text, name
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert rows == own
