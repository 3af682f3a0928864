"""Running a module of ours in a new process of this Python, whatever surrounds it."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path


def isolated_command(module: str) -> list[str]:
    """Return a command that runs `module` with this process's ``sys.path`` and nothing else's.

    Neither PYTHONPATH nor a file in the working directory can come in between, and it works for
    an installation that only this process's PYTHONPATH or user site makes importable.
    """
    path = [entry for entry in sys.path if entry.startswith("/") and Path(entry).exists()]
    code = (
        f"import sys; sys.path += [p for p in {path!r} if p not in sys.path]; "
        f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-c", code]


@functools.cache
def command_line() -> tuple[str, ...]:
    """Return a command that runs ``spack-kernel``, to be written into a file and read by people.

    Asks this Python once whether it finds us on its own, and takes a second at worst.
    """
    short = (sys.executable, "-I", "-m", "spack_kernel")
    answer = subprocess.run(  # noqa: S603 - an argument list, no shell
        [*short, "--version"], capture_output=True, cwd="/", check=False
    )
    return short if answer.returncode == 0 else tuple(isolated_command("spack_kernel"))
