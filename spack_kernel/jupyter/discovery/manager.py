"""SpackKernelSpecManager: offer installed specs as kernels, without an installation step.

Set ``c.ServerApp.kernel_spec_manager_class`` to
``"spack_kernel.jupyter.discovery.SpackKernelSpecManager"``. See docs/discovery.md for details.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from traitlets import Bool, Float, Integer, List, TraitError, Unicode, default, validate

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.failure import UnknownKernelError
from spack_kernel.jupyter.kernelspecs.bounded import BoundedKernelSpec
from spack_kernel.jupyter.kernelspecs.content import (
    default_display_name,
    kernel_content,
    notebook_content,
)
from spack_kernel.jupyter.kernelspecs.files import RESOURCES, logo_directory
from spack_kernel.jupyter.kernelspecs.names import (
    DISPLAY_FIELDS,
    DISPLAY_NAME_TEMPLATE,
    FIELDS,
    NAME_TEMPLATE,
    NOTEBOOK_DISPLAY_NAME,
    NOTEBOOK_NAME,
    check_template,
    matches_package,
    parse_name,
)
from spack_kernel.jupyter.logs import join_log
from spack_kernel.jupyter.offers import LIMIT, Offer, OfferFilter, store_lists
from spack_kernel.jupyter.pending import forget_failed_starts
from spack_kernel.kernels.candidates import PACKAGES

from .models import identity, is_of, spec_copy
from .watch import StoreWatcher

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec

#: How many kernels started by name stay listed although no selection includes them.
_KEPT_NAMES = 32

#: Factor by which a script waits longer for a store than a server with an event loop.
_PATIENCE = 10.0

_LOGOS = tuple(sorted(path.name for path in RESOURCES.glob("logo-*")))


class _Known(NamedTuple):
    """A kernel that we offer, and the store it comes from (None for the notebook kernel)."""

    offer: Offer
    watcher: StoreWatcher | None


class SpackKernelSpecManager(KernelSpecManager):
    """Offers installed Spack specs as kernels, in addition to kernelspecs stored in files.

    The traits are set as ``c.SpackKernelSpecManager.…`` in a Jupyter configuration file. A
    kernelspec in a file takes precedence over an offered kernel of the same name.
    """

    stores = List(
        Unicode(),
        help="The stores: install trees, or Spack roots whose configuration defines the install "
        "tree and its upstreams. If empty, $SPACK_KERNEL_STORE is used, then $SPACK_ROOT, then the "
        "spack on PATH.",
    ).tag(config=True)
    upstreams = List(
        Unicode(),
        help="Install trees to use as upstreams of each store. Their specs are also offered.",
    ).tag(config=True)
    queries = List(
        Unicode(),
        help="Queries for the specs to offer: all installed specs that match one of them. If "
        "empty: explicitly installed Python packages, specs that directly depend on one, and "
        "packages with a kernel for another language.",
    ).tag(config=True)
    environments = List(
        Unicode(),
        default_value=["*"],
        help="Spack environments to offer: name patterns for managed environments, directories for "
        "others.",
    ).tag(config=True)
    name_template = Unicode(
        NAME_TEMPLATE,
        help="Template for kernel names. If it contains {hash} or {dag_hash}, a kernel that is not "
        "listed can also be started by its name.",
    ).tag(config=True)
    display_name_template = Unicode(
        DISPLAY_NAME_TEMPLATE,
        help="Template for the names that front ends show. It can contain {name}, {version}, "
        "{hash}, {dag_hash}, {python}, {compiler}, {platform}, {os}, {target}, {namespace} and "
        "{difference}: what a spec differs in from other offered specs of its name and version.",
    ).tag(config=True)
    limit = Integer(
        LIMIT,
        min=0,
        help="Maximum number of specs to offer per store; the newest version of each package comes "
        "first, then the most recently installed specs.",
    ).tag(config=True)
    companion = Unicode(
        "auto", help="The py-ipykernel to use for a spec without one, as in a kernelspec."
    ).tag(config=True)
    kernel_packages = List(
        Unicode(),
        default_value=list(PACKAGES),
        help="Name patterns of packages that may ship a kernel for another language.",
    ).tag(config=True)
    notebook_kernel = Bool(
        True, help="Whether to offer the kernel whose spec each notebook names in its metadata."
    ).tag(config=True)
    refresh_interval = Float(
        5.0, min=0.0, help="Minimum number of seconds between two checks of a store for changes."
    ).tag(config=True)
    read_timeout = Float(
        60.0,
        min=0.1,
        help="Time limit in seconds for reading a store. When it expires, the kernels that the "
        "store offered before stay listed; a store that was never read offers none.",
    ).tag(config=True)
    first_wait = Float(
        1.0,
        min=0.0,
        help="Seconds that the first listing, and the lookup of an unlisted name, wait for "
        f"stores that are being read. A script, which has no event loop, waits {_PATIENCE:g} "
        "times as long.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        join_log(self.log)
        self._watchers: list[StoreWatcher] | None = None
        self._seen: OrderedDict[str, _Known] = OrderedDict()
        #: By name, the offered kernels as they were last listed.
        self._models: dict[str, tuple[Offer, dict[str, Any], tuple[str, ...] | None]] = {}
        self._also: OrderedDict[str, StoreWatcher] = OrderedDict()
        self._has_waited = False
        if self.parent is not None:
            # In a server: start reading the stores before the first request arrives.
            self._refresh()

    @default("kernel_spec_class")
    def _bounded(self) -> type[KernelSpec]:
        return BoundedKernelSpec

    @validate("name_template", "display_name_template")
    def _is_template(self, proposal: Any) -> str:
        try:
            is_name = proposal["trait"].name == "name_template"
            return check_template(proposal["value"], FIELDS if is_name else DISPLAY_FIELDS)
        except KernelSpecError as error:
            raise TraitError(str(error)) from None

    # -- the interface that Jupyter calls --

    def find_kernel_specs(self) -> dict[str, str]:
        """Return the names of all kernels and the directories of their logos."""
        found: dict[str, str] = super().find_kernel_specs()
        for name, (offer, _) in self._offered().items():
            found.setdefault(name, str(logo_directory(offer.images())))
        return found

    def get_all_specs(self) -> dict[str, Any]:
        """Return all kernels: those in files as usual, the offered ones from memory."""
        specs: dict[str, Any] = {}
        for name, directory in super().find_kernel_specs().items():
            try:
                spec = self._get_kernel_spec_by_name(name, directory)
            except NoSuchKernel:
                continue  # the parent class has logged it
            except Exception:
                self.log.warning("Error loading kernelspec %r", name, exc_info=True)
                continue
            specs[name] = {"resource_dir": directory, "spec": spec.to_dict()}
        installed = {identity(model["spec"]) for model in specs.values()} - {None}
        former, self._models = self._models, {}
        for name, (offer, _) in self._offered().items():
            known = former.get(name)
            if known is None or known[0] is not offer:
                known = offer, self._model(offer), identity(offer.content)
            self._models[name] = known
            if name not in specs and known[2] not in installed:
                specs[name] = {**known[1], "spec": spec_copy(known[1]["spec"])}
        return specs

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a kernel by name: a listed one, or one named after an installed spec and its hash.

        Raises
        ------
        NoSuchKernel
            When there is none; its text has more details for a name that contains a hash.
        """
        try:
            return super().get_kernel_spec(kernel_name)
        except NoSuchKernel:
            try:
                offer = self._by_name(kernel_name)
            except NoSuchKernel:
                forget_failed_starts(getattr(self.parent, "kernel_manager", None))
                raise
            content = dict(offer.content)
            resource_dir = str(logo_directory(offer.images()))
            return self.kernel_spec_class(resource_dir=resource_dir, **content)

    def remove_kernel_spec(self, name: str) -> str:
        """Remove a kernelspec stored in a file.

        Raises
        ------
        KernelSpecError
            For a kernel that a store offers; it disappears when its spec is uninstalled.
        """
        if name not in super().find_kernel_specs() and name in self._offered():
            raise KernelSpecError(
                f"the kernel `{name}` is offered by a store, so there is no kernelspec to remove",
                hint="It disappears when its spec is uninstalled, or when "
                "c.SpackKernelSpecManager.queries no longer match it.",
            )
        removed: str = super().remove_kernel_spec(name)
        return removed

    # -- what the stores offer --

    def selection(self, also: tuple[str, ...] = ()) -> OfferFilter:
        """Return what the traits select.

        Parameters
        ----------
        also : tuple of str
            DAG hashes to offer in addition.
        """
        return OfferFilter(
            queries=tuple(self.queries),
            environments=tuple(self.environments),
            also=also,
            name_template=self.name_template,
            display_name_template=self.display_name_template,
            limit=self.limit,
            companion=self.companion,
            kernel_packages=tuple(self.kernel_packages),
        )

    def store_lists(self) -> list[tuple[str, ...]]:
        """Return the stores that the traits name, each followed by its upstreams."""
        return store_lists(self.stores, self.upstreams)

    def _stores(self) -> list[StoreWatcher]:
        if self._watchers is None:
            self._watchers = [
                StoreWatcher(
                    paths,
                    self.selection(),
                    log=self.log,
                    interval=self.refresh_interval,
                    timeout=self.read_timeout,
                )
                for paths in self.store_lists()
            ]
        return self._watchers

    def _all_stores(self) -> list[str]:
        """Return all stores and upstreams, as install trees where these are known."""
        if not self.stores:
            return list(self.upstreams)
        paths: list[str] = []
        for watcher in self._stores():
            paths += watcher.listing.offers.request.stores if watcher.listing else watcher.paths
        return list(dict.fromkeys(paths))

    def _refresh(self) -> None:
        for watcher in self._stores():
            watcher.refresh()

    def _patience(self) -> float:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.first_wait * _PATIENCE
        return self.first_wait

    def _offered(self) -> dict[str, _Known]:
        """Return the kernels of all stores by name, from memory; wait briefly the first time."""
        self._refresh()
        if not self._has_waited:
            self._has_waited = True
            self._wait()
        offered: dict[str, _Known] = {}
        if self.notebook_kernel:
            first = self._stores()[0].listing if self.stores else None
            inspections = first.offers.request.prefix_inspections if first else None
            content = notebook_content(NOTEBOOK_DISPLAY_NAME, self._all_stores(), inspections)
            offered[NOTEBOOK_NAME] = _Known(Offer(NOTEBOOK_NAME, content), None)
        for watcher in self._stores():
            for offer in watcher.listing.offers.offers if watcher.listing else ():
                offered.setdefault(offer.name, _Known(offer, watcher))
        if self.allowed_kernelspecs:
            offered = {n: known for n, known in offered.items() if n in self.allowed_kernelspecs}
        return offered

    def _wait(self, *, force: bool = False) -> None:
        for watcher in self._stores():
            if force or not watcher.answered:
                watcher.wait(self._patience(), force=force)

    def _model(self, offer: Offer) -> dict[str, Any]:
        """Return a kernel as ``/api/kernelspecs`` does, so that the server reads no disk."""
        directory = str(logo_directory(offer.images()))
        model: dict[str, Any] = {"resource_dir": directory, "spec": spec_copy(offer.content)}
        base_url = getattr(self.parent, "base_url", None)
        if isinstance(base_url, str):
            names = tuple(offer.logos) or _LOGOS
            base = f"{base_url.rstrip('/')}/kernelspecs/{offer.name}"
            model["name"] = offer.name
            model["resources"] = {name.rpartition(".")[0]: f"{base}/{name}" for name in names}
        return model

    # -- one kernel by its name --

    def _by_name(self, kernel_name: str) -> Offer:
        """Return an offered kernel by name; see `get_kernel_spec`."""
        name = kernel_name.lower()
        if self.allowed_kernelspecs and name not in self.allowed_kernelspecs:
            raise UnknownKernelError(kernel_name, "it is not in `allowed_kernelspecs`")
        known = self._known(name)
        if known is None and parse_name(name, self.name_template) is not None:
            # It may have been installed since the stores were read.
            self._wait(force=True)
            known = self._known(name)
        if known is None and name in self._seen:
            known = self._seen[name]  # it was offered before; its start reports what changed
        if known is not None:
            return self._remember(name, known).offer
        if parse_name(name, self.name_template) is None:
            raise UnknownKernelError(
                kernel_name,
                "no kernelspec has that name, and it does not consist of a spec and a hash",
                "`jupyter kernelspec list` shows the available kernels.",
            )
        places = [" > ".join(w.listing.offers.request.stores) for w in self._stores() if w.listing]
        raise UnknownKernelError(
            kernel_name,
            f"no such spec is recorded in {', '.join(places) or 'a store'}",
            "`spack-kernel list` shows the installed specs.",
        )

    def _known(self, name: str) -> _Known | None:
        """Return an offered kernel, or the one that a name with a spec and a hash refers to."""
        offered = self._offered()
        if name in offered:
            return offered[name]
        parsed = parse_name(name, self.name_template)
        if parsed is None:
            return None
        found: dict[str, tuple[str, StoreWatcher]] = {}
        for watcher in self._stores():
            for dag_hash, package in watcher.listing.find(parsed.hash) if watcher.listing else ():
                if matches_package(parsed, package):
                    found.setdefault(dag_hash, (package, watcher))
        if len(found) > 1:
            raise UnknownKernelError(
                name, "its hash matches several specs", "Use more characters of the hash."
            )
        for dag_hash, (package, watcher) in found.items():
            for known in offered.values():
                if is_of(known.offer, dag_hash, parsed.shipped):
                    return known
            self._offer_also(dag_hash, watcher)
            # Which kernels packages ship is known only after reading the store.
            if not parsed.shipped:
                return _Known(self._unlisted(name, package, dag_hash, watcher), watcher)
        return None

    def _unlisted(self, name: str, package: str, dag_hash: str, watcher: StoreWatcher) -> Offer:
        """Return a kernel for a spec of which only the name and the hash are known."""
        assert watcher.listing is not None
        pin = _Pin(package, name.partition(f"{package.lower()}-")[2].rpartition("-")[0], dag_hash)
        content = kernel_content(
            watcher.listing.offers.request,
            [pin],
            query=package,
            display_name=" ".join(default_display_name([pin]).split()),
            # Assumed without reading the prefix; checked when the kernel starts.
            debugger=True,
            encryption=True,
        )
        return Offer(name, content)

    def _offer_also(self, dag_hash: str, watcher: StoreWatcher) -> None:
        """Make a store offer a spec that is not in the selection, because it is in use."""
        self._also[dag_hash] = watcher
        self._also.move_to_end(dag_hash)
        while len(self._also) > _KEPT_NAMES:
            self._also.popitem(last=False)
        also = tuple(sorted(key for key, other in self._also.items() if other is watcher))
        if also != watcher.selection.also:
            watcher.selection = self.selection(also)
            watcher.refresh()

    def _remember(self, name: str, known: _Known) -> _Known:
        """Remember a kernel requested by name: it stays listed, and known without its spec."""
        self._seen[name] = known
        self._seen.move_to_end(name)
        while len(self._seen) > _KEPT_NAMES:
            self._seen.popitem(last=False)
        return known


class _Pin(NamedTuple):
    """The properties of a spec that its kernel's name contains."""

    name: str
    version: str
    hash: str
