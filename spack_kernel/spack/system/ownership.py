"""As whom to run a program: never with more rights than those who can change it.

A program of another user that root runs has all of root's rights. So before root runs one, we look
who can replace it: whoever owns the file, a directory above it or a link on the way, or may write
there. If that is root alone, it is run as it is; if it is one other user, as that user; else as
``nobody``. For everybody but root, a program is run as it is.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROOT = 0

#: The user and group of ``nobody`` where no such user is known.
_NOBODY = 65534

#: How many symbolic links are followed on one path, as in Linux.
_MAX_LINKS = 40

#: Variables that reach a program that runs as another user; root's others may be secrets, and
#: that user can read them in /proc.
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
        """Return what of `variables` such a program may see."""
        passed = {name: value for name, value in variables.items() if name in _PASSED}
        try:
            home = pwd.getpwuid(self.uid).pw_dir
        except KeyError:
            home = "/"
        return {**passed, "HOME": home}


def run_as(program: str | os.PathLike[str], *also: str | os.PathLike[str]) -> RunAs | None:
    """Return as whom to run a program; None to run it as this process.

    Parameters
    ----------
    program : path
        The program.
    *also : path
        Other files and directories from which it takes code.

    """
    if os.geteuid() != _ROOT:
        return None
    owners: set[int] = set()
    shared = False
    for path in (program, *also):
        with contextlib.suppress(OSError):  # what is not there cannot be run
            for status in _on_the_way(Path(path)):
                owners.add(status.st_uid)
                # In a sticky directory nobody can replace what others own.
                sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
                writable = status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode)
                shared |= bool(writable and not sticky)
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


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return _NOBODY


def _on_the_way(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of everything that decides what `path` is: directories, links, the file."""
    pending = list(path.absolute().parts[::-1])
    here = Path(pending.pop())
    yield here.lstat()
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            here = here.parent
            continue
        below = here / part
        status = below.lstat()
        yield status
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
