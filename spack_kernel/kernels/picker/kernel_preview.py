"""The preview of a kernel: what would be started, with its dependencies, or why nothing can be."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.kernels.plan import plan_dict
from spack_kernel.kernels.planner import plan_of, source_of
from spack_kernel.spack.errors import SpackKernelError

from .front_end import FrontEndExtension, front_end_extensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store


class TreeNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the dependency tree: a spec of the closure, each once.

    Attributes
    ----------
    name, version, hash : str
        Package, version and DAG hash.
    prefix : str
        Its prefix; empty if it is not recorded.
    external : bool
        Whether it is external.
    dependencies : list of str
        The DAG hashes of its link and run dependencies.
    """

    name: str
    version: str
    hash: str
    prefix: str = ""
    external: bool = False
    dependencies: list[str] = []


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be started.

    Attributes
    ----------
    title : str
        The specs, the Spack environment or the view.
    roots : list of str
        The DAG hashes of the roots.
    nodes : list of TreeNode
        The closure, in the order of `spack load`.
    plan : dict or None
        As ``spack-kernel show --json`` prints it; None if no kernel can be planned.
    error : dict or None
        Why not; see `SpackKernelError.as_dict`.
    commands : dict of str to str
        For the shell: ``load`` and ``exec``, and ``install`` if a kernel can be planned.
    front_end : list of FrontEndExtension
        The extensions of JupyterLab in the closure.
    """

    title: str
    roots: list[str] = []
    nodes: list[TreeNode] = []
    plan: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    commands: dict[str, str] = {}
    front_end: list[FrontEndExtension] = []


def preview(store: Store, request: KernelRequest) -> Preview:
    """Return the preview of the kernel for a request.

    Parameters
    ----------
    store : Store
        The store that the request names.
    request : KernelRequest
        The request: specs, or a Spack environment, or a view.

    Raises
    ------
    SpackKernelError
        When it names nothing that is installed.
    """
    source = source_of(store, request)
    plan = error = None
    try:
        plan = plan_dict(plan_of(source, request))
    except SpackKernelError as failure:
        error = failure.as_dict()
    specs = source.load.specs
    closure = source.load.closure
    return Preview(
        title=source.describe(),
        roots=[spec.hash for spec in specs],
        nodes=[_node(spec, store) for spec in closure],
        plan=plan,
        error=error,
        commands=_commands(request, specs, store, is_able=plan is not None),
        front_end=front_end_extensions(closure),
    )


def _node(spec: Spec, store: Store) -> TreeNode:
    return TreeNode(
        name=spec.name,
        version=str(spec.version),
        hash=spec.hash,
        prefix=spec.prefix or "",
        external=spec.external is not None,
        dependencies=list(store.edges(spec.hash)) if spec.hash in store else [],
    )


def _commands(
    request: KernelRequest, specs: Sequence[Spec], store: Store, *, is_able: bool
) -> dict[str, str]:
    queries = [f"{spec.name}/{spec.hash[:7]}" for spec in specs]
    if request.environment:
        load = ["spack", "env", "activate", request.environment]
        named = ["--environment", request.environment]
    elif request.view:
        load, named = [], ["--view", request.view]
    else:
        load, named = ["spack", "load", *queries], queries
    if request.environment and request.view:
        named += ["--view", request.view]
    stores = request.stores or tuple(str(each.root) for each in store.databases)
    where = [word for path in stores for word in ("--store", path)]
    commands = {"load": load, "exec": ["spack-kernel", "exec", *where, *named, "--", "python"]}
    if is_able:
        commands["install"] = ["spack-kernel", "install", "--user", *where, *named]
    return {name: shlex.join(words) for name, words in commands.items() if words}
