"""The user to run a program as: never one with more rights than the users who can change it.

When root runs another user's program, that program has all of root's rights. Therefore, before root
runs a program, we check which users can replace it: those who own the file, a directory above it
or a link in its path, or who have write permission there. If only root can replace it, it runs as
root. If exactly one other user can, it runs as that user. Otherwise it runs as ``nobody``. Users
other than root run programs as themselves.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_ROOT = 0

#: The user and group ID of ``nobody`` on systems without this user.
_NOBODY = 65534

#: How many symbolic links to follow in one path, as in Linux.
_MAX_LINKS = 40

#: Variables passed to a program that runs as another user. Root's other variables may contain
#: secrets, which that user could read in /proc.
_PASSED = frozenset({"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ"})


class RunAs(NamedTuple):
    """A user to run a program as.

    Attributes
    ----------
    uid, gid : int
        The user and the group.
    """

    uid: int
    gid: int

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for such a program, with the safe subset of `variables`."""
        passed = {name: value for name, value in variables.items() if name in _PASSED}
        try:
            home = pwd.getpwuid(self.uid).pw_dir
        except KeyError:
            home = "/"
        return {**passed, "HOME": home}


def run_as(program: str | os.PathLike[str], *also: str | os.PathLike[str]) -> RunAs | None:
    """Return the user to run a program as; None for the user of this process.

    Parameters
    ----------
    program : path
        The program.
    *also : path
        Other files and directories from which it loads code.

    """
    if os.geteuid() != _ROOT:
        return None
    owners: set[int] = set()
    shared = False
    for path in (program, *also):
        with contextlib.suppress(OSError):  # a missing file cannot be run
            for _, status in _on_the_way(Path(path)):
                owners.add(status.st_uid)
                shared |= _is_shared(status)
    others = owners - {_ROOT}
    if not others and not shared:
        return None
    if len(others) == 1 and not shared:
        (uid,) = others
        return RunAs(uid, _group_of(uid))
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return RunAs(_NOBODY, _NOBODY)
    return RunAs(nobody.pw_uid, nobody.pw_gid)


def open_to_others(path: str | os.PathLike[str], users: Collection[int]) -> str:
    """Return the part of a path that other users than some, and root, can replace.

    Parameters
    ----------
    path : path
        The file.
    users : collection of int
        The users who may own it, the directories above it and the links in its path.

    Returns
    -------
    str
        The first such part, or one that cannot be read; empty if there is none.
    """
    trusted = {_ROOT, *users}
    here = Path(path)
    try:
        for here, status in _on_the_way(Path(path)):
            if status.st_uid not in trusted or _is_shared(status):
                return str(here)
    except OSError:
        return str(here)
    return ""


def _is_shared(status: os.stat_result) -> bool:
    """Return whether users who do not own a file or directory can change what is in it."""
    if stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o022:
        return False
    # In a sticky directory, users cannot replace files that others own.
    return not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX)


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return _NOBODY


def _on_the_way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything that `path` depends on, with its status: directories, links and the file."""
    pending = list(path.absolute().parts[::-1])
    here = Path(pending.pop())
    yield here, here.lstat()
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            here = here.parent
            continue
        below = here / part
        status = below.lstat()
        yield below, status
        if not stat.S_ISLNK(status.st_mode):
            here = below
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(40, "too many symbolic links", str(path))
        target = Path(os.readlink(below))  # noqa: PTH115 - as it is written
        pending += target.parts[::-1]
        if target.is_absolute():
            here = Path(pending.pop())
