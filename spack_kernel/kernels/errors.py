"""Errors that can occur between a spec and a running kernel."""

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
    """No kernel of that name in a closure, or several kernels and no name given."""

    code = "shipped-kernel"


class EnvironmentTooLongError(SpackKernelError):
    """An environment that is too long for any process to start."""

    code = "environment-too-long"


class PrefixGoneError(SpackKernelError):
    """A record in the database whose install directory no longer exists."""

    code = "prefix-gone"


class IncompleteError(SpackKernelError):
    """A closure in which a spec is not installed, or recorded nowhere."""

    code = "incomplete"


def gone(spec: Spec, role: str, store: Store | None = None) -> PrefixGoneError:
    """Return the error for a spec whose install directory does not exist.

    Parameters
    ----------
    spec : Spec
        The record.
    role : str
        Its role, as text that follows "which is".
    store : Store, optional
        Where it is recorded; used to distinguish a moved store from a missing directory.
    """
    details = [f"  {spec.prefix or 'no prefix is recorded'}"]
    hint = repair_hint(spec)
    moved = store.moved_from() if store is not None and not spec.external else None
    empty = _empty_above(spec.prefix) if spec.prefix else None
    if store is not None and moved is not None:
        details.append(f"  the store was moved: its records name {moved}, not {store.root}")
        hint = (
            "Installed packages contain their old path. Make the store available there:\n"
            f"  ln -s {store.root} {moved}\n"
            "or reinstall the packages at the new location."
        )
    elif empty is not None:
        details.append(f"  {empty} is empty: a file system or image might not be mounted there")
        hint = f"Mount what belongs on {empty}, or ask an administrator of this machine."
    return PrefixGoneError(
        f"{spec.label}, which is {role}, is recorded, but its prefix does not exist",
        details=details,
        hint=hint,
    )


def _empty_above(path: str) -> str | None:
    """Return the nearest directory above `path` that exists, if it is empty."""
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
    """Return a hint for a spec whose files do not match the database."""
    if spec.external:
        return (
            f"It is an external: correct or remove the entry of {spec.name} in packages.yaml, "
            "and reinstall everything that depends on it."
        )
    return (
        f"Install it again with `spack install --overwrite /{spec.hash[:7]}`, "
        "or choose another spec from the output of `spack-kernel list`."
    )
