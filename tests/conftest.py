"""What all tests share: the demo store, and no excuses where everything must be there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spack_kernel import demo


@pytest.fixture(scope="session")
def demo_store(request: pytest.FixtureRequest) -> demo.DemoStore:
    """Return a complete demo store, made once and kept for later runs.

    It lies in ``$SPACK_KERNEL_DEMO_STORE``, else in pytest's cache directory. Tests only read it.
    """
    chosen = os.environ.get("SPACK_KERNEL_DEMO_STORE")
    directory = Path(chosen) if chosen else request.config.cache.mkdir("demo-store")
    return demo.build(directory)
