"""Accounts of this machine that exist for the time of the tests."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: How an account says that it is one of ours, should a test run have been killed.
_COMMENT = "made by the tests of spack-kernel"


class Account:
    """A user with a password, a home directory that is nobody else's business, and groups.

    Parameters
    ----------
    name : str
        The login name.
    homes : Path
        Where the home directory is made.
    groups : sequence of str
        Groups beside the user's own; they must exist.
    """

    def __init__(self, name: str, homes: Path, groups: Sequence[str] = ()) -> None:
        self.name = name
        self.password = secrets.token_urlsafe(12)
        self.home = homes / name
        remove_account(name)
        command = ["useradd", "--create-home", "--home-dir", str(self.home), "--user-group"]
        command += ["--shell", "/bin/bash", "--comment", _COMMENT, "--key", "HOME_MODE=0700"]
        if groups:
            command += ["--groups", ",".join(groups)]
        subprocess.run([*command, name], check=True)
        line = f"{name}:{self.password}\n"
        subprocess.run(["chpasswd"], input=line, text=True, check=True)
        self.uid = pwd.getpwnam(name).pw_uid

    def run(self, *command: str) -> str:
        """Run a command as the user, in the home directory, and return what it prints."""
        return subprocess.run(
            command,
            user=self.uid,
            group=pwd.getpwnam(self.name).pw_gid,
            extra_groups=os.getgrouplist(self.name, pwd.getpwnam(self.name).pw_gid),
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            cwd=self.home,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def own(self, directory: Path) -> None:
        """Give a directory, and all in it, to the user."""
        subprocess.run(["chown", "--recursive", f"{self.name}:", str(directory)], check=True)

    def spack_kernel(self, *arguments: str) -> str:
        """Run our command as the user."""
        return self.run(sys.executable, "-m", "spack_kernel", *arguments)


def remove_account(name: str) -> None:
    """Remove an account of ours; one that is not ours is an error."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return
    assert entry.pw_gecos == _COMMENT, f"this machine has a user {name}, who is not of the tests"
    subprocess.run(["userdel", "--force", name], check=True)
    # What a server that was killed leaves, the next kernel of its user removes; there is none.
    for path in Path("/tmp").glob("spack-kernel-ipc-*"):
        if path.stat().st_uid == entry.pw_uid:
            shutil.rmtree(path)


def closed_to_others(path: Path) -> Path | None:
    """Return the directory on the way to `path` that other users may not enter, if any."""
    path = path.resolve()
    return next((parent for parent in path.parents if not parent.stat().st_mode & 0o001), None)
