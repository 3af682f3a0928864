"""What can go wrong between Jupyter and a plan."""

from __future__ import annotations

from spack_kernel.kernels.errors import RequestError
from spack_kernel.spack.errors import SpackKernelError


class KernelSpecError(RequestError):
    """A kernelspec that cannot be written, found, removed or understood."""

    code = "kernelspec"


class EncryptionError(SpackKernelError):
    """A connection that must be encrypted, to a kernel that cannot."""

    code = "encryption"


class NotebookError(SpackKernelError):
    """A notebook that does not say which spec it needs, or cannot be read or written."""

    code = "notebook"


class KernelDiedError(SpackKernelError):
    """A kernel whose process ended before it could be spoken to."""

    code = "kernel-died"
