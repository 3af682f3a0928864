"""A Slurm cluster, and a JupyterHub whose users' servers run in its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel import demo
from tests.accounts import Account, need_accounts, public_directory, remove_account
from tests.cloned_store import ClonedStore

from .cluster import SlurmCluster
from .hub import Hub

USER = "sk-carol"


@pytest.fixture(scope="package")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, public_directory: Path, demo_store: demo.DemoStore
) -> Iterator[SlurmCluster]:
    """Return a running cluster, which shares the files of the tests."""
    shared = (tmp_path_factory.getbasetemp(), public_directory, demo_store.root)
    cluster = SlurmCluster(shared)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="package", name="public_directory")
def _public_directory() -> Iterator[Path]:
    with public_directory("spack-kernel-slurm-") as path:
        yield path


@pytest.fixture(scope="package")
def account(public_directory: Path) -> Iterator[Account]:
    """Return a user of the cluster."""
    need_accounts()
    homes = public_directory / "home"
    homes.mkdir()
    yield Account(USER, homes)
    remove_account(USER)


@pytest.fixture(scope="package")
def hub(
    public_directory: Path, cluster: SlurmCluster, account: Account, demo_store: demo.DemoStore
) -> Iterator[Hub]:
    """Return a running hub; check that it leaves no process behind."""
    sw = public_directory / "sw"
    ClonedStore(demo_store, sw / "spack" / "opt" / "spack")
    hub = Hub(cluster, sw, public_directory / "srv", account)
    hub.start()
    try:
        yield hub
    finally:
        left = hub.stop()
    assert not left, f"these outlived JupyterHub: {left}"
