"""Answer from a start image what modules of Python ask of every directory on the path.

It runs in a kernel's own process, and needs only the standard library of Python 3.8 or later.
Whatever is not as it expects leaves such a module as it is.
"""

import os
import sys
from time import monotonic

MYPY = False  # true for type checkers
if MYPY:
    from types import ModuleType
    from typing import Any

    from .start_image import ImageFinder

#: Seconds for which what is not modules counts as unchanged.
_LASTING = 10.0


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
    checked: "dict[str, tuple[bool, float]]" = {}

    def listing(directory: str) -> "list[str] | None":
        """Return what `os.listdir` would, not to be changed; None if that must be asked."""
        former, names = finder.image.listings.get(directory, (None, []))
        index = finder.index
        if former is None or index is None or index.mtime(directory) != former[0]:
            return None
        return names

    def entry_points(distribution: str) -> "tuple[str | None] | None":
        """Return the text of a distribution's entry points, if it is known; in a tuple."""
        known = finder.image.entry_points.get(distribution)
        if known is None:
            return None
        if known[1] is None:  # whatever installs some replaces the distribution
            return (None,) if listing(distribution.rpartition("/")[0]) is not None else None
        place = distribution + "/entry_points.txt"
        is_same, moment = checked.get(place, (False, -_LASTING))
        if monotonic() > moment + _LASTING:
            is_same = finder.has_stamp(place, known[0])
            checked[place] = is_same, monotonic()
        return (known[1],) if is_same else None

    def listed(self: "Any") -> "Any":
        known = listing(self.root)
        return children(self) if known is None else list(known)

    def read(self: "Any", filename: str) -> "Any":
        known = entry_points(str(self._path)) if filename == "entry_points.txt" else None
        return read_text(self, filename) if known is None else known[0]

    if hasattr(fast, "mtime"):
        mtime = fast.mtime.fget

        def indexed(self: "Any") -> "Any":
            index = finder.index
            known = None if index is None else index.mtime(self.root)
            if known is None or listing(self.root) is None:
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
        if index is None or type(name) is not str:
            return original(path, name)
        parent, _, tail = name.rpartition(".")
        if parent:
            entry = finder.image.modules.get(name)
            if entry is None or entry[2] != tail + "/__init__.py":
                return original(path, name)
            place = finder.image.directories[entry[0]][0]
            is_only = path == [place + "/" + tail] and finder.is_unchanged(entry[0])
            is_only = is_only and list(getattr(sys.modules.get(parent), "__path__", ())) == [place]
            # There is no other place for it, unless a file says so.
            if is_only and not os.path.isfile(place + "/" + name + ".pkg"):
                return list(path)
            return original(path, name)
        names = dict(original.__globals__)
        names["sys"] = shown = type(sys)("sys")
        vars(shown).update(vars(sys), path=index.directories(name))
        make: "Any" = type(extend_path)
        return make(original.__code__, names)(path, name)

    extend_path.__doc__ = original.__doc__
    vars(module)["extend_path"] = extend_path


def answer_gettext(module: "ModuleType", _finder: "ImageFinder") -> None:
    """Let `gettext` look for Python's own translations once, not for each message of a parser.

    Parameters
    ----------
    module : module
        ``gettext``.
    _finder : ImageFinder
        Not needed for that.
    """
    original: "Any" = vars(module).get("find")
    if not hasattr(original, "__code__"):
        return
    known: "dict[tuple[Any, ...], tuple[float, Any]]" = {}

    # Without annotations, as the original.
    def find(domain, localedir=None, languages=None, all=False):  # type: ignore[no-untyped-def]  # noqa: A002
        if domain != "messages" or localedir is not None or languages is not None:
            return original(domain, localedir, languages, all)
        names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
        key = (bool(all), *map(os.environ.get, names))
        moment, answer = known.get(key, (-_LASTING, None))
        if monotonic() > moment + _LASTING:
            answer = original(domain, localedir, languages, all)
            known[key] = monotonic(), answer
        return list(answer) if isinstance(answer, list) else answer

    find.__doc__ = original.__doc__
    vars(module)["find"] = find
