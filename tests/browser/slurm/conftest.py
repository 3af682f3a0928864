"""A JupyterLab whose kernels run in jobs of a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spack_kernel import demo
from tests.browser.lab_server import LabServer
from tests.slurm.cluster import SlurmCluster

#: What the site allows.
_CONFIG = """
c.SpackPicker.stores = [{store!r}]
c.SpackSlurmProvisioner.slurm_limits = {{"time": "30:00", "partition": ["all", "urgent"]}}
c.SpackSlurmProvisioner.slurm_locked = {{"comment": "jupyter"}}
"""

#: What the kernel is called in the launcher.
NAME = "numpy in a job"


@pytest.fixture(scope="package")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, demo_store: demo.DemoStore
) -> Iterator[SlurmCluster]:
    """Return a running cluster, which this process and its children use."""
    cluster = SlurmCluster((tmp_path_factory.getbasetemp(), demo_store.root))
    with pytest.MonkeyPatch.context() as patch:
        cluster.use(patch)
        yield cluster
    cluster.stop()


@pytest.fixture
def lab_server(
    tmp_path_factory: pytest.TempPathFactory, cluster: SlurmCluster, demo_store: demo.DemoStore
) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("lab"), _CONFIG.format(store=str(demo_store.root)))
    server.install(
        demo_store.root,
        "py-numpy",
        display_name=NAME,
        job={"slurm": {"time": "10:00"}, "start_wait": 1.0},
    )
    yield server
    left = server.process.stop()
    assert not left, f"these outlived JupyterLab: {left}"
    assert not cluster.jobs()
