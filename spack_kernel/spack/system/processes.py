"""Run a program of the site without a shell, with a time limit, leaving no processes behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .ownership import RunAs

#: The maximum that a program may print to each of its outputs, in bytes.
MAX_OUTPUT = 16 * 1024 * 1024

_CHUNK = 65536

#: Seconds to wait until a killed program is gone; one that waits for a disk might never be.
_GRACE = 1.0


class Output(NamedTuple):
    """What a program printed, and its exit status (negative: the signal that ended it)."""

    stdout: str
    stderr: str
    status: int

    def tail(self, lines: int = 8) -> list[str]:
        """Return the last lines of `stderr`, indented as details of an error."""
        return [f"  {line}" for line in self.stderr.strip().splitlines()[-lines:]]


class TooMuchOutputError(OSError):
    """A program printed more than the limit and was killed."""


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    timeout: float,
    *,
    user: RunAs | None = None,
) -> Output:
    """Run `argv` in ``/`` with exactly `environment`, and return what it printed.

    The call ends when the program exits, even if its child processes are still running. They are
    killed, as is the program itself if it does not exit in time or prints too much.

    Parameters
    ----------
    argv : sequence of str
        The command.
    environment : mapping of str to str
        All its variables; if it runs as another user, it gets only some of them.
    timeout : float
        Time limit in seconds.
    user : RunAs, optional
        The user to run it as; by default the user of this process.

    Raises
    ------
    OSError
        When it cannot be started, or prints more than `MAX_OUTPUT`.
    subprocess.TimeoutExpired
        When it takes longer than `timeout` seconds.
    """
    variables = dict(environment) if user is None else user.environment(environment)
    process = subprocess.Popen(  # noqa: S603 - programs that the site configured, without a shell
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=variables,
        start_new_session=True,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        stdout, stderr = _read_all(process, time.monotonic() + timeout)
    except _LateError:
        raise subprocess.TimeoutExpired(list(argv), timeout) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.stderr.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    return Output(
        stdout.decode(errors="replace"), stderr.decode(errors="replace"), process.returncode
    )


class _LateError(Exception):
    """The time limit was exceeded."""


def _read_all(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Return the output of a process until it exits, even if a child keeps the pipes open.

    Raises `_LateError` and `TooMuchOutputError`.
    """
    read: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
            read[pipe.fileno()] = bytearray()
        pause, ended = 0.001, False
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise _LateError
            # Pipes can stay open after the process has exited, so poll for its exit.
            ready = selector.select(0 if ended else min(pause, left))
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                read[key.fd] += data
                if not data:
                    selector.unregister(key.fileobj)
                if len(read[key.fd]) > MAX_OUTPUT:
                    raise TooMuchOutputError(
                        27,
                        f"it printed more than {MAX_OUTPUT >> 20} MiB",
                        process.args[0],  # type: ignore[index]
                    )
            if not ready:
                if ended:
                    break
                ended = process.poll() is not None
                pause = min(pause * 2, 0.05)
    stdout, stderr = (bytes(part) for part in read.values())
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise _LateError
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(0.05, max(0.0, deadline - time.monotonic())))
    return stdout, stderr
