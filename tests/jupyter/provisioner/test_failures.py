"""What a user sees when a kernel cannot start, and that nothing is left behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache
from jupyter_client.manager import KernelManager
from tornado.web import HTTPError
from traitlets.config import Config

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.provisioner.provisioner import SpackProvisioner
from spack_kernel.spack import SpackKernelError
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.small_store import SmallStore, executable

SERIES = "{}.{}".format(*sys.version_info[:2])
VERSION = "{}.{}.{}".format(*sys.version_info[:3])

Refuse = Callable[[str], str]


@pytest.fixture
def refuse(jupyter_home: Path) -> Refuse:
    """Return a function that starts a kernel that must fail and returns the error message."""

    def starter(name: str) -> str:
        children = set(psutil.Process().children(recursive=True))
        ports = set(LocalPortCache.instance().currently_used_ports)
        manager = KernelManager(kernel_name=name)
        with pytest.raises(KernelStartError) as caught:
            manager.start_kernel()
        assert not manager.has_kernel
        assert list((jupyter_home / "runtime").iterdir()) == []
        assert set(psutil.Process().children(recursive=True)) <= children
        assert LocalPortCache.instance().currently_used_ports == ports
        return str(caught.value)

    return starter


def test_an_unknown_key_is_named_with_the_nearest(
    write_kernel: WriteKernel, refuse: Refuse
) -> None:
    path = write_kernel("typo", spec="py-numpy", stroe="/sw")
    assert refuse("typo") == (
        "the kernelspec has an unknown key `stroe` in kernel_provisioner.config\n"
        f"  known keys: {', '.join(sorted(SpackProvisioner.class_trait_names(config=True)))}\n"
        f"  requested by {path}\n"
        "Did you mean `store`?"
    )


def test_a_value_of_the_wrong_type(write_kernel: WriteKernel, refuse: Refuse) -> None:
    write_kernel("wrong", spec=5)
    text = refuse("wrong")
    assert text.startswith("the kernelspec has an invalid value for `spec`: 5\n")
    assert "A Spack query, as for `spack load`" in text


def test_a_wrong_value_inside_a_mapping(write_kernel: WriteKernel, refuse: Refuse) -> None:
    write_kernel("wrong", spec="py-numpy", env={"THREADS": 4})
    assert "the kernelspec has an invalid value for `env`: {'THREADS': 4}" in refuse("wrong")


def test_no_spec_at_all(write_kernel: WriteKernel, refuse: Refuse, demo_store: DemoStore) -> None:
    write_kernel("empty", store=str(demo_store.root))
    text = refuse("empty")
    assert text.startswith("the kernelspec does not name a spec to load\n")
    assert '"spec": "py-numpy"' in text


def test_specs_beside_spec(
    write_kernel: WriteKernel, refuse: Refuse, demo_store: DemoStore
) -> None:
    write_kernel("both", spec="py-a", specs=["py-b"], store=str(demo_store.root))
    assert refuse("both").startswith("the kernelspec has `specs` and also `spec` or `hash`\n")


def test_a_store_that_is_none(write_kernel: WriteKernel, refuse: Refuse, tmp_path: Path) -> None:
    path = write_kernel("nowhere", spec="py-numpy", store=str(tmp_path / "none"))
    text = refuse("nowhere")
    assert str(tmp_path / "none") in text.splitlines()[0]
    assert f"  requested by {path}" in text


def test_a_truncated_database(
    write_kernel: WriteKernel, refuse: Refuse, broken_store: SmallStore
) -> None:
    index = broken_store.write() / ".spack-db" / "index.json"
    index.write_bytes(index.read_bytes()[:200])
    write_kernel("cut", spec="python", store=str(broken_store.root))
    assert str(index) in refuse("cut").splitlines()[0]


def test_a_query_that_finds_nothing(
    write_kernel: WriteKernel, refuse: Refuse, demo_store: DemoStore
) -> None:
    write_kernel("none", spec="py-nunpy", store=str(demo_store.root))
    text = refuse("none")
    assert "py-nunpy" in text.splitlines()[0]
    assert "py-numpy" in text


def test_a_query_that_does_not_parse_points_at_the_place(
    write_kernel: WriteKernel, refuse: Refuse, demo_store: DemoStore
) -> None:
    write_kernel("syntax", spec="py-numpy@2:: %", store=str(demo_store.root))
    assert "^" in refuse("syntax").splitlines()[2]


def test_an_ambiguous_query_lists_the_candidates(
    write_kernel: WriteKernel, refuse: Refuse, demo_store: DemoStore
) -> None:
    write_kernel("many", spec="py-numpy", store=str(demo_store.root))
    text = refuse("many")
    hashes = [h for label, h in demo_store.hashes.items() if label.startswith("py-numpy@")]
    assert len(hashes) == 2
    assert all(dag_hash[:7] in text for dag_hash in hashes)


def test_a_query_without_a_hash_is_resolved_at_each_start(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Callable[..., Running]
) -> None:
    write_kernel("query", spec="py-libensemble", store=str(demo_store.root))
    _, client = start("query")
    assert demo_store.hash("py-libensemble") in execute(
        client, "import libensemble; print(libensemble.__file__)"
    )


# -- pins -----------------------------------------------------------------------------------------


@pytest.fixture
def moving(broken_store: SmallStore) -> SmallStore:
    """Return a store in which another build has replaced py-tool."""
    (python,) = broken_store.records
    broken_store.add("py-tool", "2.0", python)
    return broken_store


def test_a_pin_that_is_gone_says_what_the_query_finds_today(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    today = next(key for key, r in moving.records.items() if r["spec"]["name"] == "py-tool")
    path = write_kernel(
        "pinned", spec="py-tool/abcdefg", hash="abcdefg" + "2" * 25, store=str(moving.write())
    )
    assert refuse("pinned") == (
        "py-tool/abcdefg, which this kernel is pinned to, is no longer installed\n"
        "  `py-tool` currently matches:\n"
        f"    py-tool@2.0/{today[:7]}\n"
        f"  requested by {path}\n"
        "Recreate the kernel for one of them:\n"
        f"  spack-kernel install --user --store {moving.root} py-tool/{today[:7]}"
    )


def test_a_pin_that_is_gone_with_all_its_kind(
    write_kernel: WriteKernel, refuse: Refuse, broken_store: SmallStore
) -> None:
    write_kernel("pinned", spec="py-tool", hash="2" * 32, store=str(broken_store.write()))
    text = refuse("pinned")
    assert text.startswith("py-tool/2222222, which this kernel is pinned to, is not installed\n")
    assert "  `py-tool` matches no installed spec\n" in text


def test_a_pin_that_was_deprecated(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    python, today = moving.records
    old = moving.add("py-tool", "1.0", python, installed=False, deprecated_for=today)
    write_kernel("old", hash=old, store=str(moving.write()))
    text = refuse("old")
    assert text.startswith(f"py-tool@1.0/{old[:7]}, which this kernel is pinned to, is no longer")
    assert f"  it was deprecated in favour of py-tool@2.0/{today[:7]}" in text


def test_a_pin_that_is_short_for_several(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    first, *others = sorted(moving.records)
    twin = first[:31] + ("a" if first[31] != "a" else "b")
    moving.records[twin] = moving.records[first]
    write_kernel("short", hash=first[:20], store=str(moving.write()))
    text = refuse("short")
    assert text.startswith(f"the hash /{first[:20]} of the kernelspec matches several specs")
    assert first in text
    assert twin in text
    assert others


def test_a_hash_that_contradicts_its_query(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    python, tool = moving.records
    write_kernel("odd", spec="py-tool", hash=python, store=str(moving.write()))
    text = refuse("odd")
    assert text.startswith("the kernelspec contradicts itself: its hash belongs to python@")
    assert f"  the query matches py-tool@2.0/{tool[:7]}" in text


# -- rejected plans, and kernels that die ----------------------------------------------------------


def test_no_ipykernel_anywhere(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    python, tool = moving.records
    write_kernel("bare", hash=tool, store=str(moving.write()))
    assert refuse("bare").splitlines()[0] == (
        f"py-tool@2.0/{tool[:7]} has no ipykernel, and none is installed for its Python {VERSION}"
    )
    assert f"  spack install py-ipykernel ^/{python[:7]}" in refuse("bare")


def with_ipykernel(small: SmallStore, body: str) -> str:
    """Give the store's py-tool a companion whose launcher runs `body`."""
    python = next(key for key, r in small.records.items() if r["spec"]["name"] == "python")
    kernel = small.add("py-ipykernel", "4.10.1", python)
    small.package(kernel, "ipykernel/", python=SERIES)
    small.package(kernel, "ipykernel_launcher", body, python=SERIES)
    return next(key for key, r in small.records.items() if r["spec"]["name"] == "py-tool")


def test_an_ipykernel_too_old_for_its_python(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    python = next(iter(moving.records))
    tool = with_ipykernel(moving, "import ipykernel\nimport no_longer_in_python")
    write_kernel("old", hash=tool, store=str(moving.write()))
    text = refuse("old")
    lines = text.splitlines()
    assert lines[0] == f"the kernel of py-tool@2.0/{tool[:7]} ended during startup: exit status 1"
    assert "  | ModuleNotFoundError: No module named 'no_longer_in_python'" in lines
    assert "ipykernel 4.10.1, which comes from the companion, might not work with Python " in text
    assert lines[-2:] == [
        f"  spack install py-ipykernel ^/{python[:7]}",
        "`spack-kernel check old` starts it step by step.",
    ]


def test_a_kernel_that_is_killed_while_it_starts(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    body = "import os, sys; sys.stderr.write('last words\\n'); sys.stderr.flush(); os.kill(0, 9)"
    tool = with_ipykernel(moving, body.replace("kill(0", "kill(os.getpid()"))
    write_kernel("killed", hash=tool, store=str(moving.write()))
    text = refuse("killed")
    assert "ended during startup: killed by SIGKILL" in text
    assert "  | last words" in text
    assert "often by a memory limit of the machine or the batch system" in text


def test_a_command_that_is_not_there(
    write_kernel: WriteKernel, refuse: Refuse, moving: SmallStore
) -> None:
    tool = list(moving.records)[1]
    write_kernel(
        "gone", ["/no/such/kernel", "{connection_file}"], hash=tool, store=str(moving.write())
    )
    text = refuse("gone")
    assert text.startswith("the kernel cannot be started: No such file or directory\n")
    assert "  /no/such/kernel" in text


def test_a_python_that_does_not_run(
    write_kernel: WriteKernel, refuse: Refuse, tmp_path: Path
) -> None:
    small = SmallStore(tmp_path / "store")
    executable(tmp_path / "py" / "bin" / "python3", "#!/bin/sh\necho broken >&2\nexit 3\n")
    python = small.add("python", VERSION, prefix=tmp_path / "py")
    tool = small.add("py-tool", "1.0", python)
    write_kernel("dead", hash=tool, store=str(small.write()))
    text = refuse("dead")
    assert text.startswith(
        f"the Python of python@{VERSION}/{python[:7]} does not run: exit status 3"
    )
    assert "  | broken" in text


# -- restarts -------------------------------------------------------------------------------------


@pytest.fixture
def movable(
    write_kernel: WriteKernel, demo_store: DemoStore, tmp_path: Path
) -> tuple[str, SmallStore]:
    """Return a kernel for a spec in a small store that precedes the demo store."""
    from spack_kernel.spack import Store

    demo = Store.open(demo_store.root)
    needs = [demo.by_hash(demo_store.hash(name)) for name in ("python-venv", "py-ipykernel")]
    small = SmallStore(tmp_path / "movable")
    tool = small.add("py-tool", "1.0", *(spec for spec in needs if spec is not None))
    small.package(tool, "tool", "answer = 42", python=SERIES)
    stores = [str(small.write()), str(demo_store.root)]
    write_kernel("movable", spec="py-tool", hash=tool, store=stores)
    return "movable", small


def test_uninstalled_while_running_the_notebook_says_so_and_recovers(
    movable: tuple[str, SmallStore], start: Callable[..., Running], jupyter_home: Path
) -> None:
    name, small = movable
    manager, client = start(name)
    assert execute(client, "import tool; print(tool.answer)") == "42"
    ((key, record),) = small.records.items()
    small.records = {}
    small.write()

    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    text = execute(client, "import tool")
    assert text.startswith(f"py-tool/{key[:7]}, which this kernel is pinned to, is not installed")
    assert f"  requested by {jupyter_home}/data/kernels/movable/kernel.json" in text
    assert isinstance(manager.provisioner, SpackProvisioner)
    standin = manager.provisioner.pid
    manager.interrupt_kernel()
    time.sleep(0.5)  # a request that arrives immediately would be aborted with the interrupted one
    assert "pinned to" in execute(client, "again")

    small.records = {key: record}
    small.write()
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    assert execute(client, "import tool; print(tool.answer)") == "42"
    assert standin is not None
    assert not psutil.pid_exists(standin)
    manager.shutdown_kernel()
    assert list((jupyter_home / "runtime").iterdir()) == []


def test_a_restart_that_dies_shows_the_last_words(
    movable: tuple[str, SmallStore], start: Callable[..., Running]
) -> None:
    name, small = movable
    manager, client = start(name)
    (key,) = small.records
    packages = small.package(key, "zmq", "raise ImportError('zmq was damaged')", python=SERIES)
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    text = execute(client, "1 + 1")
    assert "ended during startup: exit status 1" in text
    assert "  | ImportError: zmq was damaged" in text
    (packages / "zmq.py").unlink()
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    assert execute(client, "print(1 + 1)") == "2"


# -- the exception itself -------------------------------------------------------------------------


def start_error(**options: Any) -> KernelStartError:
    return KernelStartError(SpackKernelError("no py-x %gcc@12", **options), "/k/kernel.json")


def test_the_error_is_one_of_ours_and_one_tornado_understands() -> None:
    error = start_error(details=["  50 % done"], hint="try %s")
    assert isinstance(error, SpackKernelError)
    assert isinstance(error, HTTPError)
    assert (error.status_code, error.reason) == (500, None)
    text = "no py-x %gcc@12\n  50 % done\n  requested by /k/kernel.json\ntry %s"
    assert str(error) == text
    assert error.log_message == text
    assert error.as_dict()["hint"] == "try %s"


def test_percent_signs_survive_what_tornado_does_with_a_message() -> None:
    """In the error that a handler raises for our exception, and in tornado's log of it."""
    text = str(start_error())
    wrapped = HTTPError(500, text)
    assert wrapped.log_message == text
    assert text in str(wrapped)
    # tornado before 6.5 logs `"%d %s: " + log_message` with the arguments of the exception.
    assert ("%d %s: " + start_error().log_message) % (500, "GET /") == "500 GET /: " + text
    assert f"{text!r}" == text


@pytest.mark.parametrize(
    ("trait", "value", "expected"),
    [("store", 3, "a unicode string or a list, not the int 3"), ("start_timeout", "x", "a float")],
)
def test_a_wrong_value_in_the_servers_configuration_is_named(
    write_kernel: WriteKernel, trait: str, value: object, expected: str
) -> None:
    write_kernel("any", spec="py-libensemble")
    config = Config({"SpackProvisioner": {trait: value}})
    manager = KernelManager(kernel_name="any", config=config)
    with pytest.raises(KernelStartError) as caught:
        manager.start_kernel()
    first, second, *_, last = str(caught.value).splitlines()
    assert first == "this server's configuration has a value of the wrong type"
    assert f"The '{trait}' trait" in second
    assert expected in second
    assert "`spack-kernel check --site`" in last
    assert not manager.has_kernel
