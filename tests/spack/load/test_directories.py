"""Checking directories: each once, parents first, and from threads if it is slow."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from spack_kernel.spack.load.directories import Directories

if TYPE_CHECKING:
    from pathlib import Path

EXISTING = {"/a", "/a/lib", "/a/lib/pkgconfig", "/b"}


def test_answers_are_those_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "lib/pkgconfig").mkdir(parents=True)
    (tmp_path / "bin").write_text("a file")
    (tmp_path / "link").symlink_to("lib")
    directories = Directories()
    root = str(tmp_path)
    assert directories.below(root, "") == root
    assert directories.below(root, "lib/pkgconfig") == f"{root}/lib/pkgconfig"
    assert directories.below(root, "link/pkgconfig") == f"{root}/link/pkgconfig"
    assert directories.below(root, "bin") is None
    assert directories.below(root, "lib64/pkgconfig") is None
    assert not directories.exists(f"{root}/gone")


def test_a_missing_parent_answers_for_its_children() -> None:
    asked: list[str] = []

    def isdir(path: str) -> bool:
        asked.append(path)
        return path in EXISTING

    directories = Directories(isdir)
    for _ in range(2):
        directories.prefetch(["/a", "/b", "/a"], ["", "lib", "lib/pkgconfig", "share/man"])
        assert directories.below("/a", "lib/pkgconfig") == "/a/lib/pkgconfig"
        assert directories.below("/b", "lib/pkgconfig") is None
        assert directories.below("/b", "share/aclocal") is None
    assert sorted(asked) == [
        "/a",
        "/a/lib",
        "/a/lib/pkgconfig",
        "/a/share",
        "/b",
        "/b/lib",
        "/b/share",
    ]


def test_slow_answers_are_asked_for_from_several_threads() -> None:
    threads = set()

    def isdir(path: str) -> bool:
        threads.add(threading.get_ident())
        time.sleep(0.001)
        return path.endswith("7")

    prefixes = [f"/sw/{number}" for number in range(100)]
    directories = Directories(isdir)
    directories.prefetch(prefixes, ["", "lib"])
    assert len(threads) > 1
    assert [prefix for prefix in prefixes if directories.exists(prefix)] == prefixes[7::10]


def test_fast_answers_need_no_threads() -> None:
    threads = set()

    def isdir(path: str) -> bool:
        threads.add(threading.get_ident())
        return path in EXISTING

    Directories(isdir).prefetch([f"/sw/{number}" for number in range(100)], ["bin"])
    assert threads == {threading.get_ident()}
