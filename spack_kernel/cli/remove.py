"""``spack-kernel remove``: remove kernels that `install` made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import add_json_option

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Remove kernels that `spack-kernel install` made. Other kernelspecs are refused, and either all
names given are removed or none. The specs themselves stay installed."""

_EPILOG = """\
examples:
  spack-kernel remove --list                           the names there are
  spack-kernel remove spack-py-libensemble-1.5.0-j4zmggq"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `remove`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "remove",
        help="remove kernels made by install",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("name", metavar="NAME", nargs="*", help="a kernel's name")
    parser.add_argument("--list", action="store_true", help="list our kernels and remove nothing")
    add_json_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Remove the kernels named, or list those there are."""
    from spack_kernel.jupyter.kernelspecs import (
        find_kernelspec,
        list_kernelspecs,
        remove_kernelspec,
    )

    console = args.console
    if args.list:
        if args.name:
            args.parser.error("--list takes no NAME")
        ours = list_kernelspecs()
        if console.json:
            console.print_json([kernelspec.as_dict() for kernelspec in ours])
        for kernelspec in () if console.json else ours:
            console.row([kernelspec.name, kernelspec.display_name])
            console.print(console.style("dim", f"    {kernelspec.resource_dir}"))
        if not ours:
            console.note("there are no kernels of ours")
        return 0
    if not args.name:
        args.parser.error("which one? give its NAME; --list shows those there are")
    names = list(dict.fromkeys(args.name))
    for name in names:
        find_kernelspec(name)
    removed = [remove_kernelspec(name) for name in names]
    if console.json:
        console.print_json([kernelspec.as_dict() for kernelspec in removed])
    for kernelspec in () if console.json else removed:
        console.print(f"removed {kernelspec.name}  {kernelspec.resource_dir}")
    return 0
