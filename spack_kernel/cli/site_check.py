"""Check a site as a user's server sees it: configuration, stores, companions, and one kernel."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_core.paths import jupyter_runtime_dir
from traitlets import TraitError

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
    from spack_kernel.spack.database import Database

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
        self._part("home", _check_home)
        configuration = self._part("config", _read_configuration)
        if configuration is None:
            return
        self._part("paths", lambda step: _check_directories(configuration, step))
        is_on = self._part("discovery", lambda step: _describe_discovery(configuration, step))
        self._part("options", lambda step: _check_options(configuration, step))
        try:
            manager = configuration.manager()
        except SpackKernelError:
            return  # a server would not start either; the option is among the mistakes
        try:
            for paths in manager.store_lists() if is_on else ():
                self._check_store(configuration, manager, paths)
            if self.errors and not (name or self._offers):
                return  # there is no kernel to start, and why has been said
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

    def _check_store(
        self,
        configuration: SiteConfiguration,
        manager: SpackKernelSpecManager,
        paths: Sequence[str],
    ) -> None:
        limit = min(manager.read_timeout, self._check.timeout)
        file = configuration.origin("SpackKernelSpecManager", "stores")
        source = [f"  named in {file}"] if file else []

        def read(step: Step) -> Listing:
            try:
                found = look_through_helper(paths, manager.selection(), [], limit)
                if found.error is not None:
                    raise found.error
            except SpackKernelError as error:
                error.details = (*error.details, *source)
                raise
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
        companion = _companion(configuration, manager)
        stores = listing.offers.request.stores
        self._part("companion", lambda step: _describe_companions(stores, companion, step))
        large = [base for base in Store.open_all(stores).databases if base.is_large]
        if large:
            self._part("columns", lambda step: _describe_columns(large, step))

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
        except (TraitError, RuntimeError, ValueError) as error:
            text = str(error).replace("_CheckManager", "KernelManager")
            self.errors.append(
                SiteError(
                    f"no kernel can be started with this configuration: {text}",
                    hint="Correct the option of c.KernelManager.",
                )
            )

    def _first_kernel(self) -> str:
        # One that needs a companion tells more than an ipykernel itself.
        ipython = [
            offer.name
            for offer in self._offers
            if not offer.shipped and offer.content["metadata"].get("spack_package") != _IPYKERNEL
        ]
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


def _check_directories(configuration: SiteConfiguration, step: Step) -> None:
    unreadable = configuration.unreadable()
    if unreadable:
        raise SiteError(
            "directories of Jupyter's configuration cannot be read, so a server ignores them",
            details=unreadable,
            hint="Let all users read them, or correct JUPYTER_CONFIG_PATH.",
        )
    step.detail = "all directories can be read"


def _describe_discovery(configuration: SiteConfiguration, step: Step) -> bool:
    is_on = configuration.offers_specs()
    if not is_on and configuration.selects_specs():
        raise SiteError(
            "c.SpackKernelSpecManager is configured, but servers do not use it",
            hint=f"Set c.ServerApp.kernel_spec_manager_class = {manager_path()!r}.",
        )
    step.detail = "on: servers offer specs" if is_on else "off: servers offer installed kernels"
    return is_on


def _check_home(step: Step) -> None:
    """Check that a server could write what it must write."""
    step.detail = jupyter_runtime_dir()
    place = Path(step.detail)
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise SiteError(
            f"a server cannot write its runtime files: {place} is not a directory that "
            "this user can write to",
            details=[f"  they belong in {step.detail}"],
            hint="Make the home directory, or set JUPYTER_RUNTIME_DIR to a directory of the user.",
        )


def _check_options(configuration: SiteConfiguration, step: Step) -> None:
    mistakes = [f"  {mistake}" for mistake in configuration.mistakes()]
    if mistakes:
        raise SiteError(
            "Jupyter's configuration has options that are not valid",
            details=mistakes,
            hint="Correct them there. The pages on the provisioner and on discovery of the "
            "documentation list all options.",
        )
    step.detail = ", ".join(_set_options(configuration)) or "all defaults"


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
            hint=f"`spack-kernel list --store {offers.request.stores[0]} --all` shows what specs "
            "lack;\nwith --environments, it shows Spack environments.",
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
        for section in ("SpackKernelSpecManager", "SpackProvisioner", "SpackSlurmProvisioner")
        for option in configuration.config.get(section, ())
    ]


def _companion(configuration: SiteConfiguration, manager: SpackKernelSpecManager) -> str:
    """Return the companion with which offered kernels start."""
    chosen = configuration.config.get("SpackProvisioner", {}).get("companion")
    return manager.companion if manager.companion != "auto" or not chosen else str(chosen)


def _describe_columns(databases: Sequence[Database], step: Step) -> None:
    """Say where the columns of large databases are kept."""
    none = "none; `spack-kernel index --output DIR` makes them for all"
    step.detail = "; ".join(f"{base.root}: {base.kept_in or none}" for base in databases)


def _describe_companions(stores: Sequence[str], companion: str, step: Step) -> None:
    """Say which py-ipykernel a spec without one can get."""
    if companion == "none":
        step.detail = "switched off: only specs that depend on an ipykernel can start"
        return
    store = Store.open_all(stores)
    found = store.find(_IPYKERNEL if companion == "auto" else companion)
    wrong = [spec.label for spec in found if spec.name != _IPYKERNEL]
    if companion != "auto" and (wrong or len(found) != 1):
        raise SiteError(
            f"the companion `{companion}` is not one {_IPYKERNEL}",
            details=[f"  it matches {', '.join(spec.label for spec in found) or 'nothing'}"],
            hint=f"`spack-kernel list --store {stores[0]} --all {_IPYKERNEL}` shows them.",
        )
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
