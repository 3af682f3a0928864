"""Build the table that lets a kernel find a module without searching every directory.

The table is built here, in the server or the command, and `spack_kernel.kernels.launcher` reads it
inside the kernel. It is passed in an environment variable, so there is no file that must be kept
private, can become stale or can be left behind.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import zlib
from typing import TYPE_CHECKING

from spack_kernel.spack.system import file_checks

from . import launcher
from .launcher import IMAGE_VARIABLE, INDEX_VARIABLE, PATH_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .image import Image
    from .interpreters.probe import InterpreterInfo

#: The module that a kernel's command runs with ``-m``.
KERNEL_MODULE = "ipykernel_launcher"

#: The directory of the `sitecustomize` that lets any program of a Python start so.
STARTUP_DIRECTORY = f"{launcher.__file__.rpartition('/')[0]}/startup"

#: Linux limits an environment variable to 128 KiB (MAX_ARG_STRLEN).
_MAX_LENGTH = 120_000

#: Modules that Python imports from PYTHONPATH before the launcher can run.
_START_MODULES = frozenset({"sitecustomize", "usercustomize"})

_lock = threading.Lock()
_listings: dict[str, tuple[int, frozenset[str]]] = {}


def build(
    path: Sequence[str],
    standard_library: Collection[str] = (),
    fixed: Collection[str] = (),
    *,
    only_fixed: bool = False,
) -> str | None:
    """Return the encoded table for the PYTHONPATH entries `path`.

    Parameters
    ----------
    path : sequence of str
        Absolute directories in the order of PYTHONPATH. An entry that is not a directory (an egg, a
        zip file) is left out of the table and searched as usual.
    standard_library : collection of str
        Names of the interpreter's own modules. A directory that shadows one of them must be on the
        path before the interpreter starts, which is impossible with a table.
    fixed : collection of str
        The entries whose content does not change; a start image can have their modules.
    only_fixed : bool
        Whether to leave out the others, which are searched as usual.

    Returns
    -------
    str or None
        The table; None if a plain PYTHONPATH must be used instead.
    """
    mtimes: list[int | None] = []
    names: dict[str, list[int]] = {}
    for position, directory in enumerate(path):
        listing = _listing(directory)
        if listing and only_fixed and directory not in fixed:
            if not _START_MODULES.isdisjoint(listing[1]):
                return None
            listing = None
        mtimes.append(listing[0] if listing else None)
        for name in listing[1] if listing else ():
            names.setdefault(name, []).append(position)
    if not _START_MODULES.isdisjoint(names) or not names.keys().isdisjoint(standard_library):
        return None
    encoded = encode(mtimes, names, [i for i, entry in enumerate(path) if entry in fixed])
    return encoded if len(encoded) <= _MAX_LENGTH else None


def through_launcher(
    command: Sequence[str],
    environment: Mapping[str, str],
    facts: InterpreterInfo,
    *,
    index: bool = True,
    image: Image | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Return a command that starts a kernel through the launcher, and its environment.

    With ``python -m``, Python would run a file of the kernel's name in the working directory
    instead of the kernel, and a notebook can be in any directory. The launcher does not search it.

    Parameters
    ----------
    command : sequence of str
        ``python -m ipykernel_launcher …``; any other command is returned as it is.
    environment : mapping of str to str
        The whole environment of the process.
    facts : InterpreterInfo
        What the interpreter reports about itself.
    index : bool
        Whether to use an import index; without one the kernel has the plain PYTHONPATH.
    image : Image, optional
        The start image, which needs an import index.
    """
    argv, result = list(command), dict(environment)
    if argv[1:3] != ["-m", KERNEL_MODULE] or not _understands(facts):
        return argv, result
    argv[1:2] = [launcher.__file__]
    path = result.get("PYTHONPATH", "")
    variables = _variables(path, facts, image) if index else {}
    if variables:
        del result["PYTHONPATH"]
        result.update(variables)
    return argv, result


def through_startup(
    environment: Mapping[str, str],
    facts: InterpreterInfo,
    fixed: Collection[str],
    image: Image | None = None,
) -> dict[str, str]:
    """Return the environment in which any program of a Python starts with an index and an image.

    The processes that it starts have the plain PYTHONPATH, as those of a kernel. A program may
    write modules and import them, so only directories whose content does not change are indexed.

    Parameters
    ----------
    environment : mapping of str to str
        The whole environment of the process.
    facts, image
        As for `through_launcher`.
    fixed : collection of str
        The directories whose content does not change.
    """
    path = environment.get("PYTHONPATH", "")
    variables = _variables(path, facts, image, fixed) if fixed and _understands(facts) else {}
    if not variables:
        return dict(environment)
    return {**environment, **variables, "PYTHONPATH": STARTUP_DIRECTORY}


def _variables(
    path: str, facts: InterpreterInfo, image: Image | None, only: Collection[str] = ()
) -> dict[str, str]:
    """Return the variables for the launcher; none if a plain PYTHONPATH must be used."""
    if os.pathsep not in path:
        return {}
    fixed = only or (image.fixed if image else ())
    table = build(path.split(os.pathsep), facts.modules, fixed, only_fixed=bool(only))
    if table is None:
        return {}
    variables = {PATH_VARIABLE: path, INDEX_VARIABLE: table}
    if image is not None:
        variables[IMAGE_VARIABLE] = image.setting
    return variables


def _understands(facts: InterpreterInfo) -> bool:
    """Return whether the launcher supports this Python, which must be 3.6 or later."""
    major, minor = facts.version.split(".")[:2]
    return (int(major), int(minor)) >= (3, 6)


def encode(
    mtimes: Sequence[int | None], names: dict[str, list[int]], fixed: Sequence[int] = ()
) -> str:
    """Return the table as printable text: compressed JSON in Base64."""
    values = {"mtimes": mtimes, "names": names, "fixed": fixed}
    table = json.dumps(values, separators=(",", ":"))
    return base64.b64encode(zlib.compress(table.encode(), 6)).decode()


def _listing(directory: str) -> tuple[int, frozenset[str]] | None:
    """Return the modification time and names of `directory`, cached while it is unchanged."""
    try:
        stamp = file_checks.stamp(directory)
        if stamp is None:
            return None
        mtime = stamp[2]
        with _lock:
            known = _listings.get(directory)
        if known is None or known[0] != mtime:
            entries = os.listdir(directory)  # noqa: PTH208 - names are needed, not paths
            known = mtime, frozenset(entry.partition(".")[0] for entry in entries)
            with _lock:
                _listings[directory] = known
    except OSError:
        return None
    return known
