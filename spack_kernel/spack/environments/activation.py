"""Activate a Spack environment: through one of its views, or by loading its roots.

The rules are those of ``spack.environment.shell`` and ``add_view_to_env``: `spack env activate`
makes the same changes as `spack load` of the roots, with prefixes replaced by the view.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.load.directories import Directories
from spack_kernel.spack.load.inspections import DEFAULT_INSPECTIONS, inspections_of
from spack_kernel.spack.load.load import (
    LOADED_HASHES,
    LoadEnvironment,
    load_environment,
    prepend_pythonpath,
)
from spack_kernel.spack.load.modifications import Modification
from spack_kernel.spack.load.pythonpath import PYTHON, PYTHON_VENV, PythonPathEntry, shown_entries
from spack_kernel.spack.load.recipe_variables import with_recipes
from spack_kernel.spack.system import file_checks

from .frozen import FrozenEnvironment
from .views import Projection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.load.recipe_variables import RecipeVariables
    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

    from .frozen import View
    from .manifest import SpackEnvironment

#: Spack's metadata directory in a prefix; in a view, it has the metadata of all linked specs.
METADATA = ".spack"


class ViewNotFound(SpackKernelError, LookupError):  # noqa: N818 - reads as Spack's own errors do
    """A view that does not exist, is not a view of this store, or has several Pythons."""

    code = "view-not-found"


def activate(
    environment: SpackEnvironment | FrozenEnvironment,
    store: Store,
    view: View | None = None,
    *,
    recipes: RecipeVariables | None = None,
    directories: Directories | None = None,
) -> LoadEnvironment:
    """Return the changes that `spack env activate` makes for `environment`, through `view`.

    First come the changes of ``env_vars:`` and the view's directories for programs, man pages and
    libraries, whether they exist or not. The changes of `spack load` for the roots follow, with
    each prefix replaced by its place in the view. Duplicates are dropped. Without a view, Spack
    changes almost nothing. This function then loads the roots, because users expect the specs of an
    environment to be available in its kernel.

    Parameters
    ----------
    environment : SpackEnvironment or FrozenEnvironment
        The environment. A frozen one names its view itself.
    store : Store
        Where its specs are installed.
    view : View or None
        One of its views (`SpackEnvironment.view`); None to load the roots instead.
    recipes : RecipeVariables, optional
        The recorded changes of the recipes of its roots.
    directories : Directories, optional
        Caches which directories exist; a new cache by default.

    Raises
    ------
    EnvironmentNotReady
        When some of its roots are not installed.
    ViewNotFound
        When the directory of the view does not exist.
    ConfigError, DatabaseError, QuerySyntaxError
        When its configuration is invalid, or recorded dependencies form a cycle.
    """
    directories = directories or Directories()
    if not isinstance(environment, FrozenEnvironment):
        environment = environment.freeze(view, store)
    view = environment.view
    specs = environment.specs(store)
    inspections = inspections_of(store, environment.prefix_inspections or DEFAULT_INSPECTIONS)
    loaded = load_environment(store, specs, inspections, directories=directories)
    if recipes is not None:
        loaded = with_recipes(loaded, recipes, store, directories)
    name = f"the environment {environment.name}"
    modifications = [Modification("set", "SPACK_ENV", environment.path, reason=name)]
    if view is None:
        modifications += environment.variables
        modifications += _without(loaded, LOADED_HASHES)
        return msgspec.structs.replace(loaded, modifications=tuple(modifications))
    reason = f"the view {view.name}"
    if not directories.exists(view.root):
        raise ViewNotFound(
            f"{reason} of {name} does not exist",
            details=[f"  looked for {view.root}"],
            hint=f"Create it with `spack {environment.option} env view regenerate`.",
        )
    modifications.append(Modification("set", "SPACK_ENV_VIEW", view.root, reason=reason))
    active = [*environment.variables, *_inspect(view.root, inspections, reason)]
    projection = Projection(view, loaded.closure, store)
    active += [
        msgspec.structs.replace(modification, value=projection.replace(modification.value))
        for modification in _without(loaded, LOADED_HASHES, "PYTHONPATH")
    ]
    shown_roots = [spec for spec in specs if _is_shown(spec, environment, view)]
    pythonpath = _through(projection, projection.linked(shown_roots), loaded, directories)
    active += prepend_pythonpath(pythonpath)
    active += [
        Modification("prune", variable, reason="Spack drops duplicates in a view")
        for variable in dict.fromkeys(modification.variable for modification in active)
    ]
    return msgspec.structs.replace(
        loaded, modifications=tuple(modifications + active), pythonpath=tuple(pythonpath)
    )


def load_view(
    store: Store,
    root: str,
    inspections: Mapping[str, Sequence[str]] | None = None,
    *,
    directories: Directories | None = None,
) -> LoadEnvironment:
    """Return the load environment of a view that a user created with `spack view symlink`.

    The site's prefix inspections are applied to the view itself, and its site-packages directories
    are added to PYTHONPATH. The specs of the result are those whose metadata is in the view.
    Externals, which are never linked into a view, are only in the closure of the result.

    Parameters
    ----------
    store : Store
        The store in which the specs in the view are installed.
    root : str
        The absolute path of the view.
    inspections : mapping of str to sequence of str, optional
        The site's ``modules:prefix_inspections``; by default those that the store is configured
        with, else Spack's own.
    directories : Directories, optional
        Caches which directories exist; a new cache by default.

    Raises
    ------
    ViewNotFound
        When the directory does not exist, is not a view of this store, or has several Pythons.
    """
    directories = directories or Directories()
    if not directories.exists(root):
        raise ViewNotFound(f"there is no view at {root}: no such directory")
    specs = specs_in_view(store, root)
    if not specs:
        raise ViewNotFound(
            f"{root} is not a view of specs of this store",
            details=[f"  looked in {posixpath.join(root, METADATA)} for linked specs"],
            hint=f"Create one with `spack view symlink {root} SPEC`.",
        )
    reason = f"the view {root}"
    modifications = [
        modification
        for modification in _inspect(root, inspections_of(store, inspections), reason)
        if directories.exists(posixpath.normpath(modification.value))
    ]
    closure = store.closure(*specs)
    pythons = [spec for spec in closure if spec.name == PYTHON]
    if len(pythons) > 1:
        raise ViewNotFound(
            f"the view {root} has several Pythons",
            details=[f"  {python.label}" for python in pythons],
            hint="Name a view that has the packages of a single Python.",
        )
    is_venv = any(spec.name == PYTHON_VENV for spec in specs)
    pythonpath = [
        entry
        for python in pythons
        for entry in shown_entries(python, root, reason, directories, is_venv=is_venv)
    ]
    return LoadEnvironment(
        specs=specs,
        closure=tuple(closure),
        modifications=(*modifications, *prepend_pythonpath(pythonpath)),
        pythonpath=tuple(pythonpath),
        left_out=(),
        unrecorded=(),
    )


def specs_in_view(store: Store, root: str) -> tuple[Spec, ...]:
    """Return the specs of `store` whose metadata is in the view at `root`, sorted by name.

    A view has a metadata directory for each linked spec: ``.spack/PACKAGE``.
    """
    names = file_checks.names_in(posixpath.join(root, METADATA))
    found = []
    for name in names or ():
        dag_hash = _recorded_hash(posixpath.join(root, METADATA, name, "spec.json"))
        spec = store.by_hash(dag_hash) if dag_hash else None
        if spec is not None:
            found.append(spec)
    return tuple(found)


def _recorded_hash(path: str) -> str | None:
    """Return the DAG hash of the spec in a ``spec.json``; None when the file is not valid."""
    try:
        dag_hash = json.loads(file_checks.read_regular(path))["spec"]["nodes"][0]["hash"]
    except (OSError, ValueError, RecursionError, KeyError, IndexError, TypeError):
        return None
    return dag_hash if isinstance(dag_hash, str) else None


def _is_shown(spec: Spec, environment: FrozenEnvironment, view: View) -> bool:
    """Return whether `view` includes the group of roots that `spec` belongs to."""
    return view.groups is None or any(
        root.hash == spec.hash and root.group in view.groups for root in environment.roots
    )


def _inspect(
    root: str, inspections: Mapping[str, Sequence[str]], reason: str
) -> list[Modification]:
    return [
        Modification("prepend", variable, posixpath.join(root, relative), reason=reason)
        for relative, variables in inspections.items()
        for variable in variables
    ]


def _without(loaded: LoadEnvironment, *variables: str) -> list[Modification]:
    return [
        modification
        for modification in loaded.modifications
        if modification.variable not in variables
    ]


def _through(
    projection: Projection, linked: set[str], loaded: LoadEnvironment, directories: Directories
) -> list[PythonPathEntry]:
    """Return the PYTHONPATH of `loaded` mapped into a view, then the entries not in the view."""
    shown = []
    behind = []
    for entry in loaded.pythonpath:
        path = projection.replace(entry.path)
        if path != entry.path and entry.spec.hash not in linked:
            behind.append(
                entry._replace(reason=f"{entry.reason}; not linked into the view", added_by_us=True)
            )
        if path == entry.path or directories.exists(path):
            shown.append(entry._replace(path=path))
    unique: dict[str, PythonPathEntry] = {}
    for entry in sorted([*shown, *behind], key=lambda entry: entry.added_by_us):
        unique.setdefault(entry.path, entry)
    return list(unique.values())
