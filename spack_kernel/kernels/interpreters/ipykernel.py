"""Choose the ipykernel of a kernel: the closure's, the interpreter's own, or a companion.

A companion is an installed `py-ipykernel` built for the same python. It changes nothing about the
spec, because Python searches the companion's packages after all of the spec's own.
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Literal

import msgspec

from spack_kernel.kernels.errors import KernelPackageError, gone
from spack_kernel.spack.errors import Ambiguous, DatabaseError, NoMatch, QuerySyntaxError

from .interpreter import series
from .prefix import has_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .interpreter import Interpreter

PACKAGE = "py-ipykernel"

#: Variants of python that change its binary interface: packages built for one value do not load
#: in a python with another.
_ABI_VARIANTS = ("debug", "freethreading", "ucs4")


class KernelPackage(msgspec.Struct, frozen=True):
    """The ipykernel chosen for a kernel.

    Attributes
    ----------
    source : {"closure", "interpreter", "companion"}
        Where it comes from.
    version : str
        Its version; empty if the version of the interpreter's own is unknown.
    spec : Spec or None
        The `py-ipykernel`; None for the interpreter's own ipykernel.
    reason : str
        Why it was chosen, in one line.
    others : tuple of str
        The companions that were not chosen, each with the reason.
    """

    source: Literal["closure", "interpreter", "companion"]
    version: str
    spec: Spec | None
    reason: str
    others: tuple[str, ...] = ()


def find_ipykernel(
    store: Store,
    closure: Sequence[Spec],
    interpreter: Interpreter,
    *,
    companion: str = "auto",
) -> KernelPackage:
    """Return the ipykernel for a closure and its interpreter.

    Parameters
    ----------
    store : Store
        Where to look for companions, including its upstreams.
    closure : sequence of Spec
        The specs with their link and run dependencies, roots first.
    interpreter : Interpreter
        The interpreter it must run in.
    companion : str
        ``auto``, ``none``, or a query that selects the companion if one is needed.

    Raises
    ------
    KernelPackageError
        When there is none; the hint of the error is the `spack install` command to run.
    PrefixGoneError
        When the install directory of the closure's own no longer exists.
    """
    for spec in closure:
        if spec.name == PACKAGE:
            if not has_prefix(spec):
                raise gone(spec, "the closure's ipykernel", store)
            return KernelPackage("closure", str(spec.version), spec, "it is in the closure")
    offered = interpreter.info.ipykernel
    if offered is not None:
        return KernelPackage(
            "interpreter",
            offered.version,
            None,
            f"the closure has none, but the interpreter has one in {offered.location}",
        )
    if companion == "none":
        raise KernelPackageError(
            f"{closure[0].label} has no ipykernel, and companions are switched off",
            hint=_install_hint(interpreter),
        )
    if companion != "auto":
        return _chosen_by_query(store, interpreter, companion)
    return _best(store, closure[0], interpreter)


def _best(store: Store, root: Spec, interpreter: Interpreter) -> KernelPackage:
    suitable: list[Spec] = []
    unsuitable: list[str] = []
    for spec in store.named(PACKAGE):
        why_not = _why_unsuitable(store, spec, interpreter)
        if why_not:
            unsuitable.append(f"{spec.label}: {why_not}")
        else:
            suitable.append(spec)
    if not suitable:
        raise KernelPackageError(
            f"{root.label} has no ipykernel, and none is installed for its "
            f"Python {interpreter.version}",
            details=[f"  {line}" for line in unsuitable],
            hint=_install_hint(interpreter),
        )
    suitable.sort(key=cmp_to_key(lambda a, b: _compare(store, interpreter, a, b)))
    best, *others = suitable
    return KernelPackage(
        "companion",
        str(best.version),
        best,
        f"the closure and the interpreter have none; {_match(store, best, interpreter)}",
        tuple(
            [f"{spec.label}: {_why_behind(store, best, spec, interpreter)}" for spec in others]
            + unsuitable
        ),
    )


def _chosen_by_query(store: Store, interpreter: Interpreter, query: str) -> KernelPackage:
    try:
        spec = store.get(query)
    except (NoMatch, Ambiguous, QuerySyntaxError) as error:
        raise KernelPackageError(
            f"the companion `{query}`: {error.summary}",
            details=error.details,
            hint=f"{error.hint}\nA spec with an ipykernel does not need a companion; `auto` "
            "chooses one.".strip(),
        ) from error
    if spec.name != PACKAGE:
        raise KernelPackageError(
            f"the companion `{query}` is {spec.label}, which is not {PACKAGE}",
            hint=f"Use a query that starts with {PACKAGE}, or omit the companion.",
        )
    why_not = _why_unsuitable(store, spec, interpreter)
    if why_not:
        raise KernelPackageError(
            f"the companion {spec.label} does not fit Python {interpreter.version}: {why_not}",
            hint=_install_hint(interpreter),
        )
    return KernelPackage("companion", str(spec.version), spec, f"requested with `{query}`")


def python_of(store: Store, spec: Spec) -> Spec | None:
    """Return the `python` that `spec` is built for, or None if its record has none."""
    direct = store.dependency(spec, "python")
    if direct is not None:
        return direct
    return next((node for node in store.closure(spec) if node.name == "python"), None)


def _why_unsuitable(store: Store, spec: Spec, interpreter: Interpreter) -> str:
    """Return why `spec` cannot be a companion in this interpreter; empty when it can."""
    if not spec.installed:
        return "not installed"
    python = python_of(store, spec)
    if python is None:
        return "its record does not name the python it is built for"
    why_unfit = mismatch(spec, python, interpreter.python or interpreter.spec, interpreter.series)
    if why_unfit:
        return why_unfit
    if not has_prefix(spec):
        return f"its prefix does not exist ({spec.prefix})"
    return _incomplete(store, spec)


def _incomplete(store: Store, spec: Spec) -> str:
    """Return which package in a companion's closure is gone; empty if none is."""
    try:
        closure = store.closure(spec)
    except DatabaseError as error:
        return error.summary
    for node in closure:
        if node.is_missing:
            return f"{node.label}, which it needs, is not installed"
        # As with the specs' own packages, only Python packages are checked.
        extends = any(edge.name in ("python", "python-venv") for edge in node.dependencies)
        if extends and node.prefix and not node.external and not has_prefix(node):
            return f"{node.label}, which it needs, is recorded, but its prefix does not exist"
    return ""


def mismatch(spec: Spec, python: Spec, ours: Spec, our_series: str) -> str:
    """Return why a package built for `python` does not load in `ours`; empty if it does.

    Parameters
    ----------
    spec : Spec
        The package.
    python : Spec
        The python it is built for.
    ours : Spec
        The python it would run in, or the external that contains that python.
    our_series : str
        The version of the interpreter, ``3.11``.
    """
    if python.hash == ours.hash:
        return ""
    if series(python.version) != our_series:
        return f"built for {python.label}"
    if (spec.arch.platform, spec.arch.os) != (ours.arch.platform, ours.arch.os):
        return f"built for {spec.arch}"
    for name in _ABI_VARIANTS:
        if bool(python.variants.get(name)) != bool(ours.variants.get(name)):
            return f"built for {python.label}, which differs in `{name}`"
    return ""


def _compare(store: Store, interpreter: Interpreter, a: Spec, b: Spec) -> int:
    """Order companions: same python, same architecture, newest version, lowest hash."""
    ours = interpreter.python or interpreter.spec
    for better in (
        lambda spec: _has_python(store, spec, interpreter),
        lambda spec: spec.arch == ours.arch,
    ):
        if better(a) != better(b):
            return -1 if better(a) else 1
    if a.version != b.version:
        return -1 if a.version > b.version else 1
    return -1 if a.hash < b.hash else 1


def _has_python(store: Store, spec: Spec, interpreter: Interpreter) -> bool:
    python = python_of(store, spec)
    return python is not None and python == (interpreter.python or interpreter.spec)


def _match(store: Store, spec: Spec, interpreter: Interpreter) -> str:
    if _has_python(store, spec, interpreter):
        return f"{spec.label} is built for the same python"
    python = python_of(store, spec)
    return f"{spec.label} is built for {python}, which is also Python {interpreter.series}"


def _why_behind(store: Store, best: Spec, spec: Spec, interpreter: Interpreter) -> str:
    if _has_python(store, best, interpreter) and not _has_python(store, spec, interpreter):
        return f"built for {python_of(store, spec)}"
    ours = interpreter.python or interpreter.spec
    if best.arch == ours.arch != spec.arch:
        return f"built for {spec.arch}"
    if best.version != spec.version:
        return "older"
    return "the same version; the lower hash was chosen"


def _install_hint(interpreter: Interpreter) -> str:
    python = interpreter.python or interpreter.spec
    return f"Install one for the same python:\n  spack install {PACKAGE} ^/{python.hash[:7]}"
