"""The spec language: from the text of a query to the specs that satisfy it."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .abstract_spec import AbstractSpec as AbstractSpec
    from .candidate_table import distinctions as distinctions
    from .diagnostics import newest_first as newest_first
    from .parser import parse_queries as parse_queries, parse_query as parse_query
    from .quoting import join_words as join_words
    from .store_index import Selection as Selection
    from .virtuals import Providers as Providers

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "abstract_spec": "AbstractSpec",
        "candidate_table": "distinctions",
        "diagnostics": "newest_first",
        "parser": "parse_queries parse_query",
        "quoting": "join_words",
        "store_index": "Selection",
        "virtuals": "Providers",
    },
)
