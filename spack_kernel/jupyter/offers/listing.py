"""Read what one store offers, and whether that has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.spack.database import INDEX_PATH
from spack_kernel.spack.errors import SpackKernelError, reason_of
from spack_kernel.spack.store import Store, keep_in_background
from spack_kernel.spack.system import file_checks

from .models import Listing, Look, OfferFilter
from .offers import offers_of

if TYPE_CHECKING:
    from collections.abc import Sequence


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
