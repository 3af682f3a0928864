"""Errors in Spack environments."""

from __future__ import annotations

from spack_kernel.spack.errors import SpackKernelError


class EnvironmentNotFound(SpackKernelError, LookupError):  # noqa: N818 - reads as Spack's own errors do
    """No Spack environment of that name, or none in that directory."""

    code = "environment-not-found"


class EnvironmentNotReady(SpackKernelError):  # noqa: N818 - reads as Spack's own errors do
    """A Spack environment that is not concretized, not installed, or has no such view."""

    code = "environment-not-ready"
