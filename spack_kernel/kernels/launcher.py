"""Run a module with a long PYTHONPATH at no cost.

``python launcher.py MODULE [ARG ...]`` behaves like ``python -m MODULE [ARG ...]`` with PYTHONPATH
set, but it searches one directory for each top-level import instead of every directory in turn,
and never the working directory. It needs only the standard library of Python 3.6 to 3.14.

Three environment variables control it, and are removed before the module runs:
``SPACK_KERNEL_PYTHONPATH`` is the value of PYTHONPATH, here and in every child process;
``SPACK_KERNEL_IMPORT_INDEX`` is the table that `spack_kernel.kernels.import_index` encodes: the
modification time of each entry of the path, and for each name the entries that have it. A name is
the part of a directory entry before its first dot, so the table may list too many entries, but
never too few. Python's own finders decide what an entry means. ``SPACK_KERNEL_START_IMAGE`` says
which start image to use: see ``image/start_image.py``, which is the only other file of this project
that a kernel runs at its start.

Imports find the same modules as without the table: `PathFinder` searches for a name in those
directories of ``sys.path`` that have the name and in all that are not in the table, in the order
of ``sys.path``. If it finds nothing, the finders after it search as usual, with the per-directory
finders of this file, which skip directories without the name. The directories are checked again,
with one stat each, at every import statement in a cell, after `importlib.invalidate_caches` and
otherwise from time to time, so that modules added later are found. If anything is irregular, only
PYTHONPATH is used.
"""

import sys

_EARLY = set(sys.modules)

IMAGE_VARIABLE = "SPACK_KERNEL_START_IMAGE"

#: The name of this module when `startup/sitecustomize.py` runs it.
STARTUP = "spack_kernel_launcher"

if __name__ == "__main__" and sys.path and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # PYTHONSAFEPATH does not add it


def _start_image() -> "Any":
    """Open the start image, before anything is imported that it may have."""
    import posix

    name = IMAGE_VARIABLE.encode()
    setting = posix.environ.pop(name, b"").decode("utf-8", "surrogateescape")
    if setting:
        posix.unsetenv(name)  # `os`, which does that, may not be there yet
    if not setting or sys.version_info < (3, 8) or sys.flags.optimize:
        return None
    from _frozen_importlib_external import SourceFileLoader

    file = __file__.rpartition("/")[0] + "/image/start_image.py"
    module = type(sys)("start_image")
    module.__file__ = file
    code = SourceFileLoader("start_image", file).get_code("start_image")
    assert code is not None
    exec(code, module.__dict__)  # noqa: S102 - our own file
    return module.Start(setting, _EARLY, is_program=__name__ == STARTUP)


_image = None
if __name__ in ("__main__", STARTUP):
    try:
        _image = _start_image()
    except Exception as error:  # a kernel works without
        sys.stderr.write("spack-kernel: no start image: {!r}\n".format(error))

import os
import re
import time
from collections import OrderedDict
from importlib.util import find_spec
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

MYPY = False  # true for type checkers; importing typing takes time in 3.6
if MYPY:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    _Statement = tuple[int, CodeType, "int | None", int]
    _Layout = tuple[list[str], "tuple[list[str], list[str]] | None"]

PATH_VARIABLE = "SPACK_KERNEL_PYTHONPATH"
INDEX_VARIABLE = "SPACK_KERNEL_IMPORT_INDEX"

#: The directory of this file, and of the one that reads start images.
_HERE = __file__.rpartition("/")[0] + "/"

#: Seconds of this process's CPU time between two checks of the directories that nothing triggers.
#: CPU time, so that a kernel that starts slowly on a slow file system does not check more often.
_PERIOD = 10.0

#: How much of a .pth file is read at most, in characters.
_MAX_PTH = 100000

_NAME = re.compile(r"[^\W\d]\w*")

_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


class ImportIndex:
    """Which directories of a path have which top-level names.

    Parameters
    ----------
    path : list of str
        Directories, in the order of PYTHONPATH.
    mtimes : list of int or None
        The modification time of each in ns when it was listed; None if it is not in the table.
    names : dict of str to list of int
        Name to ascending positions in `path`.
    fixed : sequence of int
        The positions of the directories whose content does not change.
    """

    def __init__(
        self,
        path: "list[str]",
        mtimes: "list[int | None]",
        names: "dict[str, list[int]]",
        fixed: "Sequence[int]" = (),
    ) -> None:
        self.fixed = list(fixed)
        self.mtimes = list(mtimes)
        self.position = {directory: i for i, directory in enumerate(path) if mtimes[i] is not None}
        self.names: "dict[str, set[str]]" = {directory: set() for directory in self.position}
        self._holders = {name: {path[i] for i in places} for name, places in names.items()}
        self._ordered = {name: [path[i] for i in places] for name, places in names.items()}
        for name, holders in self._holders.items():
            for directory in holders:
                self.names[directory].add(name)
        self._in_order = [directory for directory in path if directory in self.position]
        self._layout: "_Layout" = ([], None)
        self._next_look = time.process_time() + _PERIOD
        self._statement: "_Statement | None" = None
        #: How often the directories were checked again.
        self.looks = 0

    def mtime(self, directory: str) -> "int | None":
        """Return the modification time of a directory of the table; None if it is not in that."""
        place = self.position.get(directory)
        return None if place is None else self.mtimes[place]

    def directories(self, name: str) -> "list[str]":
        """Return the entries of ``sys.path`` that may have `name`, in their order."""
        statement, former = _statement_of_user(), self._statement
        if statement is not None:
            self._statement = statement
        # Of `import a, b, c`, only the first looks.
        is_new = statement is not None and not (
            former is not None and statement[:3] == former[:3] and statement[3] > former[3]
        )
        if is_new or time.process_time() >= self._next_look:
            self._look_again()
        path, around = self._layout
        if sys.path != path:
            path, around = self._layout = self._divide(list(sys.path))
        if around is not None:
            return around[0] + self._ordered.get(name, []) + around[1]
        holders = self._holders.get(name, ())
        return [e for e in _texts(path) if e not in self.position or e in holders]

    def invalidate(self) -> None:
        """Check the directories again before the next lookup."""
        self._next_look = 0.0

    def loaded_elsewhere(self) -> bool:
        """Return whether Python imported an indexed module from another place at its start."""
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            if name in self._ordered and spec is not None and spec.has_location:
                ours = PathFinder.find_spec(name, self._ordered[name])
                if ours is not None and ours.has_location and ours.origin != spec.origin:
                    return True
        return False

    def needed_before(self) -> bool:
        """Return whether a .pth file runs code that names an indexed module.

        Python runs such lines before this file, so PYTHONPATH must be set when Python starts.
        """
        site = sys.modules.get("site")
        if site is None:  # python -S
            return False
        places = list(getattr(site, "getsitepackages", list)())
        if getattr(site, "ENABLE_USER_SITE", False):
            places.append(site.getusersitepackages())
        return any(
            name in self._ordered
            for place in places
            for line in _code_lines(place)
            for name in _NAME.findall(line)
        )

    def _divide(self, path: "list[str]") -> "_Layout":
        """Return `path` and the entries before and after the indexed ones, if contiguous."""
        texts = _texts(path)
        ours = [entry for entry in texts if entry in self.position]
        if ours and ours == self._in_order:
            first = texts.index(ours[0])
            behind = first + len(ours)
            if texts[first:behind] == ours:
                return path, (texts[:first], texts[behind:])
        return path, None

    def _look_again(self) -> None:
        self._next_look = float("inf")  # other threads do not need to check as well
        self.looks += 1
        for directory, i in self.position.items():
            mtime = _mtime(directory)
            if mtime != self.mtimes[i]:
                self.mtimes[i] = mtime
                self._list(directory)
        self._next_look = time.process_time() + _PERIOD

    def _list(self, directory: str) -> None:
        try:
            names = {entry.partition(".")[0] for entry in os.listdir(directory)}
        except OSError:
            names = set()
        for name in names ^ self.names[directory]:
            holders = self._holders.get(name, set()) ^ {directory}
            self._holders[name] = holders
            self._ordered[name] = [entry for entry in self._in_order if entry in holders]
        self.names[directory] = names


class IndexedFinder:
    """The meta path finder, which lets `PathFinder` search only where a top-level name can be."""

    def __init__(self, index: ImportIndex) -> None:
        self._index = index

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return the spec of a top-level module; None leaves it to the next finders."""
        if path is not None:
            return None
        return PathFinder.find_spec(fullname, self._index.directories(fullname), target)

    def invalidate_caches(self) -> None:
        """Forget what may have changed."""
        self._index.invalidate()


class IndexedFileFinder(FileFinder):
    """The finder for one directory in the table, which reads the disk only for names it has."""

    def __init__(self, directory: str, index: ImportIndex) -> None:
        FileFinder.__init__(self, directory, *_LOADERS)
        self._index = index

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """Return the spec of a module in this directory, or None."""
        if fullname.rpartition(".")[2] not in self._index.names[self.path]:
            return None
        return FileFinder.find_spec(self, fullname, target)


def _statement_of_user() -> "_Statement | None":
    """Return where the current import statement is in a cell; None if it is in a module."""
    if __name__ == STARTUP and not hasattr(sys, "ps1"):
        return None  # a program, not a session
    main = sys.modules.get("__main__")
    # The module that -m or runpy runs has a __spec__; the namespace of the cells has none, and
    # neither has this file before it runs the module.
    if main is None or getattr(main, "__spec__", None) is not None or vars(main) is globals():
        return None
    frame: "FrameType | None" = sys._getframe(2)
    while frame is not None and (
        "importlib" in frame.f_code.co_filename or frame.f_code.co_filename.startswith(_HERE)
    ):
        frame = frame.f_back
    if frame is None or frame.f_globals is not main.__dict__:
        return None
    return id(frame), frame.f_code, frame.f_lineno, frame.f_lasti


def _code_lines(directory: str) -> "Iterator[str]":
    """Yield the lines that Python runs in the .pth files of a directory."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".pth"))
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                lines = file.read(_MAX_PTH).splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(("import ", "import\t")):
                yield line


def _texts(path: "Sequence[object]") -> "list[str]":
    """Return the entries of ``sys.path`` that `PathFinder` uses."""
    return [entry for entry in path if isinstance(entry, str)]


def _mtime(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return -1


def decode(path: "list[str]", encoded: str) -> ImportIndex:
    """Return the index for `path` from the text that `spack_kernel.kernels.import_index` built."""
    import base64
    import json
    import zlib

    table = json.loads(zlib.decompress(base64.b64decode(encoded)).decode())
    return ImportIndex(path, table["mtimes"], table["names"], table.get("fixed", ()))


def install(index: ImportIndex) -> None:
    """Install `index` in the import system of this process."""
    place = sys.meta_path.index(PathFinder)
    for directory in index.position:
        sys.path_importer_cache[directory] = IndexedFileFinder(directory, index)
    sys.meta_path.insert(place, IndexedFinder(index))


def run(name: str) -> None:
    """Run the module `name` as ``python -m`` does."""
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name += ".__main__"
        spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise SystemExit("{}: No module named {}".format(sys.executable, name))
    if _image is not None:
        _image.main[name] = (spec.origin or "").rpartition("/")[0]
    code = spec.loader.get_code(name)  # type: ignore[attr-defined]
    if hasattr(code, "replace"):
        # ipykernel's debugger takes the second frame named <module> for that of the cell.
        code = code.replace(co_name=name)
    module = type(sys)("__main__")
    module.__file__ = sys.argv[0] = spec.origin or name
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, spec.parent
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 - what -m does


def _absolute(entry: str) -> str:
    """Return an entry of PYTHONPATH as site.py adds it to ``sys.path``."""
    try:
        return os.path.abspath(entry)
    except OSError:  # there is no working directory
        return entry


def _activate(path: str, encoded: str, again: "dict[str, str] | None") -> None:
    """Install the `encoded` index if possible; restart Python if necessary.

    `again` is the environment in which it can be restarted.
    """
    entries = path.split(os.pathsep)
    if not all(os.path.isabs(entry) or not entry for entry in entries):
        return  # listed from another working directory
    index = decode([_absolute(entry) for entry in entries], encoded)
    if again is not None and (index.loaded_elsewhere() or index.needed_before()):
        # A .pth file needs a module from PYTHONPATH, or has another one.
        if _image is not None:
            again[IMAGE_VARIABLE] = _image.setting
        os.execve(sys.executable, _own_command(), again)  # noqa: S606 - no shell
    install(index)
    if _image is not None:
        _image.begin(index, [entries[place] for place in index.fixed])


def _own_command() -> "list[str]":
    """Return the command with which this process was started."""
    words = getattr(sys, "orig_argv", None)  # since Python 3.10
    if words is None:
        with open("/proc/self/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    return [sys.executable, *words[1:]]


def set_up(startup: str = "") -> None:
    """Set the path, install the index and the image, and remove the variables that say so.

    Parameters
    ----------
    startup : str
        The directory of ``sitecustomize.py``, if that calls this.
    """
    path = os.environ.pop(PATH_VARIABLE, "")
    encoded = os.environ.pop(INDEX_VARIABLE, "")
    again = None
    if path:
        os.environ["PYTHONPATH"] = path
        if encoded and sys.executable:
            again = dict(os.environ, **{INDEX_VARIABLE: encoded})
            if startup:
                again["PYTHONPATH"] = startup + os.pathsep + path
    elif startup:
        os.environ["PYTHONPATH"] = os.environ["PYTHONPATH"].partition(os.pathsep)[2]
    if encoded:
        try:  # before the path is set, or its own imports would search every directory
            _activate(os.environ.get("PYTHONPATH", ""), encoded, again)
        except Exception as error:  # a kernel works without the index
            sys.stderr.write("spack-kernel: no import index: {!r}\n".format(error))
    if _image is not None:
        _image.settle()
    if path:
        entries = [_absolute(entry) for entry in path.split(os.pathsep)]
        sys.path[:] = list(OrderedDict.fromkeys(entries + sys.path))  # as site.py does


def main() -> None:
    """Set everything up, and run the module that the arguments name."""
    set_up()
    del sys.argv[0]
    run(sys.argv[0])


if __name__ == "__main__":
    main()
