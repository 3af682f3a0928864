"""What package recipes add to a load environment, as it is recorded with a kernel."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .load import prepend_pythonpath
from .modifications import InvalidModification, Modification
from .pythonpath import PythonPathEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spack_kernel.spack.store.store import Store

    from .directories import Directories
    from .load import LoadEnvironment


@dataclass(frozen=True)
class RecipeEnvironment:
    """What recipes add to a load environment, as it is recorded with a kernel.

    Attributes
    ----------
    spack_version : str
        The Spack that said so; empty when it was read from the site's configuration.
    modifications : tuple of Modification
        What Spack does after all we know of, variable by variable, in order.
    replaces : tuple of str
        Variables of which `modifications` has everything Spack does, since it mixes what recipes
        add with what we know.
    specs : tuple of str
        The DAG hashes of the specs it is true of.
    """

    spack_version: str
    modifications: tuple[Modification, ...] = ()
    replaces: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()

    @property
    def variables(self) -> list[str]:
        """The variables it says something of, sorted."""
        return sorted({*self.replaces, *(m.variable for m in self.modifications)})

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return {
            "spack_version": self.spack_version,
            "specs": list(self.specs),
            "replaces": list(self.replaces),
            "modifications": [modification.as_dict() for modification in self.modifications],
        }

    @classmethod
    def from_dict(cls, recorded: Any) -> RecipeEnvironment:
        """Return what `as_dict` wrote.

        Raises
        ------
        InvalidModification
            When `recorded` is not that, naming what is wrong.
        """
        try:
            version, replaces = recorded["spack_version"], recorded["replaces"]
            listed, specs = recorded["modifications"], recorded.get("specs", [])
            if not isinstance(version, str) or not isinstance(listed, list):
                raise TypeError("spack_version is not a string, or modifications not a list")
            for name, values in (("replaces", replaces), ("specs", specs)):
                if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
                    raise TypeError(f"{name} is not a list of strings")
            modifications = tuple(Modification.from_dict(each) for each in listed)
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidModification(
                "not a record of what recipes add",
                details=[f"  {type(error).__name__}: {error}"],
                hint="Make the kernel anew to have Spack asked again.",
            ) from error
        return cls(version, modifications, tuple(replaces), tuple(specs))


def read_recipes(text: str) -> RecipeEnvironment | None:
    """Return what was recorded of recipes, from JSON; None for an empty text.

    Raises
    ------
    InvalidModification
        When it is not a record.
    """
    if not text:
        return None
    try:
        return RecipeEnvironment.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidModification(
            f"what is recorded of recipes is not JSON: {error}",
            hint="Make the kernel anew to have Spack asked again.",
        ) from error


def by_variable(modifications: Iterable[Modification]) -> dict[str, list[Modification]]:
    """Return the modifications of each variable, in order."""
    groups: dict[str, list[Modification]] = {}
    for modification in modifications:
        groups.setdefault(modification.variable, []).append(modification)
    return groups


def with_recipes(
    loaded: LoadEnvironment, recipes: RecipeEnvironment, store: Store, directories: Directories
) -> LoadEnvironment:
    """Return `loaded` with what `recipes` records.

    Parameters
    ----------
    loaded : LoadEnvironment
        What the database tells.
    recipes : RecipeEnvironment
        What was recorded for the same specs.
    store : Store
        Where they are installed.
    directories : Directories
        Says which entries of PYTHONPATH exist.
    """
    made = [m for m in loaded.modifications if m.variable not in recipes.replaces]
    made += recipes.modifications
    if not any(m.variable == "PYTHONPATH" for m in recipes.modifications):
        return replace(loaded, modifications=tuple(made))
    known = {entry.path: entry for entry in loaded.pythonpath}
    found: dict[str, PythonPathEntry] = {}
    for modification in reversed(made):
        if modification.variable != "PYTHONPATH" or modification.operation != "prepend":
            continue
        path = os.path.normpath(modification.value)
        if directories.exists(path):
            spec = store.by_hash(modification.spec) if modification.spec else None
            entry = PythonPathEntry(path, spec or loaded.specs[0], modification.reason)
            found.setdefault(path, known.get(path, entry))
    for entry in loaded.pythonpath:
        found.setdefault(entry.path, entry)
    pythonpath = tuple(sorted(found.values(), key=lambda entry: entry.ours))
    made = [m for m in made if m.variable != "PYTHONPATH"]
    return replace(
        loaded,
        modifications=(*made, *prepend_pythonpath(pythonpath)),
        pythonpath=pythonpath,
    )
