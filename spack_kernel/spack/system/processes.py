"""Running a program of the site's: without a shell, for a limited time, leaving nothing behind."""

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

#: The most that a program may print on each of its outputs, in bytes.
MAX_OUTPUT = 16 * 1024 * 1024

_CHUNK = 65536

#: Seconds that a killed program has to be gone; one that waits for a disk may never be.
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
    """A program that printed more than is read; it was killed."""


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    timeout: float,
    *,
    user: RunAs | None = None,
) -> Output:
    """Run `argv` in ``/`` with exactly `environment`, and return what it printed.

    It is over when the program has ended, whatever it left running: that, and the program itself
    when it does not end in time or prints without end, is killed.

    Parameters
    ----------
    argv : sequence of str
        The command.
    environment : mapping of str to str
        All its variables; of these only some where it runs as another user.
    timeout : float
        Seconds it may take.
    user : RunAs, optional
        As whom it runs; as this process otherwise.

    Raises
    ------
    OSError
        When it cannot be started, or prints more than `MAX_OUTPUT`.
    subprocess.TimeoutExpired
        When it takes longer than `timeout` seconds.
    """
    variables = dict(environment) if user is None else user.environment(environment)
    process = subprocess.Popen(  # noqa: S603 - programs the site named, without a shell
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
    """The time is over."""


def _read_all(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Return what a process prints until it ends; a child that holds the pipes is not waited for.

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
            # Pipes that stay open say nothing of the end of the process, so it is looked for.
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
