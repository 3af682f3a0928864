"""Run one of our modules in a new process of this Python, isolated from its surroundings."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from .processes import run

#: The time limit of finding out how to run `spack-kernel`, in seconds.
_TIMEOUT = 30.0


def isolated_command(module: str) -> list[str]:
    """Return a command that runs `module` with exactly this process's ``sys.path``.

    Neither PYTHONPATH nor files in the working directory affect it. It also works for an
    installation that is importable only through this process's PYTHONPATH or user site.
    """
    path = [entry for entry in sys.path if entry.startswith("/") and Path(entry).exists()]
    code = (
        f"import sys; sys.path += [p for p in {path!r} if p not in sys.path]; "
        f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-c", code]


@functools.cache
def command_line() -> tuple[str, ...]:
    """Return a command that runs ``spack-kernel``, readable enough to be written into a file.

    Runs this Python once to check whether it finds our package; takes a second at worst.
    """
    short = (sys.executable, "-I", "-m", "spack_kernel")
    try:
        answer = run([*short, "--version"], os.environ, _TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return tuple(isolated_command("spack_kernel"))
    return short if answer.status == 0 else tuple(isolated_command("spack_kernel"))
