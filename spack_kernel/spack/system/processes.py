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
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .ownership import RunAs

#: The maximum that a program may print to each of its outputs, in bytes.
MAX_OUTPUT = 16 * 1024 * 1024

_CHUNK = 65536

#: The most that a pipe holds if nobody has enlarged it (pipe(7)), in bytes.
_PIPE_SIZE = 65536

#: Seconds to wait until a killed program is gone; one that waits for a disk might never be.
_GRACE = 1.0

#: The programs that are running now; each is the leader of a process group.
_running: set[int] = set()


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
    text: bytes = b"",
    on_line: Callable[[str], None] | None = None,
    limit: int = MAX_OUTPUT,
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
    text : bytes
        What it can read from its standard input.
    on_line : callable, optional
        Called with each line that it prints on its standard output, as soon as it is printed.
    limit : int
        The number of bytes that it may print on each of its outputs.

    Raises
    ------
    OSError
        When it cannot be started, or prints more than `limit`.
    subprocess.TimeoutExpired
        When it takes longer than `timeout` seconds.
    """
    variables = dict(environment) if user is None else user.environment(environment)
    with _readable(text) as standard_input:
        process = subprocess.Popen(  # noqa: S603 - configured programs, without a shell
            argv,
            stdin=standard_input,
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
    lines = _Lines(on_line)
    _running.add(process.pid)
    try:
        stdout, stderr = _read_all(process, time.monotonic() + timeout, limit, lines)
    except _LateError:
        raise subprocess.TimeoutExpired(list(argv), timeout) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _running.discard(process.pid)
        process.stdout.close()
        process.stderr.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    return Output(
        stdout.decode(errors="replace"), stderr.decode(errors="replace"), process.returncode
    )


def never_suspend() -> None:
    """Let no thread of this process start a program by vfork(2), from now on.

    It suspends the thread, together with the interpreter's lock, until execve(2) has read the
    program. If that is on a file system that hangs, so do all other threads. The switch is
    described under "Performance" in the documentation of Python's `subprocess`.
    """
    subprocess._USE_VFORK = False  # type: ignore[attr-defined]


def kill_running() -> None:
    """Kill all programs that threads of this process run now, before it ends without them."""
    for pid in tuple(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def _readable(text: bytes) -> Iterator[int]:
    """Give a file descriptor from which a process reads `text`, however long it is."""
    if not text:
        yield subprocess.DEVNULL
        return
    import tempfile  # brings `random` along, which no kernel start needs

    with tempfile.TemporaryFile() as file:
        file.write(text)
        file.seek(0)
        yield file.fileno()


class _Lines:
    """Calls a function with each complete line of some output."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest = b""

    def add(self, data: bytes) -> None:
        """Take more output."""
        if self._on_line is not None:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace"))


class _LateError(Exception):
    """The time limit was exceeded."""


def _read_all(
    process: subprocess.Popen[bytes], deadline: float, limit: int, lines: _Lines
) -> tuple[bytes, bytes]:
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
        after: dict[int, int] = dict.fromkeys(read, 0)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise _LateError
            # Pipes can stay open after the process has exited, so poll for its exit.
            ended = ended or process.poll() is not None
            ready = selector.select(0 if ended else min(pause, left))
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                read[key.fd] += data
                after[key.fd] += len(data) if ended else 0
                if key.fileobj is process.stdout:
                    lines.add(data)
                # What it printed itself is in the pipe; the rest is of its children.
                if not data or after[key.fd] > _PIPE_SIZE:
                    selector.unregister(key.fileobj)
                if len(read[key.fd]) > limit:
                    raise TooMuchOutputError(
                        27,
                        f"it printed more than {limit >> 20} MiB",
                        process.args[0],  # type: ignore[index]
                    )
            if not ready:
                if ended:
                    break
                pause = min(pause * 2, 0.05)
    stdout, stderr = (bytes(part) for part in read.values())
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise _LateError
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(0.05, max(0.0, deadline - time.monotonic())))
    return stdout, stderr
