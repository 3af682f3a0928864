"""``spack-kernel sync``: write kernelspecs for all kernels that a site offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import (
    add_json_option,
    add_location_options,
    add_store_option,
    given_stores,
    warn_if_closed,
)

if TYPE_CHECKING:
    import argparse

    from spack_kernel.jupyter.discovery import Change, Wanted

    from .console import Console

_DESCRIPTION = """\
Write a kernelspec for every spec that SpackKernelSpecManager offers, and remove the kernelspecs
whose spec is gone. This is for `jupyter console`, nbclient, papermill, VS Code and other clients
that don't use a server. `sync` is meant to run on a timer: it leaves up-to-date kernelspecs alone,
and only changes or removes kernelspecs that an earlier run wrote.

The selection comes from Jupyter's configuration: c.SpackKernelSpecManager in
jupyter_server_config.py. Options take precedence over it. Nothing is removed while a store, a
query or an environment cannot be read."""

_EPILOG = """\
examples:
  spack-kernel sync --dry-run --user
  spack-kernel sync --query py-libensemble --query 'py-petsc4py@3.20:' --user
  spack-kernel sync --store /sw/spack --prefix /sw/jupyter      on an administrator's timer
  spack-kernel sync --limit 0 --environment '' --user           remove them all"""

_SIGNS = {"added": "+", "updated": "~", "removed": "-", "refused": "!", "failed": "!", "kept": " "}
_STYLES = {
    "added": "green",
    "updated": "yellow",
    "removed": "red",
    "refused": "red",
    "failed": "red",
    "kept": "dim",
}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `sync`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sync",
        help="write and prune kernelspecs for all offered kernels",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    what = parser.add_argument_group("what to offer")
    what.add_argument(
        "--query",
        metavar="QUERY",
        action="append",
        dest="queries",
        help="offer the specs that match this query, repeatable",
    )
    what.add_argument(
        "--environment",
        metavar="NAME",
        action="append",
        dest="environments",
        help="offer Spack environments: a pattern for names, or a directory, repeatable; '' for "
        "none",
    )
    what.add_argument("--limit", metavar="N", type=int, help="maximum number of specs per store")
    what.add_argument("--name", metavar="TEMPLATE", dest="name_template", help="the kernel names")
    what.add_argument(
        "--display-name",
        metavar="TEMPLATE",
        dest="display_name_template",
        help="the names that front ends show",
    )
    what.add_argument(
        "--companion", metavar="QUERY", help="which py-ipykernel to use if a spec has none"
    )
    what.add_argument(
        "--no-notebook-kernel",
        action="store_false",
        default=None,
        dest="notebook_kernel",
        help="do not offer the kernel that starts the spec recorded in a notebook",
    )
    configured = what.add_mutually_exclusive_group()
    configured.add_argument(
        "--config", metavar="FILE", help="use this file instead of those that Jupyter finds"
    )
    configured.add_argument(
        "--no-config", action="store_true", help="ignore Jupyter's configuration"
    )
    group = parser.add_argument_group("where to write the kernelspecs")
    add_location_options(group)
    group.add_argument(
        "--group",
        metavar="NAME",
        default="default",
        help="the group of these kernelspecs; several groups can share a directory",
    )
    group.add_argument("--no-prune", action="store_true", help="remove nothing")
    group.add_argument("--dry-run", action="store_true", help="print the changes and write nothing")
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write and prune kernelspecs; return 1 if something could not be read or written."""
    from spack_kernel.jupyter.discovery import SiteConfiguration, synchronize, wanted_kernels
    from spack_kernel.jupyter.kernelspecs import kernels_directory

    console: Console = args.console
    manager = SiteConfiguration(args.config, use_config=not args.no_config).manager(**_traits(args))
    wanted = wanted_kernels(manager)
    directory = kernels_directory(user=args.user, prefix=args.prefix)
    changes = synchronize(
        wanted.offers,
        directory,
        group=args.group,
        prune=wanted.complete and not args.no_prune,
        dry_run=args.dry_run,
    )
    if console.json:
        console.print_json(
            {
                "directory": str(directory),
                "changes": [change.as_dict() for change in changes],
                "problems": list(wanted.problems),
                "failures": [
                    {"store": store, **error.as_dict()} for store, error in wanted.failures
                ],
            }
        )
    else:
        _print(changes, args.dry_run, console)
    _report(changes, wanted, console)
    written = next((c for c in changes if c.action in ("added", "updated", "kept")), None)
    if written is not None and not args.user and not args.dry_run:
        warn_if_closed(Path(written.directory), console)
    failed = any(change.action == "failed" for change in changes)
    return 0 if wanted.complete and not failed else 1


def _traits(args: argparse.Namespace) -> dict[str, Any]:
    """Return the traits that options set."""
    names = [
        *("queries", "limit", "name_template", "display_name_template", "companion"),
        "notebook_kernel",
    ]
    traits = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.environments is not None:
        traits["environments"] = [name for name in args.environments if name]
    if args.store:
        first, *others = given_stores(args)
        traits |= {"stores": [first], "upstreams": others}
    return traits


def _print(changes: list[Change], dry_run: bool, console: Console) -> None:
    for change in changes:
        if change.action != "kept" or console.verbose:
            line = f"{_SIGNS[change.action]} {change.name}  {change.display_name}"
            console.print(console.style(_STYLES[change.action], line))
    counts = dict.fromkeys(_SIGNS, 0)
    for change in changes:
        counts[change.action] += 1
    told = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
    console.print(f"{told or 'nothing to do'}{' (dry run)' if dry_run else ''}")


def _report(changes: list[Change], wanted: Wanted, console: Console) -> None:
    for problem in wanted.problems:
        console.warn(problem)
    for change in changes:
        if change.action == "refused":
            console.warn(f"{change.directory} does not belong to this group and is left unchanged")
        if change.action == "failed":
            console.warn(change.reason)
    for _, error in wanted.failures:
        console.error(error, json=False)
    if not wanted.complete:
        console.note("Nothing was removed, because not everything could be read.")
