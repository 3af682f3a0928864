"""The install database: ``index.json``, its records, and the order in which Spack lists them."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .chain import Chain as Chain
    from .column_cache import COLUMNS_PREFIX as COLUMNS_PREFIX
    from .column_writer import NotKept as NotKept, keep as keep
    from .database import Database as Database
    from .index_json import INDEX_PATH as INDEX_PATH

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "chain": "Chain",
        "column_cache": "COLUMNS_PREFIX",
        "column_writer": "NotKept keep",
        "database": "Database",
        "index_json": "INDEX_PATH",
    },
)
