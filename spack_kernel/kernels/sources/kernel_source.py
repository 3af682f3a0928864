"""What a kernel is loaded from: specs, a Spack environment, or a view of the user's own making.

A module that Spack generated is one more: `spack_kernel.kernels.sources.spack_module`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spack_kernel.kernels.errors import gone
from spack_kernel.spack.load import Directories, load_environment, site_inspections, with_recipes
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.environments import SpackEnvironment, View
    from spack_kernel.spack.load import LoadEnvironment, RecipeEnvironment
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

#: In the place of a view's name: use none.
NO_VIEW = "none"


@dataclass(frozen=True, eq=False)
class Source:
    """What a kernel is loaded from, and what loading it changes.

    Attributes
    ----------
    kind : {"specs", "environment", "view", "modules"}
        What it is.
    name : str
        What people call it: the label of the spec, the environment's name or directory, the view's
        directory, the modules.
    store : Store
        Where the specs are installed.
    load : LoadEnvironment
        What loading changes; its `specs` are the roots.
    environment : str
        The directory of a Spack environment; empty for others.
    view_name : str
        The name of the environment's view; `NO_VIEW` when it is used without, empty for others.
    view : str
        The directory of the view through which everything is used; empty without one.
    modules : tuple of str
        The modules that are all of it; `load` then only says what they give.
    recipes : RecipeEnvironment or None
        What is in `load` of what recipes add.
    prefix_inspections : mapping of str to tuple of str, or None
        What the site inspects in prefixes, where that is not Spack's own.
    notes : tuple of str
        What is worth knowing.
    directories : Directories
        What was found out about which directories exist.
    """

    kind: Literal["specs", "environment", "view", "modules"]
    name: str
    store: Store
    load: LoadEnvironment
    environment: str = ""
    view_name: str = ""
    view: str = ""
    modules: tuple[str, ...] = ()
    recipes: RecipeEnvironment | None = None
    prefix_inspections: Mapping[str, tuple[str, ...]] | None = None
    notes: tuple[str, ...] = ()
    directories: Directories = field(default_factory=Directories, repr=False)

    def describe(self) -> str:
        """Return what it is in words: ``the environment science, through the view default``."""
        if self.kind == "specs":
            return ", ".join(spec.label for spec in self.load.specs)
        if self.kind == "view":
            return f"the view {self.name}"
        if self.kind == "modules":
            return f"the {'modules' if len(self.modules) > 1 else 'module'} {self.name}"
        through = f"through the view {self.view_name}" if self.view else "its roots loaded"
        return f"the environment {self.name}, {through}"

    @property
    def default_kernel(self) -> str | None:
        """Which kernel is meant when nobody says, for `choose_shipped`; None leaves it to the root.

        An environment or a view has no root that could say: it is IPython where there is Python.
        """
        several = self.kind != "specs"
        return "python" if several and any(s.name == "python" for s in self.load.closure) else None


def specs_source(
    store: Store,
    specs: Sequence[Spec],
    *,
    inspections: Mapping[str, Sequence[str]] | None = None,
    recipes: RecipeEnvironment | None = None,
) -> Source:
    """Return the source that installed specs are, loaded together.

    Parameters
    ----------
    store : Store
        Where the specs were found.
    specs : sequence of Spec
        One or more roots, in the order in which `spack load` would be given them.
    inspections : mapping of str to sequence of str, optional
        As for `spack_kernel.spack.load_environment`.
    recipes : RecipeEnvironment, optional
        What was recorded of their recipes; left out, with a note, if it is of other specs.

    Raises
    ------
    PrefixGoneError
        When the directory of one of the specs does not exist.
    DatabaseError, ConfigError
        As `load_environment`.
    """
    if not specs:
        raise ValueError("no specs")
    _require_roots(specs, store)
    directories = Directories()
    load = load_environment(store, specs, inspections, directories=directories)
    recipes, notes = _still_theirs(recipes, specs)
    if recipes is not None:
        load = with_recipes(load, recipes, store, directories)
    name = " ".join(spec.label for spec in specs)
    return Source(
        "specs",
        name,
        store,
        load,
        recipes=recipes,
        prefix_inspections=site_inspections(store, inspections),
        notes=notes,
        directories=directories,
    )


def environment_source(
    store: Store,
    name: str,
    *,
    view: str = "",
    inspections: Mapping[str, Sequence[str]] | None = None,
    recipes: RecipeEnvironment | None = None,
) -> Source:
    """Return the source that a Spack environment is: through its view when it has one.

    Parameters
    ----------
    store : Store
        Where its specs are installed, unless its manifest names an install tree of its own. The
        configuration of a store opened through a Spack instance knows managed environments.
    name : str
        Its name; or its directory, which begins with ``/``, ``./``, ``../`` or ``~``.
    view : str
        The name or the directory of one of its views; `NO_VIEW` to load its roots; empty for the
        default view, the only one, or none where it has none.
    inspections : mapping of str to sequence of str, optional
        As for `spack_kernel.spack.open_environment`; the manifest's own go before.
    recipes : RecipeEnvironment, optional
        What was recorded of the recipes of its roots; left out, with a note, if it is of others.

    Raises
    ------
    EnvironmentNotFound, EnvironmentNotReady, ViewNotFound
        When there is no such environment or view, or it is not installed.
    PrefixGoneError
        When the directory of one of its roots does not exist.
    StoreNotFound, DatabaseError, ConfigError, QuerySyntaxError
        When its files or its store cannot be read.
    """
    # Here and below: they bring YAML along, and kernels for specs start without.
    from spack_kernel.spack.environments import activate, open_environment

    environment = open_environment(name, store.config, inspections=inspections)
    inspected = site_inspections(store, inspections)
    store = environment.store(store)
    chosen = _view_of(environment, view)
    specs = environment.specs(store)
    _require_roots(specs, store)
    recipes, notes = _still_theirs(recipes, specs)
    directories = Directories()
    load = activate(environment, store, chosen, recipes=recipes, directories=directories)
    return Source(
        "environment",
        environment.name,
        store,
        load,
        environment=str(environment.path),
        view_name=chosen.name if chosen else NO_VIEW,
        view=chosen.root if chosen else "",
        recipes=recipes,
        prefix_inspections=inspected,
        notes=notes,
        directories=directories,
    )


def view_source(
    store: Store, directory: str, *, inspections: Mapping[str, Sequence[str]] | None = None
) -> Source:
    """Return the source that a view of the user's own making is (`spack view symlink`).

    Its roots are what nothing else in the view depends on.

    Parameters
    ----------
    store : Store
        Where what it shows is installed.
    directory : str
        The view's directory, absolute or below ``~``.
    inspections : mapping of str to sequence of str, optional
        As for `spack_kernel.spack.load_environment`.

    Raises
    ------
    ViewNotFound
        When there is none, or it has several Pythons.
    """
    from spack_kernel.spack.environments import ViewNotFound, load_view

    path = os.path.expanduser(directory)  # noqa: PTH111 - must stay a string as it is
    if not os.path.isabs(path):  # noqa: PTH117
        raise ViewNotFound(
            f"a view outside of environments is named by its whole path, which {directory!r} is not"
            if directory
            else "the view has no name",
            hint="Views of environments have names: say which environment, too.",
        )
    path = os.path.normpath(path)
    load = load_view(store, path, inspections)
    below = {edge.hash for spec in load.specs for edge in spec.dependencies}
    roots = tuple(spec for spec in load.specs if spec.hash not in below)
    load = replace(load, specs=roots or load.specs)
    return Source(
        "view",
        path,
        store,
        load,
        view=path,
        prefix_inspections=site_inspections(store, inspections),
    )


def _require_roots(specs: Sequence[Spec], store: Store) -> None:
    for spec in specs:
        if spec.prefix and not spec.external and not file_checks.is_dir(spec.prefix):
            raise gone(spec, "asked for", store)


def _view_of(environment: SpackEnvironment, wanted: str) -> View | None:
    if wanted == NO_VIEW and NO_VIEW not in environment.views:
        return None
    if not wanted:
        return environment.view()
    if "/" not in wanted:
        return environment.view(wanted)
    directory = Path(wanted).expanduser()
    for view in environment.views.values():
        if Path(view.root) == directory:
            return view
    from spack_kernel.spack.environments import EnvironmentNotReady

    raise EnvironmentNotReady(
        f"the environment {environment.name} has no view at {wanted}",
        details=[f"  {view.name}: {view.root}" for view in environment.views.values()],
        hint="Name one of them."
        if environment.views
        else "It has no view at all; leave the environment out to use a view of your own.",
    )


def _still_theirs(
    recipes: RecipeEnvironment | None, specs: Sequence[Spec]
) -> tuple[RecipeEnvironment | None, tuple[str, ...]]:
    """Return the record when it is of these specs; else a note that it is not used."""
    if recipes is None or not recipes.specs or set(recipes.specs) == {spec.hash for spec in specs}:
        return recipes, ()
    text = (
        "the variables that Spack was asked for are those of other specs, and not used; "
        "make the kernel again with `spack-kernel install`"
    )
    return None, (text,)
