"""Run the site's Spack to get the variables that package recipes set, for `install`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from spack_kernel.kernels.sources import KernelSource
    from spack_kernel.spack.load import RecipeVariables

    from .options import Adder


def add_spack_options(parser: Adder) -> None:
    """Add ``--spack`` and ``--no-spack``."""
    asking = parser.add_mutually_exclusive_group()  # type: ignore[attr-defined, unused-ignore]
    asking.add_argument(
        "--spack",
        metavar="PATH",
        help="the spack to run for the variables that package recipes set; it is an error if this "
        "fails (default: the store's own spack or the one on PATH, if there is one)",
    )
    asking.add_argument(
        "--no-spack",
        action="store_true",
        help="do not run spack; the kernel then lacks the variables that only recipes set",
    )


def ask_recipes(args: argparse.Namespace, source: KernelSource) -> RecipeVariables | None:
    """Run Spack once and return what recipes add to a source; None if that is not known.

    Raises
    ------
    SpackCommandError
        When the spack that ``--spack`` names fails; without the option, that is a warning.
    """
    if source.kind not in ("specs", "environment"):
        if args.spack:
            args.parser.error(f"argument --spack: not supported for {source.describe()}")
        return None
    from spack_kernel.jupyter.kernelspecs import store_paths
    from spack_kernel.spack import Store
    from spack_kernel.spack.load import SpackCommandError, ask_spack, find_spack, load_environment

    if args.no_spack:
        return None
    spack = Path(args.spack).expanduser().absolute() if args.spack else find_spack(source.store)
    if spack is None:
        return None
    # The kernel will have only the install trees, and what is recorded in the kernelspec.
    bare = Store.open_all(store_paths(source.store))
    specs = [spec for root in source.load.specs if (spec := bare.by_hash(root.hash)) is not None]
    known = load_environment(bare, specs, source.prefix_inspections)
    console = args.console
    console.note(
        f"Running {spack} to get the variables that recipes set; this takes a few seconds; use "
        "--no-spack to skip it."
    )
    try:
        return ask_spack(spack, known, store_paths(source.store))
    except SpackCommandError as error:
        if args.spack:
            raise
        reason = error.details[-1].strip() if error.details else ""
        console.warn(
            f"{error.summary}{': ' + reason if reason else ''}; the kernel lacks the variables "
            "that only recipes set"
        )
        return None
