"""From ``start_kernel`` to the child's ``exec``: our provisioner compared with Jupyter's own.

``python -m benchmarks.launching KERNELSPEC`` (JSON) prints the seconds of the first start in a
new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

from jupyter_client import launcher
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

from .measure import Comparison, in_turns
from .resolving import index_of, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PLAIN = "LocalProvisioner, same Python"


class OneKernel(KernelSpecManager):
    """A manager for one kernelspec, which is not in a file."""

    kernel: KernelSpec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the one kernelspec."""
        return self.kernel


def manager_of(spec: KernelSpec) -> KernelManager:
    """Return a manager that starts kernels of one kernelspec."""
    specs = OneKernel()
    specs.kernel = spec
    return KernelManager(kernel_spec_manager=specs, kernel_name="benchmark")


def kernelspecs(root: Path, pinned: str, pythonpath: str) -> tuple[KernelSpec, KernelSpec]:
    """Return our own pinned kernelspec, and a plain one for the same Python.

    Parameters
    ----------
    root : Path
        The install tree.
    pinned : str
        The DAG hash of a spec.
    pythonpath : str
        Where the plain kernel finds its packages.
    """
    store = Store.open(root)
    plan = plan_kernel(store, [store.get(f"/{pinned}")])
    assert plan.interpreter is not None
    provisioner = {
        "provisioner_name": "spack-provisioner",
        "config": {"spec": plan.specs[0].name, "hash": pinned, "store": str(root)},
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
        env={"PYTHONPATH": pythonpath},
    )
    return ours, plain


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the variables for another Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def compare(root: Path, pinned: str, rounds: int) -> Iterator[Comparison]:
    """Yield the time from `start_kernel` to exec, with a warm, a cold and a new process.

    Parameters
    ----------
    root : Path
        An install tree that nothing else uses: this changes the time of its database.
    pinned : str
        The DAG hash of a spec with existing prefixes.
    rounds : int
        How often to start each.
    """
    section = f"from start_kernel to the child's exec ({size_of(root)})"
    store = Store.open(root)
    path = plan_kernel(store, [store.get(f"/{pinned}")]).pythonpath
    ours, plain = kernelspecs(root, pinned, os.pathsep.join(entry.path for entry in path))

    def cold() -> float:
        os.utime(index_of(root))  # looks like another file, so it is read again
        return until_exec(ours)

    names = {
        "warm": "pinned, warm store: a kernel for this spec was started before",
        "cold": "pinned, cold store: the database is read, the kernel planned again",
        "new": "pinned, the first kernel of a new process: imports, store, interpreter probe",
    }
    values = in_turns(
        {
            "warm": lambda: until_exec(ours),
            "cold": cold,
            "plain": lambda: until_exec(plain),
            "new": lambda: _in_new_process(ours),
            "new plain": lambda: _in_new_process(plain),
        },
        rounds=rounds,
        budget=1.2 * rounds,
    )
    for key, name in names.items():
        others = values["new plain" if key == "new" else "plain"]
        other = _PLAIN + (", in a new process" if key == "new" else "")
        yield Comparison(section, name, other, values[key], others)
        if len(values[key]) == len(others):
            extra = [mine - its for mine, its in zip(values[key], others, strict=True)]
            name = f"our part of it, which is the difference ({key})"
            yield Comparison(section, name, other, tuple(extra), others)


def until_exec(spec: KernelSpec) -> float:
    """Start a kernel, and return the seconds from `start_kernel` to its exec."""
    finished = []

    class Popen(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)  # returns when the child's execve(2) has succeeded
            finished.append(time.perf_counter())

    manager = manager_of(spec)
    with mock.patch.object(launcher, "Popen", Popen):
        started = time.perf_counter()
        manager.start_kernel(env=clean_environment())
    manager.shutdown_kernel(now=True)
    return finished[0] - started


def _in_new_process(spec: KernelSpec) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.launching", json.dumps(spec.to_dict())],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main(arguments: Mapping[str, Any]) -> None:
    """Print the seconds of one start."""
    with contextlib.redirect_stdout(sys.stderr):
        taken = until_exec(KernelSpec(**arguments))
    print(taken)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
