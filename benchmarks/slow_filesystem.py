"""A mount that behaves like a network file system: every metadata call takes time.

``python -m benchmarks.slow_filesystem SOURCE MOUNTPOINT SECONDS`` serves SOURCE through FUSE until
it is unmounted and then prints the number of calls of each kind. Names are cached for a second, as
in network file systems; attributes are not cached, so that every ``stat`` is a call.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Extra seconds that every metadata call takes.
DELAY = 0.0005

_PR_SET_TIMERSLACK = 29

#: Maximum seconds until a mount appears.
_TIMEOUT = 30


class SlowMount:
    """A running mount.

    Attributes
    ----------
    directory : Path
        The mount point.
    calls : dict of str to int
        The number of calls of each kind; known once the mount has ended.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls: dict[str, int] = {}

    @property
    def metadata_calls(self) -> int:
        """The number of calls for names and attributes, not for content."""
        return sum(self.calls.get(call, 0) for call in ("getattr", "readdir", "readlink", "open"))


def is_possible() -> bool:
    """Return whether a FUSE file system can be mounted here."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
        return False
    try:
        import mfusepy  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


@contextlib.contextmanager
def slow_mount(source: Path, directory: Path, delay: float = DELAY) -> Iterator[SlowMount]:
    """Mount `source` at `directory` while the context lasts."""
    mount = SlowMount(directory)
    directory.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.slow_filesystem", source, directory, str(delay)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + _TIMEOUT
        while not os.path.ismount(directory):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the slow file system did not appear")
            time.sleep(0.02)
        yield mount
    finally:
        fusermount = shutil.which("fusermount3")
        assert fusermount is not None
        subprocess.run([fusermount, "-u", "-z", directory], check=False, capture_output=True)
        try:
            printed, _ = server.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()
        else:
            mount.calls = json.loads(printed)


def _serve(source: str, mountpoint: str, delay: float) -> None:
    import mfusepy

    calls: collections.Counter[str] = collections.Counter()
    # By default, Linux may extend a sleep by 50 µs: see prctl(2).
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)

    class Slow(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def _metadata(self, call: str) -> None:
            calls[call] += 1
            time.sleep(delay)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            self._metadata("getattr")
            try:
                found = os.lstat(source + path)
            except OSError as error:
                raise mfusepy.FuseOSError(error.errno) from None
            result: dict[str, Any] = {
                name: getattr(found, name)
                for name in ("st_gid", "st_mode", "st_nlink", "st_size", "st_uid")
            }
            for name in ("st_atime", "st_ctime", "st_mtime"):
                result[name] = getattr(found, name + "_ns")
            return result

        def readdir(self, path: str, fh: int) -> list[str]:
            self._metadata("readdir")
            return [".", "..", *os.listdir(source + path)]

        def readlink(self, path: str) -> str:
            self._metadata("readlink")
            return os.readlink(source + path)

        def open(self, path: str, flags: int) -> int:
            self._metadata("open")
            return os.open(source + path, flags)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

    mfusepy.FUSE(
        Slow(),
        mountpoint,
        foreground=True,
        ro=True,
        attr_timeout=0,
        entry_timeout=1,
        negative_timeout=0,
    )
    json.dump(calls, sys.stdout)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))
