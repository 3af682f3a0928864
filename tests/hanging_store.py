"""A store on a file system that can be made to hang, and to recover: a FUSE mount of a clone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.cloned_store import ClonedStore


class HangingStore(ClonedStore):
    """A clone of the demo store, mounted over itself with bindfs.

    Parameters
    ----------
    source, root
        As for `ClonedStore`.
    """

    def __init__(self, source: DemoStore, root: Path) -> None:
        if shutil.which("bindfs") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
            pytest.skip("missing component: FUSE (bindfs)")
        super().__init__(source, root)
        self._mount = subprocess.Popen(
            ["bindfs", "-f", "-o", "nonempty", str(root), str(root)], start_new_session=True
        )
        deadline = time.monotonic() + 20
        while not os.path.ismount(root):
            assert self._mount.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def hang(self) -> None:
        """Let every access wait from now on."""
        self._mount.send_signal(signal.SIGSTOP)

    def recover(self) -> None:
        """Answer again, also what has been waiting."""
        self._mount.send_signal(signal.SIGCONT)

    def unmount(self) -> None:
        self.recover()
        subprocess.run(["umount", "--lazy", str(self.root)], check=True)
        self._mount.wait(20)
