"""Replace this process with a command."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

#: The exit statuses of a shell for a command that cannot be executed, and for one not found.
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class CommandError(Exception):
    """A command that could not be started.

    Attributes
    ----------
    status : int
        The exit status to use.
    summary : str
        What is wrong.
    details : tuple of str
        What was found instead.
    """

    def __init__(self, status: int, summary: str, details: Sequence[str] = ()) -> None:
        super().__init__(summary)
        self.status = status
        self.summary = summary
        self.details = tuple(details)


def replace_process(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process with `command`.

    Raises
    ------
    CommandError
        When it cannot be executed.
    """
    name = command[0]
    path = environment.get("PATH", os.defpath)
    denied: tuple[str, str] | None = None
    for candidate in _candidates(name, path):
        if not os.path.isfile(candidate):  # noqa: PTH113 - starts kernels without pathlib
            if os.path.isdir(candidate) and os.sep in name:  # noqa: PTH112
                raise CommandError(EXIT_NOT_EXECUTABLE, f"{name} is a directory")
            continue
        sys.stdout.flush()
        sys.stderr.flush()
        import signal  # here, because it imports enum

        # Python ignores these signals, and the new program would inherit that.
        for name_of_signal in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name_of_signal), signal.SIG_DFL)
        try:
            os.execve(candidate, list(command), dict(environment))  # noqa: S606 - this is intended
        except OSError as error:
            denied = denied or (candidate, error.strerror or str(error))
    if denied is not None:
        candidate, reason = denied
        raise CommandError(
            EXIT_NOT_EXECUTABLE,
            f"{name} cannot be executed: {reason}",
            () if candidate == name else (candidate,),
        )
    if os.sep in name:
        raise CommandError(EXIT_NOT_FOUND, f"there is no file {name}", ())
    raise CommandError(
        EXIT_NOT_FOUND,
        f"there is no command {name!r} on the PATH of this environment",
        [f"looked in {directory}" for directory in dict.fromkeys(path.split(os.pathsep))],
    )


def _candidates(name: str, path: str) -> list[str]:
    if os.sep in name:
        return [name]
    # An empty entry in PATH means the working directory, which is not trusted.
    return [f"{directory}/{name}" for directory in path.split(os.pathsep) if directory]
