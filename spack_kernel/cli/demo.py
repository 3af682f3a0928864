"""``spack-kernel demo``: create a small store of real packages for trials without Spack."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from .options import add_json_option, typed_command

if TYPE_CHECKING:
    import argparse

    from spack_kernel.demo import DemoStore, Progress

    from .console import Console

_DESCRIPTION = """\
Create a small store of real packages from PyPI in DIR, in Spack's own layout and database format.

It contains py-numpy (two builds, so its name alone is ambiguous), py-matplotlib and py-ipykernel
with their dependencies, and py-libensemble, whose closure has no ipykernel. Its Python is the one
that runs this command. Creating the store takes about a minute and 330 MB.

A complete store is reused; an incomplete one is completed."""

_EXAMPLES = """\
examples:
  spack-kernel demo ~/demo-store
  spack-kernel --store ~/demo-store list
  spack-kernel --store ~/demo-store show py-libensemble"""

_DOING = {"download": "downloading", "build": "building", "install": "installing"}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `demo`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="create a small store to try everything without Spack",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "directory", metavar="DIR", help="a new or empty directory, or an existing demo store"
    )
    parser.add_argument("--force", action="store_true", help="create the store again if it exists")
    parser.add_argument("--quiet", action="store_true", help="do not print progress")
    add_json_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Create the store, with progress on standard error, and print what it contains."""
    from spack_kernel.spack import SpackKernelError

    try:
        from spack_kernel import demo
    except ModuleNotFoundError as error:
        raise SpackKernelError(
            f"`demo` needs the Python package `{error.name}`, which is not installed",
            hint=f"{sys.executable} -m pip install {error.name}",
        ) from None

    display = _Display(args.console, quiet=args.quiet)
    try:
        store = demo.build(args.directory, progress=display, force=args.force)
    finally:
        display.close()
    if args.console.json:
        args.console.print_json(_facts(store))
    else:
        _print(store, args.console)
    return 0


class _Display:
    """Progress: one line that is updated on a terminal, otherwise one line per package."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._live = console.err.isatty()
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        if self._quiet:
            return
        doing = _DOING[progress.phase]
        text = f"{doing} {progress.done}/{progress.total}: {progress.subject}"
        if not self._live:
            self._console.note(text)
            return
        self._console.err.write(f"\r{text.ljust(self._width)}")
        self._console.err.flush()
        self._width = len(text)

    def close(self) -> None:
        """Clear the progress line."""
        if self._width:
            self._console.err.write("\r" + " " * self._width + "\r")
            self._console.err.flush()


def _facts(store: DemoStore) -> dict[str, Any]:
    from spack_kernel.spack import Store

    specs = [
        {
            "name": spec.name,
            "version": str(spec.version),
            "hash": spec.hash,
            "prefix": spec.prefix,
            "explicit": spec.explicit,
        }
        for spec in Store.open(store.root)
    ]
    return {"root": str(store.root), "reused": store.reused, "specs": specs}


def _print(store: DemoStore, console: Console) -> None:
    command = f"{typed_command()} --store {shlex.quote(str(store.root))}"
    short = f"py-libensemble/{store.hash('py-libensemble')[:7]}"
    what = "already exists" if store.reused else "is ready"
    console.print(f"A store of {len(store.hashes)} specs {what} in {store.root}")
    console.print("Try:")
    install = f"install --user {short} py-matplotlib"
    for words in ("list py-numpy", f"show {short}", install, f"check {short}"):
        console.print(f"  {command} {words}")
