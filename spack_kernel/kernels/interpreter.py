"""The Python a kernel runs in: which one a closure means, and what it says of itself.

The choice follows the closure: `python-venv`'s executable where the closure has one, else
`python`'s own, which for an external is whatever its prefix holds. Never the one this code runs in.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InterpreterError, PrefixGoneError
from .hygiene import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.specs import Spec

#: Seconds a Python may take to say its version. Generous: a cold parallel file system is slow.
PROBE_TIMEOUT = 30.0

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


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python chosen for a closure.

    Attributes
    ----------
    path : str
        The executable.
    spec : Spec
        The spec whose prefix it lies in: a `python-venv`, a `python` or another external.
    python : Spec or None
        The closure's `python`, which decides what is built for this interpreter; None where the
        closure names none.
    facts : Facts
        What the executable says of itself.
    reason : str
        Why it was chosen, in one line.
    notes : tuple of str
        What is worth knowing, such as a patch release that differs from the recorded one.
    """

    path: str
    spec: Spec
    python: Spec | None
    facts: Facts
    reason: str
    notes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The full version, ``3.11.9``."""
        return self.facts.version

    @property
    def series(self) -> str:
        """The version that decides binary compatibility, ``3.11``."""
        return series(self.facts.version)


def series(version: object) -> str:
    """Return the first two components of a version: ``3.11`` for ``3.11.9``."""
    return ".".join(str(version).split(".")[:2])


def find_interpreter(closure: Sequence[Spec], *, timeout: float = PROBE_TIMEOUT) -> Interpreter:
    """Return the interpreter that `closure` means.

    Parameters
    ----------
    closure : sequence of Spec
        The specs with their link and run dependencies, roots first.
    timeout : float
        Seconds the executable may take to answer.

    Raises
    ------
    InterpreterError
        When the closure holds no Python, two of them, or one that does not run or is not the
        version its spec says.
    PrefixGoneError
        When the chosen Python's install directory does not exist.
    """
    pythons = [spec for spec in closure if spec.name == "python"]
    if len(pythons) > 1:
        raise InterpreterError(
            "the closure has two Pythons; a kernel runs in one",
            details=[
                f"  {python.label}, needed by {_dependents(python, closure)}" for python in pythons
            ],
            hint="Choose specs that are built for the same python; `^python@X.Y` in a query "
            "selects it.",
        )
    python = pythons[0] if pythons else None
    for spec in closure:
        if spec.name == "python-venv":
            reason = "the closure's python-venv, in which its Python packages run"
            return _probe_prefix(spec, python, reason, timeout)
    if python is not None:
        kind = "external python" if python.external else "python"
        return _probe_prefix(python, python, f"the closure's {kind}", timeout)
    for spec in closure:
        if spec.external and spec.prefix and _executables(spec.prefix, ""):
            reason = f"the closure names no python, and the external {spec.label} holds one"
            return _probe_prefix(spec, None, reason, timeout)
    root = closure[0]
    raise InterpreterError(
        f"{root.label} does not depend on Python, so no kernel can run in it",
        hint="Make the kernel for it together with a package that does, as in "
        f"`spack-kernel install {root.name} py-ipykernel`.",
    )


def _dependents(python: Spec, closure: Sequence[Spec]) -> str:
    names = [
        spec.label
        for spec in closure
        if any(edge.hash == python.hash for edge in spec.dependencies)
    ]
    if not names:
        return "the request itself"
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _executables(prefix: str, version: str) -> list[str]:
    """Return the Python executables below a prefix, the one named after the version first."""
    names = ["python3", "python"]
    parts = version.split(".")
    if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit():
        names.insert(0, f"python{parts[0]}.{parts[1]}")
        if parts[0] == "2":
            names[1:2] = ["python2"]
    found = (Path(prefix, "bin", name) for name in names)
    return [str(path) for path in found if os.path.lexists(path)]


def _probe_prefix(spec: Spec, python: Spec | None, reason: str, timeout: float) -> Interpreter:
    """Return the first executable below the spec's prefix that is the recorded version."""
    if not spec.prefix or not Path(spec.prefix).is_dir():
        raise gone(spec, "the Python of the kernel")
    recorded = str(python.version) if python is not None else ""
    paths = _executables(spec.prefix, recorded)
    if not paths:
        raise InterpreterError(
            f"{spec.label} has no Python executable",
            details=[
                f"  looked for python{series(recorded)}, python3 and python in {spec.prefix}/bin"
            ],
            hint=_repair(spec),
        )
    others: list[str] = []
    for path in paths:
        facts = probe(path, timeout=timeout, owner=spec)
        if not recorded[:1].isdigit() or series(facts.version) == series(recorded):
            notes = []
            if recorded and not (facts.version + ".").startswith(recorded + "."):
                notes.append(f"{path} is {facts.version}; its spec says {recorded}")
            return Interpreter(path, spec, python, facts, reason, tuple(notes))
        others.append(f"  {path} is {facts.version}")
    raise InterpreterError(
        f"{spec.label} is recorded as Python {recorded}, but its prefix holds another version",
        details=others,
        hint=_repair(spec),
    )


def gone(spec: Spec, role: str) -> PrefixGoneError:
    """Return the error for a spec whose install directory does not exist.

    Parameters
    ----------
    spec : Spec
        The record.
    role : str
        What it was needed for, as it follows "which is".
    """
    return PrefixGoneError(
        f"{spec.label}, which is {role}, is in the database, but its directory is gone",
        details=[f"  {spec.prefix or 'no prefix is recorded'}"],
        hint=_repair(spec),
    )


def _repair(spec: Spec) -> str:
    if spec.external:
        return (
            f"It is an external: correct or remove the entry of {spec.name} in packages.yaml, "
            "and install again what depends on it."
        )
    return (
        f"Install it again with `spack install --overwrite /{spec.hash[:7]}`, "
        "or choose another spec: `spack-kernel list` shows them."
    )


# -- asking an executable ------------------------------------------------------------------------

_Stamps = tuple[tuple[int, int, int] | None, ...]
_answers: dict[str, tuple[_Stamps, Facts]] = {}
_lock = threading.Lock()


def probe(path: str, *, timeout: float = PROBE_TIMEOUT, owner: Spec | None = None) -> Facts:
    """Ask the Python at `path` what it is; the answer is kept while its files do not change.

    The process starts isolated from the environment and the working directory, in ``/``.

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
    facts = _ask(path, timeout, owner)
    with _lock:
        _answers[path] = (_stamps(path, facts), facts)
    return facts


def _stamps(path: str, facts: Facts) -> _Stamps:
    """Return what changes when the executable or what it offers does."""
    # purelib is among them: `pip install` into an external Python changes what it offers.
    watched = (path, f"{facts.prefix}/pyvenv.cfg", facts.purelib, facts.platlib)
    return tuple(_stamp(name) for name in dict.fromkeys(watched))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - Path() costs more than the call here
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _ask(path: str, timeout: float, owner: Spec | None) -> Facts:
    whose = f"the Python of {owner.label}" if owner else "this Python"
    hint = _repair(owner) if owner else "Try to start it in a terminal."
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
    return _facts(json.loads(answer))


def _facts(answer: dict[str, Any]) -> Facts:
    ipykernel, debugpy = answer.pop("ipykernel"), answer.pop("debugpy")
    path = tuple(answer.pop("path"))
    return Facts(
        **answer,
        path=path,
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
