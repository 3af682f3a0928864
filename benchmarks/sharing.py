"""What the servers of many users take of a node's memory, beside plain servers."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spack_kernel._cache import CACHE_VARIABLE

from . import fresh
from .discovery import Server
from .measure import Comparison
from .resolving import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Seconds to wait for the kernels to be listed, and then until nothing goes on any more.
_TIMEOUT = 120
_SETTLING = 3.0

_CONFIG = """
c.ServerApp.kernel_spec_manager_class = "spack_kernel.jupyter.discovery.SpackKernelSpecManager"
c.SpackKernelSpecManager.stores = [{store!r}]
"""


def compare(root: Path, pinned: str, directory: Path, servers: int) -> Iterator[Comparison]:
    """Yield the memory of one server, and of several together.

    Parameters
    ----------
    root : Path
        A large install tree, some specs of which have prefixes.
    pinned : str
        The DAG hash of a spec that can be started.
    directory : Path
        Where the servers create their directories.
    servers : int
        How many to start.
    """
    section = f"memory of servers ({size_of(root)})"
    with _variable(CACHE_VARIABLE, str(directory / "cache")):
        fresh.run("keep", root, cache=str(directory / "cache"))
        alone, plain = _memory(directory / "plain", "", "", servers)
        own, ours = _memory(directory / "ours", _CONFIG.format(store=str(root)), pinned, servers)
    name = "of its own, after listing kernels and starting one"
    yield Comparison(
        section, f"a server: what it has {name}", f"a plain server {name}", (own,), (alone,), "MB"
    )
    yield Comparison(
        section, "the same, beyond a plain server", "15 MB", (own - alone,), (15.0,), "MB"
    )
    yield Comparison(
        section,
        f"{servers} servers with their helpers, without the kernels: all their memory",
        f"{servers} plain servers",
        (ours,),
        (plain,),
        "MB",
    )
    yield Comparison(
        section, "the same, beyond plain servers", "250 MB", (ours - plain,), (250.0,), "MB"
    )


def _memory(directory: Path, config: str, dag_hash: str, count: int) -> tuple[float, float]:
    """Return what the first of some servers has of its own, and what all have together, in MB."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Server(directory / str(number), config)) for number in range(count)
        ]
        for server in servers:
            server.get("api/kernels", {"name": _kernel(server, dag_hash)})
        time.sleep(_SETTLING)
        first = _read(servers[0].pid, "Private_Clean", "Private_Dirty")
        everything = sum(_read(pid, "Pss") for each in servers for pid in _without_kernels(each))
        for server in servers:
            _end_kernels(server)
        return first, everything


def _kernel(server: Server, dag_hash: str) -> str:
    """Return the name of the kernel of a spec; without one, of the plain kernel."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        answer = cast("dict[str, Any]", server.get("api/kernelspecs"))
        for name, kernel in answer["kernelspecs"].items():
            if kernel["spec"]["metadata"].get("spack_hash", "") == dag_hash:
                return str(name)
        time.sleep(0.2)
    raise RuntimeError(f"the kernel of {dag_hash} is not listed")


def _without_kernels(server: Server) -> Iterable[int]:
    return [
        pid
        for pid, line in server.processes().items()
        if "ipykernel_launcher" not in line and "launcher.py" not in line
    ]


def _end_kernels(server: Server) -> None:
    for pid in set(server.processes()) - set(_without_kernels(server)):
        with contextlib.suppress(OSError):
            os.kill(pid, 9)


def _read(pid: int, *fields: str) -> float:
    """Return the sum of some fields of a process's memory, in MB."""
    total = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in fields:
                total += int(value.split()[0])
    return total / 1024


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
