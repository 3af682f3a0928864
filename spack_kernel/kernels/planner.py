"""Turn the request of a kernelspec into a plan, with stores and plans cached in memory.

A server starts many kernels from few stores. A store is read again when its database has changed,
and a plan is rebuilt when any file it depends on has changed. A few stat calls detect both.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
from typing import TYPE_CHECKING

from spack_kernel import STORE_VARIABLE
from spack_kernel._log import debugger
from spack_kernel.kernels.errors import RequestError
from spack_kernel.kernels.plan.plan import KernelPlan, plan_source
from spack_kernel.kernels.sources.kernel_source import environment_source, specs_source, view_source
from spack_kernel.kernels.sources.spack_module import module_source
from spack_kernel.spack.errors import Ambiguous, NoMatch, SpackKernelError, StoreNotFound
from spack_kernel.spack.store import StoreCache
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.kernels.sources.kernel_source import KernelSource
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

_debug = debugger(__name__)

#: Matches the hash in a query. Without it, the query also matches other builds.
_WITHOUT_HASH = re.compile(r"\s*/[a-z0-9]+")

#: The traits that name what to load; if none is set, only modules are loaded.
NAMING = ("spec", "hash", "specs", "environment", "view")

#: The number of cached plans; each takes some tens of kilobytes.
_KEPT_PLANS = 64


class Planner:
    """Creates plans for requests; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores = StoreCache()
        self._plans: dict[str, tuple[Store, KernelPlan, list[file_checks.Check]]] = {}

    def plan(self, request: KernelRequest, environ: Mapping[str, str] | None = None) -> KernelPlan:
        """Return the plan for a request.

        Parameters
        ----------
        request : KernelRequest
            The request.
        environ : mapping of str to str, optional
            The environment variables that locate modules; by default those of this process.

        Raises
        ------
        SpackKernelError
            When anything is wrong with the request, the store, the query or the plan.
        """
        store = self.store(request.stores)
        key = request.key()
        known = self._plans.get(key)
        if known is not None and known[0] is store and file_checks.unchanged(known[2]):
            _debug("the plan for %s is still valid", request.spec or request.hash)
            return known[1]
        with file_checks.Recorder() as recorder:
            plan = plan_of(source_of(store, request, environ), request)
        if plan.source.kind == "modules":
            return plan  # valid in this environment only
        with self._lock:
            self._plans.pop(key, None)
            self._plans[key] = store, plan, file_checks.distinct(recorder.checks)
            while len(self._plans) > _KEPT_PLANS:
                self._plans.pop(next(iter(self._plans)))
        return plan

    def store(self, paths: tuple[str, ...]) -> Store:
        """Return the store at `paths`, else that of $SPACK_KERNEL_STORE, in its current state.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            When there is none, or it cannot be read.
        """
        if not paths:
            named = os.environ.get(STORE_VARIABLE, "").split(os.pathsep)
            paths = tuple(os.path.expanduser(path) for path in named if path)  # noqa: PTH111
        if not paths:
            return self._stores.discover(os.environ)
        try:
            return self._stores.open_all(paths) if len(paths) > 1 else self._stores.open(paths[0])
        except StoreNotFound as error:
            hint = "Correct `store` in the kernel.json, or recreate the kernel for another store."
            raise StoreNotFound(error.summary, details=error.details, hint=hint) from error


def refuse_contradiction(request: KernelRequest) -> None:
    """Raise a `RequestError` if a request takes its specs from a notebook and also names some."""
    also = [name for name in NAMING if getattr(request, name)]
    if request.from_notebook and also:
        raise RequestError(
            f"the kernelspec has `from_notebook` and also `{'`, `'.join(also)}`",
            hint="Keep one of them.",
        )


def plan_of(
    source: KernelSource, request: KernelRequest, *, is_complete: bool = True
) -> KernelPlan:
    """Return a new plan for a source, with the options of a request.

    Parameters
    ----------
    source, is_complete
        As for `plan_source`.
    request : KernelRequest
        The request.

    Raises
    ------
    InterpreterError, KernelPackageError, PrefixGoneError, IncompleteError
        As `plan_source`.
    """
    return plan_source(
        source,
        companion=request.companion,
        kernel=request.kernel,
        modules=request.modules,
        modules_of_externals=request.load_modules,
        probe_timeout=request.probe_timeout,
        is_complete=is_complete,
    )


def source_of(
    store: Store,
    request: KernelRequest,
    environ: Mapping[str, str] | None = None,
    *,
    specs: Sequence[Spec] = (),
) -> KernelSource:
    """Return what a request currently refers to: specs, a Spack environment, a view or modules.

    Parameters
    ----------
    store : Store
        The store that the request names.
    request, environ
        As for `Planner.plan`.
    specs : sequence of Spec, optional
        The specs that the request names, if they are known.

    Raises
    ------
    RequestError
        When the request names nothing, or contradicts itself.
    SpackKernelError
        As `resolve`, `environment_source`, `view_source` and `module_source`.
    """
    recipes, inspections = request.recipes, request.prefix_inspections
    if request.modules and not any(getattr(request, name) for name in NAMING):
        environ = os.environ if environ is None else environ
        return module_source(store, request.modules, environ, env=request.env)
    if not request.environment and not request.view:
        roots = specs or resolve(store, request)
        return specs_source(store, roots, inspections=inspections, recipes=recipes)
    named = "environment" if request.environment else "view"
    also = [name for name in ("spec", "hash", "specs") if getattr(request, name)]
    if also:
        raise RequestError(
            f"the kernelspec has `{named}` and also `{'`, `'.join(also)}`",
            hint=f"Keep either `{named}` or the keys that name specs.",
        )
    if request.frozen is not None and request.frozen.path != request.environment:
        raise RequestError(
            f"the kernelspec contradicts itself: it records the Spack environment "
            f"{request.frozen.path}, but `environment` is {request.environment or 'not set'}",
            hint="Remove `frozen`, or install the kernel again.",
        )
    if request.environment:
        return environment_source(
            store,
            request.environment,
            view=request.view,
            inspections=inspections,
            recipes=recipes,
            frozen=request.frozen,
        )
    return view_source(store, request.view, inspections=inspections)


def resolve(store: Store, request: KernelRequest) -> list[Spec]:
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
        specs = [store.get(query) for query in request.specs]
        _debug("the specs of the request are %s", [spec.label for spec in specs])
        return specs
    if request.hash:
        spec = _pinned(store, request)
        _debug("the request is pinned to %s", spec.label)
        return [spec]
    if request.spec:
        spec = store.get(request.spec)
        _debug("the query %r of the request names %s", request.spec, spec.label)
        return [spec]
    raise RequestError(
        "the kernelspec does not name a spec to load",
        hint='Add one to metadata.kernel_provisioner.config, such as "spec": "py-numpy", '
        'or a DAG hash as "hash".',
    )


def _pinned(store: Store, request: KernelRequest) -> Spec:
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


def _pin_gone(store: Store, request: KernelRequest, recorded: list[Spec]) -> NoMatch:
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
