"""The start image, as a kernel's own process reads it and has it made.

An image has the code of the modules that starts of one plan import, with where Python would find
them. `install` puts a finder in front of Python's own that answers from it; whatever is not in the
image, or has changed since, goes the ordinary way. It needs only the standard library of Python 3.8
or later, and before the image is there only what is built into the interpreter.

A module counts as unchanged if the directory in which it was found, and its source, are those that
they were, so what is edited, added or removed is found as Python finds it.
For a top-level module, what comes before that directory on ``sys.path`` is searched first.

The module's loader is Python's own, of which only the first `get_code` is answered from the image.
"""

import _imp
import marshal
import posix
import sys
from time import sleep
import _frozen_importlib_external
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import (
    MAGIC_NUMBER,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    spec_from_file_location as spec_of,
)

MYPY = False  # true for type checkers
if MYPY:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

    from spack_kernel.kernels.launcher import ImportIndex

    Stamp = tuple[int, int, int, int]


FORMAT = b"spack-kernel start image 3\n"

#: Bytes before the table: the format; the number of modules, the size of the file and that of the
#: table, of eight bytes each; the table's digest.
HEADER = len(FORMAT) + 32

#: The largest table that is read, in bytes.
_MAX_TABLE = 1 << 26

#: Modules that look into many directories, and the functions of `lookups.py` that spare them that.
_EXTENDED = {
    "importlib.metadata": "answer_metadata",
    "importlib_metadata": "answer_metadata",
    "gettext": "answer_gettext",
    "pkgutil": "answer_extend_path",
}

#: Kinds of modules: a source file and a package of one, the same of extensions, and a namespace.
SOURCE, PACKAGE, EXTENSION, EXTENSION_PACKAGE, NAMESPACE = range(5)

#: Seconds after the start at which a process looks whether modules are missing in its image.
_MOMENTS = (4.0, 60.0, 600.0)

_get_code = SourceFileLoader.get_code
_hooks = list(sys.path_hooks)
_NamespacePath: "Any" = getattr(_frozen_importlib_external, "_NamespacePath", None)
_get_spec: "Any" = getattr(PathFinder, "_get_spec", None)


def digest(data: bytes) -> bytes:
    """Return the eight bytes by which damaged data is noticed."""
    return _imp.source_hash(0x53504B31, data)


def stamp(status: "posix.stat_result") -> "Stamp":
    """Return what tells whether a file or a directory has changed, or is another."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def has_stamp(path: str, expected: "Stamp") -> bool:
    """Return whether a file or a directory is there and has not changed.

    A link to a file changes its ctime, and some file systems number inodes anew.
    """
    try:
        status = posix.stat(path)
    except OSError:
        return False
    now = stamp(status)
    is_directory = status.st_mode >> 12 == 4
    is_same = now[3] == expected[3] or (now[2] == expected[2] and not is_directory)
    return is_same and now[:2] == expected[:2]


class StartImage:
    """An image that is open.

    Parameters
    ----------
    path : str
        The file.
    key : str
        What it must be for.
    owner : int
        The user whose file it must be.

    Raises
    ------
    OSError, ValueError
        When there is none that can be used.
    """

    def __init__(self, path: str, key: str, owner: int) -> None:
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        self._file = posix.open(path, flags)
        try:
            status = posix.fstat(self._file)
            if status.st_mode & 0o170022 != 0o100000 or status.st_uid != owner:
                raise ValueError("others could have written it")
            table = self._table(status.st_size)
            if table["key"] != key or table["python"] != (MAGIC_NUMBER, sys.version):
                raise ValueError("it is for something else")
        except (EOFError, KeyError, TypeError) as error:
            posix.close(self._file)
            raise ValueError("it is damaged") from error
        except BaseException:
            posix.close(self._file)
            raise
        self._take(table)

    @classmethod
    def empty(cls) -> "StartImage":
        """Return an image of nothing."""
        image = cls.__new__(cls)
        image._take({})
        return image

    def _take(self, table: "dict[str, Any]") -> None:
        self.directories: list[tuple[str, Stamp]] = table.get("directories", [])
        self.modules: dict[str, tuple[Any, ...]] = table.get("modules", {})
        #: Whether something could not be read, and the modules that have changed since.
        self.is_damaged = False
        self.stale: "set[str]" = set()
        #: Modules that no image of this can have.
        self.refused: list[str] = table.get("refused", [])
        self.listings: dict[str, tuple[Stamp, list[str]]] = table.get("listings", {})
        self.entry_points: dict[str, tuple[Stamp, Any]] = table.get("entry_points", {})

    def _table(self, size: int) -> "dict[str, Any]":
        head = posix.pread(self._file, HEADER, 0)
        if len(head) != HEADER or not head.startswith(FORMAT):
            raise ValueError("it is no start image of this version")
        length = int.from_bytes(head[-16:-8], "little")
        if length > _MAX_TABLE or size != int.from_bytes(head[-24:-16], "little"):
            raise ValueError("it is damaged")
        text = posix.pread(self._file, length, HEADER)
        self._content = HEADER + length
        if digest(text) != head[-8:]:
            raise ValueError("it is damaged")
        table: dict[str, Any] = marshal.loads(text)  # noqa: S302 - of a trusted owner
        return table

    def code(self, offset: int, length: int, expected: bytes) -> "CodeType | None":
        """Return the code at a place of the content; None if it is damaged."""
        try:
            data = posix.pread(self._file, length, self._content + offset)
        except OSError:
            return None
        if digest(data) != expected:
            return None
        code: CodeType = marshal.loads(data)  # noqa: S302 - of a trusted owner
        return code


class ImageFinder:
    """The meta path finder that answers from an image.

    Parameters
    ----------
    image : StartImage
        The image.
    checks_sources : bool
        Whether each source is checked for changes, and not only the directories.
    """

    def __init__(self, image: StartImage, *, checks_sources: bool = True) -> None:
        self.image = image
        self.has_stamp = has_stamp
        self._checks_sources = checks_sources
        #: What is known of the directories of PYTHONPATH; None before it is installed.
        self.index: ImportIndex | None = None
        #: Some submodules that are not in the image, with the directory of their package.
        self.missed: dict[str, str] = {}
        self._unchanged: dict[int, bool] = {}
        #: The names in directories that have not changed; None for others.
        self._names: "dict[str, set[str] | None]" = {}
        self._looks = 0

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return the spec of a module in the image; None leaves it to the next finders."""
        # With a target, it is loaded again: whoever asks for that has edited it.
        if target is not None or sys.path_hooks != _hooks:
            return None
        places = list(path or ()) if type(path) in (list, _NamespacePath) else []
        entry = self.image.modules.get(fullname)
        if entry is None:
            if len(places) == 1 and len(self.missed) < 1000:
                self.missed[fullname] = places[0]
            return None
        number, kind, name, *content = entry
        directory = self.image.directories[number][0]
        if path is None:
            places = self._first(fullname, directory, is_alone=kind == NAMESPACE)
        if set(places) != {directory}:
            return None
        if not all(map(self.is_unchanged, [number, *content] if kind == NAMESPACE else [number])):
            self.image.stale.add(fullname)
            return None
        origin = directory + "/" + name
        if kind == NAMESPACE:
            if None in (_NamespacePath, _get_spec):
                return None  # of a Python that is not known yet
            found, portions = ModuleSpec(fullname, None), [origin] * len(places)
            found.submodule_search_locations = _NamespacePath(fullname, portions, _get_spec)
            return found
        loader: Any = ExtensionFileLoader(fullname, origin)
        if kind in (SOURCE, PACKAGE):
            loader = SourceFileLoader(fullname, origin)
            self._provide(loader, fullname, content)
            if fullname in _EXTENDED:
                self._extend(loader, _EXTENDED[fullname])
        at = [origin.rpartition("/")[0]] if kind in (PACKAGE, EXTENSION_PACKAGE) else None
        return spec_of(fullname, origin, loader=loader, submodule_search_locations=at)

    def invalidate_caches(self) -> None:
        """Check each directory again before it counts as unchanged."""
        self._unchanged, self._names = {}, {}

    def _renewed(self) -> "ImportIndex | None":
        """Return the index; if it has looked again, nothing counts as unchanged any more."""
        index = self.index
        if index is not None and index.looks != self._looks:
            self._looks = index.looks
            self.invalidate_caches()
        return index

    def _first(self, name: str, directory: str, *, is_alone: bool) -> "list[str]":
        """Return a directory if Python would find a top-level module in it, else nothing.

        A namespace must be alone, with nothing of its name elsewhere. If ``sys.path`` has its
        directory twice, so has the answer.
        """
        index = self.index
        entries = index.directories(name) if index is not None else sys.path
        if directory not in entries:
            return []
        others = entries if is_alone else entries[: entries.index(directory)]
        others = [each for each in others if each != directory and not self.lacks(each, name)]
        found = PathFinder.find_spec(name, others) if others else None
        if found is not None and (found.loader is not None or is_alone):
            return []  # a module counts before a namespace
        return [directory] * (entries.count(directory) if is_alone else 1)

    def lacks(self, directory: str, name: str) -> bool:
        """Return whether it is known that a directory has nothing of a name."""
        self._renewed()
        if directory not in self._names:
            former, names = self.image.listings.get(directory, (None, []))
            is_same = former is not None and has_stamp(directory, former)
            self._names[directory] = (
                {entry.partition(".")[0] for entry in names} if is_same else None
            )
        known = self._names[directory]
        return known is not None and name not in known

    def is_unchanged(self, number: int) -> bool:
        """Return whether a directory of the image is as it was."""
        index = self._renewed()
        known = self._unchanged.get(number)
        if known is None:
            directory, former = self.image.directories[number]
            mtime = index.mtime(directory) if index is not None else None
            known = mtime == former[0] if mtime is not None else has_stamp(directory, former)
            self._unchanged[number] = known
        return known

    def _extend(self, loader: SourceFileLoader, extend: str) -> None:
        """Let a module that looks into many directories ask the image first, once it is there."""

        def exec_module(module: "ModuleType") -> None:
            vars(loader).pop("exec_module", None)
            loader.exec_module(module)
            try:
                getattr(load("lookups"), extend)(module, self)
            except Exception:  # noqa: S110 - the module works as it is
                pass

        vars(loader)["exec_module"] = exec_module

    def _provide(self, loader: SourceFileLoader, fullname: str, content: "Sequence[Any]") -> None:
        """Let a loader have the code of its module from the image, once."""
        former, offset, length, expected = content

        def get_code(name: str) -> "CodeType | None":
            vars(loader).pop("get_code", None)
            # Others may have changed how Python loads a module.
            is_usual = name == fullname and SourceFileLoader.get_code is _get_code
            if is_usual and (not self._checks_sources or has_stamp(loader.path, former)):
                code = self.image.code(offset, length, expected)
                if code is not None:
                    return code
                self.image.is_damaged = True
            elif is_usual:
                self.image.stale.add(fullname)
            return loader.get_code(name)

        vars(loader)["get_code"] = get_code


def load(name: str) -> "Any":
    """Return a module beside this one, which `import` does not find in a kernel."""
    file = __file__.rpartition("/")[0] + "/" + name + ".py"
    module = type(sys)(name)
    module.__file__ = file
    code = SourceFileLoader(name, file).get_code(name)
    assert code is not None
    exec(code, vars(module))  # noqa: S102 - our own file
    return module


class ListedFinder(FileFinder):
    """The finder for a directory outside PYTHONPATH, which reads the disk only for names it has."""

    def __init__(self, directory: str, finder: ImageFinder) -> None:
        loaders = vars(_frozen_importlib_external)["_get_supported_file_loaders"]()
        FileFinder.__init__(self, directory, *loaders)
        self._finder = finder

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """Return the spec of a module in this directory, or None."""
        if self._finder.lacks(self.path, fullname.rpartition(".")[2]):
            return None
        return FileFinder.find_spec(self, fullname, target)


class Start:
    """The start of this process with an image, or of one that makes it.

    Parameters
    ----------
    setting : str
        The number of the image's owner, whether this process may have it made and whether it checks
        each source (0 or 1), the key and the file, separated by colons.
    early : set of str
        The modules that Python imports before an image can be used.
    is_program : bool
        Whether this is any program, which must not get another thread, and not a kernel.
    """

    def __init__(self, setting: str, early: "set[str]", *, is_program: bool = False) -> None:
        self.setting = setting
        self._is_program = is_program
        self._early = early
        owner, records, checks, self._key, self._file = setting.split(":", 4)
        self._records = records == "1"
        #: The module that the launcher runs, with the directory of its file.
        self.main: "dict[str, str]" = {}
        self._finder: ImageFinder | None = None
        try:
            image = StartImage(self._file, self._key, int(owner))
        except (OSError, ValueError):
            if not self._records:
                return
            image = StartImage.empty()  # knows what is missed
        self._finder = ImageFinder(image, checks_sources=checks == "1")
        sys.meta_path.insert(sys.meta_path.index(PathFinder), self._finder)

    def begin(self, index: "ImportIndex", roots: "list[str]") -> None:
        """Use what is known of PYTHONPATH; `roots` never change, nor does the interpreter."""
        import os

        places = [os.__file__.rpartition("/")[0]]
        places += [entry for entry in sys.path if entry.endswith("/lib-dynload")]
        finder = self._finder
        if finder is not None:
            others = [each for each in finder.image.listings if index.mtime(each) is None]
            for place in {*places, *others}:  # some packages add a directory of theirs to sys.path
                sys.path_importer_cache[place] = ListedFinder(place, finder)
            finder.index = index
            if self._records:
                self._record(finder, [*places, *roots])

    def settle(self) -> None:
        """Do without an image if there is no index."""
        if self._finder is not None and self._finder.index is None:
            sys.meta_path.remove(self._finder)

    def _record(self, finder: ImageFinder, roots: "list[str]") -> None:
        """Look from time to time, and at the end, whether modules are missing in the image."""
        import atexit

        process, recorder = posix.getpid(), None
        known = {*finder.image.modules, *finder.image.refused}

        def look() -> None:
            nonlocal recorder
            if posix.getpid() != process:
                return  # a child that was forked
            if recorder is None:
                make = load("recorder").Recorder
                recorder = make(self._file, self._key, roots, self._early, known)
            image = finder.image
            recorder.look({**finder.missed, **self.main}, image.stale, image.is_damaged)

        atexit.register(look)
        if self._is_program:
            return

        def run() -> None:
            slept = 0.0
            for moment in _MOMENTS:
                sleep(moment - slept)
                slept = moment
                look()

        import _signal  # type: ignore[import-not-found]  # `signal` may not be imported
        import _thread

        # No signal is for this thread, and `threading` does not list it.
        former = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        try:
            _thread.start_new_thread(run, ())
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, former)
