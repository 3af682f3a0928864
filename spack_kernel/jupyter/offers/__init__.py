"""The kernels that a store offers, and the listing of a whole store."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .listing import (
        Listing as Listing,
        Look as Look,
        list_store as list_store,
        look_at as look_at,
        store_lists as store_lists,
    )
    from .offers import LIMIT as LIMIT, Offer as Offer, OfferFilter as OfferFilter, Offers as Offers

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "listing": "Listing Look list_store look_at store_lists",
        "offers": "LIMIT Offer OfferFilter Offers",
    },
)
