"""The output of ``spack-kernel list``: a table in the groups of `spack find`, or JSON."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from .tables import column_widths, fold, folded, ipykernel_text, line, total_width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

#: The width to which Spack draws the heading of a group.
_RULE_WIDTH = 65

_HASH, _SPEC, _PYTHON, _IPYKERNEL, _DIFFERENCE, _PREFIX = range(6)
_TITLES = ("HASH", "SPEC", "PYTHON", "IPYKERNEL", "DIFFERENCE", "PREFIX")


def print_table(
    candidates: Sequence[Candidate], store: Store, console: Console, args: argparse.Namespace
) -> None:
    """Print candidates as a table.

    Parameters
    ----------
    candidates : sequence of Candidate
        What to print, in order.
    store : Store
        Where they are installed.
    console : Console
        Where to print.
    args : Namespace
        The options of `list` that say what to show.
    """
    from spack_kernel.spack.output import MARKS, install_status

    if not candidates:
        return
    rows = _Rows(candidates, store, args)
    rows_of = {candidate.spec.hash: [*rows.of(candidate)] for candidate in candidates}
    table = itertools.chain.from_iterable(rows_of.values())
    lead = "     " if args.install_status else ""
    width = console.width - len(lead) if console.width else None
    columns = [*range(_DIFFERENCE), *([_DIFFERENCE] if rows.differences else [])]
    columns += [_PREFIX] * args.paths
    lines = [_TITLES, *table]
    while True:
        cells = [[row[column] for column in columns] for row in lines]
        can_fold = [n for n, column in enumerate(columns) if column in (_IPYKERNEL, _DIFFERENCE)]
        widths = column_widths(cells, width, can_fold + ([_SPEC] if rows.is_long else []))
        if width is None or total_width(widths) <= width or columns[-1] < _IPYKERNEL:
            break
        columns.pop()
    below = [column for column in range(_IPYKERNEL, _PREFIX + 1) if column not in columns]

    for number, (key, members) in enumerate(_groups(candidates, store, grouped=args.groups)):
        if number:
            console.print()
        if args.groups:
            console.print(_rule(*key, console))
        if number == 0:
            console.print(console.style("dim", lead + line(cells[0], widths)))
        for candidate in members:
            mark = f"{MARKS[install_status(store, candidate.spec.hash)]}  "
            for row in rows_of[candidate.spec.hash]:
                for cut in folded([row[column] for column in columns], widths):
                    cut[_SPEC] = _painted(candidate.spec, cut[_SPEC], console)
                    before = (mark if cut[_HASH].strip() else lead) * bool(lead)
                    cut[_HASH] = before + console.style("hash", cut[_HASH])
                    if candidate.why_not and _IPYKERNEL not in below:
                        cut[_IPYKERNEL] = console.style("yellow", cut[_IPYKERNEL])
                    console.row(cut)
                indent = len(lead) + widths[_HASH] + 2
                for column in below:
                    text = f"ipykernel {row[column]}" if column == _IPYKERNEL else row[column]
                    for cut_text in fold(text, (width or 0) - indent) if row[column] else ():
                        console.print(" " * indent + cut_text)
            if args.deps:
                console.print()


def _painted(spec: Spec, cell: str, console: Console) -> str:
    name = spec.name if cell.startswith(spec.name) else ""
    rest = cell[len(name) :]
    if not name:
        return cell
    return (console.style("bold", name) if spec.explicit else name) + console.style("version", rest)


def _groups(
    candidates: Sequence[Candidate], store: Store, *, grouped: bool
) -> Iterator[tuple[tuple[str, str], list[Candidate]]]:
    """Yield the groups of `spack find`, in its order: without a compiler comes last."""
    from spack_kernel.spack.output import format_compilers

    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        spec = candidate.spec
        key = (str(spec.arch), format_compilers(spec, store)) if grouped else ("", "")
        groups.setdefault(key, []).append(candidate)
    # Spack sorts by the text of a tuple, in which a quote follows the compilers.
    yield from sorted(groups.items(), key=lambda group: [f" {part}'" for part in group[0]])


class _Rows:
    """The cells of candidates, as the options of `list` show them."""

    def __init__(
        self, candidates: Sequence[Candidate], store: Store, args: argparse.Namespace
    ) -> None:
        from spack_kernel.spack.output import SpecFormat
        from spack_kernel.spack.query import distinctions

        self._store = store
        self._with_deps = args.deps
        self._with_paths = args.paths
        self._hash_length = None if args.very_long else 7
        self.is_long = args.variants or args.show_flags or args.deps
        name = "{fullname}" if args.namespaces else "{name}"
        variants = "{variants}" if args.variants else ""
        flags = " {compiler_flags}" if args.show_flags else ""
        self._format = SpecFormat(name + "{@version}" + variants + flags)
        self.differences = distinctions([each.spec for each in candidates], store.by_hash)
        if len(store.databases) > 1:
            _add_stores(self.differences, store)

    def of(self, candidate: Candidate) -> Iterator[tuple[str, ...]]:
        """Yield the row of a candidate, then those of its dependencies if these are shown."""
        spec = candidate.spec
        yield (
            spec.hash[: self._hash_length],
            self._format.format(spec, self._store).replace("\n", "\\n"),
            str(candidate.python.version) if candidate.python else "-",
            ipykernel_text(candidate),
            self.differences.get(spec.hash, ""),
            (spec.prefix or "-") if self._with_paths else "",
        )
        if self._with_deps:
            from spack_kernel.spack.output import dependency_tree

            for node in itertools.islice(dependency_tree(self._store, [spec]), 1, None):
                text = self._format.format(node.spec, self._store) if node.spec else node.name
                yield (
                    node.hash[: self._hash_length],
                    "    " * node.depth + text.replace("\n", "\\n"),
                    *("", "", "", ""),
                )


def _add_stores(differences: dict[str, str], store: Store) -> None:
    """Add to each difference the install tree of the spec, where several trees have such specs."""
    for dag_hash in differences:
        tree = store.tree_of(dag_hash)
        differences[dag_hash] = f"{differences[dag_hash]}  in {tree}".strip()


def _rule(arch: str, compilers: str, console: Console) -> str:
    compilers = compilers or "no compilers"
    label = f"{console.style('architecture', arch)} / {console.style('compiler', compilers)}"
    length = len(arch) + len(compilers) + 3
    return f"-- {label} " + "-" * max(0, _RULE_WIDTH - 4 - length)


def candidate_dict(
    candidate: Candidate, store: Store, *, with_dependencies: bool = False
) -> dict[str, Any]:
    """Return a candidate as JSON types."""
    from spack_kernel.spack.output import format_compilers

    spec, python = candidate.spec, candidate.python
    found: dict[str, Any] = {
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
        "ipykernel": candidate.ipykernel_as_dict(),
        "why_not": candidate.why_not or None,
    }
    if with_dependencies:
        found["dependencies"] = [
            {"name": edge.name, "hash": edge.hash, "deptypes": list(edge.deptypes)}
            for edge in spec.dependencies
        ]
    return found
