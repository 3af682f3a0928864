"""What the closure of a kernel lacks: specs that are not installed, or that nothing records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.kernels.errors import IncompleteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.load import LoadEnvironment
    from spack_kernel.spack.store import Store

#: How many specs that need a missing one are named.
_SHOWN = 3


class Missing(NamedTuple):
    """A spec that a closure lacks.

    Attributes
    ----------
    label : str
        Its name, the version if it is recorded, and the beginning of its hash.
    hash : str
        Its DAG hash.
    recorded : bool
        Whether a database has a record of it, as not installed.
    needed_by : tuple of str
        The specs of the closure that depend on it.
    """

    label: str
    hash: str
    recorded: bool
    needed_by: tuple[str, ...]

    @property
    def why(self) -> str:
        """Why it is missing, and who needs it, on one line."""
        shown = ", ".join(self.needed_by[:_SHOWN])
        if len(self.needed_by) > _SHOWN:
            shown += f" and {len(self.needed_by) - _SHOWN} more"
        reason = "is not installed" if self.recorded else "is in no database"
        return f"{self.label} {reason}" + (f"; needed by {shown}" if shown else "")


def missing_in(load: LoadEnvironment) -> tuple[Missing, ...]:
    """Return what a closure lacks, in its order."""
    needed: dict[str, list[str]] = {}
    for spec in load.closure:
        for edge in spec.dependencies:
            needed.setdefault(edge.hash, []).append(spec.label)
    found = {
        spec.hash: Missing(spec.label, spec.hash, True, tuple(needed.get(spec.hash, ())))
        for spec in load.closure
        if spec.is_missing
    }
    for _, edge in load.unrecorded:
        label = f"{edge.name}/{edge.hash[:7]}"
        found.setdefault(
            edge.hash, Missing(label, edge.hash, False, tuple(needed.get(edge.hash, ())))
        )
    return tuple(found.values())


def incomplete(missing: Sequence[Missing], root: str, store: Store) -> IncompleteError:
    """Return the error for a closure that lacks something.

    Parameters
    ----------
    missing : sequence of Missing
        What it lacks; not empty.
    root : str
        The label of the spec whose closure it is.
    store : Store
        Where it is recorded.
    """
    first, *others = missing
    more = f", and {len(others)} more" if others else ""
    reason = "is not installed" if first.recorded else "is in no database"
    details = [f"  {each.why}" for each in missing]
    details += [f"  the upstream {tree} could not be read" for tree in store.left_out]
    if all(each.recorded for each in missing):
        hashes = " ".join(f"/{each.hash[:7]}" for each in missing)
        hint = f"Install what is missing with `spack install {hashes}`."
    elif store.left_out:
        hint = "Make the upstream readable, or remove it from the configuration."
    else:
        hint = (
            "If an upstream has it, name it as well: another --store, or a list as `store` in the "
            f"kernel.json.\nElse `spack install --only dependencies /{root.rpartition('/')[2]}` "
            "installs it."
        )
    return IncompleteError(
        f"{root} is incomplete: {first.label} {reason}{more}", details=details, hint=hint
    )
