"""What package recipes add to a load environment, as recorded with a kernel."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import msgspec

from .load import prepend_pythonpath
from .modifications import InvalidModification, Modification
from .pythonpath import PythonPathEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spack_kernel.spack.store.store import Store

    from .directories import Directories
    from .load import LoadEnvironment


_AGAIN = "Install the kernel again to query Spack again."


class RecipeVariables(msgspec.Struct, frozen=True, kw_only=True):
    """What recipes add to a load environment, as recorded with a kernel.

    Attributes
    ----------
    spack_version : str
        The version of the Spack that reported it; empty if it was read from the site's
        configuration.
    modifications : tuple of Modification
        What Spack does after all modifications known to us, variable by variable, in order.
    replaces : tuple of str
        Variables for which `modifications` contains everything that Spack does, because it mixes
        what recipes add with the modifications known to us.
    specs : tuple of str
        The DAG hashes of the specs that it applies to.
    """

    spack_version: str
    specs: tuple[str, ...] = ()
    replaces: tuple[str, ...]
    modifications: tuple[Modification, ...]

    @property
    def variables(self) -> list[str]:
        """The variables that it contains, sorted."""
        return sorted({*self.replaces, *(m.variable for m in self.modifications)})

    @classmethod
    def from_dict(cls, recorded: Any) -> RecipeVariables:
        """Return what `as_dict` wrote.

        Raises
        ------
        InvalidModification
            When `recorded` is something else; the message states what is wrong.
        """
        try:
            return msgspec.convert(recorded, cls)
        except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
            raise InvalidModification(
                "not a record of recipe variables", details=[f"  {error}"], hint=_AGAIN
            ) from None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def read_recipes(text: str) -> RecipeVariables | None:
    """Return the recorded recipe environment, parsed from JSON; None for empty text.

    Raises
    ------
    InvalidModification
        When it is not a record.
    """
    if not text:
        return None
    try:
        recorded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModification(
            f"the record of recipe variables is not JSON: {error}", hint=_AGAIN
        ) from error
    return RecipeVariables.from_dict(recorded)


def by_variable(modifications: Iterable[Modification]) -> dict[str, list[Modification]]:
    """Return the modifications of each variable, in order."""
    groups: dict[str, list[Modification]] = {}
    for modification in modifications:
        groups.setdefault(modification.variable, []).append(modification)
    return groups


def with_recipes(
    loaded: LoadEnvironment, recipes: RecipeVariables, store: Store, directories: Directories
) -> LoadEnvironment:
    """Return `loaded` with the modifications in `recipes`.

    Parameters
    ----------
    loaded : LoadEnvironment
        The environment derived from the database.
    recipes : RecipeVariables
        The record for the same specs.
    store : Store
        Where they are installed.
    directories : Directories
        Reports which entries of PYTHONPATH exist.
    """
    made = [m for m in loaded.modifications if m.variable not in recipes.replaces]
    made += recipes.modifications
    if not any(m.variable == "PYTHONPATH" for m in recipes.modifications):
        return msgspec.structs.replace(loaded, modifications=tuple(made))
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
    pythonpath = tuple(sorted(found.values(), key=lambda entry: entry.added_by_us))
    made = [m for m in made if m.variable != "PYTHONPATH"]
    return msgspec.structs.replace(
        loaded,
        modifications=(*made, *prepend_pythonpath(pythonpath)),
        pythonpath=pythonpath,
    )
