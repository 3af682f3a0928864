"""What all tests share: the demo store, and no excuses where everything must be there."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel import demo
from spack_kernel.demo.pins import PinnedRequirements

#: How the reason of a skip begins when a component is missing on this machine, such as a module
#: system or a browser; `pytest.importorskip` has words of its own.
MISSING = ("missing component: ", "could not import ")


@pytest.fixture(scope="session")
def demo_store(request: pytest.FixtureRequest) -> demo.DemoStore:
    """Return a complete demo store, made once and kept for later runs.

    It lies in ``$SPACK_KERNEL_DEMO_STORE``, else in pytest's cache directory, where each Python
    and each set of packages has its own: the demo's Python is an external one. Tests only read it.
    """
    chosen = os.environ.get("SPACK_KERNEL_DEMO_STORE")
    if chosen:
        return demo.build(Path(chosen))
    what = f"{sys.base_prefix} {sys.version} {PinnedRequirements.default().text}"
    tag = hashlib.sha256(what.encode()).hexdigest()[:8]
    return demo.build(Path(request.config.cache.mkdir(f"demo-store-{tag}")))


@pytest.fixture(scope="session", autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Neither use nor fill the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPACK_KERNEL_CACHE", "")
        yield


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
