"""The stores that the sections share: each is created once, when the first section needs it."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement

from spack_kernel import demo
from spack_kernel.demo.pins import PinnedRequirements
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store

from .imports import Prefixes

#: The number in the golden database of Spack 1.3: a database generated with it is the same.
GOLDEN_RECORDS = 1302

#: A store of ordinary size.
ORDINARY_RECORDS = 3000

#: The package that every benchmark starts or loads.
PACKAGE = "py-libensemble"

#: Packages of a demo store that no benchmark uses: matplotlib and what only matplotlib needs.
_UNUSED = frozenset(
    {"py-matplotlib", "py-contourpy", "py-cycler", "py-fonttools", "py-kiwisolver"}
    | {"py-pillow", "py-pyparsing"}
)


class Stores:
    """The stores, below one directory.

    Parameters
    ----------
    directory : Path
        The directory for everything that the benchmarks create.
    given : Path or None
        An install tree to use instead of a new demo store.
    records : int
        The number of specs in the large store.
    """

    def __init__(self, directory: Path, given: Path | None, records: int) -> None:
        self.directory = directory
        self._given = given
        self._records = records

    @cached_property
    def golden(self) -> Path:
        """The largest database that a real Spack wrote; no prefixes."""
        return self._generated("golden", GOLDEN_RECORDS)

    @cached_property
    def large(self) -> Path:
        """That database cloned; no prefixes."""
        return self._generated("large", self._records)

    @cached_property
    def real(self) -> Path:
        """An install tree with packages in it."""
        if self._given is not None:
            return Path(Store.open(self._given).root)
        print("  creating a demo store (30 to 60 seconds) …", file=sys.stderr)
        selection = PinnedRequirements.default()
        pins = selection.requirements()
        lines = [str(pins[name]) for name in pins if name not in _UNUSED]
        selection = selection._replace(
            text="\n".join(lines),
            roots=("py-ipykernel", PACKAGE),
            second_build=Requirement("six==1.16.0"),
        )
        return demo.build(self.directory / "demo", selection=selection).root

    @cached_property
    def ordinary(self) -> Path:
        """The database of `real`, filled up to ordinary size; some records have prefixes."""
        return self._generated("ordinary", ORDINARY_RECORDS, self.real)

    @cached_property
    def large_with_prefixes(self) -> Path:
        """The database of `real`, filled up to the size of `large`."""
        return self._generated("large-with-prefixes", self._records, self.real)

    @cached_property
    def pinned(self) -> str:
        """The DAG hash of the spec to start: that of `PACKAGE` in `real`."""
        return Store.open(self.real).get(PACKAGE).hash

    @cached_property
    def ipykernel(self) -> tuple[str, list[Path]]:
        """The interpreter of `real` and the directories of an ipykernel for it."""
        store = Store.open(self.real)
        plan = plan_kernel(store, store.named("py-ipykernel")[:1])
        assert plan.interpreter is not None
        return plan.interpreter.path, [Path(entry.path) for entry in plan.pythonpath]

    @cached_property
    def science(self) -> tuple[str, Prefixes]:
        """An interpreter, and 200 prefixes with an ipykernel, numpy, matplotlib and libensemble."""
        store = Store.open(self.real)
        if not store.named("py-matplotlib"):
            print("  creating a demo store with matplotlib (a minute) …", file=sys.stderr)
            store = Store.open(demo.build(self.directory / "science").root)
        roots = [store.get(PACKAGE), store.named("py-matplotlib")[0], store.get("py-numpy@2.1.3")]
        plan = plan_kernel(store, roots)
        assert plan.interpreter is not None
        packages = [Path(entry.path) for entry in plan.pythonpath]
        prefixes = Prefixes(self.directory / "prefixes" / "science", packages, 200)
        prefixes.compile(plan.interpreter.path)
        time.sleep(2.5)  # what has just changed is in no image
        return plan.interpreter.path, prefixes

    def prefixes(self, count: int) -> Prefixes:
        """Return an ipykernel's packages in `count` prefixes, and in one directory."""
        if count not in self._prefixes:
            python, packages = self.ipykernel
            self._prefixes[count] = Prefixes(
                self.directory / "prefixes" / str(count), packages, count
            )
            self._prefixes[count].compile(python)
        return self._prefixes[count]

    @cached_property
    def _prefixes(self) -> dict[int, Prefixes]:
        return {}

    def _generated(self, name: str, records: int, before: Path | None = None) -> Path:
        root = self.directory / name
        print(f"  creating a database of {records:,} records …", file=sys.stderr)
        # In a separate process, so that memory used here does not affect later measurements.
        options = ["--before", str(before)] if before is not None else []
        subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.generate",
                root,
                "--records",
                str(records),
                *options,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return root
