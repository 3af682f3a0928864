"""``/api/kernelspecs`` of a server that offers a large store, compared with a plain server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from .measure import Comparison, beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_SECTION = "discovery"
TOKEN = "benchmark"

#: JupyterLab sends a request every ten seconds for each user; this is like a few hundred users.
_REQUESTS = 100

#: Minimum and maximum seconds of requests around a change of the database. The server that offers
#: the store should read it again in this time, which is the time from its start until it offers it.
_AROUND_CHANGE = (3.0, 5.0)

_CONFIG = """
c.ServerApp.kernel_spec_manager_class = "spack_kernel.jupyter.discovery.SpackKernelSpecManager"
c.SpackKernelSpecManager.stores = [{store!r}]
c.SpackKernelSpecManager.refresh_interval = 1.0
"""

#: Offer whatever can be a kernel.
_MANY = """
c.SpackKernelSpecManager.queries = ["platform=linux"]
c.SpackKernelSpecManager.limit = 48
"""

#: A server extension that measures how late the event loop wakes up a task that sleeps for 1 ms.
_METER = """
import asyncio, json, time
from jupyter_server.base.handlers import JupyterHandler

longest = 0.0

async def watch():
    global longest
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)

class Stall(JupyterHandler):
    def get(self):
        global longest
        self.finish(json.dumps(longest))
        longest = 0.0

def _jupyter_server_extension_points():
    return [{"module": "stall_meter"}]

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*", [(app.base_url + "stall", Stall)])
    app.io_loop.add_callback(watch)
"""


class Server:
    """A Jupyter Server with its own directories, which runs while the context lasts."""

    def __init__(self, home: Path, config: str = "") -> None:
        for name in ("data", "config", "runtime", "modules", "root"):
            (home / name).mkdir(parents=True)
        (home / "config" / "jupyter_server_config.py").write_text(config)
        (home / "modules" / "stall_meter.py").write_text(_METER)
        self._runtime = home / "runtime"
        env = {
            **os.environ,
            "HOME": str(home / "root"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "PYTHONPATH": str(home / "modules"),
        }
        options = [
            f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.jpserver_extensions={'stall_meter': True}",
            "--ServerApp.allow_root=True",
        ]
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0", *options]
        with (home / "log").open("w") as log:
            self._process = subprocess.Popen(
                command, env=env, cwd=home / "root", stdout=log, stderr=log
            )
        self.url = ""

    def __enter__(self) -> Server:
        file = self._runtime / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + 120
        while not self.url:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start; see {self._runtime.parent / 'log'}")
            time.sleep(0.1)
            try:
                url = json.loads(file.read_text())["url"]
                urllib.request.urlopen(f"{url}api", timeout=5).close()
                self.url = url
            except (OSError, ValueError):
                continue
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def processes(self) -> dict[int, str]:
        """Return the command lines of the server and of what it has started, by process."""
        mark = f"JUPYTER_RUNTIME_DIR={self._runtime}".encode()
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (directory / "environ").read_bytes().split(b"\0"):
                    line = (directory / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(directory.name)] = line.decode(errors="replace")
        return found

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self._process.pid

    def get(self, path: str, content: object = None) -> object:
        """Return the answer to a request; with `content`, to a POST request."""
        request = urllib.request.Request(
            self.url + path,
            headers={"Authorization": f"token {TOKEN}"},
            data=None if content is None else json.dumps(content).encode(),
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.loads(response.read())

    def kernels(self) -> int:
        """Return how many kernels there are."""
        answer = self.get("api/kernelspecs")
        assert isinstance(answer, dict)
        return len(answer["kernelspecs"])

    def answer_time(self, seconds: float = 0.0) -> float:
        """Return the median response time, over some requests or at least `seconds`."""
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < _REQUESTS or time.perf_counter() < end:
            before = time.perf_counter()
            self.get("api/kernelspecs")
            times.append(time.perf_counter() - before)
        return statistics.median(times)

    def stall(self) -> float:
        """Return the longest stall of the event loop since the last call, in seconds."""
        return float(str(self.get("stall")))


def compare(store: Path, directory: Path, rounds: int) -> Iterator[Comparison]:
    """Yield the response time and the longest stall, warm and while the database changes.

    Parameters
    ----------
    store : Path
        An install tree; its database is replaced by a copy of itself, as Spack replaces it.
    directory : Path
        Where the servers create their directories.
    rounds : int
        How often to measure each pair.
    """
    config = _CONFIG.format(store=str(store))
    started = time.monotonic()
    with Server(directory / "ours", config) as ours, Server(directory / "plain") as plain:
        _wait_for_offers(ours, plain)
        least, most = _AROUND_CHANGE
        around = min(max(least, time.monotonic() - started), most)
        listed = f"{ours.kernels()} kernels"
        other = f"plain KernelSpecManager, {plain.kernels()} kernels"
        yield from beside(
            _SECTION,
            {f"/api/kernelspecs, {listed}, database unchanged": ours.answer_time},
            other,
            plain.answer_time,
            rounds=rounds,
        )
        changed: dict[str, list[float]] = {"ours": [], "plain": []}
        stalls: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(rounds):
            for name, server in (("ours", ours), ("plain", plain)):
                server.stall()
                _replace(store)
                changed[name].append(server.answer_time(around))
                stalls[name].append(server.stall())
        yield Comparison(
            _SECTION,
            f"/api/kernelspecs, {listed}, while the database is replaced and read",
            other,
            tuple(changed["ours"]),
            tuple(changed["plain"]),
        )
        yield Comparison(
            _SECTION,
            "the longest stall of the event loop during this time",
            other,
            tuple(stalls["ours"]),
            tuple(stalls["plain"]),
        )


def compare_many(store: Path, directory: Path, rounds: int) -> Iterator[Comparison]:
    """Yield the response time of a server that offers many kernels from memory.

    It is compared with a server that has none of them, and with one that has as many in files.

    Parameters
    ----------
    store : Path
        An install tree whose specs can be kernels.
    directory, rounds
        As for `compare`.
    """
    config = _CONFIG.format(store=str(store)) + _MANY
    with (
        Server(directory / "many", config) as ours,
        Server(directory / "few") as few,
        Server(directory / "files") as files,
    ):
        _wait_for_offers(ours, few)
        answer = few.get("api/kernelspecs")
        assert isinstance(answer, dict)
        content = json.dumps(next(iter(answer["kernelspecs"].values()))["spec"])
        for number in range(ours.kernels() - files.kernels()):
            place = directory / "files" / "data" / "kernels" / f"kernel{number}"
            place.mkdir(parents=True)
            (place / "kernel.json").write_text(content)
        for other in (few, files):
            yield from beside(
                _SECTION,
                {f"/api/kernelspecs, {ours.kernels()} kernels": ours.answer_time},
                f"plain KernelSpecManager, {other.kernels()} kernels",
                other.answer_time,
                rounds=rounds,
            )


def _wait_for_offers(ours: Server, plain: Server) -> None:
    """Wait until a server offers the kernels of a store, at most two minutes."""
    deadline = time.monotonic() + 120
    while ours.kernels() <= plain.kernels() + 1 and time.monotonic() < deadline:
        time.sleep(0.1)


def _replace(store: Path) -> None:
    """Replace the database with a copy by renaming, so that it is a different file."""
    index = store / ".spack-db" / "index.json"
    scratch = index.with_suffix(".new")
    shutil.copyfile(index, scratch)
    scratch.replace(index)
