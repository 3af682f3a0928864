"""The dependency tree of specs with their install status, as Spack 1.x prints it.

Each spec appears once, at its shallowest level: Spack walks the DAG breadth first, children by
name, and prints the tree of the edges that it followed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.spec import Dependency
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES, depflag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

#: Install status → the mark Spack prints.
MARKS = {
    "installed": "[+]",
    "upstream": "[^]",
    "external": "[e]",
    "missing": "[-]",
    "absent": " - ",
}


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One line of a tree.

    Attributes
    ----------
    depth : int
        0 for a root.
    name, hash : str
        The package name and DAG hash, as the edge records them.
    spec : Spec or None
        None when no database has a record of it.
    status : str
        A key of `MARKS`.
    deptypes : tuple of str
        The types of all edges in the tree that lead here; empty for a root.
    """

    depth: int
    name: str
    hash: str
    spec: Spec | None
    status: str
    deptypes: tuple[str, ...]


def install_status(store: Store, dag_hash: str) -> str:
    """Return how `dag_hash` is installed: a key of `MARKS`.

    The first database that has a record decides, as in Spack. A planned spec without a record can
    be an external, which needs no installation.
    """
    for database in store.databases:
        spec = database.get(dag_hash)
        if spec is not None:
            if spec.external is not None:
                return "external"
            if not spec.installed:
                return "missing"
            return "installed" if database is store.databases[0] else "upstream"
    planned = store.by_hash(dag_hash)
    return "external" if planned is not None and planned.external is not None else "absent"


def dependency_tree(
    store: Store, roots: Sequence[Spec], deptypes: Sequence[str] = ALL_DEPTYPES
) -> Iterator[TreeNode]:
    """Yield the tree of `roots` line by line, following edges of `deptypes`.

    Roots are sorted by name and version; a root that is another root's dependency is not repeated.
    """
    wanted = set(deptypes)
    children: dict[str, list[Dependency]] = {}
    types: dict[str, set[str]] = {}
    top = [
        Dependency(root.name, root.hash, ())
        for root in sorted(roots, key=lambda root: (root.name, root.version))
    ]
    queue: deque[tuple[str, Dependency]] = deque(("", edge) for edge in top)
    seen: set[str] = set()
    while queue:
        parent, edge = queue.popleft()
        types.setdefault(edge.hash, set()).update(edge.deptypes)
        if edge.hash in seen:
            continue
        seen.add(edge.hash)
        children.setdefault(parent, []).append(edge)
        spec = store.by_hash(edge.hash)
        if spec is not None:
            edges = [e for e in spec.dependencies if not wanted.isdisjoint(e.deptypes)]
            edges.sort(key=lambda e: (e.name, depflag(e.deptypes), e.virtuals))
            queue.extend((edge.hash, child) for child in edges)

    stack = [(0, edge) for edge in reversed(children.get("", ()))]
    while stack:
        depth, edge = stack.pop()
        yield TreeNode(
            depth,
            edge.name,
            edge.hash,
            store.by_hash(edge.hash),
            install_status(store, edge.hash),
            tuple(deptype for deptype in ALL_DEPTYPES if deptype in types[edge.hash]),
        )
        stack.extend((depth + 1, child) for child in reversed(children.get(edge.hash, ())))
