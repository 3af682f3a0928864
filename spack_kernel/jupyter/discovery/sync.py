"""Write and prune kernelspecs on disk for what stores offer, for front ends without a server.

Only kernelspecs that were written here are ever changed or removed: each kernel.json contains the
name of the group it belongs to.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs import read_kernel_json
from spack_kernel.jupyter.kernelspecs.content import notebook_content
from spack_kernel.jupyter.kernelspecs.files import (
    explained,
    remove_directory,
    update_kernelspec,
    write_kernelspec,
)
from spack_kernel.jupyter.kernelspecs.names import NOTEBOOK_DISPLAY_NAME, NOTEBOOK_NAME
from spack_kernel.jupyter.offers import Offer, list_store
from spack_kernel.spack.errors import SpackKernelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .manager import SpackKernelSpecManager

#: The default group of kernelspecs.
GROUP = "default"

#: The key in the metadata of a kernel.json for the group it belongs to.
_KEY = "spack_kernel_sync"

_WRITING = ("added", "updated", "failed")


@dataclass(frozen=True)
class Wanted:
    """The combined offers of the stores.

    Attributes
    ----------
    offers : tuple of Offer
        The kernels, one for each name.
    problems : tuple of str
        A line for each item that is left out.
    failures : tuple of (str, SpackKernelError)
        Stores that could not be read, and why.
    complete : bool
        Whether specs that are not offered do not exist, so that their kernelspecs can be removed.
    """

    offers: tuple[Offer, ...]
    problems: tuple[str, ...]
    failures: tuple[tuple[str, SpackKernelError], ...]
    complete: bool


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened, or would happen, to one kernelspec.

    Attributes
    ----------
    name : str
        The kernel's name.
    action : {"added", "updated", "kept", "removed", "refused", "failed"}
        ``refused``: there is a kernelspec of that name that does not belong to the group;
        ``failed``: it could not be written.
    directory : str
        The directory of the kernelspec.
    display_name : str
        The name that front ends show.
    reason : str
        Why it failed; otherwise empty.
    """

    name: str
    action: str
    directory: str
    display_name: str
    reason: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the attributes as JSON types."""
        fields: dict[str, str] = msgspec.to_builtins(self)
        return fields


def wanted_kernels(manager: SpackKernelSpecManager) -> Wanted:
    """Return what the stores of a manager offer, read now and in this process."""
    offers: dict[str, Offer] = {}
    problems: list[str] = []
    failures: list[tuple[str, SpackKernelError]] = []
    stores: list[str] = []
    inspections: dict[str, tuple[str, ...]] | None = None
    complete = True
    for paths in manager.store_lists():
        try:
            listing = list_store(paths, manager.selection())
        except SpackKernelError as error:
            failures.append((" > ".join(paths) or "the default store", error))
            complete = False
            continue
        if not stores:
            # The inspections of the local store also apply to its upstreams.
            inspections = listing.offers.request.prefix_inspections
        stores += listing.offers.request.stores
        complete &= listing.offers.complete
        problems += listing.offers.problems
        if listing.offers.left_out and manager.limit:
            problems.append(
                f"{listing.offers.left_out} specs of {listing.offers.request.stores[0]} are beyond "
                f"the limit of {manager.limit}"
            )
        for offer in listing.offers.offers:
            offers.setdefault(offer.name, offer)
    if manager.notebook_kernel and offers:
        content = notebook_content(NOTEBOOK_DISPLAY_NAME, list(dict.fromkeys(stores)), inspections)
        offers[NOTEBOOK_NAME] = Offer(NOTEBOOK_NAME, content)
    if not offers and complete and manager.limit:
        # A mistake in a query is more likely than a site without any spec.
        problems.append("no kernels are offered; use `--limit 0` to remove all kernelspecs")
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
    """Update the kernelspecs of a group in a directory to match `offers`.

    Each is written atomically; one that is already up to date is not touched.

    Parameters
    ----------
    offers : sequence of Offer
        The kernels that are to exist.
    directory : Path
        A directory of kernelspecs.
    group : str
        The group whose kernelspecs may be changed.
    prune : bool
        Whether to remove those that are not among the offers.
    dry_run : bool
        Whether to only report what would be done.

    Returns
    -------
    list of Change
        The changes, sorted by name.

    Raises
    ------
    KernelSpecError
        When the directory cannot be read or written. If only some of the kernelspecs cannot be
        written, the others are.
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
        raise failures[0]  # the cause is not specific to one of them
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
