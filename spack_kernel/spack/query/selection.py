"""What a query selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from spack_kernel.spack.spec.spec import Spec

    from .abstract_spec import Query


class Selection(NamedTuple):
    """What satisfies a query.

    Attributes
    ----------
    query : Query or None
        The query; None for blank text, which everything satisfies.
    specs : tuple of Spec
        In the order in which `spack find` lists them.
    unknown : tuple of str
        What would have to be known to be sure of the answer; empty when the database says it
        all. Each completes "the database does not record ...".
    """

    query: Query | None
    specs: tuple[Spec, ...]
    unknown: tuple[str, ...] = ()
