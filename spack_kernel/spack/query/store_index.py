"""Cache the answers of a store between queries."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.database.find_order import FindOrder

from .dialects import dialect_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.spec.spec import Spec

    from .abstract_spec import AbstractSpec
    from .dialects import Dialect
    from .virtuals import Providers


#: Maximum number of specs in all cached answers of a store together; 8 bytes each.
ANSWERED_SPECS = 250_000


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


class Answer(NamedTuple):
    """A selection, as the nodes of its specs."""

    query: AbstractSpec | None
    nodes: tuple[int, ...]
    unknown: tuple[str, ...]


def _size(answers: Sequence[Answer]) -> int:
    """Return the share of the cache that answers take; one without specs also takes some."""
    return sum(64 + len(answer.nodes) for answer in answers)


class StoreIndex:
    """The databases of a store, what is known of virtual packages, and answers given before.

    Parameters
    ----------
    chain : Chain
        The databases.
    providers : Providers
        What the site knows of virtual packages.
    """

    def __init__(self, chain: Chain, providers: Providers) -> None:
        self.chain = chain
        self.providers = providers
        self._order = FindOrder(chain)
        self._answers: dict[tuple[str, bool | None], list[Answer]] = {}
        self._room = ANSWERED_SPECS
        self._lock = threading.Lock()

    @cached_property
    def dialect(self) -> Dialect:
        """The dialect of queries: that of the Spack that wrote the local database."""
        local = self.chain.databases[0]
        return dialect_of(
            local.version,
            build_systems=local.version == "6" and local.records_build_systems(),
        )

    def answer(
        self, query: AbstractSpec | None, nodes: Iterable[int], unknown: tuple[str, ...] = ()
    ) -> Answer:
        """Return the answer that consists of some nodes, in find order."""
        return Answer(query, tuple(self._order.sorted(nodes)), unknown)

    def selection(self, answer: Answer) -> Selection:
        """Return an answer with its specs, which are read on demand."""
        return Selection(answer.query, tuple(self.chain.specs_of(answer.nodes)), answer.unknown)

    def answered(self, text: str, installed: bool | None) -> list[Answer] | None:
        """Return the cached answers to the queries in `text`, if any."""
        return self._answers.get((text, installed))

    def keep(self, text: str, installed: bool | None, answers: list[Answer]) -> None:
        """Cache the answers to the queries in `text`, up to `ANSWERED_SPECS` in total."""
        needed = _size(answers)
        if needed > ANSWERED_SPECS:
            return
        with self._lock:
            while self._answers and needed > self._room:
                self._room += _size(self._answers.pop(next(iter(self._answers))))
            if self._answers.setdefault((text, installed), answers) is answers:
                self._room -= needed

    def in_find_order(self, specs: Iterable[Spec]) -> list[Spec]:
        """Return specs of the store without duplicates, in the order of `spack find`."""
        nodes = dict.fromkeys(
            node for spec in specs if (node := self.chain.node(spec.hash)) is not None
        )
        return self.chain.specs_of(self._order.sorted(nodes))
