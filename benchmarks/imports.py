"""A long PYTHONPATH with and without the import index, beside one directory with everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.kernels import import_index
from spack_kernel.kernels.probe import probe

from .kernel_process import can_count_calls, first_reply
from .measure import Comparison, side_by_side
from .slow_filesystem import is_possible, slow_mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Command = tuple[list[str], dict[str, str]]

_SECTION = "imports"

_NAMES = {"indexed": "with the import index", "plain": "plain PYTHONPATH"}


class Prefixes:
    """The packages of an ipykernel, one prefix each, filled up to `count`; and all in one.

    Attributes
    ----------
    path : list of str
        The site-packages directories of the prefixes.
    merged : str
        One directory with the same content.
    """

    def __init__(self, root: Path, site_packages: Sequence[Path], count: int) -> None:
        # As deep as the prefixes: every part of a path costs on a slow file system.
        self.merged = str(root / "merged" / "site-packages")
        Path(self.merged).mkdir(parents=True)
        real = []
        for number, source in enumerate(site_packages):
            directory = root / f"prefix{number}" / "site-packages"
            shutil.copytree(source, directory, symlinks=True)
            shutil.copytree(source, self.merged, symlinks=True, dirs_exist_ok=True)
            real.append(str(directory))
        fillers = []
        for number in range(count - len(real)):
            directory = root / f"filler{number}" / "site-packages"
            for place in (directory, Path(self.merged)):
                package = place / f"filler{number}"
                package.mkdir(parents=True)
                (package / "__init__.py").touch()
                (place / f"filler{number}-1.0.dist-info").mkdir()
            fillers.append(str(directory))
        self.path = list(_spread(real, fillers))

    def compile(self, python: str) -> None:
        """Write the bytecode, so that the first kernel is as fast as the others."""
        subprocess.run(
            [python, "-m", "compileall", "-q", self.merged, *self.path],
            check=False,
            stdout=subprocess.DEVNULL,
        )


def _spread(real: list[str], fillers: list[str]) -> Iterator[str]:
    """Yield all entries, the real ones evenly between the others."""
    total = len(real) + len(fillers)
    remaining = iter(real)
    others = iter(fillers)
    for position in range(total):
        first = (position * len(real)) // total != ((position + 1) * len(real)) // total
        yield next(remaining) if first else next(others)


def compare(
    python: str, site_packages: Sequence[Path], directory: Path, counts: Sequence[int], rounds: int
) -> Iterator[Comparison]:
    """Yield calls and CPU of a kernel with many prefixes against the merged directory.

    Parameters
    ----------
    python : str
        The interpreter.
    site_packages : sequence of Path
        Directories that together hold an ipykernel for it, one a package.
    directory : Path
        Where to lay out the copies.
    counts : sequence of int
        How many prefixes.
    rounds : int
        How often to start each kernel.
    """
    if not can_count_calls():
        print("  (no strace here: file-system calls are not counted)", file=sys.stderr)
    for count in counts:
        prefixes = Prefixes(directory / str(count), site_packages, count)
        prefixes.compile(python)
        ways = commands(python, prefixes.path, prefixes.merged)

        def cpu(way: str, ways: Mapping[str, Command] = ways) -> float:
            return first_reply(*ways[way]).cpu

        def calls(way: str, ways: Mapping[str, Command] = ways) -> float:
            return float(first_reply(*ways[way], count_calls=True).calls)

        merged = f"the same packages in one directory ({count})"
        for way in _NAMES:
            what = f"{count} prefixes, {_NAMES[way]}"
            yield side_by_side(
                _SECTION,
                f"{what}: CPU to the first reply",
                partial(cpu, way),
                merged,
                partial(cpu, "merged"),
                rounds=rounds,
            )
            if can_count_calls():
                ours, other = calls(way), calls("merged")
                what = f"{what}: file-system calls to the first reply"
                yield Comparison(_SECTION, what, merged, (ours,), (other,), "calls")


def compare_slow(
    python: str,
    site_packages: Sequence[Path],
    directory: Path,
    count: int,
    ways: Sequence[str] = ("indexed", "plain"),
) -> Iterator[Comparison]:
    """Yield the same on a file system on which every metadata call takes half a millisecond.

    Parameters are those of `compare`. Each kernel is started once: on such a file system the
    number of calls decides, and it does not vary.
    """
    if not is_possible():
        print("  (no FUSE here: left out)", file=sys.stderr)
        return
    prefixes = Prefixes(directory / "source", site_packages, count)
    prefixes.compile(python)
    results: dict[str, tuple[float, float]] = {}
    for way in ("merged", *ways):
        with slow_mount(directory / "source", directory / "mount") as mount:
            there = [
                path.replace(str(directory / "source"), str(mount.directory), 1)
                for path in (*prefixes.path, prefixes.merged)
            ]
            argv, env = commands(python, there[:-1], there[-1])[way]
            wall = first_reply(argv, env).wall
        results[way] = wall, float(mount.metadata_calls)
    merged = f"the same packages in one directory ({count})"
    for way in ways:
        what = f"{count} prefixes, {_NAMES[way]}"
        for number, figure, unit in ((1, "metadata calls", "calls"), (0, "time", "s")):
            yield Comparison(
                "slow file system (+0.5 ms a metadata call)",
                f"{what}: {figure} to the first reply",
                merged,
                (results[way][number],),
                (results["merged"][number],),
                unit,
            )


def commands(python: str, path: Sequence[str], merged: str) -> dict[str, Command]:
    """Return the command and the environment of a kernel: ``merged``, ``plain``, ``indexed``."""
    kernel = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    base = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    plain = {**base, "PYTHONPATH": os.pathsep.join(path)}
    return {
        "merged": (kernel, {**base, "PYTHONPATH": merged}),
        "plain": (kernel, plain),
        "indexed": import_index.through_launcher(kernel, plain, probe(python)),
    }
