"""Answer from a start image what modules of Python ask of every directory on the path.

It runs in a kernel's own process, and needs only the standard library of Python 3.8 or later.
Whatever is not as it expects leaves such a module as it is.
"""

import sys

MYPY = False  # true for type checkers
if MYPY:
    from types import ModuleType
    from typing import Any

    from .start_image import ImageFinder


def answer_metadata(module: "ModuleType", finder: "ImageFinder") -> None:
    """Let `importlib.metadata` list directories, and read entry points, from the image.

    Parameters
    ----------
    module : module
        ``importlib.metadata`` or its backport.
    finder : ImageFinder
        What knows the image, and what has changed since.
    """
    fast: "Any" = getattr(module, "FastPath", None)
    path: "Any" = getattr(module, "PathDistribution", None)
    if not hasattr(fast, "children") or not hasattr(path, "read_text"):
        return
    children, read_text = fast.children, path.read_text

    def listed(self: "Any") -> "Any":
        known = finder.listing(self.root)
        return children(self) if known is None else known

    def read(self: "Any", filename: str) -> "Any":
        known = finder.entry_points(str(self._path)) if filename == "entry_points.txt" else None
        return read_text(self, filename) if known is None else known[0]

    if hasattr(fast, "mtime"):
        mtime = fast.mtime.fget

        def indexed(self: "Any") -> "Any":
            index = finder.index
            known = None if index is None else index.mtime(self.root)
            if known is None or finder.listing(self.root) is None:
                return mtime(self)
            return known / 1e9

        fast.mtime = property(indexed)
    fast.children = listed
    path.read_text = read
    read.__doc__ = read_text.__doc__


def answer_extend_path(module: "ModuleType", finder: "ImageFinder") -> None:
    """Let `pkgutil.extend_path` look only into directories that can have the package.

    Parameters
    ----------
    module : module
        ``pkgutil``.
    finder : ImageFinder
        What knows the directories of PYTHONPATH.
    """
    original: "Any" = vars(module).get("extend_path")
    if not hasattr(original, "__code__"):
        return

    def extend_path(path: "Any", name: "Any") -> "Any":
        index = finder.index
        if index is None or type(name) is not str or "." in name:
            return original(path, name)
        names = dict(original.__globals__)
        names["sys"] = shown = type(sys)("sys")
        vars(shown).update(vars(sys), path=index.directories(name))
        make: "Any" = type(extend_path)
        return make(original.__code__, names)(path, name)

    extend_path.__doc__ = original.__doc__
    vars(module)["extend_path"] = extend_path
