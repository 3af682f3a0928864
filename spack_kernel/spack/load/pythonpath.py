"""PYTHONPATH as `spack load` sets it: which specs extend Python, where, and in which order.

In Spack, the interpreter's own recipe adds to PYTHONPATH: ``python-venv`` (Spack 0.22 and newer)
adds the site-packages of every spec that depends on it, and ``python`` adds those of all other
specs that extend it. Dependents follow the order of the install database, grouped by package name.
The rules were derived from the output of Spack 0.16 to 1.3; docs/environment.md describes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.system import file_checks

from .directories import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.spec.spec import Dependency, Spec
    from spack_kernel.spack.store.store import Store

    from .directories import Directories
    from .linked import LinkedRecords

PYTHON = "python"
PYTHON_VENV = "python-venv"

#: The build systems of Python packages.
_PYTHON_BUILD_SYSTEMS = ("python_pip", "sip")

_INSIDE_PACKAGES = re.compile(r"(?P<packages>/.*?/(?:site|dist)-packages)(?:/.*)?", re.DOTALL)
_PYTHON_DIRECTORY = re.compile(r"/python(\d+\.\d+)/")


class PythonPathEntry(NamedTuple):
    """One directory of PYTHONPATH.

    Attributes
    ----------
    path : str
        The directory.
    spec : Spec
        The spec it belongs to.
    reason : str
        Why it is there, as text for users.
    added_by_us : bool
        True where Spack would not add it.
    """

    path: str
    spec: Spec
    reason: str
    added_by_us: bool = False


class PythonPath(NamedTuple):
    """PYTHONPATH and what was left out of it.

    Attributes
    ----------
    entries : tuple of PythonPathEntry
        Directories that exist, each once, in the order Python searches them.
    missing : tuple of PythonPathEntry
        Directories that Spack would add without checking, but that do not exist or belong to
        another Python.
    """

    entries: tuple[PythonPathEntry, ...]
    missing: tuple[PythonPathEntry, ...]


class Extension(NamedTuple):
    """A spec that extends Python.

    Attributes
    ----------
    spec : Spec
        The spec.
    python : Spec
        The ``python`` it extends.
    through : Spec
        The spec whose recipe adds it to PYTHONPATH: that python, or a ``python-venv``.
    is_linked : bool
        False if Spack overlooks it, because it depends on another database's record of `through`.
    """

    spec: Spec
    python: Spec
    through: Spec
    is_linked: bool


def find_extensions(records: LinkedRecords, order: Sequence[Spec], store: Store) -> list[Extension]:
    """Return the specs of a closure that extend Python, in the order in which Spack prepends.

    Parameters
    ----------
    records : LinkedRecords
        The closure.
    order : sequence of Spec
        Its specs in the order in which Spack applies their environment, first to last.
    store : Store
        Where the specs are recorded; the order of its records matters.
    """
    graph = records.graph
    knows_venv = store.has_package(PYTHON_VENV)
    extensions = []
    for interpreter in order:
        if interpreter.name not in (PYTHON, PYTHON_VENV):
            continue
        python = interpreter
        if interpreter.name == PYTHON_VENV:
            found = [edge for edge in graph.edges[interpreter.hash] if edge.name == PYTHON]
            if not found:
                continue
            python = graph.nodes[found[0].hash]
        extensions += [
            Extension(spec, python, interpreter, is_linked)
            for spec, edge, is_linked in records.dependents(interpreter)
            if interpreter.name == PYTHON_VENV or extends_python(spec, edge, knows_venv=knows_venv)
        ]
    return extensions


def python_path(
    extensions: Sequence[Extension], order: Sequence[Spec], directories: Directories
) -> PythonPath:
    """Return the PYTHONPATH of a closure.

    Parameters
    ----------
    extensions : sequence of Extension
        The specs that extend Python, in the order in which Spack prepends (`find_extensions`).
    order : sequence of Spec
        All specs in the order in which Spack applies their environment, first to last.
    directories : Directories
        Reports which directories exist.
    """
    entries: list[PythonPathEntry] = []
    behind: list[PythonPathEntry] = []
    overlooked: list[PythonPathEntry] = []
    missing: list[PythonPathEntry] = []
    layouts: dict[tuple[Spec, bool], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for _, python, through, _ in extensions:
        is_venv = through.name == PYTHON_VENV
        if (python, is_venv) not in layouts:
            known = library_directories(python, directories, is_venv=is_venv)
            layouts[python, is_venv] = known, _libraries(python, directories)
    for extension in reversed(extensions):
        spec = extension.spec
        if spec.prefix is None:
            continue
        known, possible = layouts[extension.python, extension.through.name == PYTHON_VENV]
        reason = f"extends {extension.python.label}"
        if extension.through != extension.python:
            reason += f" through {extension.through.label}"
        found = [path for library in known if (path := directories.below(spec.prefix, library))]
        if not extension.is_linked:
            known_at = (path for each in possible if (path := directories.below(spec.prefix, each)))
            why = f"{reason}, which Spack overlooks: two databases have {extension.through.label}"
            overlooked += [
                PythonPathEntry(path, spec, why, added_by_us=True)
                for path in dict.fromkeys([*found, *known_at])
            ]
            continue
        entries += [PythonPathEntry(path, spec, reason) for path in found]
        # In a virtual environment lib64 is a link to lib.
        others = () if spec.name == PYTHON_VENV else possible
        for library in others:
            if library not in known and (path := directories.below(spec.prefix, library)):
                behind.append(
                    PythonPathEntry(
                        path, spec, f"{reason}; Spack does not look in {library}", added_by_us=True
                    )
                )
                found.append(path)
        if not found and not _packages_around(spec):
            missing += [
                PythonPathEntry(join(spec.prefix, library), spec, f"{reason}; no such directory")
                for library in known[:1]
            ]
    versions = {_series(spec) for spec in order if spec.name == PYTHON}
    for spec in reversed(order):
        packages = _packages_around(spec)
        if packages is None:
            continue
        entry = PythonPathEntry(packages, spec, f"contains {spec.prefix}", added_by_us=True)
        other = _PYTHON_DIRECTORY.search(packages)
        if other and versions and other[1] not in versions:
            missing.append(
                entry._replace(
                    reason=f"{entry.reason}, but belongs to Python {other[1]}, "
                    f"not {' or '.join(sorted(versions))}"
                )
            )
        elif directories.exists(packages):
            behind.append(entry)
        else:
            missing.append(entry._replace(reason=f"{entry.reason}; no such directory"))
    return PythonPath(_unique([*entries, *behind, *overlooked]), _unique(missing))


def library_directories(
    python: Spec, directories: Directories, *, is_venv: bool = False
) -> tuple[str, ...]:
    """Return where packages for `python` are installed, relative to their own prefix.

    This is the interpreter's ``purelib`` and, if it differs, its ``platlib``, determined without
    running it: an interpreter whose own prefix has packages below ``lib64`` also installs there,
    and Debian's interpreter installs below ``local``, but not from a virtual environment.

    Parameters
    ----------
    python : Spec
        The interpreter.
    directories : Directories
        Reports which directories exist.
    is_venv : bool
        Whether the packages are installed through a ``python-venv``.
    """
    lib, lib64, debian = _libraries(python, directories)
    if python.prefix is None:
        return (lib,)
    if python.external and directories.below(python.prefix, "lib/python3/dist-packages"):
        return (lib,) if is_venv else (debian,)
    # Spack up to 0.17 used one directory; later versions record each package's build system.
    both = "build_system" in python.variants and directories.below(python.prefix, lib64)
    return (lib, lib64) if both else (lib,)


def _libraries(python: Spec, directories: Directories | None = None) -> tuple[str, str, str]:
    """Return where packages for a Python can be, relative to their prefix.

    Those for a free-threaded one are in directories of their own. An external one may not record
    that it is; then its own directories tell.
    """
    name = f"python{_series(python)}"
    is_free = python.variants.get("freethreading") in (True, "True")
    if directories is not None and python.prefix and not is_free:
        is_free = (
            directories.below(python.prefix, f"lib/{name}t") is not None
            and directories.below(python.prefix, f"lib/{name}") is None
        )
    name += "t" * is_free
    return (
        f"lib/{name}/site-packages",
        f"lib64/{name}/site-packages",
        f"local/lib/{name}/dist-packages",
    )


def shown_entries(
    python: Spec, root: str, reason: str, directories: Directories, *, is_venv: bool = False
) -> list[PythonPathEntry]:
    """Return the PYTHONPATH entries of a view at `root`: Spack's directories, then others.

    Parameters
    ----------
    python : Spec
        The interpreter whose packages the view shows.
    root : str
        The view's directory.
    reason : str
        Why its directories are there.
    directories : Directories
        Reports which directories exist.
    is_venv : bool
        Whether the view shows a ``python-venv``.
    """
    known = library_directories(python, directories, is_venv=is_venv)
    entries = []
    for library in dict.fromkeys((*known, *_libraries(python, directories))):
        path = directories.below(root, library)
        if path and library in known:
            entries.append(PythonPathEntry(path, python, reason))
        elif path and file_checks.real(path) not in map(
            file_checks.real, (entry.path for entry in entries)
        ):
            text = f"{reason}; Spack does not look in {library}"
            entries.append(PythonPathEntry(path, python, text, added_by_us=True))
    return entries


def candidate_directories(specs: Sequence[Spec]) -> list[str]:
    """Return the directories that `python_path` checks below each prefix, to check all at once."""
    return [library for spec in specs if spec.name == PYTHON for library in _libraries(spec)[:2]]


def _series(python: Spec) -> str:
    """Return the version as it appears in directory names: ``3.11`` for 3.11.9."""
    return ".".join(str(python.version).rpartition("=")[2].split(".")[:2])


def _packages_around(spec: Spec) -> str | None:
    """Return the site-packages that contains an external whose prefix is a package directory."""
    if spec.external is None or spec.prefix is None:
        return None
    inside = _INSIDE_PACKAGES.fullmatch(spec.prefix)
    return inside["packages"] if inside else None


def _unique(entries: Sequence[PythonPathEntry]) -> tuple[PythonPathEntry, ...]:
    first: dict[str, PythonPathEntry] = {}
    for entry in entries:
        first.setdefault(entry.path, entry)
    return tuple(first.values())


def extends_python(spec: Spec, edge: Dependency, *, knows_venv: bool) -> bool:
    """Return whether a spec extends the python at one of its edges without a python-venv.

    Only the recipe contains this information. In a Spack with python-venv, all specs that extend
    Python depend on python-venv, except externals, python-venv itself, and those that an older
    Spack concretized. The recorded build system says what is a Python package. In an older Spack,
    any spec with a run dependency on Python may extend it.

    Parameters
    ----------
    spec : Spec
        The spec.
    edge : Dependency
        Its edge to a python.
    knows_venv : bool
        Whether the store has a python-venv.
    """
    if any(dependency.name == PYTHON_VENV for dependency in spec.dependencies):
        return False
    build_system = spec.variants.get("build_system")
    if spec.name == PYTHON_VENV or build_system in _PYTHON_BUILD_SYSTEMS:
        return True
    if build_system is None and spec.name.startswith("py-"):  # up to Spack 0.18
        return True
    # A record with a compiler of its own is older than Spack 1.0. An external has an edge to Python
    # only if it extends it, or if its dependencies are configured.
    may_extend = not knows_venv or spec.compiler is not None or spec.external is not None
    return may_extend and "run" in edge.deptypes
