"""What a kernelspec of ours loads beside specs, or in their place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.kernels.sources.kernel_source import Source

#: What stands for a Spack environment, as a kernel's name and in front ends.
ENVIRONMENT_NAME = "spack-env-{name}"
ENVIRONMENT_DISPLAY_NAME = "{name} (Spack environment)"

_VIEW_NAME, _VIEW_DISPLAY_NAME = "spack-view-{name}", "{name} (Spack view)"
_MODULES_NAME, _MODULES_DISPLAY_NAME = "spack-module-{name}", "{name} (module)"


@dataclass(frozen=True)
class Loading:
    """The traits of `SpackProvisioner` of these names.

    Attributes
    ----------
    environment : str
        The directory of a Spack environment.
    view : str
        Which of its views, or ``none``; alone the directory of a view.
    modules : tuple of str
        Modules of the site.
    load_modules : bool
        Whether those that externals name are loaded, too.
    recipes : mapping or None
        What was recorded of recipes.
    prefix_inspections : mapping or None
        What the site inspects in prefixes, where that is not Spack's own.
    modules_alone : bool
        Whether `modules` are all that is loaded.
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
        """Return what makes a kernel load `source` again.

        Parameters
        ----------
        source : Source
            What was planned.
        modules : sequence of str
            The modules that were asked for.
        load_modules : bool
            Whether those that externals name are loaded, too.
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
        """Whether it goes beside specs, and not in their place."""
        return not (self.environment or self.view or self.modules_alone)

    def config(self) -> dict[str, Any]:
        """Return the traits that are not at their defaults."""
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
        """Return the same as options of `spack-kernel exec`."""
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
    """Return the trait of a kernel.json that says what a site inspects; nothing for Spack's own."""
    if inspections is None:
        return {}
    return {"prefix_inspections": {where: list(names) for where, names in inspections.items()}}


def inspections_words(inspections: Mapping[str, Sequence[str]] | None) -> list[str]:
    """Return the same as an option of `spack-kernel exec`."""
    if inspections is None:
        return []
    return ["--prefix-inspections", json.dumps(inspections, separators=(",", ":"))]


def source_names(source: Source) -> tuple[str, str] | None:
    """Return the text of a kernel's name, and what front ends show; None for specs."""
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
