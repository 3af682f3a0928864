"""Cache the stores of a long-lived process: read each once, and again when its database changes."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.system import file_checks

from .column_keeper import keep_in_background
from .store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence


#: Environment variables that determine the store, apart from those that a configuration uses.
_VARIABLES = (
    "SPACK_ROOT",
    "PATH",
    "HOME",
    "SPACK_USER_CONFIG_PATH",
    "SPACK_SYSTEM_CONFIG_PATH",
    "SPACK_DISABLE_LOCAL_CONFIG",
    "SPACK_USER_CACHE_PATH",
)


class StoreCache:
    """Opens stores and caches them; safe to use from several threads.

    A cached store is returned as long as all file-system queries that opened it still have the
    same answers. They cover its databases, Spack's configuration, links and directories in the
    paths, and any upstream that was left out. When only databases have changed, only those are
    read again; callers that still hold the old store can continue to use it. Two threads that
    open the same store at the same time read it once; for different stores, they do not wait for
    each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def open(self, root: str | os.PathLike[str]) -> Store:
        """Return `Store.open(root)` with the current database.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            As `Store.open`. A store that cannot be read is not cached.
        """
        return self._get(str(root), lambda: Store.open(root))

    def open_all(self, trees: Sequence[str | os.PathLike[str]]) -> Store:
        """Return `Store.open_all(trees)` with the current databases.

        Raises
        ------
        StoreNotFound, DatabaseError
            As `Store.open_all`. A store that cannot be read is not cached.
        """
        return self._get("\0".join(map(str, trees)), lambda: Store.open_all(trees))

    def discover(self, environ: Mapping[str, str]) -> Store:
        """Return `Store.discover(None, environ)` with the current database.

        Discovery runs once for each combination of ``SPACK_ROOT``, ``PATH``, ``HOME`` and the
        variables that name Spack's configuration.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            As `Store.discover`.
        """
        key = "\0".join(["", *(f"{name}={environ.get(name)}" for name in _VARIABLES)])
        return self._get(key, lambda: Store.discover(None, environ))

    def clear(self) -> None:
        """Remove all stores from the cache."""
        with self._lock:
            self._entries.clear()

    def _get(self, key: str, read: Callable[[], Store]) -> Store:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            store = entry.store
            if store is not None and file_checks.unchanged(_beside_databases(store, entry.checks)):
                # An upstream that can no longer be read may be left out; opening decides.
                with contextlib.suppress(DatabaseError):
                    fresh = store.refresh()
                    if fresh is not store:
                        entry.store = fresh
                        # The former one and its specs refer to each other, and may be large.
                        del store
                        gc.collect()
                    keep_in_background(fresh)
                    return fresh
            with file_checks.Recorder() as recorder:
                store = read()
            entry.store, entry.checks = store, recorder.checks
            keep_in_background(store)
            return store


def _beside_databases(store: Store, checks: Sequence[file_checks.Check]) -> list[file_checks.Check]:
    """Return the queries made to open and use a store, except those for databases it has read."""
    read = {("stamp", str(database.path)) for database in store.databases if database.stamp}
    config = store.config.checks if store.config is not None else ()
    return [each for each in (*checks, *config, *store.checks) if each[:2] not in read]


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.store: Store | None = None
        self.checks: list[file_checks.Check] = []
