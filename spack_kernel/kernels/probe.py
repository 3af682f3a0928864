"""Asking a Python what it is, in a process of its own, once for each state of its files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack import disk

from . import kept
from .errors import InterpreterError, repair_hint
from .hygiene import clean_environment

if TYPE_CHECKING:
    from spack_kernel.spack.specs import Spec

#: Seconds a Python may take to say its version. Generous: a cold parallel file system is slow.
PROBE_TIMEOUT = 30.0

#: What kind of thing is kept.
KIND = "python"

_MARK = "spack-kernel-probe:"

# Runs in any CPython from 2.7 on; says where an `ipykernel` directory lies without importing it.
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


@dataclass(frozen=True, slots=True)
class Offered:
    """A package that lies in an interpreter's own directories.

    Attributes
    ----------
    version : str
        As its metadata directory names it; empty when there is none.
    location : str
        The directory of ``sys.path`` that holds it.
    """

    version: str
    location: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a Python says of itself, with nothing of its surroundings let in.

    Attributes
    ----------
    version : str
        Full version, ``3.11.9``.
    implementation : str
        ``cpython``, ``pypy``.
    prefix, base_prefix, purelib, platlib : str
        As `sys` and `sysconfig` give them.
    path : tuple of str
        ``sys.path`` without the working directory, PYTHONPATH and the user's site-packages.
    ipykernel, debugpy : Offered or None
        What of these lies in its own directories.
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
    ipykernel: Offered | None
    debugpy: Offered | None
    modules: frozenset[str] = frozenset()


_Stamps = list[list[int] | None]
_answers: dict[str, tuple[_Stamps, Facts]] = {}
_lock = threading.Lock()


def probe(path: str, *, timeout: float = PROBE_TIMEOUT, owner: Spec | None = None) -> Facts:
    """Ask the Python at `path` what it is; the answer is kept while its files do not change.

    It is kept on disk, too (`spack_kernel.kernels.kept`): on a slow file system a Python takes
    seconds to start. The process starts isolated from the environment and the working directory,
    in ``/``.

    Parameters
    ----------
    path : str
        The executable.
    timeout : float
        Seconds after which it is killed.
    owner : Spec, optional
        The spec it belongs to, for the error.

    Raises
    ------
    InterpreterError
        When it cannot be started, fails, or does not answer in time.
    """
    known = _answers.get(path)
    if known is not None and known[0] == _stamps(path, known[1]):
        return known[1]
    key = [path, zlib.crc32(_PROBE.encode()), kept.loader_settings()]
    facts = _remembered(path, kept.read(KIND, key))
    if facts is None:
        answer = _ask(path, timeout, owner)
        facts = _facts(answer)
        kept.write(KIND, key, {"facts": answer, "stamps": _stamps(path, facts)})
    with _lock:
        _answers[path] = (_stamps(path, facts), facts)
    return facts


def _remembered(path: str, value: dict[str, Any] | None) -> Facts | None:
    """Return what an earlier process was answered, if the files are those that answered."""
    if value is None:
        return None
    try:
        facts = _facts(value["facts"])
    except (KeyError, TypeError, AttributeError):
        return None
    return facts if _stamps(path, facts) == value.get("stamps") else None


def _stamps(path: str, facts: Facts) -> _Stamps:
    """Return what changes when the executable or what it offers does."""
    # `pip install` into an external Python changes what one of its directories offers.
    watched = (path, f"{facts.prefix}/pyvenv.cfg", facts.purelib, facts.platlib, *facts.path)
    return [disk.stamp(name) for name in dict.fromkeys(watched)]


def _ask(path: str, timeout: float, owner: Spec | None) -> dict[str, Any]:
    whose = f"the Python of {owner.label}" if owner else "this Python"
    hint = repair_hint(owner) if owner else "Try to start it in a terminal."
    environment, _ = clean_environment(os.environ)
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            # -E -s and a scrubbed sys.path are -I for every Python that may be met.
            [path, "-E", "-s", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise InterpreterError(
            f"{whose} cannot be started: {error.strerror}",
            details=[f"  {path}", *_why_not(path, error)],
            hint=hint,
        ) from error
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise InterpreterError(
            f"{whose} did not answer within {timeout:g} s",
            details=[f"  {path}"],
            hint="Start it in a terminal to see what it waits for.",
        ) from None
    text = output.decode("utf-8", "replace")
    answer = text.rpartition(_MARK)[2] if _MARK in text else ""
    if process.returncode or not answer:
        raise InterpreterError(
            f"{whose} does not run: {describe_exit(process.returncode)}",
            details=[f"  {path}", *last_lines(errors.decode("utf-8", "replace"))],
            hint=hint,
        )
    facts: dict[str, Any] = json.loads(answer)
    return facts


def _facts(answer: dict[str, Any]) -> Facts:
    ipykernel, debugpy = answer["ipykernel"], answer["debugpy"]
    plain = ("version", "implementation", "prefix", "base_prefix", "purelib", "platlib")
    return Facts(
        **{name: answer[name] for name in plain},
        path=tuple(answer["path"]),
        modules=frozenset(answer["modules"]),
        ipykernel=Offered(**ipykernel) if ipykernel else None,
        debugpy=Offered(**debugpy) if debugpy else None,
    )


def _why_not(path: str, error: OSError) -> list[str]:
    """Explain an error of execve(2) that does not explain itself."""
    if isinstance(error, PermissionError):
        return ["  it is not executable for you"]
    if isinstance(error, FileNotFoundError):
        if not Path(path).exists():
            target = os.path.realpath(path)
            return [f"  it links to {target}, which does not exist"]
        return ["  the file exists; the loader or interpreter that it names does not"]
    return []


def describe_exit(status: int) -> str:
    """Return an exit status in words: ``exit status 1``, ``killed by SIGSEGV``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def last_lines(text: str, count: int = 12) -> list[str]:
    """Return the last lines of a program's output, indented, without empty ones at the end."""
    return [f"  | {line}" for line in text.rstrip().splitlines()[-count:]]
