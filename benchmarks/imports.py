"""A long PYTHONPATH with and without the import index, compared with one merged directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.kernels import import_index
from spack_kernel.kernels.interpreters.probe import probe

from .kernel_process import can_count_calls, first_reply
from .measure import Comparison, in_turns
from .slow_filesystem import is_possible, slow_mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Command = tuple[list[str], dict[str, str]]

_SECTION = "imports"

_NAMES = {"indexed": "with the import index", "plain": "plain PYTHONPATH"}


class Prefixes:
    """The packages of an ipykernel, one prefix each, filled up to `count`, and all in one prefix.

    Attributes
    ----------
    root : Path
        The directory that contains them.
    path : list of str
        The site-packages directories of the prefixes.
    merged : str
        One directory with the same content.
    """

    def __init__(self, root: Path, site_packages: Sequence[Path], count: int) -> None:
        self.root = root
        # As deep as the prefixes: each part of a path takes time on a slow file system.
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
            [python, "-m", "compileall", "-q", "-j0", self.merged, *self.path],
            check=False,
            stdout=subprocess.DEVNULL,
        )


def _spread(real: list[str], fillers: list[str]) -> Iterator[str]:
    """Yield all entries, with the real ones evenly distributed between the others."""
    total = len(real) + len(fillers)
    remaining = iter(real)
    others = iter(fillers)
    for position in range(total):
        first = (position * len(real)) // total != ((position + 1) * len(real)) // total
        yield next(remaining) if first else next(others)


def compare(python: str, prefixes: Prefixes, rounds: int) -> Iterator[Comparison]:
    """Yield calls and CPU of a kernel with many prefixes, compared with the merged directory.

    Parameters
    ----------
    python : str
        The interpreter.
    prefixes : Prefixes
        An ipykernel for it, compiled.
    rounds : int
        The maximum number of starts of each kernel.
    """
    if not can_count_calls():
        print("  (strace cannot be used: file-system calls are not counted)", file=sys.stderr)
    count = len(prefixes.path)
    ways = commands(python, prefixes.path, prefixes.merged)
    merged = f"the same packages in one directory ({count})"

    def cpu(command: Command) -> float:
        return first_reply(*command).cpu

    calls = {}
    for way, command in ways.items():
        traced = can_count_calls()
        calls[way] = float(first_reply(*command, count_calls=traced).calls)
    values = in_turns(
        {way: partial(cpu, command) for way, command in ways.items()},
        rounds=rounds,
        budget=1.2 * rounds,
        warm=False,  # each was started to count its calls
    )
    for way, name in _NAMES.items():
        what = f"{count} prefixes, {name}"
        first = f"{what}: CPU to the first reply"
        yield Comparison(_SECTION, first, merged, values[way], values["merged"])
        if calls[way]:
            first = f"{what}: file-system calls to the first reply"
            pair = (calls[way],), (calls["merged"],)
            yield Comparison(_SECTION, first, merged, *pair, "calls")


def compare_slow(
    python: str, prefixes: Prefixes, mountpoint: Path, ways: Sequence[str] = tuple(_NAMES)
) -> Iterator[Comparison]:
    """Yield the same on a file system on which every metadata call takes half a millisecond.

    Each kernel is started only once: on such a file system, the number of calls determines the
    result, and it does not vary.

    Parameters
    ----------
    python : str
        The interpreter.
    prefixes : Prefixes
        An ipykernel for it.
    mountpoint : Path
        A directory that does not exist yet.
    ways : sequence of str
        What to compare with the merged directory.
    """
    if not is_possible():
        print("  (left out: FUSE cannot be used)", file=sys.stderr)
        return
    results: dict[str, tuple[float, float]] = {}
    for way in ("merged", *ways):
        with slow_mount(prefixes.root, mountpoint) as mount:
            there = [
                path.replace(str(prefixes.root), str(mount.directory), 1)
                for path in (*prefixes.path, prefixes.merged)
            ]
            argv, env = commands(python, there[:-1], there[-1])[way]
            wall = first_reply(argv, env).wall
        results[way] = wall, float(mount.metadata_calls)
    count = len(prefixes.path)
    merged = f"the same packages in one directory ({count})"
    for way in ways:
        name = _NAMES[way]
        for number, figure, unit in ((1, "metadata calls", "calls"), (0, "time", "s")):
            yield Comparison(
                "slow file system (+0.5 ms per metadata call)",
                f"{count} prefixes, {name}: {figure} to the first reply",
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
