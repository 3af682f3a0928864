"""The command ``index``: make the columns of a store, for this user or for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    output = Path(args.output).absolute() if args.output else None
    if output is None and cache_directory() is None:
        raise SpackKernelError(
            "there is no cache directory in which columns could be kept",
            details=[f"  {CACHE_VARIABLE} is empty, or no absolute path"],
            hint="Unset it, or write to another directory: spack-kernel index --output DIR",
        )
    databases = open_store(args, keep=False).databases
    if output is not None:
        try:
            output.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise SpackKernelError(
                f"{output} cannot be created: {error.strerror}",
                hint="Name another directory: --output DIR",
            ) from error
    made = [_make(args, database, output) for database in databases]
    if args.json:
        args.console.print_json(made)
    return 0


def _make(args: argparse.Namespace, database: Database, output: Path | None) -> dict[str, Any]:
    """Make the columns of one database, and return what to print."""
    from spack_kernel.spack.database import Database, keep
    from spack_kernel.spack.errors import SpackKernelError

    if database.is_kept:  # perhaps elsewhere
        database = Database.read(database.root, use_kept=False)
    count = f"{len(database):,} records of {database.root}"
    with Progress(args.console, f"reading {count}"):
        try:
            path = keep(database, output)
        except OSError as error:
            raise SpackKernelError(
                f"the columns of {database.root} cannot be written: {error.strerror}",
                details=[f"  {error.filename}"] if error.filename else [],
                hint="Check the directory and its free space, or name another one: --output DIR",
            ) from error
    if path is None:
        args.console.warn(f"the columns of {database.root} are not kept: {_reason(database)}")
        return {"tree": str(database.root), "records": len(database), "path": None}
    size = path.stat().st_size
    if not args.json:
        args.console.print(f"{path}: {count}, {size / 1e6:.1f} MB")
    return {"tree": str(database.root), "records": len(database), "path": str(path), "size": size}


def _reason(database: Database) -> str:
    if not database.has_known_format:
        return f"its format is {database.version}, which is newer than what is known here"
    return "it has changed meanwhile, or has damaged records"
