"""``python -m benchmarks``: every figure of the project in one table, as ratios."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel import demo
from spack_kernel.kernels.plan import plan_kernel
from spack_kernel.spack import Store

from . import discovery, imports, kernels, resolving
from .generate import generate
from .measure import Comparison, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: As many as the golden database of Spack 1.3 has: generated, it is that database.
GOLDEN_RECORDS = 1302

DESCRIPTION = """\
Measures spack-kernel beside what a user would do instead, both in turns in one run, and prints
the ratio: below 1, ours takes less. The two numbers behind a ratio are its least and greatest
over the rounds; where they lie far apart, the machine was noisy and the ratio says little.
"""


class Benchmarks:
    """The sections, and the stores that they share.

    Parameters
    ----------
    directory : Path
        For everything that is made on the way.
    store : Path or None
        A demo store or an install tree to use instead of a new demo store.
    spack : Path or None
        The root of a Spack instance to hold ours against.
    records : int
        How many specs the large store has.
    rounds : int
        How often each pair is measured.
    """

    def __init__(
        self, directory: Path, store: Path | None, spack: Path | None, records: int, rounds: int
    ) -> None:
        self._directory = directory
        self._rounds = rounds
        self._records = records
        self._root = store
        self._spack = spack

    @property
    def root(self) -> Path:
        """The install tree with real packages in it."""
        if self._root is None:
            print("  making a demo store (a minute or two) …", file=sys.stderr)
            self._root = demo.build(self._directory / "demo").root
        return self._root

    def resolving(self) -> Iterator[Comparison]:
        """From a query to specs and environments."""
        golden = self._directory / "golden"
        generate(golden, GOLDEN_RECORDS)
        large = self._directory / "large"
        generate(large, self._records)
        yield from resolving.environments(golden, self._rounds)
        yield from resolving.environments(large, self._rounds)
        yield from resolving.commands(self.root, "py-libensemble", self._rounds)
        yield from resolving.queries(golden, self._rounds)
        yield from resolving.queries(large, self._rounds)
        if self._spack is not None:
            tree = Path(Store.open(self._spack).root)
            yield from resolving.beside_spack(self._spack, tree, self._rounds)

    def kernels(self) -> Iterator[Comparison]:
        """Kernels to their first reply."""
        store = Store.open(self.root)
        yield from kernels.compare(
            store, "py-libensemble", self._directory / "merged", self._rounds
        )

    def imports(self) -> Iterator[Comparison]:
        """Long PYTHONPATHs."""
        python, packages = self._ipykernel()
        directory = self._directory / "prefixes"
        yield from imports.compare(python, packages, directory, (60, 200), self._rounds)

    def slow(self) -> Iterator[Comparison]:
        """Long PYTHONPATHs on a slow file system."""
        python, packages = self._ipykernel()
        yield from imports.compare_slow(python, packages, self._directory / "slow", 200)

    def discovery(self) -> Iterator[Comparison]:
        """Ask a server for its kernels."""
        large = self._directory / "offered"
        generate(large, self._records)
        yield from discovery.compare(large, self._directory / "servers", min(self._rounds, 3))

    def _ipykernel(self) -> tuple[str, list[Path]]:
        """Return the store's interpreter and the directories that make an ipykernel for it."""
        store = Store.open(self.root)
        plan = plan_kernel(store, store.named("py-ipykernel")[:1])
        assert plan.interpreter is not None
        return plan.interpreter.path, [Path(entry.path) for entry in plan.pythonpath]


def main() -> int:
    """Run the sections that are asked for and print the table."""
    sections: dict[str, Callable[[Benchmarks], Iterator[Comparison]]] = {
        "resolving": Benchmarks.resolving,
        "kernels": Benchmarks.kernels,
        "imports": Benchmarks.imports,
        "slow": Benchmarks.slow,
        "discovery": Benchmarks.discovery,
    }
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", choices=sections, metavar="SECTION", help=", ".join(sections)
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each pair (5)")
    parser.add_argument(
        "--store", type=Path, help="an install tree with py-libensemble and py-ipykernel"
    )
    parser.add_argument(
        "--records", type=int, default=50_000, help="specs in the large store (50,000)"
    )
    parser.add_argument(
        "--spack",
        type=Path,
        default=os.environ.get("SPACK_ROOT"),
        help="a Spack root to measure beside ($SPACK_ROOT)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="spack-kernel-benchmarks-") as directory:
        benchmarks = Benchmarks(Path(directory), args.store, args.spack, args.records, args.rounds)
        for name in args.only or sections:
            print(f"{name} …", file=sys.stderr)
            for row in sections[name](benchmarks):
                if not args.json:
                    if not rows or rows[-1].section != row.section:
                        print(f"\n{row.section}")
                    print(_line(row), flush=True)
                rows.append(row)
    if args.json:
        json.dump(
            {"machine": machine(), "rows": [row.as_dict() for row in rows]}, sys.stdout, indent=2
        )
        print()
    else:
        facts = machine()
        print(
            f"\n{facts['cores']} cores, load {facts['load']:.1f}; "
            f"the same loop took 1 to {facts['noise']:.2f} times as long"
        )
    return 0


def _line(row: Comparison) -> str:
    ratios = row.ratios
    return (
        f"{statistics.median(ratios):8.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})  "
        f"{_value(row.ours_values, row.unit)} {row.ours}\n"
        f"{'':27}{_value(row.other_values, row.unit)} {row.other}"
    )


def _value(values: tuple[float, ...], unit: str) -> str:
    value = statistics.median(values)
    if unit == "s":
        return f"{value * 1000:10.2f} ms"
    return f"{value:10.4g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
