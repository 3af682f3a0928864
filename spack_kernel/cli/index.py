"""The command ``index``: make the columns of a store, for this user or for everybody."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .directories import create_public, warn_of_others
from .options import add_json_option, add_store_option, open_store
from .progress import Progress

if TYPE_CHECKING:
    import argparse

    from spack_kernel.spack.database import Database

_DESCRIPTION = """\
Read each database of a store once, and keep what queries need as a file of columns. With it, a
command or a notebook server answers from a few megabytes that all processes of a machine share,
and does not read the database.

Everyone's columns are made without this command, in the background, in the user's cache. An
administrator makes them once for all users with --output, and sets SPACK_KERNEL_INDEX to that
directory for them. A file is used only for exactly the database from which it was made: run this
again when something was installed, for example after each `spack install`. Others must not be able
to write in the directory or above it. A directory on a local file system is shared in memory; from
a network file system, each process reads a copy."""

_EPILOG = """\
examples:
  spack-kernel index
  spack-kernel index --store /sw/spack/opt/spack --output /opt/spack-kernel/index
  export SPACK_KERNEL_INDEX=/opt/spack-kernel/index"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `index`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "index",
        help="make the columns of a store that speed up every query",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="a directory that all users can read (default: this user's cache)",
    )
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Make the columns."""
    from spack_kernel._cache import CACHE_VARIABLE, cache_directory
    from spack_kernel.spack.errors import SpackKernelError

    if args.output == "":
        args.parser.error("argument --output: it is empty")
    output = Path(args.output).absolute() if args.output else None
    if output is None and cache_directory() is None:
        given = os.environ.get(CACHE_VARIABLE)
        raise SpackKernelError(
            "there is no cache directory in which columns could be kept",
            details=[
                f"  {CACHE_VARIABLE} is {'empty' if not given else f'no absolute path: {given}'}"
                if given is not None
                else "  there is no home directory: HOME is not set"
            ],
            hint="Name a directory: spack-kernel index --output DIR",
        )
    databases = open_store(args, keep=False).databases
    if output is not None:
        create_public(output)
    made = [_make(args, database, output) for database in databases]
    if args.json:
        args.console.print_json(made)
    return 0 if all(each["path"] for each in made) else 1


def _make(args: argparse.Namespace, database: Database, output: Path | None) -> dict[str, Any]:
    """Make the columns of one database, and return what to print."""
    from spack_kernel.spack.database import Database, NotKept, keep
    from spack_kernel.spack.errors import SpackKernelError

    if database.is_kept:  # perhaps elsewhere
        database = Database.read(database.root, use_kept=False)
    facts = {"tree": str(database.root), "records": len(database)}
    count = f"{len(database):,} records of {database.root}"
    with Progress(args.console, f"reading {count}"):
        try:
            path = keep(database, output)
        except NotKept as reason:
            args.console.warn(f"the columns of {database.root} are not kept: {reason}")
            return {**facts, "path": None, "size": None, "reason": str(reason)}
        except OSError as error:
            raise SpackKernelError(
                f"the columns of {database.root} cannot be written: {error.strerror}",
                details=[f"  {error.filename}"] if error.filename else [],
                hint="Check the directory and its free space, or name another one: --output DIR",
            ) from error
    assert path is not None
    if output is not None:
        warn_of_others(args.console, path, database.path.stat().st_uid)
    size = path.stat().st_size
    if not args.json:
        args.console.print(f"{path}: {count}, {size / 1e6:.1f} MB")
    return {**facts, "path": str(path), "size": size, "reason": ""}
