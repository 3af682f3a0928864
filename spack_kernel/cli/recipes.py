"""Asking the site's Spack what package recipes set, when a kernel is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from spack_kernel.kernels.sources import Source
    from spack_kernel.spack.load import RecipeEnvironment

    from .options import Adder


def add_spack_options(parser: Adder) -> None:
    """Add ``--spack`` and ``--no-spack``."""
    asking = parser.add_mutually_exclusive_group()  # type: ignore[attr-defined, unused-ignore]
    asking.add_argument(
        "--spack",
        metavar="PATH",
        help="the spack to ask what package recipes set; it is an error when it cannot say. By "
        "default the store's own or the one on PATH is asked, if there is one",
    )
    asking.add_argument(
        "--no-spack",
        action="store_true",
        help="do not ask Spack; the kernel then lacks what only recipes set",
    )


def ask_recipes(args: argparse.Namespace, source: Source) -> RecipeEnvironment | None:
    """Return what recipes add to a source, asked of Spack once; None when nobody can say.

    Raises
    ------
    SpackCommandError
        When ``--spack`` names one that cannot say; else that is a warning.
    """
    if source.kind not in ("specs", "environment"):
        if args.spack:
            args.parser.error(f"argument --spack: Spack says nothing of {source.describe()}")
        return None
    from spack_kernel.jupyter.kernelspecs import store_paths
    from spack_kernel.spack import Store
    from spack_kernel.spack.load import SpackCommandError, ask_spack, find_spack, load_environment

    if args.no_spack:
        return None
    spack = Path(args.spack).expanduser().absolute() if args.spack else find_spack(source.store)
    if spack is None:
        return None
    # The kernel will know the install trees alone, and what is recorded beside.
    bare = Store.open_all(store_paths(source.store))
    specs = [spec for root in source.load.specs if (spec := bare.by_hash(root.hash)) is not None]
    known = load_environment(bare, specs, source.prefix_inspections)
    console = args.console
    console.note(f"Asking {spack} what the recipes set; it takes seconds, --no-spack skips it.")
    try:
        return ask_spack(spack, known)
    except SpackCommandError as error:
        if args.spack:
            raise
        reason = error.details[-1].strip() if error.details else ""
        console.warn(
            f"{error.summary}{': ' + reason if reason else ''}; the kernel lacks what only "
            "recipes set"
        )
        return None
