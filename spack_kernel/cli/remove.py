"""``spack-kernel remove``: remove kernels that spack-kernel installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import add_json_option

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Remove kernels that spack-kernel installed. It refuses to remove other kernelspecs, and removes
either all of the given kernels or none. The specs themselves stay installed."""

_EPILOG = """\
examples:
  spack-kernel remove --list                           list the installed kernels
  spack-kernel remove spack-py-libensemble-1.5.0-j4zmggq"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `remove`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "remove",
        help="remove kernels installed by spack-kernel",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("name", metavar="NAME", nargs="*", help="the name of a kernel")
    parser.add_argument(
        "--list", action="store_true", help="list the installed kernels and remove nothing"
    )
    add_json_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Remove the named kernels, or list the installed ones."""
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
            width = console.width
            if width and len(kernelspec.name) + len(kernelspec.display_name) + 2 > width:
                console.print(kernelspec.name)
                console.print(f"    {kernelspec.display_name}")
            else:
                console.row([kernelspec.name, kernelspec.display_name])
            console.print(console.style("dim", f"    {kernelspec.resource_dir}"))
        if not ours:
            console.note("spack-kernel has installed no kernels")
        return 0
    if not args.name:
        args.parser.error("nothing to remove: give a NAME; --list shows the installed kernels")
    names = list(dict.fromkeys(args.name))
    for name in names:
        find_kernelspec(name)
    removed = [remove_kernelspec(name) for name in names]
    if console.json:
        console.print_json([kernelspec.as_dict() for kernelspec in removed])
    for kernelspec in () if console.json else removed:
        console.print(f"removed {kernelspec.name}  {kernelspec.resource_dir}")
    return 0
