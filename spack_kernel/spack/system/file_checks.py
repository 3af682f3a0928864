"""Record the file system checks that a result depends on, so that it can be validated later.

A plan depends not only on a database but also on directories, links and files. Code that caches a
plan records the checks during planning and repeats them before each use: as long as every
answer is the same, the plan is valid. An answer such as "there is no such directory" is recorded
like any other. Lightweight, because `exec` needs it at every kernel launch.
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

    #: The kind of check, the path, and the answer.
    Check: TypeAlias = "tuple[str, str, Answer]"
else:
    Check = tuple

#: Thread → the lists to which its checks are added.
_recorders: dict[int, list[list[Check]]] = {}

#: Number of checks made one at a time before the rest are made from several threads.
_SAMPLE = 16

#: Seconds per check up to which one at a time is fastest.
_SLOW = 100e-6

_WORKERS = 16

#: The largest text file that is read where other users might have write access: configuration, lock
#: files, kernelspecs.
MAX_TEXT_SIZE = 64 * 1024 * 1024


class Recorder:
    """Records the checks that this thread makes inside the ``with`` block.

    Parameters
    ----------
    checks : list of Check, optional
        The list that they are added to; a new list by default.
    """

    def __init__(self, checks: list[Check] | None = None) -> None:
        self.checks: list[Check] = [] if checks is None else checks

    def __enter__(self) -> Recorder:
        _recorders.setdefault(get_ident(), []).append(self.checks)
        return self

    def __exit__(self, *_: object) -> None:
        thread = get_ident()
        lists = _recorders[thread]
        # By identity, because different recorders can have equal lists.
        del lists[next(i for i in reversed(range(len(lists))) if lists[i] is self.checks)]
        if not lists:
            del _recorders[thread]


def is_dir(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a directory."""
    return _noted("dir", path, os.path.isdir(path))  # noqa: PTH112 - one of hundreds


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a regular file."""
    return _noted("file", path, os.path.isfile(path))  # noqa: PTH113


def is_executable(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a file that this user can execute."""
    answer = os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113
    return _noted("executable", path, answer)


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything at `path`, following links."""
    return _noted("exists", path, os.path.exists(path))  # noqa: PTH110


def lexists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything at `path`, even a broken link."""
    return _noted("link", path, os.path.lexists(path))


def real(path: str | os.PathLike[str]) -> str:
    """Return `path` with symbolic links resolved."""
    answer = os.path.realpath(path)
    record("real", path, answer)
    return answer


def stamp(path: str | os.PathLike[str]) -> list[int] | None:
    """Return inode, size, mtime and ctime (ns) of `path`, to detect changes; None if missing.

    The change time is included because a program can restore the other three.
    """
    answer: list[int] | None
    try:
        status = os.stat(path)  # noqa: PTH116 - one of hundreds
    except (OSError, ValueError):
        answer = None
    else:
        answer = stamp_of(status)
    record("stamp", path, answer)
    return answer


def stamp_of(status: os.stat_result) -> list[int]:
    """Return the stamp of a stat result."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def names_in(path: str | os.PathLike[str]) -> list[str] | None:
    """Return the names in a directory, sorted; None when it cannot be read."""
    answer: list[str] | None
    try:
        answer = sorted(os.listdir(path))  # noqa: PTH208 - names are needed, not paths
    except (OSError, ValueError):
        answer = None
    record("names", path, answer)
    return answer


def read_regular(path: str | os.PathLike[str], limit: int = MAX_TEXT_SIZE) -> bytes:
    """Return the content of a regular file of at most `limit` bytes, and note its stamp.

    Never waits for a writer and never reads a device, whatever is at `path`.

    Raises
    ------
    OSError
        When it cannot be read, is not a regular file, or is too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from None
    except OSError:
        stamp(path)
        raise
    content, answer = _read(descriptor, path, limit)
    record("stamp", path, answer)
    return content


def read_inside(root: str, relative: str, limit: int) -> bytes | None:
    """Return the content of a regular file below `root`; None when there is none.

    Each directory along the path is opened relative to its parent, and no symbolic link is
    followed, so the path cannot lead out of `root`, even if another user creates a link in the
    meantime.

    Raises
    ------
    OSError
        When it is a link or reached through one, unreadable, not a regular file, or too large.
    """
    path = f"{root}/{relative}"
    *directories, name = relative.split("/")
    if ".." in directories or "\0" in path:
        raise OSError(errno.EINVAL, "it is outside the prefix", path)
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
    """Return the content and the stamp of an open file, and close it."""
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


def record(kind: str, path: str | os.PathLike[str], answer: Answer) -> None:
    """Record a check that was made in another way."""
    for checks in _recorders.get(get_ident(), ()):
        checks.append((kind, os.fspath(path), answer))


def is_recording() -> bool:
    """Return whether this thread's checks are recorded."""
    return get_ident() in _recorders


def are_dirs(paths: Iterable[str], isdir: Callable[[str], bool] = os.path.isdir) -> list[bool]:
    """Return whether each of `paths` is a directory; use several threads where checks are slow.

    On a parallel or network file system, one stat takes a millisecond.
    """
    paths = list(paths)
    answers = _ask_all(paths, isdir)
    if is_recording():
        for path, answer in zip(paths, answers, strict=True):
            record("dir", path, answer)
    return answers


def ask(kind: str, path: str) -> Answer:
    """Make a check of a kind, and return its answer."""
    return _ASK[kind](path)


def distinct(checks: Iterable[Check]) -> list[Check]:
    """Return `checks` without duplicates; a check with two different answers stays twice."""
    seen: dict[tuple[str, str], list[Answer]] = {}
    for kind, path, answer in checks:
        answers = seen.setdefault((kind, path), [])
        if answer not in answers:
            answers.append(answer)
    return [(*check, answer) for check, answers in seen.items() for answer in answers]


def unchanged(checks: Iterable[Check]) -> bool:
    """Return whether each of `checks` still has its recorded answer."""
    return _ask_all(list(checks), _has_answer, stop=True)[-1:] != [False]


def _has_answer(check: Check) -> bool:
    kind, path, answer = check
    return ask(kind, path) == answer


def _ask_all(items: list, ask: Callable, *, stop: bool = False) -> list:  # type: ignore[type-arg]
    """Return the answer to each item; with `stop`, those up to the first false one."""
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
    record(kind, path, answer)
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
