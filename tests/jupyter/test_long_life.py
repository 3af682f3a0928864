"""A long-lived process gives the same answers as a fresh one, whatever has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.kernels import user_cache
from tests.jupyter.conftest import WriteKernel
from tests.jupyter.world import LongLived, World, answers_of_a_fresh_process

#: The number of random changes to the world, and the seed.
STEPS = int(os.environ.get("SPACK_KERNEL_STEPS", "25"))
SEED = int(os.environ.get("SPACK_KERNEL_SEED", "20261126"))


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def compare(world: World, steps: int) -> None:
    living = LongLived(world.root)
    assert differences(living.answers(), answers_of_a_fresh_process(world.root)) == {}
    history = []
    for _ in range(steps):
        history.append(world.step())
        found = differences(living.answers(), answers_of_a_fresh_process(world.root))
        assert found == {}, f"after {history}"


def test_a_process_that_lives_on_answers_as_a_fresh_one(
    tmp_path: Path, demo_store: DemoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cache on disk must be as accurate as the cache in memory.
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    compare(World(tmp_path / "world", demo_store, SEED), STEPS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_through_a_long_history(
    seed: int, tmp_path: Path, demo_store: DemoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    compare(World(tmp_path / "world", demo_store, seed), 150)


@pytest.mark.parametrize("name", sorted(name for name in dir(World) if name[:7] == "change_"))
def test_every_kind_of_change_changes_something(
    name: str, tmp_path: Path, demo_store: DemoStore
) -> None:
    """A change that does not affect any answer would prove nothing."""
    if name == "change_permissions" and os.geteuid() == 0:
        pytest.skip("root can enter every directory")
    world = World(tmp_path, demo_store, SEED)
    living = LongLived(world.root)
    before = living.answers()
    for _ in range(12):
        getattr(world, name)()
        if living.answers() != before:
            return
    pytest.fail("the answers are as they were")


START = """
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name=sys.argv[1])
try:
    manager.start_kernel()
except Exception as error:
    print(str(error).splitlines()[0])
else:
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    print("started")
"""


def test_starts_while_a_directory_is_away(
    tmp_path: Path, demo_store: DemoStore, write_kernel: WriteKernel
) -> None:
    """A package missing for one start is found again for the next, in the same process."""
    world = World(tmp_path / "world", demo_store, SEED)
    store = str(world.site.root)
    write_kernel("one", hash=world.site.hash("py-libensemble"), store=store)
    library = world.site.site_packages("py-comm").parents[1]
    code = (
        "import os, sys\n"
        "def start():\n" + "".join(f"    {line}\n" for line in START.splitlines()) + "\n"
        "for name in ('away', 'back', None):\n"
        "    start()\n"
        f"    if name == 'away': os.rename({str(library)!r}, {str(library) + '.away'!r})\n"
        f"    if name == 'back': os.rename({str(library) + '.away'!r}, {str(library)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "one"], capture_output=True, text=True, timeout=200
    )
    before, away, back = done.stdout.splitlines()
    assert (before, back) == ("started", "started"), done.stdout + done.stderr
    assert away.startswith("the kernel of py-libensemble@1.5.0/"), done.stderr
    assert away.endswith("ended during startup: exit status 1")


class TestWhatIsKeptOnDisk:
    """A damaged or foreign file is ignored."""

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[" * 200_000,
            b"\xff\xfe",
            b"null",
            b'{"key": 1}',
            b'{"key": ["a"], "value": []}',
            b'{"key": ["a"], "value": {"info": 1, "stamps": {}}}',
        ],
    )
    def test_damaged(self, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path))
        user_cache.write("python", ["a"], {"info": 1})
        (file,) = tmp_path.iterdir()
        file.write_bytes(content)
        value = user_cache.read("python", ["a"])
        assert value is None or isinstance(value, dict)

    def test_values_of_wrong_types_are_asked_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from spack_kernel.kernels.interpreters import probe as module

        monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path))
        module._answers.clear()
        right = module.probe(sys.executable)
        (file,) = tmp_path.glob("python-*")
        whole = json.loads(file.read_text())
        for key in whole["value"]["info"]:
            for wrong in (None, 3, [], {}, [[]], {"a": {}}, "x\0y", [3]):
                damaged = json.loads(json.dumps(whole))
                damaged["value"]["info"][key] = wrong
                damaged["value"]["stamps"] = wrong if key == "path" else whole["value"]["stamps"]
                file.write_text(json.dumps(damaged))
                module._answers.clear()
                found = module.probe(sys.executable)
                assert found.version == right.version or key == "version"
