"""Start failures in a form that Jupyter Server can show.

Through ``/api/kernels`` the server returns only the text of a tornado `HTTPError`, and through
``/api/sessions`` the text of any exception. Both pass it to tornado as a format string.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from tornado.web import HTTPError

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.spack.errors import SpackKernelError


class _Verbatim(str):
    """A string that tornado's handling of format strings leaves unchanged.

    tornado doubles each ``%`` in a log message without arguments, and the server sends the
    doubled text to the browser. A user could not copy `py-foo %%gcc` from there into a terminal.
    """

    __slots__ = ()

    def replace(self, old: str, new: str, *args: Any) -> str:
        return self if (old, new) == ("%", "%%") else str.replace(self, old, new, *args)

    def __mod__(self, values: Any) -> str:
        return str(self) if values == () else str.__mod__(self, values)

    def __radd__(self, left: str) -> str:
        # tornado before 6.5 prepends this prefix to build the format string of its own log.
        return left + (str.replace(self, "%", "%%") if left == "%d %s: " else str(self))

    def __repr__(self) -> str:
        # The response to a kernel change quotes the text with repr(), which would escape newlines.
        return str.__str__(self)


class KernelStartError(SpackKernelError, HTTPError):
    """A kernel that cannot be started, with the text of the error that caused it.

    Parameters
    ----------
    cause : SpackKernelError
        The error that caused it.
    kernel_file : str
        The kernel.json that requested it.
    status : int
        The status of the HTTP response.
    """

    code = "kernel-start"

    def __init__(self, cause: SpackKernelError, kernel_file: str = "", status: int = 500) -> None:
        details = [*cause.details]
        if kernel_file:
            details.append(f"  requested by {kernel_file}")
        SpackKernelError.__init__(self, cause.summary, details=details, hint=cause.hint)
        self.code = cause.code
        self.status_code, self.reason = status, None
        # tornado would use these as the arguments of a format string.
        self.args = ()

    def __str__(self) -> str:
        return _Verbatim(SpackKernelError.__str__(self))

    @property
    def log_message(self) -> str:
        """The full text, which the server sends as ``message``."""
        return str(self)

    @log_message.setter
    def log_message(self, value: str | None) -> None:
        """Do nothing: tornado before 6.5 assigns its constructor argument here."""

    def get_message(self) -> str:
        """Return the full text, for tornado's own log."""
        return str(self)


class UnknownKernelError(KernelStartError, NoSuchKernel):
    """A kernel name that does not exist, as an error that a server can show.

    Parameters
    ----------
    name : str
        The kernel's name.
    reason : str
        Why no kernel has this name.
    hint : str
        What the user can do.
    """

    def __init__(self, name: str, reason: str, hint: str = "") -> None:
        cause = KernelSpecError(f"No such kernel named {name}: {reason}", hint=hint)
        cause.code = "no-such-kernel"
        KernelStartError.__init__(self, cause, status=404)
        self.name = name

    # NoSuchKernel is a KeyError, whose text would omit the details and the hint.
    __str__ = KernelStartError.__str__
