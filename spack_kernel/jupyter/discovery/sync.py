"""Kernelspecs on disk for what stores offer, for front ends that ask no server: written and pruned.

Only what was made here is ever changed or removed: each kernel.json carries the name of the group
it was made in.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.application import JupyterApp
from traitlets import TraitError, default

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import notebook_content
from spack_kernel.jupyter.kernelspecs.files import (
    explained,
    read_kernel_json,
    remove_directory,
    update_kernelspec,
    write_kernelspec,
)
from spack_kernel.jupyter.kernelspecs.names import NOTEBOOK_DISPLAY_NAME, NOTEBOOK_NAME
from spack_kernel.spack.errors import SpackKernelError

from .manager import SpackKernelSpecManager
from .offers import Offer
from .store_listing import list_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The group of kernelspecs when nobody names one.
GROUP = "default"

#: Where a kernel.json says in its metadata which group it was made in.
_KEY = "spack_kernel_sync"

_WRITING = ("added", "updated", "failed")


@dataclass(frozen=True)
class Wanted:
    """What the stores offer together.

    Attributes
    ----------
    offers : tuple of Offer
        The kernels, of each name one.
    problems : tuple of str
        A line for what is left out.
    failures : tuple of (str, SpackKernelError)
        Stores that could not be read, and why.
    complete : bool
        Whether what is not offered is not there, so that its kernelspec can go.
    """

    offers: tuple[Offer, ...]
    problems: tuple[str, ...]
    failures: tuple[tuple[str, SpackKernelError], ...]
    complete: bool


@dataclass(frozen=True)
class Change:
    """What happened, or would, to one kernelspec.

    Attributes
    ----------
    name : str
        The kernel's name.
    action : {"added", "updated", "kept", "removed", "refused", "failed"}
        Refused is what has a kernelspec of that name that is not of the group; failed is what
        could not be written.
    directory : str
        The kernelspec's.
    display_name : str
        What front ends show.
    reason : str
        Why it failed; empty for others.
    """

    name: str
    action: str
    directory: str
    display_name: str
    reason: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the attributes as JSON types."""
        return {
            "name": self.name,
            "action": self.action,
            "directory": self.directory,
            "display_name": self.display_name,
            **({"reason": self.reason} if self.reason else {}),
        }


class _ConfigReader(JupyterApp):
    """Reads Jupyter's configuration as a server does."""

    name = "spack-kernel"

    @property
    def config_file_paths(self) -> list[str]:
        """Where configuration is looked for: as Jupyter does, but not in the working directory."""
        first, *others = super().config_file_paths
        return others if first == str(Path.cwd()) else [first, *others]

    @default("config_file_name")
    def _server_config(self) -> str:
        return "jupyter_server_config"


def configured_manager(
    config_file: str | None = None, *, use_config: bool = True, **traits: Any
) -> SpackKernelSpecManager:
    """Return a manager with the traits a server of this machine and user would give it.

    Parameters
    ----------
    config_file : str, optional
        A configuration file instead of those that Jupyter finds.
    use_config : bool
        False reads none.
    **traits
        What goes before the configuration.

    Raises
    ------
    KernelSpecError
        When a configuration file cannot be read, or a trait has a wrong value.
    """
    reader = _ConfigReader(raise_config_file_errors=True)
    if config_file is not None:
        path = Path(config_file).absolute()
        if not path.is_file():
            raise KernelSpecError(f"there is no configuration file {path}")
        reader.config_file = str(path)
    try:
        if use_config or config_file is not None:
            reader.load_config_file(suppress_errors=False)
        return SpackKernelSpecManager(config=reader.config, log=reader.log, **traits)
    except TraitError as error:
        raise KernelSpecError(
            f"a trait of SpackKernelSpecManager has a wrong value: {error}"
        ) from error
    except Exception as error:
        if isinstance(error, RuntimeError) and "home directory" in str(error):
            raise  # nothing is wrong with a file
        # A configuration file is a program, so anything can come out of it.
        raise KernelSpecError(
            f"Jupyter's configuration cannot be read: {type(error).__name__}: {error}",
            hint="`jupyter --paths` shows where it lies; --no-config does without.",
        ) from error


def wanted_kernels(manager: SpackKernelSpecManager) -> Wanted:
    """Return what the stores of a manager offer, read now and in this process."""
    offers: dict[str, Offer] = {}
    problems: list[str] = []
    failures: list[tuple[str, SpackKernelError]] = []
    stores: list[str] = []
    inspections: Mapping[str, Sequence[str]] | None = None
    complete = True
    for paths in manager.store_lists():
        try:
            listing = list_store(paths, manager.selection())
        except SpackKernelError as error:
            failures.append((" > ".join(paths) or "the default store", error))
            complete = False
            continue
        if not stores:
            # Those of the local store are followed for all that are chained behind it.
            inspections = listing.offers.prefix_inspections
        stores += listing.offers.stores
        complete &= listing.offers.complete
        problems += listing.offers.problems
        if listing.offers.left_out and manager.limit:
            problems.append(
                f"{listing.offers.left_out} specs of {listing.offers.stores[0]} are beyond the "
                f"limit of {manager.limit}"
            )
        for offer in listing.offers.offers:
            offers.setdefault(offer.name, offer)
    if manager.notebook_kernel and offers:
        content = notebook_content(NOTEBOOK_DISPLAY_NAME, list(dict.fromkeys(stores)), inspections)
        offers[NOTEBOOK_NAME] = Offer(NOTEBOOK_NAME, content)
    if not offers and complete and manager.limit:
        # More likely a mistake in a query than a site that has nothing any more.
        problems.append("nothing is offered at all; `--limit 0` removes everything")
        complete = False
    allowed = manager.allowed_kernelspecs
    kept = [offers[name] for name in sorted(offers) if not allowed or name in allowed]
    return Wanted(tuple(kept), tuple(problems), tuple(failures), complete)


def synchronize(
    offers: Sequence[Offer],
    directory: Path,
    *,
    group: str = GROUP,
    prune: bool = True,
    dry_run: bool = False,
) -> list[Change]:
    """Make the kernelspecs of a group in a directory those of `offers`.

    Each is written whole or not at all; one that is right already is not touched.

    Parameters
    ----------
    offers : sequence of Offer
        What there shall be.
    directory : Path
        A directory of kernelspecs.
    group : str
        Which kernelspecs there are ours to change.
    prune : bool
        Whether to remove those that are not among the offers.
    dry_run : bool
        Tell what would be done and do nothing.

    Returns
    -------
    list of Change
        By name.

    Raises
    ------
    KernelSpecError
        When the directory cannot be read or written. What cannot be written of several costs
        itself alone.
    """
    changes: list[Change] = []
    failures: list[KernelSpecError] = []
    wanted = {offer.name for offer in offers}
    there = _of_group(directory, group)
    for offer in offers:
        place = directory / offer.name
        content = _marked(offer.content, group)
        if offer.name in there:
            action = "kept" if there[offer.name] == content else "updated"
        else:
            action = "refused" if os.path.lexists(place) else "added"
        reason = ""
        try:
            if not dry_run and action == "added":
                write_kernelspec(directory, offer.name, content, logos=offer.images())
            elif not dry_run and action == "updated":
                update_kernelspec(directory, offer.name, content)
        except KernelSpecError as error:
            failures.append(error)
            action, reason = "failed", str(error)
        changes.append(_change(offer.name, action, place, content, reason))
    if failures and len(failures) == sum(c.action in _WRITING for c in changes):
        raise failures[0]  # it is not about one of them
    for name, content in there.items():
        if prune and name not in wanted:
            if not dry_run:
                remove_directory(directory, name)
            changes.append(_change(name, "removed", directory / name, content))
    return sorted(changes, key=lambda change: change.name)


def _change(
    name: str, action: str, place: Path, content: Mapping[str, Any], reason: str = ""
) -> Change:
    return Change(name, action, str(place), str(content.get("display_name", name)), reason)


def _marked(content: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {**content, "metadata": {**content["metadata"], _KEY: group}}


def _of_group(directory: Path, group: str) -> dict[str, dict[str, Any]]:
    """Return the kernel.json of each kernelspec of the group, by name."""
    with explained(f"cannot read the directory {directory}"):
        entries = sorted(directory.iterdir()) if directory.is_dir() else []
    found = {}
    for entry in entries:
        content = read_kernel_json(entry)
        metadata = content.get("metadata")
        if isinstance(metadata, dict) and metadata.get(_KEY) == group:
            found[entry.name] = content
    return found
