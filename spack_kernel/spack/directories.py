"""Which directories exist, asked once a path and at once where asking is slow.

On a parallel or network file system one stat costs a millisecond, and the environment of a large
closure asks for thousands. Answers are kept, a parent that is missing answers for its children,
and what is asked in bulk is asked from several threads as soon as the first answers are slow.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SAMPLE = 16
_SLOW = 100e-6
_WORKERS = 16


class Directories:
    """Answers whether directories exist; not changed by what happens on disk later.

    Parameters
    ----------
    isdir : callable
        Tells whether one absolute path is a directory; called once a path, also from threads.
    """

    def __init__(self, isdir: Callable[[str], bool] = os.path.isdir) -> None:
        self._isdir = isdir
        self._known: dict[str, bool] = {}

    def exists(self, path: str) -> bool:
        """Tell whether `path` is a directory."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._isdir(path)
        return known

    def below(self, prefix: str, relative: str) -> str | None:
        """Return the directory `relative` below `prefix`, or None when there is none.

        `relative` is normalised and may be empty, which means `prefix` itself.
        """
        path = join(prefix, relative)
        if path in self._known:
            return path if self._known[path] else None
        top, _, rest = relative.partition("/")
        if rest and not self.exists(join(prefix, top)):
            return None
        return path if self.exists(path) else None

    def prefetch(self, prefixes: Iterable[str], relatives: Iterable[str]) -> None:
        """Ask for every one of `relatives` below every one of `prefixes`."""
        prefixes = list(dict.fromkeys(prefixes))
        relatives = list(dict.fromkeys(relatives))
        tops = dict.fromkeys(relative.partition("/")[0] for relative in relatives)
        self._ask(join(prefix, top) for prefix in prefixes for top in tops)
        self._ask(
            join(prefix, relative)
            for prefix in prefixes
            for relative in relatives
            if "/" in relative and self._known[join(prefix, relative.partition("/")[0])]
        )

    def _ask(self, paths: Iterable[str]) -> None:
        unknown = [path for path in dict.fromkeys(paths) if path not in self._known]
        sample, rest = unknown[:_SAMPLE], unknown[_SAMPLE:]
        start = time.perf_counter()
        for path in sample:
            self._known[path] = self._isdir(path)
        if not rest:
            return
        if time.perf_counter() - start > _SLOW * len(sample):
            with ThreadPoolExecutor(_WORKERS) as pool:
                self._known.update(zip(rest, pool.map(self._isdir, rest), strict=True))
        else:
            self._known.update((path, self._isdir(path)) for path in rest)


def join(prefix: str, relative: str) -> str:
    """Return the path `relative` below `prefix`; `prefix` itself when `relative` is empty."""
    return f"{prefix.rstrip('/')}/{relative}" if relative else prefix
