"""Choose the Python that a kernel runs in.

The closure decides: it is the executable of `python-venv` if the closure has one, else that of
`python`, which for an external is any Python in its prefix. It is never the Python that runs this
code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from spack_kernel.kernels.errors import InterpreterError, gone, repair_hint
from spack_kernel.spack.system import file_checks

from .prefix import has_prefix
from .probe import PROBE_TIMEOUT, probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.spec import Dependency, Spec
    from spack_kernel.spack.store import Store

    from .probe import InterpreterInfo


class Interpreter(msgspec.Struct, frozen=True):
    """The Python chosen for a closure.

    Attributes
    ----------
    path : str
        The executable.
    spec : Spec
        The spec whose prefix it is in: a `python-venv`, a `python` or another external.
    python : Spec or None
        The closure's `python`, which decides what is built for this interpreter; None if the
        closure has none.
    info : InterpreterInfo
        What the executable reports about itself.
    reason : str
        Why it was chosen, in one line.
    notes : tuple of str
        Notes for the user, such as a patch release that differs from the recorded one.
    """

    path: str
    spec: Spec
    python: Spec | None
    info: InterpreterInfo
    reason: str
    notes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The full version, ``3.11.9``."""
        return self.info.version

    @property
    def series(self) -> str:
        """The part of the version that decides binary compatibility, ``3.11``."""
        return series(self.info.version)


def series(version: object) -> str:
    """Return the first two components of a version: ``3.11`` for ``3.11.9``."""
    return ".".join(str(version).split(".")[:2])


def find_interpreter(
    closure: Sequence[Spec],
    *,
    view: str = "",
    timeout: float = PROBE_TIMEOUT,
    environment: Mapping[str, str] | None = None,
    unrecorded: Sequence[tuple[Spec, Dependency]] = (),
    store: Store | None = None,
) -> Interpreter:
    """Return the interpreter for `closure`.

    Parameters
    ----------
    closure : sequence of Spec
        The specs with their link and run dependencies, roots first.
    view : str
        The directory of a view that contains them; if it has the closure's Python, that is used.
    timeout : float
        Seconds the executable may take to answer.
    environment : mapping of str to str, optional
        The environment it will run in; by default this process's, cleaned.
    unrecorded : sequence of (Spec, Dependency)
        Dependencies of specs in the closure that no database records.
    store : Store, optional
        Where they are recorded; used for the error.

    Raises
    ------
    InterpreterError
        When the closure has no Python, two of them, or one that does not run or has another
        version than its spec.
    PrefixGoneError
        When the chosen Python's install directory does not exist.
    """
    pythons = [spec for spec in closure if spec.name == "python"]
    if len(pythons) > 1:
        raise InterpreterError(
            "the closure has two Pythons; a kernel needs exactly one",
            details=[
                f"  {python.label}, needed by {_dependents(python, closure)}" for python in pythons
            ],
            hint="Choose specs that are built for the same python; `^python@X.Y` in a query "
            "selects it.",
        )
    python = pythons[0] if pythons else None
    prober = _Prober(timeout, environment, store)
    if view:
        return _find_through(view, closure, python, prober)
    for spec in closure:
        if spec.name == "python-venv":
            reason = "the closure's python-venv, in which its Python packages run"
            return _probe_prefix(spec, python, reason, prober)
    if python is not None:
        kind = "external python" if python.external else "python"
        return _probe_prefix(python, python, f"the closure's {kind}", prober)
    for spec in closure:
        # Only Python packages count: an external glibc in /usr does not mean /usr/bin/python3.
        of_python = spec.external and spec.name.startswith("py-")
        if of_python and spec.prefix and _executables(spec.prefix, ""):
            reason = f"the closure has no python, but the external {spec.label} contains one"
            return _probe_prefix(spec, None, reason, prober)
    root = closure[0]
    lost = [(spec, edge) for spec, edge in unrecorded if edge.name in ("python", "python-venv")]
    if lost:
        raise _unrecorded(root, lost, store)
    raise InterpreterError(
        f"{root.label} does not depend on Python, so no kernel can run in it",
        hint="Create a kernel for it together with a package that does, as in "
        f"`spack-kernel install {root.name} py-ipykernel`.",
    )


class _Prober(NamedTuple):
    """The settings for probing executables."""

    timeout: float
    environment: Mapping[str, str] | None
    store: Store | None

    def ask(self, path: str, owner: Spec | None) -> InterpreterInfo:
        return probe(path, timeout=self.timeout, owner=owner, environment=self.environment)


def _unrecorded(
    root: Spec, lost: Sequence[tuple[Spec, Dependency]], store: Store | None
) -> InterpreterError:
    """Return the error for a closure whose Python no database records."""
    left_out = store.left_out if store is not None else ()
    details = [f"  {spec.label} needs {edge.name}/{edge.hash}" for spec, edge in lost[:5]]
    details += [f"  the upstream {tree} could not be read" for tree in left_out]
    (_, edge), *_ = lost
    if left_out:
        hint = "Make the upstream readable again, or ask an administrator of this machine."
    else:
        hint = (
            "It may be in an upstream that is not configured: add it with another `--store`, in "
            "`store`, or in\nupstreams.yaml of the Spack instance."
        )
    return InterpreterError(
        f"the {edge.name} of {root.label} is not in any database", details=details, hint=hint
    )


def _find_through(
    view: str, closure: Sequence[Spec], python: Spec | None, prober: _Prober
) -> Interpreter:
    """Return the view's Python if it has one of the right version, else the closure's."""
    venv = next((spec for spec in closure if spec.name == "python-venv"), None)
    owner = venv or python
    recorded = str(python.version) if python is not None else ""
    others = []
    for path in _executables(view, recorded) if owner is not None else ():
        info = prober.ask(path, owner)
        if recorded and series(info.version) != series(recorded):
            others.append(f"{path} is not used, because it is Python {info.version}")
            continue
        assert owner is not None
        notes = []
        if file_checks.real(info.prefix) != file_checks.real(view):
            notes.append(f"sys.prefix of the view's Python is {info.prefix}, not the view")
        reason = f"the view contains the closure's {owner.name}"
        return Interpreter(path, owner, python, info, reason, tuple(notes))
    found = find_interpreter(
        closure, timeout=prober.timeout, environment=prober.environment, store=prober.store
    )
    return msgspec.structs.replace(
        found, notes=(*found.notes, *others, f"the view {view} lacks this Python")
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
    return [str(path) for path in found if file_checks.lexists(path)]


def _probe_prefix(spec: Spec, python: Spec | None, reason: str, prober: _Prober) -> Interpreter:
    """Return the first executable below the spec's prefix that has the recorded version."""
    if not spec.prefix or not has_prefix(spec):
        raise gone(spec, "the Python of the kernel", prober.store)
    recorded = str(python.version) if python is not None else ""
    paths = _executables(spec.prefix, recorded)
    if not paths:
        raise InterpreterError(
            f"{spec.label} has no Python executable",
            details=[
                f"  looked for python{series(recorded)}, python3 and python in {spec.prefix}/bin"
            ],
            hint=repair_hint(spec),
        )
    others: list[str] = []
    for path in paths:
        info = prober.ask(path, spec)
        if not recorded[:1].isdigit() or series(info.version) == series(recorded):
            notes = []
            if recorded and not (info.version + ".").startswith(recorded + "."):
                notes.append(f"{path} is {info.version}; its spec has version {recorded}")
            return Interpreter(path, spec, python, info, reason, tuple(notes))
        others.append(f"  {path} is {info.version}")
    raise InterpreterError(
        f"{spec.label} is recorded as Python {recorded}, but its prefix contains another version",
        details=others,
        hint=repair_hint(spec),
    )
