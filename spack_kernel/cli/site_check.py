"""Check a site as a user's server sees it: configuration, stores, companions, and one kernel."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jupyter_client.kernelspec import NoSuchKernel

from spack_kernel.jupyter.discovery import SiteConfiguration, manager_path
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.helper import close, look_through_helper
from spack_kernel.jupyter.kernelspecs import PROVISIONER_NAME, list_kernelspecs, provisioner_of
from spack_kernel.jupyter.provisioner import KernelTraits
from spack_kernel.kernels.planner import Planner
from spack_kernel.spack import Store
from spack_kernel.spack.errors import SpackKernelError

from .kernel_check import refuse_root, running_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_client.kernelspec import KernelSpec

    from spack_kernel.jupyter.discovery import SpackKernelSpecManager
    from spack_kernel.jupyter.offers import Listing, Offer

    from .steps import KernelCheck, Step

_T = TypeVar("_T")

#: Names of kernels that a step shows.
_SHOWN_KERNELS = 5

#: The package that a spec without ipykernel gets it from.
_IPYKERNEL = "py-ipykernel"


class SiteError(SpackKernelError):
    """Something in a site's configuration or stores that keeps users from a kernel."""

    code = "site"


class SiteCheck:
    """The check of a site; each part that fails leaves the others alone.

    Parameters
    ----------
    check : KernelCheck
        Records the steps.

    Attributes
    ----------
    errors : list of SpackKernelError
        What is to be mended.
    kernel : str or None
        The name of the kernel that was started.
    """

    def __init__(self, check: KernelCheck) -> None:
        self.errors: list[SpackKernelError] = []
        self.kernel: str | None = None
        self._check = check
        self._offers: list[Offer] = []

    def run(self, name: str = "") -> None:
        """Check everything.

        Parameters
        ----------
        name : str
            The kernel to start; by default the first that is offered, else one that is installed.
        """
        configuration = self._part("config", _read_configuration)
        if configuration is None:
            return
        is_on = self._part("discovery", lambda step: _describe_discovery(configuration, step))
        manager = self._part("options", lambda step: _make_manager(configuration, step))
        if manager is None:
            return
        try:
            for paths in manager.store_lists() if is_on else ():
                self._check_store(manager, paths)
            self._check_a_kernel(configuration, manager, name)
        finally:
            close()

    def _part(self, name: str, action: Callable[[Step], _T]) -> _T | None:
        """Report an action as a step, and note its error; return its result."""
        try:
            with self._check.step(name) as step:
                return action(step)
        except SpackKernelError as error:
            self.errors.append(error)
            return None

    def _check_store(self, manager: SpackKernelSpecManager, paths: Sequence[str]) -> None:
        def read(step: Step) -> Listing:
            found = look_through_helper(paths, manager.selection(), [], manager.read_timeout)
            if found.error is not None:
                raise found.error
            assert found.listing is not None
            offers = found.listing.offers
            self._offers += offers.offers
            count = found.listing.packages.count("\n") - 1
            step.detail = f"{' > '.join(offers.request.stores)}: {count:,} specs"
            step.detail += f", {len(offers.offers):,} kernels"
            if offers.left_out:
                step.detail += f", {offers.left_out:,} more beyond the limit of {manager.limit}"
            return found.listing

        listing = self._part("store", read)
        if listing is None:
            return
        self._part("kernels", lambda step: _check_offers(manager, listing, step))
        if manager.companion == "auto":
            stores = listing.offers.request.stores
            self._part("companion", lambda step: _describe_companions(stores, step))

    def _check_a_kernel(
        self, configuration: SiteConfiguration, manager: SpackKernelSpecManager, name: str
    ) -> None:
        def choose(step: Step) -> str:
            step.detail = chosen = name or self._first_kernel()
            _refuse_root(_get_spec(manager, chosen), configuration)
            return chosen

        self.kernel = chosen = self._part("kernel", choose)
        if chosen is None:
            return
        try:
            with (
                tempfile.TemporaryDirectory(prefix="spack-kernel-check-") as scratch,
                running_kernel(
                    self._check,
                    chosen,
                    Path(scratch),
                    config=configuration.config,
                    kernel_spec_manager=manager,
                ),
            ):
                pass
        except SpackKernelError as error:
            self.errors.append(error)

    def _first_kernel(self) -> str:
        ipython = [offer.name for offer in self._offers if not offer.shipped]
        others = [offer.name for offer in self._offers]
        installed = [spec.name for spec in list_kernelspecs()]
        for name in (*ipython, *others, *installed):
            return name
        raise SiteError(
            "there is no kernel to start: nothing is offered, and none is installed",
            hint="Set c.SpackKernelSpecManager.stores and queries, or install a kernel with "
            "`spack-kernel install`.\nIf the servers get JUPYTER_CONFIG_PATH or JUPYTER_PATH, set "
            "them here as well.",
        )


def _read_configuration(step: Step) -> SiteConfiguration:
    configuration = SiteConfiguration()
    searched = ", ".join(configuration.searched)
    step.detail = ", ".join(configuration.files) or f"no files in {searched}"
    return configuration


def _describe_discovery(configuration: SiteConfiguration, step: Step) -> bool:
    is_on = configuration.offers_specs()
    if not is_on and configuration.selects_specs():
        raise SiteError(
            "c.SpackKernelSpecManager is configured, but servers do not use it",
            hint=f"Set c.ServerApp.kernel_spec_manager_class = {manager_path()!r}.",
        )
    step.detail = "on: servers offer specs" if is_on else "off: servers offer installed kernels"
    return is_on


def _make_manager(configuration: SiteConfiguration, step: Step) -> SpackKernelSpecManager:
    mistakes = [f"  {mistake}" for mistake in configuration.mistakes()]
    if mistakes:
        raise SiteError(
            "Jupyter's configuration has options that are not valid",
            details=mistakes,
            hint="Correct them there. The pages on the provisioner and on discovery of the "
            "documentation list all options.",
        )
    step.detail = ", ".join(_set_options(configuration)) or "all defaults"
    return configuration.manager()


def _check_offers(manager: SpackKernelSpecManager, listing: Listing, step: Step) -> None:
    offers = listing.offers
    problems = [f"  {problem}" for problem in offers.problems]
    if not offers.offers and manager.limit:
        problems.append("  no spec can be offered as a kernel")
    step.detail = ", ".join(offer.name for offer in offers.offers[:_SHOWN_KERNELS])
    if len(offers.offers) > _SHOWN_KERNELS:
        step.detail += f" and {len(offers.offers) - _SHOWN_KERNELS:,} more"
    if problems:
        raise SiteError(
            f"the store {offers.request.stores[0]} cannot offer all that is selected",
            details=problems,
            hint="`spack-kernel list --all` shows its specs and what they lack.",
        )


def _get_spec(manager: SpackKernelSpecManager, name: str) -> KernelSpec:
    try:
        return manager.get_kernel_spec(name)
    except NoSuchKernel as error:
        if isinstance(error, SpackKernelError):
            raise
        raise KernelSpecError(str(error)) from None  # a kernelspec that cannot be read


def _set_options(configuration: SiteConfiguration) -> list[str]:
    return [
        f"{section}.{option}"
        for section in ("SpackKernelSpecManager", "SpackProvisioner")
        for option in configuration.config.get(section, ())
    ]


def _describe_companions(stores: Sequence[str], step: Step) -> None:
    """Say which py-ipykernel a spec without one can get."""
    store = Store.open(stores[0], upstreams=stores[1:])
    found = store.find(_IPYKERNEL)
    if not found:
        step.detail = f"no {_IPYKERNEL}, so only specs that depend on an ipykernel are offered"
    described = []
    for spec in found:
        pythons = [each.version for each in store.closure(spec) if each.name == "python"]
        described.append(f"{spec.label} for Python {pythons[0]}" if pythons else spec.label)
    step.detail = ", ".join(described) or step.detail


def _refuse_root(spec: KernelSpec, configuration: SiteConfiguration) -> None:
    """Refuse to run, as root, a kernel's Python that another user can change."""
    provisioner = provisioner_of(spec.to_dict())
    if os.geteuid() != 0 or provisioner.get("provisioner_name") != PROVISIONER_NAME:
        return
    traits = KernelTraits(kernel_spec=spec, config=configuration.config)
    traits.configure(dict(provisioner.get("config", {})))
    request = traits.request()
    refuse_root(
        Planner().plan(request, {**os.environ, **request.env}),
        "`spack-kernel check --site --as-user NAME`",
    )
