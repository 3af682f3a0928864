"""What our kernelspecs load in addition to specs, or instead of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.kernels.sources.kernel_source import Source

#: Templates for a Spack environment: the kernel's name, and the name that front ends show.
ENVIRONMENT_NAME = "spack-env-{name}"
ENVIRONMENT_DISPLAY_NAME = "{name} (Spack environment)"

_VIEW_NAME, _VIEW_DISPLAY_NAME = "spack-view-{name}", "{name} (Spack view)"
_MODULES_NAME, _MODULES_DISPLAY_NAME = "spack-module-{name}", "{name} (module)"


@dataclass(frozen=True)
class Loading:
    """The traits of `SpackProvisioner` with the same names.

    Attributes
    ----------
    environment : str
        The directory of a Spack environment.
    view : str
        With an environment, one of its views or ``none``; otherwise the directory of a view.
    modules : tuple of str
        Modules of the site's module system.
    load_modules : bool
        Whether to also load the modules that externals name.
    recipes : mapping or None
        What was recorded from package recipes.
    prefix_inspections : mapping or None
        The site's prefix inspections, where they differ from Spack's defaults.
    modules_alone : bool
        Whether only `modules` are loaded.
    """

    environment: str = ""
    view: str = ""
    modules: tuple[str, ...] = ()
    load_modules: bool = True
    recipes: Mapping[str, Any] | None = None
    prefix_inspections: Mapping[str, Sequence[str]] | None = None
    modules_alone: bool = False

    @classmethod
    def of(
        cls, source: Source, *, modules: Sequence[str] = (), load_modules: bool = True
    ) -> Loading:
        """Return the traits that make a kernel load `source` again.

        Parameters
        ----------
        source : Source
            The source that was planned.
        modules : sequence of str
            The modules that were requested.
        load_modules : bool
            Whether to also load the modules that externals name.
        """
        through = {"environment": source.view_name, "view": source.view}
        recipes = source.recipes
        return cls(
            environment=source.environment,
            view=through.get(source.kind, ""),
            modules=tuple(modules),
            load_modules=load_modules,
            recipes=recipes.as_dict() if recipes and recipes.variables else None,
            prefix_inspections=source.prefix_inspections,
            modules_alone=source.kind == "modules",
        )

    @property
    def needs_specs(self) -> bool:
        """Whether it is loaded in addition to specs, not instead of them."""
        return not (self.environment or self.view or self.modules_alone)

    def config(self) -> dict[str, Any]:
        """Return the traits that differ from their defaults."""
        traits: dict[str, Any] = {}
        if self.environment:
            traits["environment"] = self.environment
        if self.view:
            traits["view"] = self.view
        if self.modules:
            traits["modules"] = list(self.modules)
        if not self.load_modules:
            traits["load_modules"] = False
        if self.recipes:
            traits["recipes"] = dict(self.recipes)
        return traits | inspections_config(self.prefix_inspections)

    def words(self) -> list[str]:
        """Return the same traits as options of `spack-kernel exec`."""
        words = []
        if self.environment:
            words += ["--environment", self.environment]
        if self.view:
            words += ["--view", self.view]
        for module in self.modules:
            words += ["--module", module]
        if not self.load_modules:
            words.append("--no-modules")
        if self.recipes:
            words += ["--recipes", json.dumps(self.recipes, separators=(",", ":"))]
        return words + inspections_words(self.prefix_inspections)


def inspections_config(inspections: Mapping[str, Sequence[str]] | None) -> dict[str, Any]:
    """Return the kernel.json trait with a site's prefix inspections; empty for Spack's defaults."""
    if inspections is None:
        return {}
    return {"prefix_inspections": {where: list(names) for where, names in inspections.items()}}


def inspections_words(inspections: Mapping[str, Sequence[str]] | None) -> list[str]:
    """Return a site's prefix inspections as an option of `spack-kernel exec`."""
    if inspections is None:
        return []
    return ["--prefix-inspections", json.dumps(inspections, separators=(",", ":"))]


def source_names(source: Source) -> tuple[str, str] | None:
    """Return a kernel's name (not normalized) and its display name; None for specs."""
    templates = {
        "environment": (ENVIRONMENT_NAME, ENVIRONMENT_DISPLAY_NAME),
        "view": (_VIEW_NAME, _VIEW_DISPLAY_NAME),
        "modules": (_MODULES_NAME, _MODULES_DISPLAY_NAME),
    }.get(source.kind)
    if templates is None:
        return None
    name = source.name if source.kind == "modules" else PurePath(source.name).name
    kernel, display = templates
    return kernel.format(name=name), display.format(name=name)
