"""What a process that ended says about why: its exit status and its last lines."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Variables whose libraries take precedence over those a program was built with.
LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")

_LIBRARY = re.compile(r"(/[^\s:'\"]+?\.so[.\d]*)\b")
_CLASH = re.compile(
    r"version `[^']+' not found|undefined symbol|symbol lookup error|file too short"
    r"|invalid ELF header|wrong ELF class|cannot open shared object|error while loading shared"
)

#: Directories of the system's libraries, which every program can use.
_SYSTEM_LIBRARIES = (
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/powerpc64le-linux-gnu",
    "/usr/lib",
)


class Cause(NamedTuple):
    """What keeps a kernel from running.

    Attributes
    ----------
    details : tuple of str
        Indented lines: what was found.
    hint : str
        What to do.
    """

    details: tuple[str, ...]
    hint: str


def library_clash(
    lines: Sequence[str],
    environment: Mapping[str, str],
    origin: Callable[[str, str], str] | None = None,
) -> Cause | None:
    """Return the cause if an environment variable makes a program load the wrong library.

    Parameters
    ----------
    lines : sequence of str
        What the program printed.
    environment : mapping of str to str
        The environment it was started with.
    origin : callable, optional
        Returns what added an entry to a variable.
    """
    told = [line for line in lines if _CLASH.search(line)]
    if not told:
        return None
    named = {path for line in told for path in _LIBRARY.findall(line)}
    for variable in LIBRARY_VARIABLES:
        entries = [entry for entry in environment.get(variable, "").split(":") if entry]
        found = [(e, path) for e in entries for path in named if path == e or _is_in(path, e)]
        found = found or list(_hiding(entries))
        if not found:
            continue
        entry, path = found[0]
        whose = origin(variable, entry) if origin else ""
        details = [
            f"  {variable} loads {path} instead of the library that is needed",
            *([f"  {entry} in {variable} comes from {whose}"] if whose else []),
        ]
        return Cause(
            tuple(details),
            f"Remove {entry} from {variable}: in the site's `prefix_inspections` if they add it,\n"
            f"or with `unset {variable}` where the server is started.",
        )
    return None


def _is_in(path: str, directory: str) -> bool:
    return os.path.dirname(os.path.normpath(path)) == os.path.normpath(directory)  # noqa: PTH120


def _hiding(entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each directory with a library in it that hides one of the system's libraries."""
    for entry in entries:
        try:
            names = sorted(os.listdir(entry))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if ".so" in name and any(os.path.exists(f"{d}/{name}") for d in _SYSTEM_LIBRARIES):  # noqa: PTH110
                yield entry, f"{entry.rstrip('/')}/{name}"


def describe_exit(status: int) -> str:
    """Return an exit status as text: ``exit status 1``, ``killed by SIGSEGV``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def ipython_directory(environment: Mapping[str, str]) -> str:
    """Return where IPython keeps the user's startup files."""
    return environment.get("IPYTHONDIR") or f"{environment.get('HOME') or '~'}/.ipython"


def last_lines(text: str, count: int = 12) -> list[str]:
    """Return the last lines of a program's output, indented, without trailing empty lines."""
    return [f"  | {line}" for line in text.rstrip().splitlines()[-count:]]
