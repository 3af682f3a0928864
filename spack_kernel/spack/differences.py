"""What tells specs apart, as a table: for people who must choose one of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .query import quoted
from .specs import FLAG_NAMES
from .traversal import RUNTIME_DEPTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .specs import Spec

    Lookup = Callable[[str], Spec | None]

#: The shortest hash shown.
_HASH_LENGTH = 7

#: How many columns dependencies may fill.
_DEPENDENCY_COLUMNS = 3


def short_hashes(specs: Sequence[Spec]) -> list[str]:
    """Return the hashes of `specs`, all as short as tells them apart, but at least 7 long."""
    length = _HASH_LENGTH
    distinct = len({spec.hash for spec in specs})
    while len({spec.hash[:length] for spec in specs}) < distinct:
        length += 1
    return [spec.hash[:length] for spec in specs]


def table(specs: Sequence[Spec], lookup: Lookup) -> list[str]:
    """Return one line a spec: its hash, its name, and what it does not share with all others.

    Parameters
    ----------
    specs : sequence of Spec
        What to tell apart, at least one.
    lookup : callable
        Gives the spec of a DAG hash, or None.
    """
    columns = [short_hashes(specs), _names(specs)]
    columns += [column for column in _own(specs, lookup) if len(set(column)) > 1]
    if len(set(zip(*columns[1:], strict=True))) < len(specs):
        columns += _dependencies(specs, lookup)
    widths = [max(map(len, column)) for column in columns]
    used = [(column, width) for column, width in zip(columns, widths, strict=True) if width]
    return [
        "  " + "  ".join(column[row].ljust(width) for column, width in used).rstrip()
        for row in range(len(specs))
    ]


def _names(specs: Sequence[Spec]) -> list[str]:
    several = len({spec.namespace for spec in specs}) > 1
    versions = len({str(spec.version) for spec in specs}) > 1 or len(specs) == 1
    return [
        (f"{spec.namespace}." if several else "")
        + spec.name
        + (f"@{spec.version}" if versions else "")
        for spec in specs
    ]


def _own(specs: Sequence[Spec], lookup: Lookup) -> Iterator[list[str]]:
    """Yield the columns of what specs say of themselves."""
    yield [compiler(spec, lookup) for spec in specs]
    for name in sorted({name for spec in specs for name in spec.variants}):
        yield [_variant(spec, name) for spec in specs]
    for name in FLAG_NAMES:
        yield [_flags(spec, name) for spec in specs]
    yield [f"platform={spec.arch.platform}" for spec in specs]
    yield [f"os={spec.arch.os}" for spec in specs]
    yield [f"target={spec.arch.target}" for spec in specs]
    yield [_python(spec, lookup) for spec in specs]
    yield ["external" if spec.external else "" for spec in specs]


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
    return f"{name}={quoted(' '.join(flags), always=True)}" if flags else ""


def _python(spec: Spec, lookup: Lookup) -> str:
    """Return the python that `spec` runs with; empty for one that needs none."""
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


def _dependencies(specs: Sequence[Spec], lookup: Lookup) -> list[list[str]]:
    """Return columns of dependencies that differ, those that differ in themselves first."""
    trees = [_closure(spec, lookup) for spec in specs]
    names = sorted({name for tree in trees for name in tree})
    columns = []
    for name in names:
        nodes = [tree.get(name) for tree in trees]
        if len({node.hash if node else "" for node in nodes}) < 2:
            continue
        present = [node for node in nodes if node is not None]
        own = any(len(set(column)) > 1 for column in _own(present, lookup))
        versions = len({str(node.version) for node in present}) > 1
        absent = len(present) < len(nodes)
        rank = 0 if versions or absent else 1 if own else 2
        columns.append((rank, name, nodes))
    columns.sort(key=lambda column: column[:2])
    best = columns[0][0] if columns else 0
    return [
        [_dependency(node, nodes, lookup) for node in nodes]
        for rank, _, nodes in columns[:_DEPENDENCY_COLUMNS]
        if rank == best
    ]


def _closure(spec: Spec, lookup: Lookup) -> dict[str, Spec]:
    found: dict[str, Spec] = {}
    seen = {spec.hash}
    queue = [spec]
    for node in queue:
        for edge in sorted(node.dependencies, key=lambda edge: edge.name):
            if edge.hash in seen:
                continue
            seen.add(edge.hash)
            child = lookup(edge.hash)
            if child is not None:
                found.setdefault(child.name, child)
                queue.append(child)
    return found


def _dependency(node: Spec | None, nodes: Sequence[Spec | None], lookup: Lookup) -> str:
    if node is None:
        return ""
    present = [other for other in nodes if other is not None]
    text = f"^{node.name}"
    if len({str(other.version) for other in present}) > 1 or len(present) < len(nodes):
        return f"{text}@{node.version}"
    position = present.index(node)
    own = [column[position] for column in _own(present, lookup) if len(set(column)) > 1]
    return f"{text} {' '.join(part for part in own if part)}" if own else f"{text}/{node.hash[:7]}"
