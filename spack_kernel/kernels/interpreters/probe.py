"""Run a Python to find out what it is; the answer is cached until its files change."""

from __future__ import annotations

import json
import os
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel._log import debugger
from spack_kernel.kernels import user_cache
from spack_kernel.kernels.errors import InterpreterError, repair_hint
from spack_kernel.spack.system import file_checks

from .environment_filter import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.spack.spec import Spec

_debug = debugger(__name__)

#: Seconds a Python may take to answer. Generous, because a cold parallel file system is slow.
PROBE_TIMEOUT = 30.0

_MARK = "spack-kernel-probe:"

# Runs in any CPython since 2.7; reports where an `ipykernel` directory is without importing it.
_PROBE = r"""
import sys
if sys.path and sys.path[0] in ("", "."):
    del sys.path[0]
import json, os, sysconfig
paths = sysconfig.get_paths()
def offered(name):
    for entry in sys.path:
        if not os.path.isfile(os.path.join(entry, name, "__init__.py")):
            continue
        for item in sorted(os.listdir(entry)):
            stem, suffix = os.path.splitext(item)
            if suffix in (".dist-info", ".egg-info") and stem.lower().startswith(name + "-"):
                return {"version": stem.split("-")[1], "location": entry}
        return {"version": "", "location": entry}
    return None
standard = set(getattr(sys, "stdlib_module_names", ()))
if not standard:  # before 3.10
    standard.update(sys.builtin_module_names)
    for place in (paths["stdlib"], os.path.join(paths["platstdlib"], "lib-dynload")):
        for entry in os.listdir(place) if os.path.isdir(place) else ():
            stem, suffix = os.path.splitext(entry)
            package = os.path.join(place, entry, "__init__.py")
            if suffix in (".py", ".so") or os.path.isfile(package):
                standard.add(stem.split(".")[0])
facts = {
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
    "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
    "purelib": paths["purelib"],
    "platlib": paths["platlib"],
    "path": sys.path,
    "ipykernel": offered("ipykernel"),
    "debugpy": offered("debugpy"),
    "modules": sorted(standard),
}
sys.stdout.write("\n" + "@MARK@" + json.dumps(facts) + "\n")
""".replace("@MARK@", _MARK)


class InstalledPackage(msgspec.Struct, frozen=True):
    """A package in an interpreter's own directories.

    Attributes
    ----------
    version : str
        From the name of its metadata directory; empty if there is none.
    location : str
        The directory of ``sys.path`` that contains it.
    """

    version: str
    location: str


class InterpreterInfo(msgspec.Struct, frozen=True):
    """What a Python reports about itself when isolated from its surroundings.

    Attributes
    ----------
    version : str
        Full version, ``3.11.9``.
    implementation : str
        ``cpython``, ``pypy``.
    prefix, base_prefix, purelib, platlib : str
        As `sys` and `sysconfig` report them.
    path : tuple of str
        ``sys.path`` without the working directory, PYTHONPATH and the user's site-packages.
    ipykernel, debugpy : InstalledPackage or None
        The packages of these names in its own directories.
    modules : frozenset of str
        Top-level names of its standard library.
    """

    version: str
    implementation: str
    prefix: str
    base_prefix: str
    purelib: str
    platlib: str
    path: tuple[str, ...]
    ipykernel: InstalledPackage | None
    debugpy: InstalledPackage | None
    modules: frozenset[str] = frozenset()


_Stamps = list[list[int] | None]
_answers: dict[tuple[str | None, ...], tuple[_Stamps, InterpreterInfo]] = {}
#: How many answers are cached in memory; each is some tens of kilobytes.
_KEPT_ANSWERS = 64
_lock = threading.Lock()


def probe(
    path: str,
    *,
    timeout: float = PROBE_TIMEOUT,
    owner: Spec | None = None,
    environment: Mapping[str, str] | None = None,
) -> InterpreterInfo:
    """Run the Python at `path` to find out what it is; cache the answer until its files change.

    The answer is also cached on disk (see `user_cache`), because on a slow file system a Python
    takes seconds to start. The process starts in ``/``, isolated from the working directory.
    Root runs it as its owner (see `spack_kernel.spack.system.run_as`).

    Parameters
    ----------
    path : str
        The executable.
    timeout : float
        Seconds after which it is killed.
    owner : Spec, optional
        The spec it belongs to; used for the error.
    environment : mapping of str to str, optional
        The environment it will run in, which decides which libraries it loads; by default this
        process's, cleaned.

    Raises
    ------
    InterpreterError
        When it cannot be started, fails, or does not answer in time.
    """
    if environment is None:
        environment, _ = clean_environment(os.environ)
    settings = user_cache.loader_settings(environment)
    key = [path, zlib.crc32(_PROBE.encode()), settings]
    asked = (path, *settings)
    known = _answers.get(asked)
    if known is not None and known[0] == _stamps(path, known[1]):
        return known[1]
    facts = _remembered(path, user_cache.read(user_cache.INTERPRETERS, key))
    if facts is None:
        _debug("asking %s for its version and directories", path)
        before = file_checks.stamp(path)
        answer = _ask(path, timeout, owner, environment)
        facts = _facts_of(path, answer, owner)
        stamps = _stamps(path, facts)
        if stamps[0] != before:  # replaced while it ran
            return facts
        user_cache.write(user_cache.INTERPRETERS, key, {"info": answer, "stamps": stamps})
    with _lock:
        _answers.pop(asked, None)
        _answers[asked] = (_stamps(path, facts), facts)
        while len(_answers) > _KEPT_ANSWERS:
            _answers.pop(next(iter(_answers)))
    return facts


def _facts_of(path: str, answer: dict[str, Any], owner: Spec | None) -> InterpreterInfo:
    """Return the facts in an answer; raise `InterpreterError` if it is malformed."""
    try:
        return msgspec.convert(answer, InterpreterInfo)
    except (msgspec.ValidationError, UnicodeError) as error:
        whose = f"the Python of {owner.label}" if owner else "this Python"
        raise InterpreterError(
            f"{whose} gave a malformed answer: {error!r}",
            details=[f"  {path}"],
            hint=repair_hint(owner) if owner else "Try to start it in a terminal.",
        ) from None


def _remembered(path: str, value: dict[str, Any] | None) -> InterpreterInfo | None:
    """Return the answer that an earlier process cached, if the files are still the same."""
    if value is None:
        return None
    try:
        info = msgspec.convert(value.get("info"), InterpreterInfo)
    except (msgspec.ValidationError, UnicodeError):
        return None
    return info if _stamps(path, info) == value.get("stamps") else None


def _stamps(path: str, facts: InterpreterInfo) -> _Stamps:
    """Return stamps that change when the executable or the packages it offers change."""
    # `pip install` into an external Python changes what one of its directories offers.
    watched = (path, f"{facts.prefix}/pyvenv.cfg", facts.purelib, facts.platlib, *facts.path)
    return [file_checks.stamp(name) for name in dict.fromkeys(watched)]


def _ask(
    path: str, timeout: float, owner: Spec | None, environment: Mapping[str, str]
) -> dict[str, Any]:
    import subprocess  # here, because most starts use a cached answer

    from spack_kernel.kernels.exits import describe_exit, last_lines, library_clash
    from spack_kernel.spack.system import TooMuchOutputError, run, run_as

    whose = f"the Python of {owner.label}" if owner else "this Python"
    hint = repair_hint(owner) if owner else "Try to start it in a terminal."
    try:
        user = run_as(path, *_code_beside(path))
        # -E, -s and a cleaned sys.path have the effect of -I, also in a Python without that option.
        output = run([path, "-E", "-s", "-c", _PROBE], environment, timeout, user=user)
    except TooMuchOutputError as error:
        raise InterpreterError(
            f"{whose} was stopped: {error.strerror}",
            details=[f"  {path}"],
            hint="Start it in a terminal to see what it prints.",
        ) from error
    except OSError as error:
        raise InterpreterError(
            f"{whose} cannot be started: {error.strerror}",
            details=[f"  {path}", *_why_not(path, error)],
            hint=hint,
        ) from error
    except subprocess.TimeoutExpired:
        raise InterpreterError(
            f"{whose} did not answer within {timeout:g} s",
            details=[f"  {path}"],
            hint="Start it in a terminal to see what it is waiting for.",
        ) from None
    # What a daemon of it prints may follow.
    answer = output.stdout.rpartition(_MARK)[2].partition("\n")[0] if _MARK in output.stdout else ""
    try:
        facts: dict[str, Any] = json.loads(answer) if not output.status else {}
    except (ValueError, RecursionError):
        facts = {}
    if not facts:
        lines = output.stderr.rstrip().splitlines()
        cause = library_clash(lines, environment)
        as_whom = [] if user is None else [f"  it was run as the user {user.uid}, its owner"]
        raise InterpreterError(
            f"{whose} does not run: {describe_exit(output.status)}",
            details=[
                f"  {path}",
                *as_whom,
                *last_lines(output.stderr),
                *(cause.details if cause else ()),
            ],
            hint=cause.hint if cause else hint,
        )
    return facts


def _code_beside(path: str) -> list[str]:
    """Return the directories from which a Python at `path` loads code when it starts."""
    if os.geteuid() != 0:
        return []  # only root checks who owns it
    found = []
    for prefix in {Path(each).parent.parent for each in (path, file_checks.real(path))}:
        for directory in (prefix / "lib", prefix / "lib64"):
            names = file_checks.names_in(directory) or ()
            found += [str(directory / name) for name in names if name.startswith("python3")]
    return found


def _why_not(path: str, error: OSError) -> list[str]:
    """Explain an error of execve(2) whose message is not enough."""
    if isinstance(error, PermissionError):
        return ["  you do not have permission to execute it"]
    if isinstance(error, FileNotFoundError):
        if not Path(path).exists():
            target = os.path.realpath(path)
            return [f"  it links to {target}, which does not exist"]
        return ["  the file exists; the loader or interpreter that it names does not"]
    return []
