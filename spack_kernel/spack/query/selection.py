"""What a query selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from spack_kernel.spack.spec.spec import Spec

    from .abstract_spec import AbstractSpec


class Selection(NamedTuple):
    """The specs that satisfy a query.

    Attributes
    ----------
    query : AbstractSpec or None
        The query; None for blank text, which every spec satisfies.
    specs : tuple of Spec
        In the order in which `spack find` lists them.
    unknown : tuple of str
        The missing information without which the answer is uncertain; empty when the database has
        it all. Each item completes "the database does not record ...".
    """

    query: AbstractSpec | None
    specs: tuple[Spec, ...]
    unknown: tuple[str, ...] = ()
