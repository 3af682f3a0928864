"""``python -m benchmarks``: every figure of the project in one table, as ratios."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack import SpackKernelError, Store

from . import (
    beside_spack,
    commands,
    discovery,
    image,
    imports,
    kernels,
    launching,
    picker,
    resolving,
    sharing,
    slurm,
)
from .measure import Comparison, machine
from .stores import Stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DESCRIPTION = """\
Measures spack-kernel and what a user would do instead, alternately in one run, and prints the
ratio: below 1, spack-kernel takes less. The two numbers after a ratio are its minimum and maximum
over the rounds; if they are far apart, the machine was noisy and the ratio means little.
"""

#: The width of a ratio with its minimum and maximum.
_RATIO_WIDTH = 28


class Benchmarks:
    """The sections.

    Parameters
    ----------
    stores : Stores
        The stores to measure.
    spack : Path or None
        The root of a Spack instance to compare with.
    rounds : int
        The maximum number of measurements of each.
    servers : int
        How many servers to run at once.
    """

    def __init__(self, stores: Stores, spack: Path | None, rounds: int, servers: int) -> None:
        self._stores = stores
        self._spack = spack
        self._rounds = rounds
        self._servers = servers

    def resolving(self) -> Iterator[Comparison]:
        """From a query to specs and environments."""
        for root in (self._stores.golden, self._stores.large):
            yield from resolving.compare(root, self._rounds)

    def commands(self) -> Iterator[Comparison]:
        """Run commands."""
        for root in (self._stores.ordinary, self._stores.large_with_prefixes):
            yield from commands.compare(root, self._stores.pinned, self._rounds)

    def spack(self) -> Iterator[Comparison]:
        """Compare with a real Spack."""
        if self._spack is None:
            print("  (no Spack: use --spack or set SPACK_ROOT)", file=sys.stderr)
            return
        stores = self._stores
        try:
            own = Path(Store.open(self._spack).root)
        except SpackKernelError as error:
            print(f"  (Spack's own store is left out: {error.summary})", file=sys.stderr)
        else:
            yield from self._beside(beside_spack.Spack(self._spack, own, own=True))
        for root in (stores.ordinary, stores.golden, stores.large):
            pinned = stores.pinned if root == stores.ordinary else None
            yield from self._beside(beside_spack.Spack(self._spack, root, own=False), pinned)

    def _beside(self, spack: beside_spack.Spack, pinned: str | None = None) -> Iterator[Comparison]:
        directory = self._stores.directory
        try:
            yield from beside_spack.compare(spack, directory, self._rounds, pinned=pinned)
        except RuntimeError as error:
            print(f"  ({spack.section}, left out from here on: {error})", file=sys.stderr)

    def launching(self) -> Iterator[Comparison]:
        """From `start_kernel` to the child's exec."""
        yield from launching.compare(self._stores.ordinary, self._stores.pinned, self._rounds)

    def kernels(self) -> Iterator[Comparison]:
        """Kernels to their first reply."""
        stores = self._stores
        merged = stores.directory / "merged"
        yield from kernels.compare(stores.real, stores.pinned, merged, self._rounds)

    def imports(self) -> Iterator[Comparison]:
        """Long PYTHONPATHs."""
        python, _ = self._stores.ipykernel
        yield from imports.compare(python, self._stores.prefixes(200), self._rounds)

    def slow(self) -> Iterator[Comparison]:
        """Long PYTHONPATHs on a slow file system."""
        python, _ = self._stores.ipykernel
        mountpoint = self._stores.directory / "slow"
        yield from imports.compare_slow(python, self._stores.prefixes(200), mountpoint)

    def image(self) -> Iterator[Comparison]:
        """Start images, on a local disk and on a slow file system."""
        directory = self._stores.directory / "images"
        yield from image.compare(*self._stores.science, directory, self._rounds)
        yield from image.compare_slow(*self._stores.science, directory)

    def discovery(self) -> Iterator[Comparison]:
        """Request the kernels of a server."""
        directory = self._stores.directory / "servers"
        yield from discovery.compare_many(
            self._stores.real, self._stores.directory / "many", self._rounds
        )
        yield from discovery.compare(self._stores.large, directory, min(self._rounds, 2))

    def sharing(self) -> Iterator[Comparison]:
        """Run the servers of several users."""
        stores = self._stores
        yield from sharing.compare(
            stores.large_with_prefixes, stores.pinned, stores.directory / "sharing", self._servers
        )

    def picker(self) -> Iterator[Comparison]:
        """Type into the picker."""
        stores = self._stores
        yield from picker.compare(stores.large, stores.golden, stores.directory / "picker")

    def slurm(self) -> Iterator[Comparison]:
        """Start kernels in jobs."""
        if not os.environ.get("SLURM_CONF"):
            print("  (no Slurm: set SLURM_CONF; see benchmarks/slurm.py)", file=sys.stderr)
            return
        yield from slurm.compare(self._stores.real, self._stores.pinned, self._rounds)


def main(argv: list[str] | None = None) -> int:
    """Run the requested sections and print the table."""
    sections: dict[str, Callable[[Benchmarks], Iterator[Comparison]]] = {
        "resolving": Benchmarks.resolving,
        "commands": Benchmarks.commands,
        "spack": Benchmarks.spack,
        "launching": Benchmarks.launching,
        "kernels": Benchmarks.kernels,
        "imports": Benchmarks.imports,
        "slow": Benchmarks.slow,
        "image": Benchmarks.image,
        "discovery": Benchmarks.discovery,
        "sharing": Benchmarks.sharing,
        "picker": Benchmarks.picker,
        "slurm": Benchmarks.slurm,
    }
    args = _arguments(list(sections), argv)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode
    rows: list[Comparison] = []
    taken: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spack-kernel-benchmarks-") as directory:
        stores = Stores(Path(directory), args.store, args.records)
        benchmarks = Benchmarks(stores, args.spack, args.rounds, args.servers)
        for name in args.only or sections:
            print(f"{name} …", file=sys.stderr, flush=True)
            started = time.monotonic()
            for row in sections[name](benchmarks):
                if not args.json:
                    if not rows or rows[-1].section != row.section:
                        print(f"\n{row.section}")
                    print(_line(row), flush=True)
                rows.append(row)
            taken[name] = time.monotonic() - started
            print(f"{name}: {taken[name]:.0f} s", file=sys.stderr, flush=True)
    facts = machine()
    if args.json:
        result = {"machine": facts, "seconds": taken, "rows": [row.as_dict() for row in rows]}
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        print(
            f"\n{facts['cores']} cores, load {facts['load']:.1f}; "
            f"the time of the same loop varied by a factor of up to {facts['noise']:.2f}; "
            f"total time {sum(taken.values()):.0f} s"
        )
    return 0


def _arguments(sections: list[str], argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", choices=sections, metavar="SECTION", help=", ".join(sections)
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="maximum number of rounds; fewer if slow (3)"
    )
    parser.add_argument(
        "--store", type=Path, help="an install tree with py-libensemble and py-ipykernel"
    )
    parser.add_argument(
        "--records", type=int, default=50_000, help="specs in the large store (50,000)"
    )
    parser.add_argument("--servers", type=int, default=20, help="servers that share a machine (20)")
    spack = os.environ.get("SPACK_ROOT")
    parser.add_argument(
        "--spack",
        type=Path,
        default=Path(spack) if spack else None,
        help="the root of a Spack to compare with ($SPACK_ROOT)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def _line(row: Comparison) -> str:
    ratios = row.ratios
    spread = f"({_ratio(ratios[0])} to {_ratio(ratios[-1])})" if len(ratios) > 1 else "(once)"
    left = f"{_ratio(statistics.median(ratios)):>8} {spread}"
    return (
        f"{left:{_RATIO_WIDTH}} {_value(row.ours_values, row.unit)} {row.ours}\n"
        f"{'':{_RATIO_WIDTH}} {_value(row.other_values, row.unit)} {row.other}"
    )


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if abs(ratio) >= 0.1 else f"{ratio:.2g}"


def _value(values: tuple[float, ...], unit: str) -> str:
    value = statistics.median(values)
    if unit == "s":
        return f"{value * 1000:10.2f} ms"
    return f"{value:10,.0f} {unit}" if value >= 100 else f"{value:10.4g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
