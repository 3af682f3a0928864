"""Stores that real Spacks wrote, opened once a test run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from golden_queries import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from spack_kernel.spack.store import Store


@pytest.fixture(scope="session")
def golden_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Store]:
    """Return a function that opens the store of a Spack version (see `golden_queries.STORES`).

    Tests only read it.
    """
    directory = tmp_path_factory.mktemp("golden-stores")
    return cache(lambda version: open_store(version, directory))
