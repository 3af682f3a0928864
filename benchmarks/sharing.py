"""What the servers of many users take of a node's memory, beside plain servers."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from unittest import mock

from spack_kernel._cache import CACHE_VARIABLE

from . import fresh
from .discovery import Server
from .measure import Comparison
from .resolving import index_of, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Seconds to wait for the kernels to be listed, and then until nothing goes on any more.
_TIMEOUT = 120
_SETTLING = 3.0

#: Seconds after which a helper that was not asked anything has ended.
_IDLE = 70.0

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
    with mock.patch.dict(os.environ, {CACHE_VARIABLE: str(directory / "cache")}):
        fresh.run("keep", root, cache=str(directory / "cache"))
        plain = _memory(directory / "plain", "", "", servers, (_SETTLING,))
        times = (_SETTLING, _IDLE)
        ours = _memory(directory / "ours", _CONFIG.format(store=str(root)), pinned, servers, times)
    first = plain[_SETTLING]
    for seconds, memory in ours.items():
        when = f"{seconds:.0f} s after listing the kernels and starting one"
        for text, own, other in (
            ("a server alone", memory.first, first.first),
            (f"{servers} servers with their helpers, without the kernels", memory.all, first.all),
        ):
            yield Comparison(section, f"{text}, {when}", "plain servers", (own,), (other,), "MB")
            yield Comparison(
                section,
                "the same, beyond plain servers",
                "the size of index.json",
                (own - other,),
                (index_of(root).stat().st_size / 1024**2,),
                "MB",
            )


class _Memory(NamedTuple):
    """The memory that the first of some servers has of its own, and of all together, in MB."""

    first: float
    all: float


def _memory(
    directory: Path, config: str, dag_hash: str, count: int, times: Sequence[float]
) -> dict[float, _Memory]:
    """Return the memory of some servers, some seconds after each has started a kernel."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Server(directory / str(number), config)) for number in range(count)
        ]
        for server in servers:
            server.get("api/kernels", {"name": _kernel(server, dag_hash)})
        began, found = time.monotonic(), {}
        for seconds in times:
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            first = _read(servers[0].pid, "Private_Clean", "Private_Dirty")
            pids = [pid for server in servers for pid in _without_kernels(server)]
            found[seconds] = _Memory(first, sum(_read(pid, "Pss") for pid in pids))
        for server in servers:
            _end_kernels(server)
        return found


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
