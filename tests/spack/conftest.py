"""Stores written by real Spacks, opened once per test run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from spack_kernel.spack.store.store import Store
from tests.spack.golden_queries import open_store
from tests.spack.trees import FORMATS, unpack

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def golden_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Store]:
    """Return a function that opens the store of a Spack version (see `golden_queries.STORES`).

    Tests must not change it.
    """
    directory = tmp_path_factory.mktemp("golden-stores")
    return cache(lambda version: open_store(version, directory))


@pytest.fixture(scope="module", params=sorted(FORMATS))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the store of each Spack version in turn, opened separately."""
    return Store.open(unpack(request.param, tmp_path_factory.mktemp("tree")))
