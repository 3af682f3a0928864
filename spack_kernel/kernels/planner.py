"""Turn the request of a kernelspec into a plan, with stores and plans cached in memory.

A server starts many kernels from few stores. A store is read again when its database has changed,
and a plan is rebuilt when any file it depends on has changed. A few stat calls detect both.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spack_kernel.kernels.errors import RequestError
from spack_kernel.kernels.interpreters.probe import PROBE_TIMEOUT
from spack_kernel.kernels.plan.plan import KernelPlan, plan_source
from spack_kernel.kernels.sources.kernel_source import environment_source, specs_source, view_source
from spack_kernel.kernels.sources.spack_module import module_source
from spack_kernel.spack.errors import Ambiguous, NoMatch, SpackKernelError, StoreNotFound
from spack_kernel.spack.load import read_inspections, read_recipes
from spack_kernel.spack.store import StoreCache
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.kernels.sources.kernel_source import Source
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

#: Matches the hash in a query. Without it, the query also matches other builds.
_WITHOUT_HASH = re.compile(r"\s*/[a-z0-9]+")

#: The traits that name what to load; if none is set, only modules are loaded.
NAMING = ("spec", "hash", "specs", "environment", "view")

#: The number of cached plans; each takes some tens of kilobytes.
_KEPT_PLANS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What a kernelspec requests.

    Attributes
    ----------
    spec : str
        A query; empty when `hash` or `specs` is sufficient.
    hash : str
        A DAG hash, full or abbreviated, that pins the spec that `spec` once matched.
    specs : tuple of str
        Several queries to load together, instead of `spec` and `hash`.
    environment : str
        The name or the directory of a Spack environment; instead of specs.
    view : str
        With an environment, one of its views or ``none``; otherwise the directory of a view.
    modules : tuple of str
        Modules of the site's module system to load.
    load_modules : bool
        Whether to also load the modules that externals name.
    recipes : str
        What was recorded from package recipes, as JSON; empty if nothing was recorded.
    prefix_inspections : str
        The recorded prefix inspections of the site, as JSON; empty to use the store's.
    stores : tuple of str
        Install trees or Spack roots, the local one first; empty to discover a store.
    companion : str
        ``auto``, ``none`` or a query.
    kernel : bool
        Whether Python and ipykernel are needed.
    probe_timeout : float
        Time limit in seconds for probing the interpreter.
    """

    spec: str = ""
    hash: str = ""
    specs: tuple[str, ...] = ()
    environment: str = ""
    view: str = ""
    modules: tuple[str, ...] = ()
    load_modules: bool = True
    recipes: str = ""
    prefix_inspections: str = ""
    stores: tuple[str, ...] = ()
    companion: str = "auto"
    kernel: bool = True
    probe_timeout: float = PROBE_TIMEOUT


class Planner:
    """Creates plans for requests; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores = StoreCache()
        self._plans: dict[Request, tuple[Store, KernelPlan, list[file_checks.Question]]] = {}

    def plan(self, request: Request, environ: Mapping[str, str] | None = None) -> KernelPlan:
        """Return the plan for a request.

        Parameters
        ----------
        request : Request
            The request.
        environ : mapping of str to str, optional
            The environment variables that locate modules; by default those of this process.

        Raises
        ------
        SpackKernelError
            When anything is wrong with the request, the store, the query or the plan.
        """
        store = self.store(request.stores)
        known = self._plans.get(request)
        if known is not None and known[0] is store and file_checks.unchanged(known[2]):
            return known[1]
        with file_checks.Listener() as heard:
            plan = plan_source(
                source_of(store, request, environ),
                companion=request.companion,
                kernel=request.kernel,
                modules=request.modules,
                modules_of_externals=request.load_modules,
                probe_timeout=request.probe_timeout,
            )
        if plan.source.kind == "modules":
            return plan  # valid in this environment only
        with self._lock:
            self._plans.pop(request, None)
            self._plans[request] = store, plan, file_checks.distinct(heard.questions)
            while len(self._plans) > _KEPT_PLANS:
                self._plans.pop(next(iter(self._plans)))
        return plan

    def store(self, paths: tuple[str, ...]) -> Store:
        """Return the store at `paths`, in the current state of its databases.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            When there is none, or it cannot be read.
        """
        if not paths:
            return self._stores.discover(os.environ)
        try:
            return self._stores.open_all(paths) if len(paths) > 1 else self._stores.open(paths[0])
        except StoreNotFound as error:
            hint = "Correct `store` in the kernel.json, or recreate the kernel for another store."
            raise StoreNotFound(error.summary, details=error.details, hint=hint) from error


def source_of(store: Store, request: Request, environ: Mapping[str, str] | None = None) -> Source:
    """Return what a request currently refers to: specs, a Spack environment, a view or modules.

    The parameters are those of `Planner.plan`, and the store.

    Raises
    ------
    RequestError
        When the request names nothing, or contradicts itself.
    InvalidModification, ConfigError
        When the data recorded from recipes or from the site's configuration is damaged.
    SpackKernelError
        As `resolve`, `environment_source`, `view_source` and `module_source`.
    """
    recipes = read_recipes(request.recipes)
    inspections = read_inspections(request.prefix_inspections)
    if request.modules and not any(getattr(request, name) for name in NAMING):
        return module_source(store, request.modules, os.environ if environ is None else environ)
    if not request.environment and not request.view:
        specs = resolve(store, request)
        return specs_source(store, specs, inspections=inspections, recipes=recipes)
    named = "environment" if request.environment else "view"
    also = [name for name in ("spec", "hash", "specs") if getattr(request, name)]
    if also:
        raise RequestError(
            f"the kernelspec has `{named}` and also `{'`, `'.join(also)}`",
            hint=f"Keep either `{named}` or the keys that name specs.",
        )
    if request.environment:
        return environment_source(
            store,
            request.environment,
            view=request.view,
            inspections=inspections,
            recipes=recipes,
        )
    return view_source(store, request.view, inspections=inspections)


def resolve(store: Store, request: Request) -> list[Spec]:
    """Return the specs that a request currently refers to.

    A hash takes precedence over a query, unless the query clearly refers to another spec.

    Raises
    ------
    NoMatch, Ambiguous, QuerySyntaxError
        When the query or the hash does not name exactly one installed spec.
    RequestError
        When the request names nothing, or contradicts itself.
    """
    if request.specs and (request.spec or request.hash):
        raise RequestError(
            "the kernelspec has `specs` and also `spec` or `hash`",
            hint="Keep `specs` for several, or `spec` and `hash` for one.",
        )
    if request.specs:
        return [store.get(query) for query in request.specs]
    if request.hash:
        return [_pinned(store, request)]
    if request.spec:
        return [store.get(request.spec)]
    raise RequestError(
        "the kernelspec does not name a spec to load",
        hint='Add one to metadata.kernel_provisioner.config, such as "spec": "py-numpy", '
        'or a DAG hash as "hash".',
    )


def _pinned(store: Store, request: Request) -> Spec:
    dag_hash = request.hash.removeprefix("/").lower()
    recorded = store.with_hash_prefix(dag_hash) if dag_hash else []
    installed = [spec for spec in recorded if spec.installed]
    if len(installed) > 1:
        raise Ambiguous(
            f"the hash /{dag_hash} of the kernelspec matches several specs",
            installed,
            details=[f"  {spec.name}@{spec.version}/{spec.hash}" for spec in installed],
            hint="Write the full hash of one of them.",
        )
    if not installed:
        raise _pin_gone(store, request, recorded)
    (spec,) = installed
    if request.spec:
        found = _today(store, request.spec)
        if found and spec not in found:
            raise RequestError(
                f"the kernelspec contradicts itself: its hash belongs to {spec.label}, "
                f"which `{request.spec}` does not match",
                details=[f"  the query matches {other.label}" for other in found],
                hint="Remove `hash` to follow the query, or `spec` to keep the hash.",
            )
    return spec


def _pin_gone(store: Store, request: Request, recorded: list[Spec]) -> NoMatch:
    """Return the error for a pinned hash that is not installed, with what is installed instead."""
    known = recorded[0] if len(recorded) == 1 else None
    name = f"{known.name}@{known.version}/{known.hash[:7]}" if known else f"/{request.hash[:7]}"
    details = []
    if known is not None and known.deprecated_for:
        replacement = store.by_hash(known.deprecated_for)
        details.append(f"  it was deprecated in favour of {replacement or known.deprecated_for}")
    elif known is None and request.spec:
        name = _WITHOUT_HASH.sub("", request.spec) + name
    queries = [request.spec, _WITHOUT_HASH.sub("", request.spec), known.name if known else ""]
    query, found = "", []
    for query in dict.fromkeys(text for text in queries if text.strip()):
        found = _today(store, query)
        if found:
            break
    if not found:
        if query:
            details.append(f"  `{query}` matches no installed spec")
        looked = [f"{len(each):,} specs of {each.root}" for each in store.databases]
        details.append(f"  searched the {', and the '.join(looked)}")
        # A remaining record, or the query, is enough for Spack to install it again.
        wanted = f"/{known.hash[:7]}" if known else query
        install = f" with `spack install {wanted}`" if wanted else ""
        hint = f"Install it again{install}, or remove this kernel with `spack-kernel remove NAME`."
        return NoMatch(
            f"{name}, which this kernel is pinned to, is not installed", details=details, hint=hint
        )
    details.append(f"  `{query}` currently matches:")
    details += [f"    {spec.label}" for spec in found[:8]]
    if len(found) > 8:
        details.append(f"    and {len(found) - 8} more")
    return NoMatch(
        f"{name}, which this kernel is pinned to, is no longer installed",
        details=details,
        hint="Recreate the kernel for one of them:\n"
        f"  spack-kernel install --user {_store_words(store)}{found[0].name}/{found[0].hash[:7]}",
    )


def _store_words(store: Store) -> str:
    """Return the options that name a store."""
    return "".join(f"--store {shlex.quote(str(each.root))} " for each in store.databases)


def _today(store: Store, query: str) -> list[Spec]:
    """Return the specs that a query matches; none if it is invalid or the query fails."""
    try:
        return store.find(query)
    except SpackKernelError:
        return []
