"""Shared by all tests: the demo store; in CI, a missing component is a failure."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel import demo
from spack_kernel.demo.pins import PinnedRequirements
from tests import shared
from tests.places import TESTS

#: The prefixes of skip reasons for a component that this machine lacks, such as a module system
#: or a browser; the second is that of `pytest.importorskip`.
MISSING = ("missing component: ", "could not import ")


@pytest.fixture(scope="session")
def demo_store() -> demo.DemoStore:
    """Return a complete demo store, built once per machine.

    It is in ``$SPACK_KERNEL_DEMO_STORE``, else in the directory of `tests.shared`. There is one for
    each Python, each set of packages and each version of the code that builds it. Tests only read
    it.
    """
    chosen = os.environ.get("SPACK_KERNEL_DEMO_STORE")
    if chosen:
        return demo.build(Path(chosen))
    code = [path.read_bytes() for path in sorted(Path(demo.__file__).parent.glob("*.py"))]
    packages = PinnedRequirements.default().text
    path = shared.directory("demo-store", sys.base_prefix, sys.version, packages, code)
    with shared.locked(path):
        return demo.build(path)


@pytest.fixture(scope="session", autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Keep the tests from using or filling the cache of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPACK_KERNEL_CACHE", "")
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_sockets_left() -> Iterator[None]:
    """Close what a module's clients and managers left open.

    The garbage collector would wait for unsent messages, for ever, in some later test.
    """
    yield
    zmq = sys.modules.get("zmq")
    for each in gc.get_objects() if zmq else ():
        if isinstance(each, zmq.Context) and not each.closed:
            with contextlib.suppress(zmq.ZMQError):  # it shares sockets with one closed before
                each.destroy(linger=0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip for a missing component into a failure when ``CI`` is set."""
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(MISSING):
            report.outcome = "failed"
            report.longrepr = f"CI is set, where nothing may be missing: {reason}"
    return report


#: The layer of the tests in each directory; a marker of a module or a test goes first.
LAYERS = {"spack": "unit", "browser": "browser"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its layer."""
    for item in items:
        marked = any(item.get_closest_marker(layer) for layer in ("unit", "kernel", "browser"))
        if not marked and item.path.is_relative_to(TESTS):
            room = item.path.relative_to(TESTS).parts[0]
            item.add_marker(LAYERS.get(room, "kernel"))


_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system")
_started: list[str] = []
sys.addaudithook(
    lambda event, args: _started.append(f"{event} {args[:1]}") if event in _STARTS else None
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let a unit test start no process."""
    _started.clear()
    yield
    is_unit = item.get_closest_marker("unit") and not item.get_closest_marker("kernel")
    if _started and is_unit:
        pytest.fail(f"a unit test starts a process, so it is marked `kernel`: {_started[0]}")
