"""The kernels that a store offers, and the listing of a whole store."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .listing import list_store as list_store, look_at as look_at
    from .models import (
        LIMIT as LIMIT,
        Listing as Listing,
        Look as Look,
        Offer as Offer,
        OfferFilter as OfferFilter,
        Offers as Offers,
        store_lists as store_lists,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "listing": "list_store look_at",
        "models": "LIMIT Listing Look Offer OfferFilter Offers store_lists",
    },
)
