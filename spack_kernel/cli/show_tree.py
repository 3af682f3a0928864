"""The dependency tree of ``spack-kernel show``, as `spack spec --install-status` prints it.

It shows installed specs, what a Spack environment is concretized to, and what the site's Spack
would install for a query.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import query_text
from .tables import fold

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.output import TreeNode
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

_MARK_STYLES = {
    "installed": "green",
    "upstream": "green",
    "external": "magenta",
    "missing": "red",
    "absent": "dim",
}

#: The characters of the mark and the hash.
_BEFORE = 14

#: The states in which a spec is still to be installed.
_TO_INSTALL = ("missing", "absent")


def show_tree(
    store: Store, specs: Sequence[Spec], deptypes: Sequence[str], args: argparse.Namespace
) -> list[TreeNode]:
    """Print the tree of specs, and return its nodes.

    Parameters
    ----------
    store : Store
        Where they are installed.
    specs : sequence of Spec
        The roots.
    deptypes : sequence of str
        The types of edges to follow.
    args : Namespace
        The options of the command.
    """
    nodes = tree_nodes(store, specs, deptypes)
    if args.console.json:
        args.console.print_json([node_dict(node) for node in nodes])
    else:
        print_nodes(nodes, store, args.console, types=args.types)
    return nodes


def tree_nodes(store: Store, specs: Sequence[Spec], deptypes: Sequence[str]) -> list[TreeNode]:
    """Return the nodes of the tree of specs; parameters are those of `show_tree`."""
    from spack_kernel.spack.output import dependency_tree

    return list(dependency_tree(store, specs, deptypes))


def print_nodes(nodes: Sequence[TreeNode], store: Store, console: Console, *, types: bool) -> None:
    """Print the nodes of a tree, each on a line."""
    from spack_kernel.spack.output import DISPLAY_FORMAT, MARKS, SpecFormat

    template = SpecFormat(DISPLAY_FORMAT)
    for node in nodes:
        letters = f"[{_letters(node)}]  " if types else ""
        lead = f"{letters}{'    ' * node.depth}{'^' if node.depth else ''}"
        if node.spec is not None:
            plain = template.format(node.spec, store)
            first, *rest = fold(plain, _room(console, lead))
            text = first if rest else template.format(node.spec, store, console.style)
        else:
            text, rest = f"{node.name}  (no record)", []
        mark = console.style(_MARK_STYLES[node.status], MARKS[node.status])
        console.print(f"{mark}  {console.style('hash', node.hash[:7])}  {lead}{text}")
        for line in rest:
            console.print(f"{' ' * (_BEFORE + len(lead) + 2)}{line}")


def _room(console: Console, lead: str) -> int:
    """Return how many characters of a spec fit on a line of the terminal."""
    if console.width is None:
        return sys.maxsize
    return console.width - _BEFORE - len(lead) - 2


def _letters(node: TreeNode) -> str:
    from spack_kernel.spack.spec import ALL_DEPTYPES

    return "".join(deptype[0] if deptype in node.deptypes else " " for deptype in ALL_DEPTYPES)


def node_dict(node: TreeNode) -> dict[str, Any]:
    """Return a node as JSON types."""
    return {
        "depth": node.depth,
        "name": node.name,
        "version": str(node.spec.version) if node.spec else None,
        "hash": node.hash,
        "prefix": node.spec.prefix if node.spec else None,
        "status": node.status,
        "deptypes": list(node.deptypes),
    }


# -- what is not installed -------------------------------------------------------------------------


def show_environment_tree(args: argparse.Namespace, store: Store, deptypes: Sequence[str]) -> None:
    """Print what a Spack environment is concretized to, installed or not.

    Raises
    ------
    EnvironmentNotFound, EnvironmentNotReady, ConfigError
        When there is no such environment, it was never concretized, or cannot be read.
    """
    from spack_kernel.spack.environments import open_environment
    from spack_kernel.spack.errors import ConfigError
    from spack_kernel.spack.store import PlannedStore

    environment = open_environment(args.environment, store.config)
    store = PlannedStore(environment.store(store), environment.locked_specs())
    hashes = dict.fromkeys(root.hash for root in environment.roots)
    roots = [spec for dag_hash in hashes if (spec := store.by_hash(dag_hash)) is not None]
    if len(roots) < len(hashes):
        unknown = [root for root in environment.roots if store.by_hash(root.hash) is None]
        raise ConfigError(
            f"the lock file of the environment {environment.name} is not complete: it does not "
            f"describe {len(unknown)} of its roots",
            details=[f"  /{root.hash} for {root.query!r}" for root in unknown[:20]],
            hint=f"Write it again with `spack {environment.option} concretize --force`.",
        )
    nodes = show_tree(store, roots, deptypes, args)
    install = f"spack {environment.option} install"
    _count(nodes, f"of the environment {environment.name}", install, args.console)


def show_concretized_tree(
    args: argparse.Namespace, store: Store, deptypes: Sequence[str], error: SpackKernelError
) -> None:
    """Print what the site's Spack would install for a query that nothing installed matches.

    Parameters
    ----------
    args : Namespace
        The arguments, with the query.
    store : Store
        The store that was searched.
    deptypes : sequence of str
        The types of edges to follow.
    error : SpackKernelError
        The error of the query. It is raised if there is no Spack that could be asked.

    Raises
    ------
    SpackCommandError
        When Spack fails.
    """
    from spack_kernel.spack.load import concretize, find_spack
    from spack_kernel.spack.store import PlannedStore

    from .progress import Progress

    spack = Path(args.spack).expanduser().absolute() if args.spack else find_spack(store)
    if args.no_spack or spack is None:
        raise error
    query = query_text(args.query)
    console: Console = args.console
    console.note(
        f"{error.summary}; asking {spack} what it would install, which takes seconds to minutes "
        "(--no-spack: do not ask)"
    )
    began = time.monotonic()
    trees = [str(database.root) for database in store.databases]
    with Progress(console, f"{spack.name} concretizes {query}"):
        found = concretize(spack, query, trees, store.config)
    seconds = time.monotonic() - began
    nodes = show_tree(PlannedStore(store, found.specs), found.roots, deptypes, args)
    console.out.flush()
    console.note(f"Spack {found.spack_version} took {seconds:.1f} s")
    _count(nodes, f"that `{query}` needs", f"spack install {shlex.join(args.query)}", console)


def _count(nodes: Sequence[TreeNode], of: str, install: str, console: Console) -> None:
    """Print how many specs of a tree are still to be installed, and what to type for that."""
    specs = {node.hash: node for node in nodes}
    missing = [node for node in specs.values() if node.status in _TO_INSTALL]
    console.out.flush()
    if not missing:
        console.note(f"all {len(specs)} specs {of} are installed")
        return
    console.note(f"{len(missing)} of the {len(specs)} specs {of} are not installed")
    console.note(f"{console.style('cyan', 'hint:', console.err)} Install them with `{install}`.")
