"""Errors of the Jupyter integration."""

from __future__ import annotations

from spack_kernel.kernels.errors import RequestError
from spack_kernel.spack.errors import SpackKernelError


class KernelSpecError(RequestError):
    """A kernelspec that cannot be written, found, removed or understood."""

    code = "kernelspec"


class EncryptionError(SpackKernelError):
    """A connection that must be encrypted, to a kernel that does not support encryption."""

    code = "encryption"


class NotebookError(SpackKernelError):
    """A notebook that does not name the spec it needs, or cannot be read or written."""

    code = "notebook"


class PickerOffError(SpackKernelError):
    """A picker that cannot be used in this server."""

    code = "picker-off"


class UnreadableError(SpackKernelError):
    """A file or a directory that a user has named and that cannot be read."""

    code = "unreadable"


class HelperError(SpackKernelError):
    """A helper process that cannot be started, or that ended without an answer."""

    code = "helper"


class SlowStoreError(SpackKernelError):
    """A store that could not be read in time."""

    code = "store-slow"


class KernelDiedError(SpackKernelError):
    """A kernel whose process could not be executed, or ended before it answered."""

    code = "kernel-died"


class KernelSilentError(SpackKernelError):
    """A kernel whose process runs, but has not listened in time."""

    code = "kernel-silent"


class JobRefusedError(SpackKernelError):
    """A job that cannot be submitted: by its options, by the site's limits, or by Slurm."""

    code = "job-refused"


class JobEndedError(SpackKernelError):
    """A job that ended although nobody asked for it, or never started."""

    code = "job-ended"


class PortTakenError(SpackKernelError):
    """A kernel that could not use a port because another program has it."""

    code = "port-taken"


class ServerStopsError(SpackKernelError):
    """A start that was given up because the server is stopping."""

    code = "server-stops"
