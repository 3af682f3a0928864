"""Read what one store offers, and whether that has changed."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel import STORE_VARIABLE
from spack_kernel.spack.database import INDEX_PATH
from spack_kernel.spack.errors import SpackKernelError, reason_of
from spack_kernel.spack.store import Store, keep_in_background
from spack_kernel.spack.system import file_checks

from .offers import OfferFilter, Offers, offers_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Listing:
    """What a store offers, and which packages it has.

    Attributes
    ----------
    offers : Offers
        The kernels.
    packages : str
        A line ``HASH NAME`` for every record, sorted; a newline precedes each line.
    checks : list of Check
        The file system checks made for the listing, which is valid while their results hold.
    """

    offers: Offers
    packages: str
    checks: list[file_checks.Check] = dataclasses.field(default_factory=list)

    def find(self, hash_prefix: str) -> list[tuple[str, str]]:
        """Return hash and package name of the records whose DAG hash starts with `hash_prefix`."""
        found = []
        start = self.packages.find(f"\n{hash_prefix}")
        while start >= 0:
            end = self.packages.index("\n", start + 1)
            dag_hash, _, name = self.packages[start + 1 : end].partition(" ")
            found.append((dag_hash, name))
            more = end + 1 < len(self.packages) and self.packages.startswith(hash_prefix, end + 1)
            start = end if more else -1
        return found


class Look(NamedTuple):
    """What a look at a store found.

    Attributes
    ----------
    listing : Listing or None
        The listing; None if nothing has changed or the store cannot be read.
    error : SpackKernelError or None
        Why the store cannot be read.
    checks : list of Check
        What is to be checked by the next look.
    """

    listing: Listing | None
    error: SpackKernelError | None
    checks: list[file_checks.Check]


def open_stores(paths: Sequence[str]) -> Store:
    """Open a store by its paths: the local one, then its upstreams; if empty, discover one.

    Raises
    ------
    StoreNotFound, DatabaseError, ConfigError
        When there is none, or it cannot be read.
    """
    if not paths:
        return Store.discover()
    return Store.open(paths[0], upstreams=paths[1:])


def store_lists(stores: Sequence[str], upstreams: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the paths for `open_stores` of each store that a site configures.

    Parameters
    ----------
    stores : sequence of str
        The stores; if empty, that of $SPACK_KERNEL_STORE, or one that is to be discovered.
    upstreams : sequence of str
        The upstreams of each.
    """
    if stores:
        return [(store, *upstreams) for store in stores]
    named = os.environ.get(STORE_VARIABLE, "").split(os.pathsep)
    return [(*filter(None, named), *upstreams)]


def list_store(paths: Sequence[str], selection: OfferFilter) -> Listing:
    """Return the listing of a store.

    Raises
    ------
    StoreNotFound, DatabaseError, ConfigError
        When there is none, or it cannot be read.
    """
    with file_checks.Recorder() as recorder:
        store = open_stores(paths)
        keep_in_background(store)
        offers = offers_of(store, selection)
    lines = {
        f"{dag_hash} {name}"
        for database in store.databases
        for name in database.names()
        for dag_hash in database.named(name)
    }
    packages = "\n" + "\n".join([*sorted(lines), ""])
    return Listing(offers, packages, file_checks.distinct(recorder.checks))


def look_at(
    paths: Sequence[str], selection: OfferFilter, checks: Sequence[file_checks.Check] = ()
) -> Look:
    """Return what a store offers, unless nothing has changed since an earlier look.

    Parameters
    ----------
    paths : sequence of str
        As for `open_stores`.
    selection : OfferFilter
        What to offer.
    checks : sequence of Check
        Those of the earlier look; if empty, the store is read in any case.
    """
    if checks and file_checks.unchanged(checks):
        return Look(None, None, list(checks))
    asked = [(kind, path) for kind, path, _ in checks] or _guesses(paths)
    before = [(kind, path, file_checks.ask(kind, path)) for kind, path in asked]
    try:
        listing = list_store(paths, selection)
    except SpackKernelError as error:
        return Look(None, error, before)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return Look(None, SpackKernelError(reason_of(error)), before)
    return Look(listing, None, listing.checks)


def _guesses(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Return what will change when a store that has never been read becomes readable."""
    places = [path.rstrip("/") for path in paths]
    return [("stamp", path) for each in places for path in (each, f"{each}/{INDEX_PATH}")]
