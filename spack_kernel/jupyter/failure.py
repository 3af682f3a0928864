"""A failed start as Jupyter Server can show it.

Through ``/api/kernels`` the server passes on the text of a tornado `HTTPError` alone, and through
``/api/sessions`` the text of any exception; both put it where tornado expects a format string.
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from spack_kernel.spack.errors import SpackKernelError


class _Verbatim(str):
    """A text that tornado's handling of format strings leaves as it is.

    tornado doubles each ``%`` of a log message that has no arguments, and the server sends the
    doubled text to the browser, where `py-foo %%gcc` cannot be copied into a terminal.
    """

    __slots__ = ()

    def replace(self, old: str, new: str, *args: Any) -> str:
        return self if (old, new) == ("%", "%%") else str.replace(self, old, new, *args)

    def __mod__(self, values: Any) -> str:
        return str(self) if values == () else str.__mod__(self, values)

    def __radd__(self, left: str) -> str:
        # What tornado before 6.5 adds it to, to make the format string of its own log.
        return left + (str.replace(self, "%", "%%") if left == "%d %s: " else str(self))

    def __repr__(self) -> str:
        # The answer to a changed kernel quotes the text with repr(), which would fold its lines.
        return str.__str__(self)


class KernelStartError(SpackKernelError, HTTPError):
    """A kernel that cannot be started, told as the error that caused it.

    Parameters
    ----------
    cause : SpackKernelError
        What is wrong.
    kernel_file : str
        The kernel.json that asked for it.
    status : int
        The status of the HTTP answer.
    """

    code = "kernel-start"

    def __init__(self, cause: SpackKernelError, kernel_file: str = "", status: int = 500) -> None:
        details = [*cause.details]
        if kernel_file:
            details.append(f"  asked for by {kernel_file}")
        SpackKernelError.__init__(self, cause.summary, details=details, hint=cause.hint)
        self.code = cause.code
        self.status_code, self.reason = status, None
        # tornado takes what is here for the arguments of a format string.
        self.args = ()

    def __str__(self) -> str:
        return _Verbatim(SpackKernelError.__str__(self))

    @property
    def log_message(self) -> str:
        """The whole text; what the server sends as ``message``."""
        return str(self)

    @log_message.setter
    def log_message(self, value: str | None) -> None:
        """Do nothing: tornado before 6.5 sets what it was made with."""

    def get_message(self) -> str:
        """Return the whole text, for tornado's own log."""
        return str(self)
