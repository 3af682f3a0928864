"""A long PYTHONPATH with and without the import index, beside one directory with everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.kernels import import_index

from .kernel_process import can_count_calls, first_reply
from .measure import Comparison, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SECTION = "imports"


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
        self.merged = str(root / "merged")
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
    kernel = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
    base = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    for count in counts:
        prefixes = Prefixes(directory / str(count), site_packages, count)
        subprocess.run(
            [python, "-m", "compileall", "-q", prefixes.merged, *prefixes.path], check=False
        )
        ways: dict[str, tuple[list[str], Mapping[str, str]]] = {}
        plain = {**base, "PYTHONPATH": os.pathsep.join(prefixes.path)}
        ways["merged"] = [python, *kernel], {**base, "PYTHONPATH": prefixes.merged}
        ways["plain"] = [python, *kernel], plain
        ways["indexed"] = import_index.indexed([python, *kernel], plain)

        def cpu(way: str, ways: Mapping[str, tuple[list[str], Mapping[str, str]]] = ways) -> float:
            return first_reply(*ways[way]).cpu

        merged = f"the same packages in one directory ({count})"
        for way, name in (("indexed", "with the import index"), ("plain", "plain PYTHONPATH")):
            what = f"{count} prefixes, {name}"
            yield side_by_side(
                _SECTION,
                f"{what}: CPU",
                lambda way=way, cpu=cpu: cpu(way),  # type: ignore[misc]
                merged,
                lambda cpu=cpu: cpu("merged"),  # type: ignore[misc]
                rounds=rounds,
            )
            if can_count_calls():
                ours = first_reply(*ways[way], count_calls=True).calls
                other = first_reply(*ways["merged"], count_calls=True).calls
                yield Comparison(
                    _SECTION,
                    f"{what}: file-system calls",
                    merged,
                    (float(ours),),
                    (float(other),),
                    "calls",
                )
            else:
                print("  (no strace here: file-system calls are not counted)", file=sys.stderr)
