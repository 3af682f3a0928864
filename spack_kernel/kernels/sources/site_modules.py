"""The site's modules that a kernel needs, loaded each time it starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.kernels.interpreters.environment_filter import Removal, why_removed
from spack_kernel.spack.load import ModulesError, apply_modifications, load_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spack_kernel.spack.load import Modification
    from spack_kernel.spack.spec import Spec

#: Where modules and the module system are; values set for the kernel also apply to loading.
SETTINGS = ("MODULEPATH", "LMOD_CMD", "LMOD_PKG", "MODULES_CMD", "MODULESHOME")


def module_changes(
    modules: Sequence[str],
    environment: Mapping[str, str],
    *,
    closure: Iterable[Spec] = (),
    env: Mapping[str, str] | None = None,
) -> list[Modification]:
    """Return what loading `modules` changes in `environment`.

    Parameters
    ----------
    modules : sequence of str
        The modules, in order.
    environment : mapping of str to str
        The environment they are loaded in, cleaned of what must not reach the kernel.
    closure : iterable of Spec
        The specs; an error reports which external names a module.
    env : mapping of str to str, optional
        The variables set in the kernel; those in `SETTINGS` already apply here.

    Raises
    ------
    ModulesError
        When there is no module system, or a module is unknown or fails.
    """
    if not modules:
        return []
    settings = {name: value for name, value in (env or {}).items() if name in SETTINGS}
    try:
        return load_modules(modules, {**environment, **settings})
    except ModulesError as error:
        named = [
            f"  {spec.label} is an external that names {' '.join(spec.external.modules)}"
            for spec in closure
            if spec.external and set(spec.external.modules) & set(modules)
        ]
        hint = error.hint
        if named:
            hint += "\nSet `load_modules` to false (--no-modules) to start the kernel without them."
        raise ModulesError(
            error.summary, details=[*error.details, *named], hint=hint.strip()
        ) from error


class LoadedModules(NamedTuple):
    """The environment after loading modules, and the changes that were left out.

    Attributes
    ----------
    environment : dict of str to str
        All variables.
    pythonpath : tuple of str
        What the modules add to PYTHONPATH, if they are not all that is loaded.
    removed : tuple of Removal
        The changes that were left out.
    """

    environment: dict[str, str]
    pythonpath: tuple[str, ...]
    removed: tuple[Removal, ...]


def with_modules(
    modules: Sequence[str],
    environment: Mapping[str, str],
    *,
    closure: Iterable[Spec] = (),
    env: Mapping[str, str] | None = None,
    alone: bool = False,
) -> LoadedModules:
    """Return `environment` with `modules` loaded, without what must not reach the kernel.

    Parameters
    ----------
    modules, environment, closure, env
        As for `module_changes`, which also documents the errors.
    alone : bool
        Whether the modules are all that is loaded, so that their PYTHONPATH is the kernel's.
    """
    changes = module_changes(modules, environment, closure=closure, env=env)
    source = f"the modules {' '.join(modules)}"
    kept: list[Modification] = []
    removed: list[Removal] = []
    behind: list[str] = []
    for change in changes:
        reason = why_removed(change.variable)
        if change.variable == "PYTHONPATH":
            if alone:
                kept.append(change)
            elif change.operation == "set":
                behind = [entry for entry in change.value.split(os.pathsep) if entry]
        elif reason:
            if change.operation == "set":
                removed.append(Removal(change.variable, change.value, reason, source))
        else:
            kept.append(change)
    return LoadedModules(apply_modifications(kept, environment), tuple(behind), tuple(removed))
