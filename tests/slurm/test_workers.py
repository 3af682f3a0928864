"""Workers of dask-jobqueue and ipyparallel: in jobs, in the Spack environment of the notebook."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.cloned_store import ClonedStore
from tests.grown_store import from_pypi

from .cluster import SlurmCluster
from .kernels import JobKernel

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]

#: What a worker says of itself.
_WHO = """\
def who(_=None):
    import os, sys
    return os.uname().nodename, os.environ.get("SLURM_JOB_ID"), sys.modules["PACKAGE"].__file__
"""

_DASK = """\
from dask_jobqueue import SLURMCluster
from distributed import Client

with SLURMCluster(cores=1, memory="500MB", processes=1) as cluster, Client(cluster) as client:
    cluster.scale(2)
    client.wait_for_workers(2, timeout=120)
    print(*client.run(who).values(), sep="\\n")
"""

_IPYPARALLEL = """\
import ipyparallel
with ipyparallel.Cluster(n=2, log_level=30) as client:
    client.wait_for_engines(2, timeout=120)
    print(*client[:].apply_sync(who), sep="\\n")
"""


@pytest.fixture(scope="module")
def store(demo_store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> ClonedStore:
    """Return a store with both packages, each with all that it needs."""
    store = ClonedStore(demo_store, tmp_path_factory.mktemp("workers") / "store")
    from_pypi(store, "dask-jobqueue==0.9.0", also=())
    from_pypi(store, "ipyparallel==9.2.0", also=())
    store.save()
    return store


@pytest.mark.parametrize(
    ("package", "spec", "module", "code", "place"),
    [
        ("dask", "py-dask-jobqueue", "distributed", _DASK, ".config/dask/spack.yaml"),
        (
            "ipyparallel",
            "py-ipyparallel",
            "ipyparallel",
            _IPYPARALLEL,
            ".ipython/profile_default/ipcluster_config.py",
        ),
    ],
)
def test_workers_have_the_environment_of_the_notebook(
    cluster: SlurmCluster,
    store: ClonedStore,
    demo_store: DemoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    spec: str,
    module: str,
    code: str,
    place: str,
) -> None:
    cluster.use(monkeypatch)
    command = [sys.executable, "-m", "spack_kernel", "--store", str(store.root)]
    options = ["--slurm", "time=10", "--output", str(tmp_path / place)]
    subprocess.run([*command, "workers", package, *options, spec], check=True)
    env = {"HOME": str(tmp_path), "SLURM_CONF": cluster.environment["SLURM_CONF"]}

    async def scenario() -> str:
        kernel = JobKernel(demo_store, tmp_path, store=str(store.root), spec=spec, env=env)
        try:
            await kernel.start()
            await kernel.text(f"import os; os.chdir({str(tmp_path)!r})")
            await kernel.text(_WHO.replace("PACKAGE", module))
            own = await kernel.text("print(os.environ['SLURM_JOB_ID'])")
            return own + await kernel.text(code)
        finally:
            await kernel.shut_down()

    own, *lines = asyncio.run(scenario()).splitlines()
    workers = [line for line in lines if line.startswith("(")]
    assert len(workers) == 2, workers
    for line in workers:
        node, job, file = eval(line)
        assert node in ("n1", "n2")
        assert job != own
        assert file.startswith(os.fspath(store.root))
