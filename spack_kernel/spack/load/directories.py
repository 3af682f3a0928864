"""Check which directories exist: each path once, and in parallel where checks are slow.

On a parallel or network file system, one stat takes a millisecond, and the environment of a large
closure needs thousands. Results are cached, a missing parent also answers for its children, and
bulk checks use several threads as soon as the first results are slow.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Directories:
    """Caches whether directories exist; later changes on disk do not affect it.

    Parameters
    ----------
    isdir : callable
        Returns whether an absolute path is a directory; called once per path, also from threads.
    """

    def __init__(self, isdir: Callable[[str], bool] = os.path.isdir) -> None:
        self._isdir = isdir
        self._known: dict[str, bool] = {}
        self._below: dict[str, dict[str, str | None]] = {}

    def exists(self, path: str) -> bool:
        """Return whether `path` is a directory."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._isdir(path)
            file_checks.record("dir", path, known)
        return known

    def below(self, prefix: str, relative: str) -> str | None:
        """Return the directory `relative` below `prefix`, or None when there is none.

        `relative` must be normalised; an empty one means `prefix` itself.
        """
        answers = self._below.setdefault(prefix, {})
        if relative not in answers:
            top, _, rest = relative.partition("/")
            path = join(prefix, relative)
            there = not rest or self.below(prefix, top) is not None
            answers[relative] = path if there and self.exists(path) else None
        return answers[relative]

    def prefetch(self, prefixes: Iterable[str], relatives: Iterable[str]) -> None:
        """Check each of `relatives` below each of `prefixes`."""
        prefixes = dict.fromkeys(prefixes)
        top_of = {relative: relative.partition("/")[0] for relative in relatives}
        tops = dict.fromkeys(top_of.values())
        deep = [relative for relative in top_of if relative not in tops]
        self._ask([join(prefix, top) for prefix in prefixes for top in tops])
        wanted = []
        for prefix in prefixes:
            there = {top: self.below(prefix, top) for top in tops}
            wanted += [join(prefix, relative) for relative in deep if there[top_of[relative]]]
        self._ask(wanted)

    def _ask(self, paths: Iterable[str]) -> None:
        unknown = [path for path in dict.fromkeys(paths) if path not in self._known]
        self._known.update(zip(unknown, file_checks.are_dirs(unknown, self._isdir), strict=True))


def join(prefix: str, relative: str) -> str:
    """Return the path `relative` below `prefix`; `prefix` itself when `relative` is empty."""
    return f"{prefix.rstrip('/')}/{relative}" if relative else prefix
