"""The error raised when a demo store cannot be created."""

from __future__ import annotations

from spack_kernel.spack.errors import SpackKernelError


class DemoError(SpackKernelError):
    """A demo store cannot be created: no space, no network, no pip, or a directory in use."""

    code = "demo"
