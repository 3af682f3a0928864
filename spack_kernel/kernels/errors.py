"""What can go wrong between a spec and a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from spack_kernel.spack.specs import Spec


class InterpreterError(SpackKernelError):
    """No Python to start: none in the closure, two of them, or one that does not run."""

    code = "interpreter"


class KernelPackageError(SpackKernelError):
    """No ipykernel for the chosen Python."""

    code = "ipykernel"


class ShippedKernelError(SpackKernelError):
    """No kernel of that name in a closure, or several and none is named."""

    code = "shipped-kernel"


class PrefixGoneError(SpackKernelError):
    """A record in the database whose install directory no longer exists."""

    code = "prefix-gone"


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
        hint=repair_hint(spec),
    )


def repair_hint(spec: Spec) -> str:
    """Return what to do about a spec whose files are not what the database says."""
    if spec.external:
        return (
            f"It is an external: correct or remove the entry of {spec.name} in packages.yaml, "
            "and install again what depends on it."
        )
    return (
        f"Install it again with `spack install --overwrite /{spec.hash[:7]}`, "
        "or choose another spec: `spack-kernel list` shows them."
    )
