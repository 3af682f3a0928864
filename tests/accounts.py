"""User accounts that exist on this machine while the tests run."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import spack_kernel

#: Marks an account as created by these tests, in case a test run was killed.
_COMMENT = "made by the tests of spack-kernel"


class Account:
    """A user with a password, a private home directory, and groups.

    Parameters
    ----------
    name : str
        The login name.
    homes : Path
        The directory in which the home directory is created.
    groups : sequence of str
        Groups in addition to the user's own; they must exist.
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
        """Run a command as the user, in the home directory, and return its output."""
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
        """Make the user the owner of a directory and everything in it."""
        subprocess.run(["chown", "--recursive", f"{self.name}:", str(directory)], check=True)

    def spack_kernel(self, *arguments: str) -> str:
        """Run ``spack-kernel`` as the user."""
        return self.run(sys.executable, "-m", "spack_kernel", *arguments)


@contextlib.contextmanager
def public_directory(prefix: str) -> Iterator[Path]:
    """Make a directory that every user of the machine can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix=prefix) as path:
        Path(path).chmod(0o755)
        yield Path(path)


def need_accounts() -> None:
    """Skip the test if this machine cannot have users who run this checkout."""
    if os.geteuid() != 0:
        pytest.skip("missing component: root, who can make users and run servers as them")
    closed = closed_to_others(Path(sys.executable))
    if closed is not None:
        pytest.skip(f"missing component: a Python for all users; only root can enter {closed}")
    closed = closed_to_others(Path(spack_kernel.__file__))
    if closed is not None:  # Not a missing component: only root can reach the checkout.
        pytest.skip(f"other users cannot run this checkout: only root can enter {closed}")


def remove_account(name: str) -> None:
    """Remove an account that the tests created; fail for any other account."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return
    assert entry.pw_gecos == _COMMENT, f"this machine has a user {name}, who is not of the tests"
    subprocess.run(["userdel", "--force", name], check=True)
    # The user's next kernel would remove what a killed server left, but there will be none.
    for path in Path("/tmp").glob("spack-kernel-ipc-*"):
        if path.stat().st_uid == entry.pw_uid:
            shutil.rmtree(path)


def closed_to_others(path: Path) -> Path | None:
    """Return the directory on the way to `path` that other users cannot enter, if any."""
    path = path.resolve()
    return next((parent for parent in path.parents if not parent.stat().st_mode & 0o001), None)
