"""Our kernel to its first reply, compared with a plain ipykernel with the same packages."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

from .launching import clean_environment, kernelspecs, manager_of
from .measure import Comparison, beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.kernelspec import KernelSpec


def _first_reply(spec: KernelSpec) -> float:
    manager = manager_of(spec)
    started = time.perf_counter()
    manager.start_kernel(env=clean_environment())
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        client.execute_interactive("answer = 1 + 1", timeout=60)
        return time.perf_counter() - started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def compare(root: Path, pinned: str, directory: Path, rounds: int) -> Iterator[Comparison]:
    """Yield a kernel's time to its first reply, compared with a plain one in the same Python.

    Parameters
    ----------
    root : Path
        The install tree.
    pinned : str
        The DAG hash of the kernel's spec.
    directory : Path
        The directory for the merged copy of the same packages.
    rounds : int
        How often to start each.
    """
    store = Store.open(root)
    plan = plan_kernel(store, [store.get(f"/{pinned}")])
    for entry in plan.pythonpath:
        shutil.copytree(entry.path, directory, symlinks=True, dirs_exist_ok=True)
    ours, plain = kernelspecs(root, pinned, str(directory))
    name = f"{plan.specs[0].name}, {len(plan.pythonpath)} prefixes, through the provisioner"
    yield from beside(
        "kernel start, to the first reply",
        {name: lambda: _first_reply(ours)},
        "plain ipykernel, same Python, the same packages in one directory",
        lambda: _first_reply(plain),
        rounds=rounds,
        budget=2.5 * rounds,
    )
