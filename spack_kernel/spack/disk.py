"""Questions to the file system on which an answer depends, heard by who keeps the answer.

What is planned from a database depends on directories, links and files as well. Whoever wants to
use a plan again listens while it is made, and asks the same questions before each use: as long as
every answer is the same, so is the plan. Light, for who has nothing else to do.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    #: What was asked, of which path, and what the answer was, as JSON types.
    Question: TypeAlias = "tuple[str, str, bool | list[int] | None]"

_listeners: list[list[Question]] = []


class Listener:
    """Hears the questions that are asked inside its ``with``, also by other threads."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    def __enter__(self) -> Listener:
        _listeners.append(self.questions)
        return self

    def __exit__(self, *_: object) -> None:
        _listeners[:] = [each for each in _listeners if each is not self.questions]


def is_dir(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a directory."""
    answer = os.path.isdir(path)  # noqa: PTH112 - one of hundreds
    note("dir", path, answer)
    return answer


def lexists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything at `path`, be it a broken link."""
    answer = os.path.lexists(path)
    note("link", path, answer)
    return answer


def stamp(path: str | os.PathLike[str]) -> list[int] | None:
    """Return what changes when `path` does: inode, size, modification time in ns; or None."""
    answer: list[int] | None
    try:
        status = os.stat(path)  # noqa: PTH116 - one of hundreds
    except OSError:
        answer = None
    else:
        answer = [status.st_ino, status.st_size, status.st_mtime_ns]
    note("stamp", path, answer)
    return answer


def note(kind: str, path: str | os.PathLike[str], answer: bool | list[int] | None) -> None:
    """Tell the listeners of a question that was asked in another way."""
    for questions in _listeners:
        questions.append((kind, os.fspath(path), answer))


_ASK = {"dir": is_dir, "link": lexists, "stamp": stamp}


def unchanged(questions: Iterator[Question] | list[Question]) -> bool:
    """Return whether each of `questions` has the answer it had."""
    return all(_ASK[kind](path) == answer for kind, path, answer in questions)
