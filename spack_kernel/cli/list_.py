"""``spack-kernel list``: list the installed specs that can be kernels, as `spack find` does."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from .options import (
    add_json_option,
    add_query_argument,
    add_store_option,
    open_store,
    query_text,
)
from .tables import ipykernel_dict, ipykernel_text, line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

_DESCRIPTION = """\
List the installed specs that can be kernels: those with a python in their closure and an
ipykernel for it, either in the closure, in the interpreter itself, or as a companion (an
installed py-ipykernel built for the same python).

Queries select specs as in `spack find`; several queries select the specs that match any of them.
`list` does not start anything: only `show` and `check` detect a broken python.

--environments lists Spack environments instead: those that the Spack instance manages by name."""

_EPILOG = """\
examples:
  spack-kernel list                          all specs that can be kernels
  spack-kernel list -x                       only explicitly installed specs
  spack-kernel list py-numpy ^python@3.11    numpy for Python 3.11
  spack-kernel list --all zlib               include specs that cannot be kernels, with the reason
  spack-kernel list --loaded-by py-scipy     what `spack load py-scipy` loads
  spack-kernel list --environments           Spack environments instead of specs
  spack-kernel list --format '{name}{@version}{/hash:7} {prefix}'
  spack-kernel list --json | jq -r '.[] | select(.python | startswith("3.12")) | .hash'"""

_COLUMNS = ("HASH", "SPEC", "PYTHON", "IPYKERNEL", "EXPLICIT", "PREFIX")

#: The width to which Spack draws the heading of a group.
_RULE_WIDTH = 65


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `list`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "list",
        help="list the installed specs that can be kernels",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_query_argument(parser, "*")
    which = parser.add_argument_group("which specs")
    explicit = which.add_mutually_exclusive_group()
    explicit.add_argument(
        "-x",
        "--explicit",
        action="store_true",
        default=None,
        help="only explicitly installed specs",
    )
    explicit.add_argument(
        "-X",
        "--implicit",
        action="store_false",
        dest="explicit",
        help="only specs installed as dependencies",
    )
    which.add_argument(
        "-a",
        "--all",
        action="store_true",
        help="include specs that cannot be kernels, with the reason",
    )
    which.add_argument(
        "--loaded", action="store_true", help="only specs that `spack load` loaded in this shell"
    )
    which.add_argument(
        "--loaded-by",
        metavar="SPEC",
        help="only the specs that are loaded with SPEC: its closure; implies --all",
    )
    which.add_argument(
        "--environments",
        action="store_true",
        help="list managed Spack environments, including those that cannot be kernels, instead of "
        "specs",
    )
    how = parser.add_argument_group("how to print them").add_mutually_exclusive_group()
    how.add_argument(
        "--format", metavar="FORMAT", help="one line per spec, in a format as for `spack find`"
    )
    how.add_argument(
        "-H",
        "--hashes",
        action="store_const",
        const="{/hash}",
        dest="format",
        help="the same as --format '{/hash}'",
    )
    add_json_option(how)
    parser.add_argument(
        "--no-groups", action="store_true", help="do not group by architecture and compiler"
    )
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """List what the arguments select."""
    from spack_kernel.kernels.candidates import Survey
    from spack_kernel.spack.output import SpecFormat

    console: Console = args.console
    if args.environments:
        from .list_environments import list_environments

        _check_alone(args)
        list_environments(open_store(args), console)
        return 0
    template = SpecFormat(args.format) if args.format else None
    store = open_store(args)
    moved = store.moved_from()
    if moved is not None:
        console.warn(
            f"the store was moved: its records name {moved}, not {store.root}; "
            "its kernels cannot start"
        )
    specs = _select(store, args)
    everything = args.all or args.loaded_by is not None
    candidates = list(Survey(store).candidates(specs))
    chosen = [c for c in candidates if everything or not c.why_not]
    if args.query and not chosen:
        raise _none_can_be(args.query, candidates)
    if console.json:
        console.print_json([_as_dict(candidate, store) for candidate in chosen])
    elif template is not None:
        paint = console.style
        for candidate in chosen:
            console.print(template.format(candidate.spec, store, paint))
    else:
        _print_table(chosen, store, console, groups=not args.no_groups)
        if console.out.isatty() or not chosen:
            console.out.flush()
            console.note(_tally(chosen, candidates, everything=everything))
            if not args.query:
                _tell_environments(store, console)
    return 0


def _check_alone(args: argparse.Namespace) -> None:
    """Exit with a usage error if ``--environments`` is combined with a selection of specs."""
    also = {
        "QUERY": args.query,
        "--explicit": args.explicit is True,
        "--implicit": args.explicit is False,
        "--all": args.all,
        "--loaded": args.loaded,
        "--loaded-by": args.loaded_by is not None,
        "--format": args.format,
    }
    for option, given in also.items():
        if given:
            args.parser.error(f"--environments does not list specs: leave out {option}")


def _tell_environments(store: Store, console: Console) -> None:
    """Print how many Spack environments there are, if that can be determined."""
    from spack_kernel.spack.environments import environment_names
    from spack_kernel.spack.errors import SpackKernelError

    try:
        count = len(environment_names(store.config)) if store.config else 0
    except (SpackKernelError, OSError):
        return  # the user did not request them
    if count:
        console.note(
            f"also {count} Spack environment{'s' if count > 1 else ''}; use --environments"
        )


def _select(store: Store, args: argparse.Namespace) -> list[Spec]:
    """Return the installed specs that the arguments select, in the order of `spack find`."""
    selections = store.select(query_text(args.query))
    found = {spec.hash: spec for selected in selections for spec in selected.specs}
    if args.query and not found:
        raise store.no_match(selections[0])
    for selection in selections if found else ():
        if not (selection.specs or selection.unknown or selection.query is None):
            error = store.no_match(selection)
            args.console.warn(" ".join([f"{error.summary}.", *error.hint.splitlines()[:1]]))
    for thing in dict.fromkeys(thing for selected in selections for thing in selected.unknown):
        args.console.warn(f"there may be more: the database does not record {thing}")
    specs = list(found.values())
    if args.explicit is not None:
        specs = [spec for spec in specs if spec.explicit is args.explicit]
    if args.loaded:
        loaded = set(os.environ.get("SPACK_LOADED_HASHES", "").split(os.pathsep))
        specs = [spec for spec in specs if spec.hash in loaded]
    if args.loaded_by is not None:
        roots = store.get_each(args.loaded_by)
        closure = {spec.hash for spec in store.closure(*roots)}
        specs = [spec for spec in specs if spec.hash in closure]
    return store.in_find_order(specs) if len(selections) > 1 else specs


def _none_can_be(words: Sequence[str], candidates: Sequence[Candidate]) -> Exception:
    from spack_kernel.spack import NoMatch

    shown = [f"{c.spec.label}: {c.why_not}" for c in candidates[:20]]
    if len(candidates) > len(shown):
        shown.append(f"and {len(candidates) - len(shown)} more")
    if not candidates:
        return NoMatch(
            f"the other options exclude all specs that match `{query_text(words)}`",
            hint="Leave out --explicit, --implicit, --loaded or --loaded-by.",
        )
    return NoMatch(
        f"no spec that matches `{query_text(words)}` can be a kernel",
        details=shown,
        hint="--all lists them anyway.",
    )


def _print_table(
    candidates: Sequence[Candidate], store: Store, console: Console, *, groups: bool
) -> None:
    from spack_kernel.spack.output import format_compilers

    grouped: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        spec = candidate.spec
        key = (str(spec.arch), format_compilers(spec, store)) if groups else ("", "")
        grouped.setdefault(key, []).append(candidate)
    rows = {id(candidate): _row(candidate) for candidate in candidates}
    widths = [
        max([len(title), *(len(row[column]) for row in rows.values())])
        for column, title in enumerate(_COLUMNS)
    ]
    for number, (key, members) in enumerate(sorted(grouped.items())):
        if number:
            console.print()
        if groups:
            console.print(_rule(*key, console))
        if number == 0:
            console.print(console.style("dim", line(_COLUMNS, widths)))
        for candidate in members:
            cells = [
                cell.ljust(width) for cell, width in zip(rows[id(candidate)], widths, strict=True)
            ]
            cells[0] = console.style("hash", cells[0])
            name = candidate.spec.name
            version = cells[1][len(name) :]
            cells[1] = (
                console.style("bold", name) if candidate.spec.explicit else name
            ) + console.style("version", version)
            if candidate.why_not:
                cells[3] = console.style("yellow", cells[3])
            console.row(cells)


def _row(candidate: Candidate) -> tuple[str, ...]:
    spec = candidate.spec
    return (
        spec.hash[:7],
        f"{spec.name}@{spec.version}",
        str(candidate.python.version) if candidate.python else "-",
        ipykernel_text(candidate),
        "yes" if spec.explicit else "no",
        spec.prefix or "-",
    )


def _rule(arch: str, compilers: str, console: Console) -> str:
    compilers = compilers or "no compilers"
    label = f"{console.style('architecture', arch)} / {console.style('compiler', compilers)}"
    length = len(arch) + len(compilers) + 3
    return f"-- {label} " + "-" * max(0, _RULE_WIDTH - 4 - length)


def _tally(
    chosen: Sequence[Candidate], candidates: Sequence[Candidate], *, everything: bool
) -> str:
    if everything:
        return f"{len(chosen)} installed specs"
    text = f"{len(chosen)} of {len(candidates)} installed specs can be kernels"
    if not chosen and candidates:
        reasons = Counter(c.why_not for c in candidates).most_common()
        text += "".join(f"\n  {count}: {reason}" for reason, count in reasons)
    return text if len(chosen) == len(candidates) else text + "\n--all also lists the others"


def _as_dict(candidate: Candidate, store: Store) -> dict[str, Any]:
    from spack_kernel.spack.output import format_compilers

    spec, python = candidate.spec, candidate.python
    return {
        "name": spec.name,
        "version": str(spec.version),
        "hash": spec.hash,
        "prefix": spec.prefix,
        "explicit": spec.explicit,
        "external": spec.external is not None,
        "arch": str(spec.arch),
        "compilers": format_compilers(spec, store),
        "python": str(python.version) if python else None,
        "python_hash": python.hash if python else None,
        "ipykernel": ipykernel_dict(candidate),
        "why_not": candidate.why_not or None,
    }
