"""``spack-kernel list``: list the installed specs that can be kernels, as `spack find` does."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from .dates import date
from .options import (
    add_json_option,
    add_query_argument,
    add_store_option,
    hinting_at_other_meanings,
    open_store,
    query_text,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.database import Database
    from spack_kernel.spack.output import SpecFormat
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

#: With more specs than this, equal reasons are counted.
_FEW = 5

_DESCRIPTION = """\
List the installed specs that can be kernels: those with a python in their closure and an
ipykernel for it, either in the closure, in the interpreter itself, or as a companion (an
installed py-ipykernel built for the same python).

Queries select specs as in `spack find`; several queries select the specs that match any of them.
Specs of the same name and version are shown with what they differ in.
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
  spack-kernel list -Lvp py-numpy            full hashes, variants and prefixes
  spack-kernel list --start-date '2 weeks ago'
  spack-kernel list --format '{name}{@version}{/hash:7} {prefix}'
  spack-kernel list --json | jq -r '.[] | select(.explicit) | .hash'"""


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
    _add_state_options(which)
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
    _add_table_options(parser)
    add_store_option(parser)
    return parser


def _add_state_options(which: argparse._ArgumentGroup) -> None:
    """Add the options of `spack find` that select specs by their install records."""
    which.add_argument(
        "-e", "--external", action="store_true", help="only external specs, which Spack only uses"
    )
    which.add_argument(
        "-m",
        "--missing",
        action="store_true",
        help="include specs that are recorded but not installed; implies --all",
    )
    which.add_argument(
        "-M",
        "--only-missing",
        action="store_true",
        help="only specs that are recorded but not installed; implies --all",
    )
    which.add_argument(
        "--deprecated", action="store_true", help="include deprecated specs; implies --all"
    )
    which.add_argument(
        "--only-deprecated", action="store_true", help="only deprecated specs; implies --all"
    )
    which.add_argument(
        "--start-date",
        metavar="DATE",
        type=date,
        help="only specs installed at DATE or later: 2026-11-25, yesterday, '2 weeks ago'",
    )
    which.add_argument(
        "--end-date", metavar="DATE", type=date, help="only specs installed at DATE or earlier"
    )
    which.add_argument(
        "--install-tree",
        metavar="TREE",
        default="all",
        help="only specs of one install tree: local, upstream, the name of an upstream, or a path",
    )


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `spack find` that say what the table shows."""
    table = parser.add_argument_group("what the table shows")
    table.add_argument(
        "-l", "--long", action="store_true", help="7 characters of each hash (always shown)"
    )
    table.add_argument("-L", "--very-long", action="store_true", help="full hashes")
    table.add_argument("-v", "--variants", action="store_true", help="variants")
    table.add_argument("-f", "--show-flags", action="store_true", help="compiler flags")
    table.add_argument("-N", "--namespaces", action="store_true", help="names with namespaces")
    table.add_argument("-p", "--paths", action="store_true", help="prefixes")
    table.add_argument("-d", "--deps", action="store_true", help="the dependencies of each spec")
    table.add_argument(
        "-I",
        "--install-status",
        action="store_true",
        help="[+] installed, [^] installed upstream, [e] external, [-] not installed",
    )
    table.add_argument(
        "--groups",
        action="store_true",
        default=True,
        help="group by architecture and compiler (default)",
    )
    table.add_argument(
        "--no-groups", action="store_false", dest="groups", help="do not group the specs"
    )


def run(args: argparse.Namespace) -> int:
    """List what the arguments select."""
    from spack_kernel.spack.output import SpecFormat

    console: Console = args.console
    if args.environments:
        from .list_environments import list_environments

        _check_alone(args)
        list_environments(open_store(args), console)
        return 0
    template = SpecFormat(args.format) if args.format is not None else None
    store = open_store(args)
    moved = store.moved_from()
    if moved is not None:
        console.warn(
            f"the store was moved: its records name {moved}, not {store.root}; "
            "its kernels cannot start"
        )
    specs = _select(store, args)
    everything = args.all or args.loaded_by is not None or _states(args) != {"installed"}
    if everything and template is not None and specs and not console.json:
        _print_formatted(template, specs, store, console)
        return 0
    from spack_kernel.kernels.candidates import Survey

    from .list_table import candidate_dict, print_table

    candidates = list(Survey(store).candidates(specs))
    chosen = [c for c in candidates if everything or not c.why_not]
    if args.query and not chosen:
        raise _none_can_be(args.query, candidates, _selecting(args))
    if console.json:
        console.print_json(
            [candidate_dict(each, store, with_dependencies=args.deps) for each in chosen]
        )
    elif template is not None:
        _print_formatted(template, [each.spec for each in chosen], store, console)
    else:
        print_table(chosen, store, console, args)
        if console.out.isatty() or not chosen:
            console.out.flush()
            options = _selecting(args)
            if candidates or not options:
                console.note(_tally(chosen, candidates, everything=everything))
            else:
                console.note(f"no installed spec is selected by {' and '.join(options)}")
            if not args.query:
                _tell_environments(store, console)
    return 0


def _print_formatted(
    template: SpecFormat, specs: Iterable[Spec], store: Store, console: Console
) -> None:
    for text in [template.format(spec, store, console.style) for spec in specs]:
        console.print(text)


def _selecting(args: argparse.Namespace) -> list[str]:
    """Return the given options that select specs."""
    given = {
        "--explicit": args.explicit is True,
        "--implicit": args.explicit is False,
        "--loaded": args.loaded,
        "--loaded-by": args.loaded_by is not None,
        "--external": args.external,
        "--missing": args.missing,
        "--only-missing": args.only_missing,
        "--deprecated": args.deprecated,
        "--only-deprecated": args.only_deprecated,
        "--start-date": args.start_date is not None,
        "--end-date": args.end_date is not None,
        "--install-tree": args.install_tree != "all",
    }
    return [option for option, is_given in given.items() if is_given]


def _check_alone(args: argparse.Namespace) -> None:
    """Exit with a usage error if ``--environments`` is combined with a selection of specs."""
    also = {"QUERY": args.query, "--all": args.all, "--format": args.format is not None}
    for option in [*(name for name, given in also.items() if given), *_selecting(args)]:
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
    states = _states(args)
    installed = True if states == {"installed"} else None
    with hinting_at_other_meanings(args.query):
        selections = store.select(query_text(args.query), installed=installed)
        found = {spec.hash: spec for selected in selections for spec in selected.specs}
        if args.query and not found:
            raise store.no_match(next(each for each in selections if not each.specs))
    for selection in selections if found else ():
        if not (selection.specs or selection.unknown or selection.query is None):
            nothing = store.no_match(selection)
            args.console.warn(" ".join([f"{nothing.summary}.", *nothing.hint.splitlines()[:1]]))
    for thing in dict.fromkeys(thing for selected in selections for thing in selected.unknown):
        args.console.warn(f"there may be more: the database does not record {thing}")
    specs = list(_in_states(found.values(), states)) if installed is None else [*found.values()]
    specs = _installed_as(specs, store, args)
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


def _states(args: argparse.Namespace) -> set[str]:
    """Return the states of install records that the arguments ask for."""
    if args.only_missing or args.only_deprecated:
        return {"missing"} if args.only_missing else {"deprecated"}
    return {
        "installed",
        *(["missing"] if args.missing else []),
        *(["deprecated"] if args.deprecated else []),
    }


def _in_states(specs: Iterable[Spec], states: set[str]) -> Iterable[Spec]:
    for spec in specs:
        state = "deprecated" if spec.deprecated_for else "missing"
        if ("installed" if spec.installed else state) in states:
            yield spec


def _installed_as(specs: list[Spec], store: Store, args: argparse.Namespace) -> list[Spec]:
    """Filter specs by origin, install date and install tree, as the arguments require."""
    if args.external:
        specs = [spec for spec in specs if spec.external is not None]
    if args.start_date is not None:
        specs = [spec for spec in specs if spec.installation_time >= args.start_date]
    if args.end_date is not None:
        specs = [spec for spec in specs if spec.installation_time <= args.end_date]
    if args.install_tree == "all":
        return specs
    trees = _trees(store, args)
    return [spec for spec in specs if any(spec.hash in base for base in trees)]


def _trees(store: Store, args: argparse.Namespace) -> Sequence[Database]:
    """Return the databases that ``--install-tree`` names."""
    from spack_kernel.spack.store import upstream_trees

    local, *upstreams = store.databases
    wanted: str = args.install_tree
    if wanted == "local":
        return [local]
    if wanted == "upstream":
        return upstreams
    named: dict[str, Path] = {}
    if store.config is not None:
        trees = upstream_trees(store.config)
        named = dict(zip(store.config.section("upstreams") or (), trees, strict=True))
    path = os.path.realpath(os.path.expanduser(named.get(wanted, wanted)))  # noqa: PTH111
    found = [base for base in store.databases if os.path.realpath(base.root) == path]
    if not found:
        known = ", ".join(str(base.root) for base in store.databases)
        args.parser.error(
            f"argument --install-tree: {wanted!r} is not an install tree of this store: {known}"
        )
    return found


def _none_can_be(
    words: Sequence[str], candidates: Sequence[Candidate], options: Sequence[str]
) -> Exception:
    from spack_kernel.spack import NoMatch

    reasons = Counter(candidate.why_not for candidate in candidates).most_common()
    if len(reasons) < len(candidates) > _FEW:
        shown = [f"{count}: {reason}" for reason, count in reasons[:20]]
    else:
        shown = [f"{c.spec.label}: {c.why_not}" for c in candidates[:20]]
        if len(candidates) > len(shown):
            shown.append(f"and {len(candidates) - len(shown)} more")
    if not candidates:
        return NoMatch(
            f"the other options exclude all specs that match `{query_text(words)}`",
            hint=f"Leave out {' or '.join(options)}." if options else "",
        )
    return NoMatch(
        f"no spec that matches `{query_text(words)}` can be a kernel",
        details=shown,
        hint="--all lists them anyway.",
    )


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
