"""Replacing this process by a command."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

#: What a shell returns for a command that cannot be run, and for one that is not there.
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class CommandError(Exception):
    """A command that could not be started.

    Attributes
    ----------
    status : int
        The status to end with.
    summary : str
        What was wrong.
    details : tuple of str
        What was found instead.
    """

    def __init__(self, status: int, summary: str, details: Sequence[str] = ()) -> None:
        super().__init__(summary)
        self.status = status
        self.summary = summary
        self.details = tuple(details)


def replace_process(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run `command` in the place of this process.

    Raises
    ------
    CommandError
        When it cannot be executed.
    """
    name = command[0]
    path = environment.get("PATH", os.defpath)
    denied: tuple[str, str] | None = None
    for candidate in _candidates(name, path):
        if not os.path.isfile(candidate):  # noqa: PTH113 - a kernel's start does without pathlib
            if os.path.isdir(candidate) and os.sep in name:  # noqa: PTH112
                raise CommandError(EXIT_NOT_EXECUTABLE, f"{name} is a directory")
            continue
        sys.stdout.flush()
        sys.stderr.flush()
        import signal  # it brings enum along

        # Python ignores these, and what it ignores a new program would, too.
        for name_of_signal in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name_of_signal), signal.SIG_DFL)
        try:
            os.execve(candidate, list(command), dict(environment))  # noqa: S606 - the very purpose
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
    # An empty entry of PATH means the working directory, which is not to be trusted.
    return [f"{directory}/{name}" for directory in path.split(os.pathsep) if directory]
