"""`exec` of a pinned spec without planning again what was planned before.

To read a database, choose an interpreter and look at hundreds of directories takes ten times what
Python takes to start, and for a pinned spec the result is the same each time. So it is kept, with
every question that was asked of the file system on the way and its answer: the database's and our
own files' inode, size and time, which directories there are, what the interpreter looks like. It
is used again when all the answers are the same, and made anew when one is not.

The files lie in ``$SPACK_KERNEL_CACHE``, else in ``spack-kernel`` of the user's cache directory,
readable by their owner alone; nobody else's are trusted. They may be deleted at any time, and an
empty ``$SPACK_KERNEL_CACHE`` does without them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from collections import namedtuple
from contextlib import suppress

from spack_kernel.kernels.composition import Composition, is_python
from spack_kernel.kernels.hygiene import clean_environment
from spack_kernel.spack import disk

from .process import CommandError, replace_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from spack_kernel.spack.disk import Question

CACHE_VARIABLE = "SPACK_KERNEL_CACHE"

#: How many starts are kept; the ones that were made longest ago go.
_KEPT = 100

#: What else decides how an interpreter answers.
_LOADER = ("LD_LIBRARY_PATH", "LD_PRELOAD")

_PINNED = re.compile(r"[\w.+-]*(@[\w.,:=-]+)?/[a-z0-9]+", re.ASCII)


class Start(namedtuple("Start", ("command", "environment", "env", "python", "composition"))):
    """What `exec` starts.

    Attributes
    ----------
    command : list of str
        The command, its Python named by path.
    environment : dict of str to str
        All variables.
    env : dict of str to str
        What ``--env`` sets.
    python : str
        The interpreter; empty where there is none.
    composition : Composition or None
        What the environment is made of; None where it can be different at the next start.
    """

    __slots__ = ()


def is_pinned(args: argparse.Namespace) -> bool:
    """Return whether arguments name specs by hash in stores by path, and nothing that moves."""
    moving = (args.from_notebook, args.environment, args.view, args.modules)
    return (
        not any(moving)
        and args.companion in ("auto", "none")
        and bool(args.store)
        and all(os.path.isabs(path) for path in args.store)  # noqa: PTH117
        and bool(args.query)
        and all(_PINNED.fullmatch(word) for word in args.query)
    )


def remember(arguments: Sequence[str], start: Start, questions: Sequence[Question]) -> None:
    """Keep how `start` came about; a directory that cannot be written to is no error.

    Parameters
    ----------
    arguments : sequence of str
        What the command was called with.
    start : Start
        What it starts.
    questions : sequence of Question
        What was asked of the file system meanwhile.
    """
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == "spack_kernel"]
    ours = [("stamp", m.__file__, disk.stamp(m.__file__)) for m in modules if m.__file__]
    if any(answer is None for _, _, answer in ours):
        return
    cut = list(arguments).index("--")
    key = _key(arguments[:cut], list(arguments[cut + 1 :]))
    path = _path(key)
    if path is None:
        return
    from spack_kernel.kernels.launcher import INDEX_VARIABLE, PATH_VARIABLE

    launch = None
    if start.command[1:2] != list(arguments[cut + 2 : cut + 3]):  # through our launcher
        path_variables = [n for n in (PATH_VARIABLE, INDEX_VARIABLE) if n in start.environment]
        launch = {
            "launcher": start.command[1],
            "pythonpath": start.environment.get(PATH_VARIABLE),
            "variables": {name: start.environment[name] for name in path_variables},
        }
    changes, *rest = start.composition
    asked = {(kind, path): answer for kind, path, answer in (*ours, *questions)}
    record = {
        "key": key,
        "questions": [(*question, answer) for question, answer in asked.items()],
        "python": start.python,
        "env": start.env,
        "composition": [[change[:4] for change in changes], *rest],
        "launch": launch,
    }
    with suppress(OSError):
        _write(path, json.dumps(record, separators=(",", ":")))


def replay(arguments: Sequence[str]) -> None:
    """Start what the same arguments started before, in the place of this process.

    Returns when there is no such start, when anything has changed since, or when it fails: who
    plans anew finds out what is wrong.
    """
    if "--" not in arguments or os.environ.get("SPACK_LOADED_HASHES"):
        return
    cut = arguments.index("--")
    command = list(arguments[cut + 1 :])
    key = _key(arguments[:cut], command)
    record = _read(key)
    if record is None or not command or not disk.unchanged(record["questions"]):
        return
    cleaned, _ = clean_environment(os.environ)
    environment = Composition(*record["composition"]).apply(cleaned, env=record["env"])
    if is_python(command[0]):
        if not record["python"]:
            return
        command[0] = record["python"]
    launch = record["launch"]
    if launch is not None:
        command[1:2] = [launch["launcher"]]
        if launch["variables"]:
            if environment.pop("PYTHONPATH", None) != launch["pythonpath"]:
                return
            environment.update(launch["variables"])
    try:
        replace_process(command, environment)
    except CommandError:
        return


def _key(arguments: Sequence[str], command: Sequence[str]) -> list[Any]:
    """Return all that decides what is planned, beside the file system."""
    kernel = (
        bool(command) and is_python(command[0]) and command[1:3] == ["-m", "ipykernel_launcher"]
    )
    return [list(arguments), kernel, sys.prefix, [os.environ.get(name) for name in _LOADER]]


def _path(key: list[Any]) -> str | None:
    directory = os.environ.get(CACHE_VARIABLE)
    if directory is None:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not base.startswith("/"):
            base = os.path.expanduser("~/.cache")  # noqa: PTH111 - a kernel starts without pathlib
        directory = f"{base}/spack-kernel"
    if not directory.startswith("/"):
        return None
    text = json.dumps(key).encode()
    return f"{directory}/exec-{zlib.crc32(text):08x}{zlib.adler32(text):08x}.json"


def _read(key: list[Any]) -> dict[str, Any] | None:
    """Return what was kept for `key`, unless somebody else could have written it."""
    path = _path(key)
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return None
            record: dict[str, Any] | object = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def _write(path: str, text: str) -> None:
    directory = os.path.dirname(path)  # noqa: PTH120
    os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103
    scratch = f"{path}.{os.getpid()}"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(scratch, path)  # noqa: PTH105
    except OSError:
        os.unlink(scratch)  # noqa: PTH108
        raise
    kept = [entry for entry in os.scandir(directory) if entry.name.startswith("exec-")]
    kept.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in kept[_KEPT:]:
        os.unlink(entry.path)  # noqa: PTH108
