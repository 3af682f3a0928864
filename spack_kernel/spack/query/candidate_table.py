"""A table of the differences between specs, for users who must choose one of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.spec import FLAG_NAMES
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES, RUNTIME_DEPTYPES

from .quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from spack_kernel.spack.spec.spec import Dependency, Spec

    Lookup = Callable[[str], Spec | None]

#: The shortest hash shown.
_HASH_LENGTH = 7

#: How many columns dependencies may fill.
_DEPENDENCY_COLUMNS = 3
_ANY_NUMBER = 100

#: How many values of one attribute are listed.
_VALUES = 5

#: How many attributes that differ are named.
_ATTRIBUTES = 10


def short_hashes(specs: Sequence[Spec]) -> list[str]:
    """Return the hashes of `specs`, as short as keeps them distinct, but at least 7 long."""
    length = _HASH_LENGTH
    distinct = len({spec.hash for spec in specs})
    while len({spec.hash[:length] for spec in specs}) < distinct:
        length += 1
    return [spec.hash[:length] for spec in specs]


def candidate_table(
    specs: Sequence[Spec], lookup: Lookup, *, versions: bool | None = None
) -> list[str]:
    """Return one line per spec: its hash, its name, and whatever differs between the specs.

    Parameters
    ----------
    specs : sequence of Spec
        The specs to distinguish, at least one.
    lookup : callable
        Returns the spec of a DAG hash, or None.
    versions : bool, optional
        Whether to show the versions; by default, only if they differ.
    """
    columns = [short_hashes(specs), *_unlike(specs, _Facts(lookup), [_names(specs, versions)])]
    widths = [max(map(len, column)) for column in columns]
    used = [(column, width) for column, width in zip(columns, widths, strict=True) if width]
    return [
        "  " + "  ".join(column[row].ljust(width) for column, width in used).rstrip()
        for row in range(len(specs))
    ]


def distinctions(specs: Sequence[Spec], lookup: Lookup) -> dict[str, str]:
    """Return, for each spec that has the name and version of another, in what it differs.

    Parameters
    ----------
    specs : sequence of Spec
        The specs.
    lookup : callable
        Returns the spec of a DAG hash, or None.

    Returns
    -------
    dict
        DAG hash → what a query adds to select the spec: ``+mpi ^python@3.11.9``.
    """
    facts = _Facts(lookup)
    alike: dict[tuple[str, str], list[Spec]] = {}
    for spec in specs:
        alike.setdefault((spec.name, str(spec.version)), []).append(spec)
    found = {}
    for group in alike.values():
        if len(group) > 1:
            spaces = [f"(namespace: {spec.namespace})" for spec in group]
            columns = _unlike(group, facts, [spaces] if len(set(spaces)) > 1 else [], _ANY_NUMBER)
            for row, spec in enumerate(group):
                found[spec.hash] = " ".join(column[row] for column in columns if column[row])
    return found


class _Facts:
    """What is known of specs, read once: many specs share their dependencies."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = cache(lookup)
        self._compilers: dict[str, str] = {}
        self._pythons: dict[str, str] = {}
        self._edges: dict[str, list[Dependency]] = {}
        self._own: dict[tuple[str, ...], list[list[str]]] = {}

    def compiler(self, spec: Spec) -> str:
        if spec.hash not in self._compilers:
            self._compilers[spec.hash] = compiler(spec, self.lookup)
        return self._compilers[spec.hash]

    def python(self, spec: Spec) -> str:
        if spec.hash not in self._pythons:
            self._pythons[spec.hash] = _python(spec, self.lookup)
        return self._pythons[spec.hash]

    def edges(self, spec: Spec) -> list[Dependency]:
        """Return the dependencies of a spec, sorted by name."""
        if spec.hash not in self._edges:
            self._edges[spec.hash] = sorted(spec.dependencies, key=lambda edge: edge.name)
        return self._edges[spec.hash]

    def unlike(self, specs: Sequence[Spec]) -> list[list[str]]:
        """Return the columns of the specs' own attributes in which they differ."""
        key = tuple(spec.hash for spec in specs)
        if key not in self._own:
            self._own[key] = [c for c in _own(specs, self) if len(set(c)) > 1]
        return self._own[key]


def differences(specs: Sequence[Spec], lookup: Lookup) -> list[str]:
    """Return in what specs differ, with the values: ``version: 2.2.6, 2.1.3``, ``+mpi, ~mpi``.

    Parameters
    ----------
    specs : sequence of Spec
        The specs, in the order in which values are listed.
    lookup : callable
        Returns the spec of a DAG hash, or None.
    """
    found = []
    names = list(dict.fromkeys(spec.name for spec in specs))
    if len(names) > 1:
        found.append(f"package: {_some(names)}")
    versions = list(dict.fromkeys(str(spec.version) for spec in specs))
    if len(versions) > 1:
        found.append(f"version: {_some(versions)}")
    for column in _own(specs, _Facts(lookup)):
        values = list(dict.fromkeys(column))
        if len(values) > 1 and (len(names) == 1 or "" not in values):
            found.append(_some([value or "none" for value in values]))
    more = [f"{len(found) - _ATTRIBUTES} more"] if len(found) > _ATTRIBUTES else []
    return found[:_ATTRIBUTES] + more


def _some(values: Sequence[str]) -> str:
    more = f" and {len(values) - _VALUES} more" if len(values) > _VALUES else ""
    return ", ".join(values[:_VALUES]) + more


def _unlike(
    specs: Sequence[Spec],
    facts: _Facts,
    columns: Sequence[list[str]],
    most: int = _DEPENDENCY_COLUMNS,
) -> list[list[str]]:
    """Return `columns`, and behind them those of the attributes in which specs differ.

    Of different packages, only what all of them have is compared. Dependencies fill at most `most`
    columns.
    """
    own = facts.unlike(specs)
    if len({spec.name for spec in specs}) > 1:
        own = [column for column in own if all(column)]
    found = [*columns, *own]
    alike: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(specs)):
        alike.setdefault(tuple(column[row] for column in found), []).append(row)
    groups = [rows for rows in alike.values() if len(rows) > 1]
    return found + _dependencies(specs, groups, facts, most) if groups else found


def _names(specs: Sequence[Spec], versions: bool | None) -> list[str]:
    several = len({spec.namespace for spec in specs}) > 1
    if versions is None:
        versions = len({str(spec.version) for spec in specs}) > 1
    return [
        (f"{spec.namespace}." if several else "")
        + spec.name
        + (f"@{spec.version}" if versions else "")
        for spec in specs
    ]


def _own(specs: Sequence[Spec], facts: _Facts) -> Iterator[list[str]]:
    """Yield the columns for the specs' own attributes, in an order that a query can have.

    What follows a compiler or a dependency belongs to that node.
    """
    for name in sorted({name for spec in specs for name in spec.variants}):
        yield [_variant(spec, name) for spec in specs]
    for name in FLAG_NAMES:
        yield [_flags(spec, name) for spec in specs]
    yield [f"platform={spec.arch.platform}" for spec in specs]
    yield [f"os={spec.arch.os}" for spec in specs]
    yield [f"target={spec.arch.target}" for spec in specs]
    yield [facts.compiler(spec) for spec in specs]
    yield [facts.python(spec) for spec in specs]
    yield ["(external)" if spec.external else "" for spec in specs]


def compiler(spec: Spec, lookup: Lookup) -> str:
    """Return the compiler of `spec` as a query names it: ``%gcc@12.2.0``; empty without one."""
    if spec.compiler is not None:
        return f"%{spec.compiler}"
    found = []
    for edge in spec.dependencies:
        virtuals = [v for v in ("c", "cxx", "fortran") if v in edge.virtuals]
        node = lookup(edge.hash)
        if virtuals and node is not None:
            found.append(f"%{','.join(virtuals)}={node.name}@{node.version}")
    return " ".join(sorted(found))


def _variant(spec: Spec, name: str) -> str:
    value = spec.variants.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"{'+' if value else '~'}{name}"
    values = (value,) if isinstance(value, str) else tuple(sorted(value))
    if name == "patches":
        values = tuple(patch[:_HASH_LENGTH] for patch in values)
    return f"{name}={quoted(','.join(values))}"


def _flags(spec: Spec, name: str) -> str:
    flags = spec.flags.get(name)
    return f"{name}={quoted(' '.join(flags))}" if flags else ""


def _python(spec: Spec, lookup: Lookup) -> str:
    """Return the Python that `spec` runs with; empty for a spec that does not need one."""
    seen = {spec.hash}
    level = [spec]
    while level:
        following = []
        for node in level:
            for edge in node.dependencies:
                if edge.hash in seen or not set(edge.deptypes) & set(RUNTIME_DEPTYPES):
                    continue
                seen.add(edge.hash)
                child = lookup(edge.hash)
                if child is None:
                    continue
                if child.name == "python":
                    return f"^python@{child.version}"
                following.append(child)
        level = following
    return ""


def _dependencies(
    specs: Sequence[Spec], groups: list[list[int]], facts: _Facts, most: int
) -> list[list[str]]:
    """Return columns of dependencies that distinguish the rows of each group.

    Parameters
    ----------
    specs : sequence of Spec
        The rows.
    groups : list of list of int
        Rows that are identical so far; only their cells are filled.
    facts : _Facts
        What is known of the specs and their dependencies.
    most : int
        How many columns to return at most.
    """
    columns: list[list[str]] = []
    for deptypes in (frozenset(RUNTIME_DEPTYPES), frozenset(ALL_DEPTYPES)):
        trees = {row: _closure(specs[row], facts, deptypes) for rows in groups for row in rows}
        names = sorted({name for tree in trees.values() for name in tree})
        candidates = [_column(name, trees, groups, facts) for name in names]
        while groups and len(columns) < most:
            best = max(candidates, key=lambda cells: _parts(cells, groups), default={})
            if _parts(best, groups) == len(groups):
                break
            cells = [best.get(row, "") for row in range(len(specs))]
            if "build" in deptypes:  # a query selects only by direct ones
                cells = [cell and f"(build: {cell})" for cell in cells]
            columns.append(cells)
            groups = [part for rows in groups for part in _split(best, rows) if len(part) > 1]
    return columns


def _split(cells: dict[int, str], rows: list[int]) -> list[list[int]]:
    parts: dict[str, list[int]] = {}
    for row in rows:
        parts.setdefault(cells.get(row, ""), []).append(row)
    return list(parts.values())


def _parts(cells: dict[int, str], groups: list[list[int]]) -> int:
    return sum(len(_split(cells, rows)) for rows in groups)


def _column(
    name: str, trees: dict[int, dict[str, Spec]], groups: list[list[int]], facts: _Facts
) -> dict[int, str]:
    """Return what distinguishes identical rows in the dependency `name`: version or attributes."""
    cells: dict[int, str] = {}
    for rows in groups:
        nodes = {row: trees[row][name] for row in rows if name in trees[row]}
        present = list({node.hash: node for node in nodes.values()}.values())
        if len(present) + (len(nodes) < len(rows)) < 2:
            continue
        versions = len({str(node.version) for node in present}) > 1 or len(nodes) < len(rows)
        own = facts.unlike(present)
        if not versions and not own:
            continue
        for row, node in nodes.items():
            words = [f"^{name}@{node.version}" if versions else f"^{name}"]
            position = present.index(node)
            words += [column[position] for column in own if column[position]]
            cells[row] = " ".join(words)
    return cells


def _closure(spec: Spec, facts: _Facts, deptypes: frozenset[str]) -> dict[str, Spec]:
    found: dict[str, Spec] = {}
    seen = {spec.hash}
    queue = [spec]
    for node in queue:
        for edge in facts.edges(node):
            if edge.hash in seen or deptypes.isdisjoint(edge.deptypes):
                continue
            seen.add(edge.hash)
            child = facts.lookup(edge.hash)
            if child is not None:
                found.setdefault(child.name, child)
                queue.append(child)
    return found
