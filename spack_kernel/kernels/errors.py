"""What can go wrong between a spec and a process."""

from __future__ import annotations

from spack_kernel.spack.errors import SpackKernelError


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
