"""The directories of a kernel's PYTHONPATH: the specs' own, followed by the companion's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.kernels.errors import gone
from spack_kernel.kernels.interpreters.prefix import has_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.load import LoadEnvironment
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store


class PathEntry(NamedTuple):
    """One directory of the kernel's PYTHONPATH.

    Attributes
    ----------
    path : str
        The directory.
    spec : Spec
        What it belongs to.
    origin : str
        ``spec`` for the load environment's own, ``companion`` for those added after them.
    reason : str
        Why it is there, in one line.
    """

    path: str
    spec: Spec
    origin: str
    reason: str


class Override(NamedTuple):
    """A package that both the specs and the companion have; the specs' is used.

    Attributes
    ----------
    used, unused : Spec
        The specs' and the companion's.
    """

    used: Spec
    unused: Spec


def require_prefixes(
    closure: Sequence[Spec], entries: Sequence[PathEntry], store: Store | None = None
) -> None:
    """Raise an error for a Python package of the closure whose directory is gone.

    Raises
    ------
    PrefixGoneError
        When there is one; the message names it and the root that needs it.
    """
    # Only specs without an entry are checked: a stat for every node takes seconds on slow systems.
    present = {entry.spec.hash for entry in entries}
    for spec in closure:
        if spec.hash in present or spec.external or not spec.prefix:
            continue
        extends = any(edge.name in ("python", "python-venv") for edge in spec.dependencies)
        if extends and not has_prefix(spec):
            raise gone(spec, f"needed by {closure[0].label}", store)


def companion_entries(
    closure: Sequence[Spec], beside: LoadEnvironment, entries: Sequence[PathEntry]
) -> tuple[list[PathEntry], tuple[Override, ...]]:
    """Return the entries that the companion adds, and its packages that are not used.

    Parameters
    ----------
    closure : sequence of Spec
        The specs' own closure.
    beside : LoadEnvironment
        What loading the companion alone would change.
    entries : sequence of PathEntry
        The specs' own directories.
    """
    (companion,) = beside.specs
    own = {spec.name: spec for spec in closure}
    present = {entry.path for entry in entries}
    behind: list[PathEntry] = []
    overrides: dict[str, Override] = {}
    for path, spec, _, _ in beside.pythonpath:
        if path in present:
            continue
        if spec.name in own:
            # Left out as a whole: two versions of one package on a path would mix submodules.
            if own[spec.name] != spec:
                overrides[spec.name] = Override(own[spec.name], spec)
            continue
        present.add(path)
        reason = "the companion" if spec == companion else f"needed by {companion.label}"
        behind.append(PathEntry(path, spec, "companion", reason))
    return behind, tuple(overrides.values())
