"""The store, and where stores are found."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .column_keeper import keep_in_background as keep_in_background
    from .install_tree import upstream_trees as upstream_trees
    from .planned_store import PlannedStore as PlannedStore
    from .store import Store as Store
    from .store_cache import StoreCache as StoreCache

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "install_tree": "upstream_trees",
        "planned_store": "PlannedStore",
        "store": "Store",
        "column_keeper": "keep_in_background",
        "store_cache": "StoreCache",
    },
)
