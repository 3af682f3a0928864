"""The command ``cache``: what is kept for this user, where, how large; and its removal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .options import add_json_option

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_DESCRIPTION = """\
Show what spack-kernel keeps for this user, so that the next time is faster. Everything can be
removed at any time, also while kernels run: it is made again when it is needed.

What administrators have made for all users (SPACK_KERNEL_INDEX, SPACK_KERNEL_IMAGES) is not part of
it."""

_EPILOG = """\
examples:
  spack-kernel cache
  spack-kernel cache --clear"""


class _Kept(NamedTuple):
    """The files of one kind in one directory."""

    kind: str
    directory: str
    files: list[str]
    size: int


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `cache`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "cache",
        help="show or remove what is kept in this user's caches",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--clear", action="store_true", help="remove all of it")
    parser.add_argument(
        "--image-directory",
        metavar="DIR",
        default="",
        help="the directory of images, if the site has set another (`image_directory`)",
    )
    add_json_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Show what is kept, or remove it."""
    from .tables import column_widths, folded

    kept = list(_found(args.image_directory))
    failed = _clear(args, kept) if args.clear else 0
    if args.json:
        args.console.print_json(
            [
                {
                    "kind": each.kind,
                    "directory": each.directory,
                    "files": len(each.files),
                    "size": each.size,
                }
                for each in kept
            ]
        )
        return 1 if failed else 0
    size = sum(each.size for each in kept) / 1e6
    if not kept:
        args.console.print("Nothing is kept.")
    elif args.clear:
        number = sum(len(each.files) for each in kept) - failed
        args.console.print(f"Removed {number:,} files, {size:.1f} MB.")
    else:
        rows = [["KIND", "FILES", "SIZE", "DIRECTORY"]]
        rows += [
            [each.kind, f"{len(each.files):,}", f"{each.size / 1e6:.1f} MB", each.directory]
            for each in kept
        ]
        widths = column_widths(rows, None)
        for row in rows:
            for cells in folded(row, widths):
                args.console.print("  ".join(cells).rstrip())
    return 1 if failed else 0


def _found(image_directory: str) -> Iterator[_Kept]:
    from spack_kernel._cache import cache_directory
    from spack_kernel.kernels import image_choice, user_cache
    from spack_kernel.spack.database import COLUMNS_PREFIX

    # What the names of kept files begin with, and what they are.
    kinds = {
        COLUMNS_PREFIX: "columns of databases",
        image_choice.PREFIX: "start images of kernels",
        f"{user_cache.STARTS}-": "starts of exec",
        f"{user_cache.INTERPRETERS}-": "facts about interpreters",
    }
    places = [cache_directory(), *image_choice.directories_of_images(image_directory)]
    for directory in dict.fromkeys(place for place in places if place):
        try:
            with os.scandir(directory) as entries:
                files = {e.path: e.stat(follow_symlinks=False) for e in entries if _is_own(e)}
        except OSError:
            continue
        for prefix, kind in kinds.items():
            names = [path for path in files if Path(path).name.startswith(prefix)]
            if names:
                size = sum(files[name].st_size for name in names)
                yield _Kept(kind, directory, sorted(names), size)


def _is_own(entry: os.DirEntry[str]) -> bool:
    is_file = entry.is_file(follow_symlinks=False)
    return is_file and entry.stat(follow_symlinks=False).st_uid == os.geteuid()


def _clear(args: argparse.Namespace, kept: list[_Kept]) -> int:
    """Remove the files, and return how many could not be removed."""
    failed = 0
    for path in (path for each in kept for path in each.files):
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:  # noqa: PERF203 - each file by itself
            failed += 1
            args.console.warn(f"{path} cannot be removed: {error.strerror}")
    return failed
