"""Make a start image. This program runs in the kernel's Python, but executes nothing of a kernel.

``python -I -S builder.py`` reads a JSON object from standard input: ``file``, the image to
write; ``key``, what it is for; ``roots``, the directories whose modules may be in it; ``modules``,
the names of modules with the directories in which Python has found them. It needs only the standard
library of Python 3.8 or later. It finds each module as Python does and takes its code from the
bytecode that lies beside it, or compiles it; nothing is written beside the packages.
"""

import json
import marshal
import os
import sys
import time
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import MAGIC_NUMBER

MYPY = False  # true for type checkers
if MYPY:
    from typing import Any

    from . import recorder, start_image
else:  # this is a program, not a module of the package

    def _load(name):
        file = os.path.dirname(os.path.abspath(__file__)) + "/" + name + ".py"
        module = type(sys)(name)
        module.__file__ = file
        exec(SourceFileLoader(name, file).get_code(name), vars(module))  # noqa: S102 - our own
        return module

    recorder, start_image = _load("recorder"), _load("start_image")

#: Nanoseconds for which a file must not have changed: coarser clocks would hide another change.
_SETTLED = 2_000_000_000

#: The largest image, in bytes.
_MAX_SIZE = 128 << 20

#: Seconds after which another's claim on the same image counts as left behind, and for which
#: another one is waited for.
_CLAIM, _PATIENCE = 120.0, 60.0

_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


class Builder:
    """Collects the modules of an image."""

    def __init__(self, roots: "list[str]") -> None:
        self._roots = tuple(root + "/" for root in roots)
        self.directories: list[tuple[str, start_image.Stamp]] = []
        self.modules: dict[str, tuple[Any, ...]] = {}
        self.listings: dict[str, tuple[Any, list[str]]] = {}
        self.entry_points: dict[str, tuple[Any, str | None]] = {}
        #: Modules that no image of this can have, so that nobody tries again at each start.
        self.refused: list[str] = []
        self.content: list[bytes] = []
        self.size = 0
        self._numbers: dict[str, int] = {}
        self._finders: dict[str, FileFinder] = {}

    def add(self, name: str, directory: str) -> None:
        """Add a module, if it is in that directory and is of a kind that images have."""
        try:
            if self._add(name, directory):
                return
        except (SyntaxError, ValueError, ImportError, RecursionError):
            pass
        except OSError:
            return
        self.refused.append(name)

    def _add(self, name: str, directory: str) -> bool:
        """Add a module, or leave it out for now; return False if no image can have it."""
        if not recorder.is_within(directory, self._roots):
            return False
        number = self._number(directory)
        if number is None:
            return True  # it has just changed
        finder = self._finders.get(directory)
        if finder is None:
            finder = self._finders[directory] = FileFinder(directory, *_LOADERS)
        spec = finder.find_spec(name)
        if spec is None:
            return False
        origin, places = spec.origin, spec.submodule_search_locations
        if spec.loader is None and "." not in name and places == [directory + "/" + name]:
            own = self._number(places[0])
            if own is not None:
                self.modules[name] = (number, start_image.NAMESPACE, name, own)
            return True
        if origin is None or not origin.startswith(directory + "/"):
            return False
        relative = origin[len(directory) + 1 :]
        if places and places != [os.path.dirname(origin)]:
            return False
        if type(spec.loader) is ExtensionFileLoader:
            kind = start_image.EXTENSION_PACKAGE if places else start_image.EXTENSION
            self.modules[name] = (number, kind, relative)
            return True
        if type(spec.loader) is not SourceFileLoader:
            return False
        before = os.stat(origin)
        text = marshal.dumps(spec.loader.get_code(name))
        is_same = not _is_recent(before) and _stamp(origin) == start_image.stamp(before)
        if is_same and self.size + len(text) <= _MAX_SIZE:
            kind = start_image.PACKAGE if places else start_image.SOURCE
            place = (start_image.stamp(before), self.size, len(text), start_image.digest(text))
            self.modules[name] = (number, kind, relative, *place)
            self.content.append(text)
            self.size += len(text)
        return True

    def _number(self, directory: str) -> "int | None":
        number = self._numbers.get(directory)
        if number is None:
            status = os.stat(directory)
            if _is_recent(status):
                return None
            number = self._numbers[directory] = len(self.directories)
            self.directories.append((directory, start_image.stamp(status)))
        return number

    def list_root(self, directory: str) -> None:
        """Note what a directory contains, and the entry points of its distributions."""
        before = os.stat(directory)
        names = os.listdir(directory)
        if _is_recent(before) or _stamp(directory) != start_image.stamp(before):
            return
        self.listings[directory] = (start_image.stamp(before), names)
        for name in names:
            distribution = directory + "/" + name
            if name.endswith((".dist-info", ".egg-info")) and os.path.isdir(distribution):
                known = _entry_points(distribution)
                if known is not None:
                    self.entry_points[distribution] = known

    def is_unchanged(self) -> bool:
        """Return whether no directory has changed since it was first looked at."""
        return all(_stamp(path) == former for path, former in self.directories)

    def write(self, path: str, key: str) -> None:
        """Write the image; whoever reads it sees all of it, or the former one."""
        table = marshal.dumps(
            {
                "key": key,
                "python": (MAGIC_NUMBER, sys.version),
                "directories": self.directories,
                "modules": self.modules,
                "listings": self.listings,
                "entry_points": self.entry_points,
                "refused": self.refused,
            }
        )
        scratch = f"{path}.{os.getpid()}"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                size = start_image.HEADER + len(table) + self.size
                file.write(start_image.FORMAT)
                file.writelines(
                    number.to_bytes(8, "little") for number in (len(self.modules), size, len(table))
                )
                file.write(start_image.digest(table) + table)
                file.writelines(self.content)
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise


def _stamp(path: str) -> "start_image.Stamp":
    return start_image.stamp(os.stat(path))


def _is_recent(status: "os.stat_result") -> bool:
    return status.st_mtime_ns > time.time_ns() - _SETTLED


def _entry_points(distribution: str) -> "tuple[Any, str | None] | None":
    """Return what tells whether entry points have changed, and their text; None if it is unsure."""
    place = distribution + "/entry_points.txt"
    if not os.path.lexists(place):
        status = os.stat(distribution)
        is_same = not _is_recent(status) and not os.path.lexists(place)
        return (start_image.stamp(status), None) if is_same else None
    before = os.stat(place)
    with open(place, encoding="utf-8") as file:
        text = file.read()
    is_same = not _is_recent(before) and _stamp(place) == start_image.stamp(before)
    return (start_image.stamp(before), text) if is_same else None


def _former(task: "dict[str, Any]") -> "start_image.StartImage | None":
    """Return the image that a task has already, and that can be used."""
    if task.get("anew"):
        return None
    try:
        return start_image.StartImage(task["file"], task["key"], os.geteuid())
    except (OSError, ValueError):
        return None


def build(task: "dict[str, Any]") -> int:
    """Make the image of a task, with what its former image has; return the number of modules."""
    wanted, former = dict(task["modules"]), _former(task)
    if former is not None:
        has = (former.modules.keys() | set(former.refused)) - set(task.get("stale", ()))
        if wanted.keys() <= has:
            return len(former.modules)  # another process was faster
        for name, entry in former.modules.items():
            wanted.setdefault(name, former.directories[entry[0]][0])
    builder = Builder(task["roots"])
    for name, directory in sorted(wanted.items()):
        builder.add(name, directory)
    # Where a top-level module was found is on ``sys.path``.
    modules = builder.modules.items()
    tops = {builder.directories[entry[0]][0] for name, entry in modules if "." not in name}
    for root in dict.fromkeys([*task["roots"], *sorted(tops)]):
        try:
            builder.list_root(root)
        except (OSError, ValueError):
            continue
    if builder.is_unchanged():
        builder.write(task["file"], task["key"])
    return len(builder.modules)


def _claim(path: str) -> bool:
    """Return whether this process is the one to make an image."""
    try:
        if os.stat(path).st_mtime < time.time() - _CLAIM:
            os.unlink(path)
    except OSError:
        pass
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def main() -> None:
    """Read the task, and make its image, in the background if the task says so."""
    sys.dont_write_bytecode = True
    task = json.loads(sys.stdin.read())
    claim = task["file"] + ".claim"
    directory = os.path.dirname(claim)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    status = os.lstat(directory)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return
    # Before whoever has started this goes on: then it can wait for the end of the claim.
    is_ours = _claim(claim)
    if task.get("background"):
        if os.fork():
            os._exit(0)
        os.setsid()
        os.nice(19)
    deadline = time.monotonic() + _PATIENCE
    while not is_ours:
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
        is_ours = _claim(claim)
    try:
        count = build(task)
    finally:
        os.unlink(claim)
    if not task.get("background"):
        json.dump({"modules": count}, sys.stdout)


if __name__ == "__main__":
    main()
