"""Run `exec` for a pinned spec from a cached plan, without planning again.

Reading a database, choosing an interpreter and checking hundreds of directories takes ten times
as long as starting Python, and for a pinned spec the result is always the same. So the result is
cached, with the file system state that it depends on: inode, size and time of the database and of
our own files, which directories exist, and the state of the interpreter. The cached result is used
if nothing of this has changed; otherwise the spec is planned again.

`spack_kernel.kernels.user_cache` describes where it is cached.
"""

from __future__ import annotations

import os
import re
import sys
from collections import namedtuple

from spack_kernel import STORE_VARIABLE
from spack_kernel._cache import IMAGES_VARIABLE
from spack_kernel.kernels import user_cache
from spack_kernel.kernels.interpreters import DEFAULT_PATH, clean_environment
from spack_kernel.kernels.plan import ProcessEnvironment, is_python
from spack_kernel.spack.load import Change
from spack_kernel.spack.system import file_checks

from .process import CommandError, replace_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from spack_kernel.spack.system import Check

#: The variables that decide what is started.
_VARIABLES = (STORE_VARIABLE, "XDG_RUNTIME_DIR", IMAGES_VARIABLE)

#: Compiled when a launch is cached, not when a cached one runs.
_PINNED = r"[\w.+-]*(@[\w.,:=-]+)?/[a-z0-9]+"


class Launch(namedtuple("Launch", ("command", "environment", "env", "python", "composition"))):
    """What `exec` starts.

    Attributes
    ----------
    command : list of str
        The command, with its Python as a path.
    environment : dict of str to str
        All environment variables.
    env : dict of str to str
        What ``--env`` sets.
    python : str
        The interpreter; empty if there is none.
    composition : ProcessEnvironment or None
        The parts of the environment; None if it can differ at the next start.
    """

    __slots__ = ()


def is_pinned(args: argparse.Namespace) -> bool:
    """Return whether the arguments name only specs by hash, in stores by absolute path."""
    from .options import given_stores  # here, because it imports argparse

    stores = given_stores(args)
    moving = (args.from_notebook, args.environment, args.view, args.modules)
    return (
        not any(moving)
        and args.companion in ("auto", "none")
        and bool(stores)
        and all(os.path.isabs(path) for path in stores)  # noqa: PTH117
        and bool(args.query)
        and all(re.fullmatch(_PINNED, word, re.ASCII) for word in args.query)
    )


def cache_launch(arguments: Sequence[str], start: Launch, checks: Sequence[Check]) -> None:
    """Cache how to start `start` again; an unwritable cache directory is not an error.

    Parameters
    ----------
    arguments : sequence of str
        The arguments of the command.
    start : Launch
        What it starts.
    checks : sequence of Check
        The file system state that was read for it.
    """
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == "spack_kernel"]
    ours = [("stamp", m.__file__, file_checks.stamp(m.__file__)) for m in modules if m.__file__]
    if any(answer is None for _, _, answer in ours):
        return
    cut = list(arguments).index("--")
    key = _key(arguments[:cut], list(arguments[cut + 1 :]))
    from spack_kernel.kernels.launcher import IMAGE_VARIABLE, INDEX_VARIABLE, PATH_VARIABLE

    launch = None
    is_indexed = PATH_VARIABLE in start.environment
    through_launcher = start.command[1:2] != list(arguments[cut + 2 : cut + 3])
    if through_launcher or is_indexed:
        names = [PATH_VARIABLE, INDEX_VARIABLE, IMAGE_VARIABLE] if is_indexed else []
        if is_indexed and not through_launcher:
            names.append("PYTHONPATH")
        launch = {
            "launcher": start.command[1] if through_launcher else None,
            "pythonpath": start.environment.get(PATH_VARIABLE),
            "variables": {n: start.environment[n] for n in names if n in start.environment},
        }
    changes, *rest = start.composition
    record = {
        "checks": file_checks.distinct([*ours, *checks]),
        "python": start.python,
        "env": start.env,
        "composition": [[[getattr(c, name) for name in Change._fields] for c in changes], *rest],
        "launch": launch,
    }
    user_cache.write(user_cache.STARTS, key, record)


def run_cached(arguments: Sequence[str]) -> None:
    """Replace this process with what the same arguments started before.

    Returns if nothing is cached, if anything has changed since, or if the start fails: planning
    again then reports what is wrong.
    """
    if "--" not in arguments or os.environ.get("SPACK_LOADED_HASHES"):
        return
    cut = arguments.index("--")
    command = list(arguments[cut + 1 :])
    record = user_cache.read(user_cache.STARTS, _key(arguments[:cut], command))
    if record is None or not command:
        return
    start = prepared(record, command)
    if start is None:
        return
    try:
        replace_process(*start)
    except CommandError:
        return


def prepared(record: dict[str, Any], command: list[str]) -> tuple[list[str], dict[str, str]] | None:
    """Return a cached command and its environment; None if it must be planned again.

    Parameters
    ----------
    record : dict
        The cache entry, which can be from another version or damaged.
    command : list of str
        The command in the arguments.
    """
    try:
        return _prepare(record, command)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return None


def _prepare(record: dict[str, Any], command: list[str]) -> tuple[list[str], dict[str, str]] | None:
    """Return the command and its environment; None if it must be planned again."""
    if not file_checks.unchanged(record["checks"]):
        return None
    cleaned, _ = clean_environment(os.environ)
    cleaned.setdefault("PATH", DEFAULT_PATH)
    changes, *rest = record["composition"]
    composition = ProcessEnvironment([Change(*change) for change in changes], *rest)
    environment = composition.apply(cleaned, env=record["env"])
    if is_python(command[0]):
        # A version in the name may be another than that of this Python.
        if not record["python"] or "." in command[0].rpartition("/")[2]:
            return None
        command[0] = record["python"]
    launch = record["launch"]
    if launch is not None:
        if launch["launcher"] is not None:
            command[1:2] = [launch["launcher"]]
        if launch["variables"]:
            if environment.pop("PYTHONPATH", None) != launch["pythonpath"]:
                return None
            environment.update(launch["variables"])
    return command, environment


def _key(arguments: Sequence[str], command: Sequence[str]) -> list[Any]:
    """Return everything that the plan depends on, except the file system."""
    variables = [os.environ.get(name) for name in _VARIABLES]
    kind = kind_of(command)
    return [list(arguments), variables, kind, sys.prefix, user_cache.loader_settings()]


def kind_of(command: Sequence[str]) -> str:
    """Return how a command is started: as a ``kernel``, as any ``python``, or as it is (empty).

    Options such as ``-E`` and ``-S`` make a Python ignore PYTHONPATH or ``sitecustomize``. It is
    then started as it is.
    """
    if not command or not is_python(command[0]):
        return ""
    if list(command[1:3]) == ["-m", "ipykernel_launcher"]:
        return "kernel"
    for word in command[1:]:
        if not word.startswith("-") or word in ("-", "-c", "-m"):
            break
        if not word.startswith("--") and {"E", "I", "S"} & set(word[1:].partition("c")[0]):
            return ""
    return "python"
