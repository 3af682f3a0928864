"""Wheels for a demo store: downloaded by pip, or built where PyPI has only the source."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from typing import TYPE_CHECKING

from spack_kernel.spack.system import run

from .errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from packaging.requirements import Requirement

#: How many of pip's last lines an error shows.
_TAIL = 5

#: The time limit of one call of pip, in seconds.
_TIMEOUT = 3600.0


def check_pip() -> None:
    """Raise `DemoError` when the running Python has no pip."""
    if util.find_spec("pip") is None:
        raise DemoError(
            f"{sys.executable} has no pip, which downloads the packages of the demo store",
            hint=f"Run: {sys.executable} -m ensurepip\n"
            "On Debian and Ubuntu: apt-get install python3-pip",
        )


def download(
    requirements: Iterable[Requirement], directory: Path, starting: Callable[[str], None]
) -> None:
    """Download a wheel for each of `requirements` into `directory`.

    Parameters
    ----------
    requirements : iterable of Requirement
        Pinned; nothing else is fetched.
    directory : Path
        An existing directory that no other user can write to.
    starting : callable
        Called with each requirement when pip starts to process it.

    Raises
    ------
    DemoError
        When pip fails; contains the last lines of its output.
    """
    listing = directory / "requirements.txt"
    listing.write_text("".join(f"{requirement}\n" for requirement in requirements))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(directory), "--requirement", str(listing)]
    _run_pip(command, dict(os.environ), starting)


def build(requirement: Requirement, directory: Path, python: Path, tools: Sequence[Path]) -> None:
    """Build a wheel of `requirement` into `directory`, as Spack would: with the store's tools.

    Parameters
    ----------
    requirement : Requirement
        Pinned; its source is downloaded.
    directory : Path
        An existing directory that no other user can write to.
    python : Path
        The interpreter of the store.
    tools : sequence of Path
        The site-packages of pip and of everything that the build needs.
    """
    command = [str(python), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--wheel-dir", str(directory), str(requirement)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, tools))}
    _run_pip(command, environment, lambda _: None)


def _run_pip(
    command: Sequence[str], environment: Mapping[str, str], starting: Callable[[str], None]
) -> None:
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]

    def on_line(line: str) -> None:
        if subject := _subject(line):
            starting(subject)

    try:
        done = run([*command, *options, "--retries", "2"], environment, _TIMEOUT, on_line=on_line)
        lines = [line.rstrip() for text in done[:2] for line in text.splitlines()]
        failed = done.status != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        lines, failed = [f"ERROR: {error}"], True
    if failed:
        raise DemoError(
            "pip could not download the packages of the demo store",
            details=[f"  {line}" for line in _last_words(lines)],
            hint="The packages come from PyPI, or from the index your pip is configured for "
            "(pip config list); pip uses the proxy in $HTTPS_PROXY.",
        )


def _subject(line: str) -> str:
    """Return the package that a line of pip's output starts to process; empty for other lines.

    "Collecting" names a requirement, "Processing" a file that is already on this machine.
    """
    word, _, rest = line.strip().partition(" ")
    if word == "Collecting":
        return rest.split()[0]
    path, dot, _ = rest.partition(".whl")
    if word == "Processing" and dot:
        return "==".join(path.rpartition("/")[2].split("-")[:2])
    return ""


def _last_words(lines: Sequence[str]) -> list[str]:
    """Return the lines that describe the problem: pip's errors, else its last lines."""
    errors = [line for line in lines if line.startswith("ERROR:")]
    retries = [line for line in lines if "Retrying" in line]
    return [*retries[-1:], *errors[-_TAIL:]] if errors else list(lines[-_TAIL:])
