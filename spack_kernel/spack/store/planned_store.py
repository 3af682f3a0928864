"""A store with specs that are concretized but need not be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.spack.spec.spec import Spec


class PlannedStore(Store):
    """A store that also knows concretized specs by their DAG hashes.

    Queries find only what is recorded.

    Parameters
    ----------
    store : Store
        The store.
    planned : mapping of str to Spec
        DAG hash → spec; used if the store has no record of it.
    """

    def __init__(self, store: Store, planned: Mapping[str, Spec]) -> None:
        super().__init__(store.databases, store.config, store.left_out)
        self._planned = planned

    def by_hash(self, dag_hash: str) -> Spec | None:
        """Return the recorded spec with this DAG hash, else the planned one, else None."""
        return super().by_hash(dag_hash) or self._planned.get(dag_hash)
