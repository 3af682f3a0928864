"""Shared by all tests: the demo store; in CI, a missing component is a failure."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel import demo
from spack_kernel.demo.pins import PinnedRequirements

#: The prefixes of skip reasons for a component that this machine lacks, such as a module system
#: or a browser; the second is that of `pytest.importorskip`.
MISSING = ("missing component: ", "could not import ")


@pytest.fixture(scope="session")
def demo_store(request: pytest.FixtureRequest) -> demo.DemoStore:
    """Return a complete demo store, built once and reused by later runs.

    It is in ``$SPACK_KERNEL_DEMO_STORE`` or, by default, in pytest's cache directory, with a
    separate store for each Python and each set of packages: the demo's Python is an external.
    Tests must not change it.
    """
    chosen = os.environ.get("SPACK_KERNEL_DEMO_STORE")
    if chosen:
        return demo.build(Path(chosen))
    what = f"{sys.base_prefix} {sys.version} {PinnedRequirements.default().text}"
    tag = hashlib.sha256(what.encode()).hexdigest()[:8]
    return demo.build(Path(request.config.cache.mkdir(f"demo-store-{tag}")))


@pytest.fixture(scope="session", autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Keep the tests from using or filling the cache of the user who runs them."""
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
