"""Stores a long-lived process keeps: each read once, and again when its database changes."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import DatabaseError
from spack_kernel.spack.system import file_checks

from .store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence


#: What decides where a store is found, apart from what a configuration refers to.
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
    """Opens stores and keeps them; safe to use from several threads.

    A store is given out again as long as everything that was asked of the file system to open it
    has the same answer: its databases, Spack's configuration, links and directories on the way, an
    upstream that was left out. When databases alone changed, only those are read again; who still
    holds the old store may go on using it. Two threads that ask for the same store at once read it
    once; for different ones they do not wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def open(self, root: str | os.PathLike[str]) -> Store:
        """Return `Store.open(root)`, of today's database.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            As `Store.open`. A store that cannot be read is not kept.
        """
        return self._get(str(root), lambda: Store.open(root))

    def open_all(self, trees: Sequence[str | os.PathLike[str]]) -> Store:
        """Return `Store.open_all(trees)`, of today's databases.

        Raises
        ------
        StoreNotFound, DatabaseError
            As `Store.open_all`. A store that cannot be read is not kept.
        """
        return self._get("\0".join(map(str, trees)), lambda: Store.open_all(trees))

    def discover(self, environ: Mapping[str, str]) -> Store:
        """Return `Store.discover(None, environ)`, of today's database.

        The place is looked for once for each combination of ``SPACK_ROOT``, ``PATH``, ``HOME``
        and the variables that name Spack's configuration.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            As `Store.discover`.
        """
        key = "\0".join(["", *(f"{name}={environ.get(name)}" for name in _VARIABLES)])
        return self._get(key, lambda: Store.discover(None, environ))

    def clear(self) -> None:
        """Forget all stores."""
        with self._lock:
            self._entries.clear()

    def _get(self, key: str, read: Callable[[], Store]) -> Store:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            store = entry.store
            if store is not None and file_checks.unchanged(
                _beside_databases(store, entry.questions)
            ):
                # An upstream that cannot be read any more may be left out; opening decides.
                with contextlib.suppress(DatabaseError):
                    entry.store = store.refresh()
                    return entry.store
            with file_checks.Listener() as heard:
                store = read()
            entry.store, entry.questions = store, heard.questions
            return store


def _beside_databases(
    store: Store, questions: Sequence[file_checks.Question]
) -> list[file_checks.Question]:
    """Return all that was asked to open and use a store, but for the databases it has read."""
    read = {("stamp", str(database.path)) for database in store.databases if database.stamp}
    config = store.config.questions if store.config is not None else ()
    return [each for each in (*questions, *config, *store.questions) if each[:2] not in read]


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.store: Store | None = None
        self.questions: list[file_checks.Question] = []
