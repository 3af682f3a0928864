"""The error of making a demo store."""

from __future__ import annotations

from spack_kernel.spack.errors import SpackKernelError


class DemoError(SpackKernelError):
    """A demo store that cannot be made: no room, no network, no pip, or a directory in use."""

    code = "demo"
