"""What activating a Spack environment needs, resolved, so that it can be recorded with a kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.load.inspections import Inspections
from spack_kernel.spack.load.modifications import Modification

from .errors import EnvironmentNotReady

if TYPE_CHECKING:
    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

_AGAIN = "Install the kernel again to record the environment again."


class LockedRoot(msgspec.Struct, frozen=True):
    """One root of a lock file.

    Attributes
    ----------
    query : str
        The query as the user typed it.
    hash : str
        DAG hash of the spec it was concretized to.
    label : str
        ``name@version/hash7`` of that spec, from the lock file only.
    group : str
        The group of specs it belongs to; ``default`` before groups existed.
    """

    query: str
    hash: str
    label: str
    group: str = "default"


class View(msgspec.Struct, frozen=True):
    """A view as a manifest describes it.

    Attributes
    ----------
    name : str
        Its name in the manifest.
    root : str
        Its directory, absolute.
    projections : mapping of str to str
        Query → the path below the root of specs that satisfy it; ``all`` for the others.
    select, exclude : tuple of str
        Queries: only what satisfies one of `select`, and nothing that satisfies one of `exclude`.
    link : str
        ``all``, ``run`` or ``roots``: which part of the closure is shown.
    groups : tuple of str or None
        The groups of roots that are shown; None for all.
    """

    name: str
    root: str
    projections: Mapping[str, str] = msgspec.field(default_factory=dict)
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    link: str = "all"
    groups: tuple[str, ...] | None = None


def option_of(name: str, path: str) -> str:
    """Return the option of `spack` that selects an environment: ``-e NAME`` or ``-D DIRECTORY``."""
    return f"-D {path}" if name == path else f"-e {name}"


class FrozenEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Spack environment as it was resolved once.

    Activating it reads neither ``spack.yaml`` nor ``spack.lock``, and no configuration: what it
    loads does not depend on the variables or the Spack instance of the process that starts it.

    Attributes
    ----------
    name : str
        The name of a managed environment, or the directory of an independent one.
    path : str
        Its directory, absolute.
    roots : tuple of LockedRoot
        Its roots, and those of included environments.
    view : View or None
        The view that is used; None to load the roots instead.
    prefix_inspections : mapping of str to tuple of str, or None
        Those of the site and of the environment; None for Spack's own.
    variables : tuple of Modification
        The changes in ``env_vars:``.
    """

    name: str
    path: str
    roots: tuple[LockedRoot, ...]
    view: View | None = None
    prefix_inspections: Inspections | None = None
    variables: tuple[Modification, ...] = ()

    @property
    def option(self) -> str:
        """The option of `spack` that selects it: ``-e NAME`` or ``-D DIRECTORY``."""
        return option_of(self.name, self.path)

    def specs(self, store: Store) -> tuple[Spec, ...]:
        """Return the installed roots, each once, in order.

        Raises
        ------
        EnvironmentNotReady
            When there are none, or some are not installed in `store`; the message lists them.
        """
        absent = self.missing(store)
        if absent:
            raise EnvironmentNotReady(
                f"{len(absent)} of the {len(self.roots)} roots of the environment {self.name} "
                f"{'is' if len(absent) == 1 else 'are'} not installed",
                details=[
                    *(f"  {root.label} for {root.query!r}" for root in absent[:20]),
                    f"  in {store.root}",
                ],
                hint=f"Install what is missing with `spack {self.option} install`.",
            )
        found = {root.hash: spec for root in self.roots if (spec := store.by_hash(root.hash))}
        if not found:
            raise EnvironmentNotReady(
                f"the environment {self.name} has no specs",
                hint=f"Add some with `spack {self.option} add SPEC`, then `concretize` and "
                "`install`.",
            )
        return tuple(found.values())

    def missing(self, store: Store) -> tuple[LockedRoot, ...]:
        """Return the roots that are not installed in `store`, in order."""
        return tuple(
            root
            for root in self.roots
            if (spec := store.by_hash(root.hash)) is None or not spec.installed
        )


def read_frozen(text: str) -> FrozenEnvironment | None:
    """Return a recorded environment, parsed from JSON; None for empty text.

    Raises
    ------
    ConfigError
        When it is not one.
    """
    if not text:
        return None
    try:
        return msgspec.convert(json.loads(text), FrozenEnvironment)
    except (ValueError, UnicodeError, RecursionError) as error:
        raise ConfigError(
            f"the record of a Spack environment is invalid: {error}", hint=_AGAIN
        ) from error
