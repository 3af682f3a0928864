"""Running a program of the site's: without a shell, for a limited time, leaving nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Output(NamedTuple):
    """What a program printed, and its exit status (negative: the signal that ended it)."""

    stdout: str
    stderr: str
    status: int

    def tail(self, lines: int = 8) -> list[str]:
        """Return the last lines of `stderr`, indented as details of an error."""
        return [f"  {line}" for line in self.stderr.strip().splitlines()[-lines:]]


def run(argv: Sequence[str], environment: Mapping[str, str], timeout: float) -> Output:
    """Run `argv` in ``/`` with exactly `environment`, and return what it printed.

    When it does not end in time, it and what it started are killed.

    Raises
    ------
    OSError
        When it cannot be started.
    subprocess.TimeoutExpired
        When it takes longer than `timeout` seconds.
    """
    process = subprocess.Popen(  # noqa: S603 - programs the site named, without a shell
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Output(
        stdout.decode(errors="replace"), stderr.decode(errors="replace"), process.returncode
    )
