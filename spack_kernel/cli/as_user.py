"""Run this command again as another user, with what a login of that user would have."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Variables of root that the other user's process gets; the others may contain secrets.
_PASSED = frozenset({"LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "PATH", "TERM", "TZ"})
_PASSED_PREFIXES = ("JUPYTER_", "SPACK_")


class OtherUserError(SpackKernelError):
    """A user as whom nothing can be run."""

    code = "user"


def run_as_user(name: str, arguments: Sequence[str]) -> int:
    """Run ``spack-kernel`` as another user and return its exit status.

    Parameters
    ----------
    name : str
        The login name.
    arguments : sequence of str
        The arguments of the command.

    Raises
    ------
    OtherUserError
        When this process does not run as root, when there is no such user, and when the user
        cannot run this Python.
    """
    if not name:
        raise OtherUserError("--as-user names no user", hint="Name one: --as-user alice")
    if os.geteuid() != 0:
        raise OtherUserError(
            f"only root can check what the user {name} gets",
            hint="Run the command with sudo, or as that user without --as-user.",
        )
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise OtherUserError(
            f"there is no user {name}", hint="`getent passwd` lists the users."
        ) from None
    environment = {
        variable: value
        for variable, value in os.environ.items()
        if variable in _PASSED or variable.startswith(_PASSED_PREFIXES)
    }
    environment |= {"HOME": user.pw_dir, "USER": name, "LOGNAME": name, "SHELL": user.pw_shell}
    # -I: nothing in a directory that others can write to is imported.
    command = [sys.executable, "-I", "-m", "spack_kernel", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - this very command
            command,
            check=False,
            env=environment,
            cwd="/",
            umask=0o077,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=os.getgrouplist(name, user.pw_gid),
        ).returncode
    except OSError as error:
        raise OtherUserError(
            f"{name} cannot run {sys.executable}: {error.strerror}",
            details=[f"  users cannot enter {each}" for each in _closed(Path(sys.executable))],
            hint="Install spack-kernel where all users can run it.",
        ) from error


def _closed(path: Path) -> list[Path]:
    """Return the directories above a path that only some users can enter."""
    return [each for each in reversed(path.parents) if not each.stat().st_mode & 0o001]
