"""Modules that Spack generated as what a kernel is loaded from.

What the modules set is taken as it is. The directories they name belong to specs, and these say
which Python it is and whether an ipykernel is among them.
"""

from __future__ import annotations

import json
import os
import posixpath
from typing import TYPE_CHECKING

from spack_kernel.kernels.interpreters.environment_filter import clean_environment
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.load import LoadEnvironment, PythonPathEntry, apply_modifications

from .kernel_source import Source
from .site_modules import module_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

#: Variables whose directories tell which specs modules load, the most telling first.
_TELLING = ("PYTHONPATH", "CMAKE_PREFIX_PATH", "PATH", "MANPATH", "LD_LIBRARY_PATH")

#: How far above a directory that a module names the prefix may be: lib/python3.11/site-packages.
_DEPTH = 4

_PYTHONS = ("python", "python-venv")


class ModuleContentError(SpackKernelError):
    """Modules that load nothing of the store, or no Python."""

    code = "module-content"


def module_source(
    store: Store,
    modules: Sequence[str],
    environ: Mapping[str, str],
    *,
    env: Mapping[str, str] | None = None,
) -> Source:
    """Return the source that some modules are, as they are now.

    Parameters
    ----------
    store : Store
        Where what they load is installed.
    modules : sequence of str
        Their names, in order.
    environ : mapping of str to str
        The environment of the process that starts the kernel.
    env : mapping of str to str, optional
        Variables set in the kernel, see `spack_kernel.kernels.sources.site_modules.SETTINGS`.

    Raises
    ------
    ModulesError
        When they cannot be loaded.
    ModuleContentError
        When nothing they set lies in a prefix of the store.
    DatabaseError
        When a record cannot be read.
    """
    cleaned, _ = clean_environment(environ)
    changes = module_changes(modules, cleaned, env=env)
    after = apply_modifications(changes, cleaned)
    name = " ".join(modules)
    owners = _Owners(store)
    found: dict[str, Spec] = {}
    pythonpath = []
    for variable in _TELLING:
        before = set(cleaned.get(variable, "").split(os.pathsep))
        for path in after.get(variable, "").split(os.pathsep):
            spec = owners.find(path) if path not in before else None
            if spec is None:
                continue
            found.setdefault(spec.hash, spec)
            if variable == "PYTHONPATH":
                pythonpath.append(PythonPathEntry(path, spec, f"the module sets it: {name}"))
    if not found:
        raise ModuleContentError(
            f"what {name} loads is not installed in this store",
            details=[f"  the store is {store.root}"]
            + [f"  {change.variable}={change.value}" for change in changes[:12]],
            hint="Name the store with --store; only modules that Spack generated can be kernels.",
        )
    closure = _with_python(store, found)
    below = {edge.hash for spec in found.values() for edge in spec.dependencies}
    roots = [spec for spec in found.values() if spec.hash not in below] or list(found.values())
    load = LoadEnvironment(tuple(roots), tuple(closure), (), tuple(pythonpath), (), ())
    return Source("modules", name, store, load, modules=tuple(modules))


def _with_python(store: Store, found: Mapping[str, Spec]) -> list[Spec]:
    """Return what was found and the Pythons it runs in, which a module need not load."""
    closure = dict(found)
    for node in store.closure(*found.values()):
        if node.name in _PYTHONS:
            closure.setdefault(node.hash, node)
    return list(closure.values())


class _Owners:
    """Finds the spec in whose prefix a directory lies, by what Spack leaves in each prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Spec | None] = {}

    def find(self, path: str) -> Spec | None:
        path = posixpath.normpath(path) if path.startswith("/") else "/"
        for _ in range(_DEPTH + 1):
            if path == "/":
                return None
            if path not in self._known:
                self._known[path] = self._at(path)
            if self._known[path] is not None:
                return self._known[path]
            path = posixpath.dirname(path)
        return None

    def _at(self, prefix: str) -> Spec | None:
        try:
            with open(posixpath.join(prefix, ".spack", "spec.json"), "rb") as file:
                dag_hash = json.load(file)["spec"]["nodes"][0]["hash"]
        except (OSError, ValueError, RecursionError, KeyError, IndexError, TypeError):
            return None
        spec = self._store.by_hash(dag_hash) if isinstance(dag_hash, str) else None
        # A view has such files, too, of other specs.
        return spec if spec is not None and spec.prefix == prefix else None
