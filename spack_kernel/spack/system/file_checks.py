"""Questions to the file system on which an answer depends, recorded so that it can be checked.

What is planned from a database depends on directories, links and files as well. Whoever keeps a
plan records the questions while it is made, and asks them again before each use: as long as every
answer is the same, so is the plan. An answer may be "there is no such directory"; it is recorded
like any other. Light: `exec` needs it at every start.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    #: An answer as JSON types.
    Answer: TypeAlias = "bool | str | list[int] | list[str] | None"

    #: The kind of question, the path, and the answer.
    Question: TypeAlias = "tuple[str, str, Answer]"

#: Thread → the lists to which its questions are added.
_listeners: dict[int, list[list[Question]]] = {}

#: Questions asked one after the other before the others are asked from several threads.
_SAMPLE = 16

#: Seconds a question takes at most where asking one after the other is best.
_SLOW = 100e-6

_WORKERS = 16

#: Largest file of text that is read in a place where somebody else can write: configuration, lock
#: files, kernelspecs.
MAX_TEXT_SIZE = 64 * 1024 * 1024


class Listener:
    """Records the questions that this thread asks inside its ``with``.

    Parameters
    ----------
    questions : list of Question, optional
        Where they are added; a new list otherwise.
    """

    def __init__(self, questions: list[Question] | None = None) -> None:
        self.questions: list[Question] = [] if questions is None else questions

    def __enter__(self) -> Listener:
        _listeners.setdefault(get_ident(), []).append(self.questions)
        return self

    def __exit__(self, *_: object) -> None:
        thread = get_ident()
        heard = _listeners[thread]
        # By identity: two listeners with equal lists are two listeners.
        del heard[next(i for i in reversed(range(len(heard))) if heard[i] is self.questions)]
        if not heard:
            del _listeners[thread]


def is_dir(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a directory."""
    return _noted("dir", path, os.path.isdir(path))  # noqa: PTH112 - one of hundreds


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a regular file."""
    return _noted("file", path, os.path.isfile(path))  # noqa: PTH113


def is_executable(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a file that this user may execute."""
    answer = os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113
    return _noted("executable", path, answer)


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything at `path`, links followed."""
    return _noted("exists", path, os.path.exists(path))  # noqa: PTH110


def lexists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything at `path`, be it a broken link."""
    return _noted("link", path, os.path.lexists(path))


def real(path: str | os.PathLike[str]) -> str:
    """Return `path` without symbolic links."""
    answer = os.path.realpath(path)
    note("real", path, answer)
    return answer


def stamp(path: str | os.PathLike[str]) -> list[int] | None:
    """Return what changes when `path` does: inode, size, mtime and ctime in ns; None without.

    The change time is part of it because a program can set the other three back.
    """
    answer: list[int] | None
    try:
        status = os.stat(path)  # noqa: PTH116 - one of hundreds
    except (OSError, ValueError):
        answer = None
    else:
        answer = stamp_of(status)
    note("stamp", path, answer)
    return answer


def stamp_of(status: os.stat_result) -> list[int]:
    """Return the stamp of a stat result."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def names_in(path: str | os.PathLike[str]) -> list[str] | None:
    """Return the names in a directory, sorted; None when it cannot be read."""
    answer: list[str] | None
    try:
        answer = sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
    except (OSError, ValueError):
        answer = None
    note("names", path, answer)
    return answer


def read_regular(path: str | os.PathLike[str], limit: int = MAX_TEXT_SIZE) -> bytes:
    """Return the content of a regular file of at most `limit` bytes, and note its stamp.

    Never waits for a writer and never reads a device, whatever somebody put there.

    Raises
    ------
    OSError
        When it cannot be read, is no regular file, or is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from None
    except OSError:
        stamp(path)
        raise
    content, answer = _read(descriptor, path, limit)
    note("stamp", path, answer)
    return content


def read_inside(root: str, relative: str, limit: int) -> bytes | None:
    """Return the content of a regular file below `root`; None where there is none.

    Each directory on the way is opened in the one before and no symbolic link is followed, so
    nothing can lead out of `root`, also when somebody puts a link there meanwhile.

    Raises
    ------
    OSError
        When it is a link or reached through one, cannot be read, is no regular file, or is larger.
    """
    path = f"{root}/{relative}"
    *directories, name = relative.split("/")
    if ".." in directories or "\0" in path:
        raise OSError(errno.EINVAL, "it lies outside the prefix", path)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    stamp(path)
    try:
        opened = os.open(root, flags | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        for part in (part for part in directories if part not in ("", ".")):
            inner = os.open(part, flags | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
            os.close(opened)
            opened = inner
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NOCTTY, dir_fd=opened)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            error.strerror = "it is a symbolic link, or reached through one"
        raise
    finally:
        os.close(opened)
    return _read(descriptor, path, limit)[0]


def _read(descriptor: int, path: str | os.PathLike[str], limit: int) -> tuple[bytes, list[int]]:
    """Return the content and the stamp of an open file, which is closed."""
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat_module.S_ISREG(status.st_mode):
            raise OSError(errno.EISDIR, "it is not a regular file", os.fspath(path))
        if status.st_size > limit:
            unit, name = (1 << 20, "MiB") if limit >= 1 << 20 else (1 << 10, "KiB")
            text = f"it is larger than {limit // unit} {name} ({status.st_size:,} bytes)"
            raise OSError(errno.EFBIG, text, os.fspath(path))
        content = bytearray()
        while len(content) < limit:
            part = file.read(min(limit - len(content), 1 << 20))
            if not part:
                break
            content += part
    return bytes(content), stamp_of(status)


def note(kind: str, path: str | os.PathLike[str], answer: Answer) -> None:
    """Record a question that was asked in another way."""
    for questions in _listeners.get(get_ident(), ()):
        questions.append((kind, os.fspath(path), answer))


def noting() -> bool:
    """Return whether this thread's questions are recorded."""
    return get_ident() in _listeners


def are_dirs(paths: Iterable[str], isdir: Callable[[str], bool] = os.path.isdir) -> list[bool]:
    """Return for each of `paths` whether it is a directory; from several threads where it is slow.

    On a parallel or network file system one stat costs a millisecond.
    """
    paths = list(paths)
    answers = _ask_all(paths, isdir)
    if noting():
        for path, answer in zip(paths, answers, strict=True):
            note("dir", path, answer)
    return answers


def ask(kind: str, path: str) -> Answer:
    """Return the answer to a question of a kind, as it is now."""
    return _ASK[kind](path)


def distinct(questions: Iterable[Question]) -> list[Question]:
    """Return `questions`, each once; one that was answered in two ways stays twice."""
    seen: dict[tuple[str, str], list[Answer]] = {}
    for kind, path, answer in questions:
        answers = seen.setdefault((kind, path), [])
        if answer not in answers:
            answers.append(answer)
    return [(*question, answer) for question, answers in seen.items() for answer in answers]


def unchanged(questions: Iterable[Question]) -> bool:
    """Return whether each of `questions` has the answer it had."""
    return _ask_all(list(questions), _has_answer, stop=True)[-1:] != [False]


def _has_answer(question: Question) -> bool:
    kind, path, answer = question
    return ask(kind, path) == answer


def _ask_all(items: list, ask: Callable, *, stop: bool = False) -> list:  # type: ignore[type-arg]
    """Return the answer to each item; with `stop` those up to the first that is false."""
    from time import perf_counter

    answers = []
    start = perf_counter()
    for count, item in enumerate(items, 1):
        many = count == _SAMPLE and len(items) > 2 * _SAMPLE
        if many and perf_counter() - start > _SLOW * _SAMPLE:
            break
        answer = ask(item)
        answers.append(answer)
        if stop and not answer:
            return answers
    rest = items[len(answers) :]
    if rest:
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and seldom needed

        with ThreadPoolExecutor(_WORKERS) as pool:
            for answer in pool.map(ask, rest):
                answers.append(answer)
                if stop and not answer:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return answers
    return answers


def _noted(kind: str, path: str | os.PathLike[str], answer: bool) -> bool:
    note(kind, path, answer)
    return answer


_ASK: dict[str, Callable[[str], Answer]] = {
    "dir": is_dir,
    "file": is_file,
    "executable": is_executable,
    "exists": exists,
    "link": lexists,
    "real": real,
    "stamp": stamp,
    "names": names_in,
}
