"""What can go wrong between a spec and a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store


class RequestError(SpackKernelError, ValueError):
    """A request that names nothing to load, or contradicts itself."""

    code = "kernelspec"


class InterpreterError(SpackKernelError):
    """No Python to start: none in the closure, two of them, or one that does not run."""

    code = "interpreter"


class KernelPackageError(SpackKernelError):
    """No ipykernel for the chosen Python."""

    code = "ipykernel"


class ShippedKernelError(SpackKernelError):
    """No kernel of that name in a closure, or several and none is named."""

    code = "shipped-kernel"


class EnvironmentTooLongError(SpackKernelError):
    """An environment with which no process can be started."""

    code = "environment-too-long"


class PrefixGoneError(SpackKernelError):
    """A record in the database whose install directory no longer exists."""

    code = "prefix-gone"


def gone(spec: Spec, role: str, store: Store | None = None) -> PrefixGoneError:
    """Return the error for a spec whose install directory does not exist.

    Parameters
    ----------
    spec : Spec
        The record.
    role : str
        What it was needed for, as it follows "which is".
    store : Store, optional
        Where it is recorded: tells a store that was moved from a directory that is gone.
    """
    details = [f"  {spec.prefix or 'no prefix is recorded'}"]
    hint = repair_hint(spec)
    moved = store.moved_from() if store is not None and not spec.external else None
    empty = _empty_above(spec.prefix) if spec.prefix else None
    if store is not None and moved is not None:
        details.append(f"  the store was moved: its records name {moved}, and it is {store.root}")
        hint = (
            "Installed packages have their old path built in. Make the store reachable there:\n"
            f"  ln -s {store.root} {moved}\n"
            "or install it anew where it is now."
        )
    elif empty is not None:
        details.append(f"  {empty} is empty: what is mounted there, or an image, may be missing")
        hint = f"Mount what belongs on {empty}, or ask an administrator of this machine."
    return PrefixGoneError(
        f"{spec.label}, which is {role}, is in the database, but its directory is gone",
        details=details,
        hint=hint,
    )


def _empty_above(path: str) -> str | None:
    """Return the nearest directory above `path` that exists, if there is nothing in it."""
    for parent in Path(path).parents:
        try:
            with os.scandir(parent) as entries:
                return str(parent) if next(entries, None) is None else None
        except (FileNotFoundError, NotADirectoryError):  # noqa: PERF203
            continue
        except OSError:
            return None
    return None


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
