"""A server as a process of its own, whose end leaves nothing behind."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

#: Seconds a condition may take to come true on a slow machine.
PATIENCE = 90.0


def free_port() -> int:
    """Return a local port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Return when `condition` is true; fail with `what` was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Return whether somebody answers HTTP requests there, with whatever status."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class ServerProcess:
    """A running server.

    Parameters
    ----------
    command : sequence of str
        What to run.
    env : mapping of str to str
        Its whole environment.
    cwd : Path
        Where it runs.
    log : Path
        The file for all it prints.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, url: str) -> None:
        """Return when the server answers; fail with its log when it ends instead."""

        def ready() -> bool:
            assert self._process.poll() is None, f"the server ended:\n{self.text()[-4000:]}"
            return answers(url)

        wait_until(ready, f"{url}; the server says:\n{self.text()[-4000:]}")

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def family(self) -> list[psutil.Process]:
        """Return the processes it has started, directly and indirectly."""
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> list[str]:
        """End it and all it started; return the command lines that outlived a polite request."""
        family = self.family()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(family, timeout=10)
        commands = [_command_line(process) for process in left]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        return [command for command in commands if command]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
