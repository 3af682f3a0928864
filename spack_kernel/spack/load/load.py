"""Compute the environment of `spack load` from the install database and the prefixes.

What a package's own recipe adds (``MPICC``, ``R_LIBS`` …) is not in the database. It is queried
from the site's own ``spack``, see `ask_spack`. docs/environment.md describes the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spack_kernel._log import debugger
from spack_kernel.spack.spec.traversal import (
    ALL_DEPTYPES,
    environment_order,
    reachable,
    rule_for,
    topological,
)

from .apply import apply_modifications, is_system_directory
from .directories import Directories
from .inspections import inspections_of
from .linked import LinkedRecords
from .modifications import Modification, configured_modifications
from .pythonpath import PYTHON_VENV, candidate_directories, find_extensions, python_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spack_kernel.spack.spec.spec import Dependency, Spec
    from spack_kernel.spack.store.store import Store

    from .pythonpath import Extension, PythonPath, PythonPathEntry

_debug = debugger(__name__)

#: The variable in which Spack records the loaded specs.
LOADED_HASHES = "SPACK_LOADED_HASHES"

_EXECUTABLES = ("bin", "bin64")


class LoadEnvironment(msgspec.Struct, frozen=True):
    """The changes made by loading some specs together.

    Attributes
    ----------
    specs : tuple of Spec
        The specs loaded.
    closure : tuple of Spec
        These specs and their link and run dependencies, in Spack's topological order.
    modifications : tuple of Modification
        All changes, in the order in which they are applied.
    pythonpath : tuple of PythonPathEntry
        The entries of PYTHONPATH, in the order in which Python searches them.
    left_out : tuple of PythonPathEntry
        Entries of PYTHONPATH that do not exist or belong to another Python, with the reason.
    unrecorded : tuple of (Spec, Dependency)
        Dependencies that are in no database of the store; Spack warns about them and continues.
    """

    specs: tuple[Spec, ...]
    closure: tuple[Spec, ...]
    modifications: tuple[Modification, ...]
    pythonpath: tuple[PythonPathEntry, ...]
    left_out: tuple[PythonPathEntry, ...]
    unrecorded: tuple[tuple[Spec, Dependency], ...]

    def apply(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return a copy of `environment` with the changes applied."""
        return apply_modifications(self.modifications, environment)


def load_environment(
    store: Store,
    specs: Sequence[Spec],
    inspections: Mapping[str, Sequence[str]] | None = None,
    *,
    directories: Directories | None = None,
) -> LoadEnvironment:
    """Return the changes of `spack load` for `specs`, as far as the database determines them.

    First, each prefix in the closure is inspected for directories that belong to a variable,
    leaves first. Then the ``bin`` directories of the roots and run dependencies are added to
    PATH: externals first, then the others, again leaves first. pythonpath.py has the order of
    PYTHONPATH.

    Parameters
    ----------
    store : Store
        Where `specs` and their dependencies are recorded.
    specs : sequence of Spec
        The specs to load, as in ``spack load a b``.
    inspections : mapping of str to sequence of str, optional
        The site's ``modules:prefix_inspections``: subdirectory → variables. By default those that
        the store is configured with, else Spack's own.
    directories : Directories, optional
        Caches which directories exist; a new cache by default.

    Raises
    ------
    DatabaseError
        When the recorded dependencies form a cycle.
    ConfigError
        When the prefix inspections that the store is configured with are invalid.
    """
    directories = directories or Directories()
    inspected = inspections_of(store, inspections)
    rule = rule_for(store.databases[0].version)
    records = LinkedRecords(reachable(specs, store.by_hash), store, rule)
    graph = records.graph
    closure = topological(graph, rule)
    wider, build_only = graph, []
    if _loads_build_dependencies(store):
        wider = reachable(specs, store.by_hash, ALL_DEPTYPES)
        build_only = [spec for spec in topological(wider, rule) if spec.hash not in graph.nodes]

    _prefetch(directories, [*closure, *build_only], inspected)
    order = _externals_first(reversed(environment_order(graph, rule)))
    extensions = find_extensions(records, order, store)
    path = python_path(extensions, order, directories)
    if build_only:
        wider_order = _externals_first(reversed(environment_order(wider, rule)))
        wider_records = LinkedRecords(wider, store, rule)
        wider_extensions = find_extensions(wider_records, wider_order, store)
        path = _behind(path, python_path(wider_extensions, wider_order, directories))

    modifications: list[Modification] = []
    for spec in (*reversed(build_only), *reversed(closure)):
        modifications += _inspect(spec, inspected, directories)
    run = {*graph.roots} | {
        edge.hash for edges in graph.edges.values() for edge in edges if "run" in edge.deptypes
    }
    for spec in order:
        if spec.hash in run:
            modifications += _make_runnable(spec, directories)
        if spec.name == PYTHON_VENV:
            modifications += _add_scripts(spec, extensions, directories)
        modifications += _configured_for_external(spec)
    modifications += prepend_pythonpath(path.entries)
    modifications += [
        Modification("prepend", LOADED_HASHES, spec.hash, ":", spec.hash, "loaded by name")
        for spec in specs
    ]
    _debug(
        "loading %s: %d specs in the closure, %d entries on PYTHONPATH, %d changes",
        [spec.label for spec in specs],
        len(closure),
        len(path.entries),
        len(modifications),
    )
    return LoadEnvironment(
        tuple(specs),
        tuple(closure),
        tuple(modifications),
        path.entries,
        path.missing,
        wider.missing,
    )


def prepend_pythonpath(entries: Sequence[PythonPathEntry]) -> list[Modification]:
    """Return the changes that prepend `entries` to PYTHONPATH, with the first entry in front."""
    return [
        Modification(
            "prepend",
            "PYTHONPATH",
            entry.path,
            ":",
            entry.spec.hash,
            entry.reason,
            entry.added_by_us,
        )
        for entry in reversed(entries)
    ]


def _loads_build_dependencies(store: Store) -> bool:
    """Return whether the Spack of this store loads build dependencies, as it does up to 0.20."""
    version = store.databases[0].version
    return version.isdigit() and int(version) < 7


def _externals_first(specs: Iterable[Spec]) -> list[Spec]:
    ordered = list(specs)
    return [spec for spec in ordered if spec.external] + [
        spec for spec in ordered if not spec.external
    ]


def _prefetch(
    directories: Directories, specs: Sequence[Spec], inspected: Mapping[str, Sequence[str]]
) -> None:
    relatives = [*inspected, *_EXECUTABLES, *candidate_directories(specs)]
    directories.prefetch((spec.prefix for spec in specs if spec.prefix), relatives)


def _inspect(
    spec: Spec, inspected: Mapping[str, Sequence[str]], directories: Directories
) -> Iterator[Modification]:
    if spec.prefix is None:
        return
    for relative, variables in inspected.items():
        path = directories.below(spec.prefix, relative)
        if path is None or is_system_directory(path):
            continue
        for variable in variables:
            yield Modification("prepend", variable, path, ":", spec.hash, "prefix inspection")


def _make_runnable(spec: Spec, directories: Directories) -> Iterator[Modification]:
    if spec.prefix is None or is_system_directory(spec.prefix):
        return
    for name in _EXECUTABLES:
        path = directories.below(spec.prefix, name)
        if path is not None:
            yield Modification("prepend", "PATH", path, ":", spec.hash, "run dependency")


def _add_scripts(
    venv: Spec, extensions: Sequence[Extension], directories: Directories
) -> Iterator[Modification]:
    """Yield what ``python-venv`` adds to PATH: the scripts of the Python packages that use it."""
    for extension in extensions:
        spec = extension.spec
        if extension.through != venv or spec.prefix is None or not spec.name.startswith("py-"):
            continue
        path = directories.below(spec.prefix, "bin")
        if path is not None:
            yield Modification("prepend", "PATH", path, ":", spec.hash, f"uses {venv.label}")


def _configured_for_external(spec: Spec) -> list[Modification]:
    configured = spec.external and spec.external.extra_attributes.get("environment")
    if not isinstance(configured, dict):
        return []
    return configured_modifications(configured, spec.hash, "environment of the external")


def _behind(path: PythonPath, wider: PythonPath) -> PythonPath:
    """Return `path`, then the entries only in `wider`; entries Spack does not add come last."""
    known = {entry.path for entry in path.entries}
    added = [
        entry._replace(reason=f"{entry.reason}; Spack up to 0.20 loads build dependencies as well")
        for entry in wider.entries
        if entry.path not in known
    ]
    entries = sorted([*path.entries, *added], key=lambda entry: entry.added_by_us)
    return type(path)(tuple(entries), path.missing)
