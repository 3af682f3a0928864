"""A kernel of ours to its first reply, beside a plain ipykernel with the same packages."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from spack_kernel.kernels.plan import plan_kernel

from .measure import Comparison, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spack_kernel.spack import Store

_SECTION = "kernel start"


class _OneKernel(KernelSpecManager):
    """A manager that knows one kernelspec, which lies in no file."""

    kernel: KernelSpec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self.kernel


def _first_reply(spec: KernelSpec, env: Mapping[str, str]) -> float:
    specs = _OneKernel()
    specs.kernel = spec
    manager = KernelManager(kernel_spec_manager=specs, kernel_name="benchmark")
    started = time.perf_counter()
    manager.start_kernel(env=dict(env))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        client.execute_interactive("answer = 1 + 1", timeout=60)
        return time.perf_counter() - started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def compare(store: Store, query: str, directory: Path, rounds: int) -> Iterator[Comparison]:
    """Yield a kernel's time to its first reply against a plain one in the same Python.

    Parameters
    ----------
    store : Store
        Where to find the spec.
    query : str
        What the kernel is for.
    directory : Path
        Where the merged copy of the same packages goes.
    rounds : int
        How often to start each.
    """
    plan = plan_kernel(store, [store.get(query)])
    assert plan.interpreter is not None
    for entry in plan.pythonpath:
        shutil.copytree(entry.path, directory, symlinks=True, dirs_exist_ok=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    provisioner = {
        "provisioner_name": "spack-provisioner",
        "config": {"hash": plan.specs[0].hash, "store": store.root},
    }
    ours = KernelSpec(
        argv=list(plan.argv),
        display_name="ours",
        language="python",
        metadata={"kernel_provisioner": provisioner},
    )
    plain = KernelSpec(
        argv=[plan.interpreter.path, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="plain",
        language="python",
        env={"PYTHONPATH": str(directory)},
    )
    yield side_by_side(
        _SECTION,
        f"{plan.specs[0].name}, {len(plan.pythonpath)} prefixes, through the provisioner",
        lambda: _first_reply(ours, clean),
        "plain ipykernel, same Python, the same packages in one directory",
        lambda: _first_reply(plain, clean),
        rounds=rounds,
    )
