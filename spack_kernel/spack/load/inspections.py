"""Prefix inspections: which subdirectories of prefixes are added to which variables."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from spack_kernel.spack.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.store.store import Store

#: Subdirectory of a prefix → names of variables, as they are recorded.
Inspections: TypeAlias = dict[str, tuple[Annotated[str, msgspec.Meta(pattern=r"\A[^=\0]+\Z")], ...]]

#: Spack's own prefix inspections: subdirectory of a prefix → variables it is prepended to.
DEFAULT_INSPECTIONS: Mapping[str, Sequence[str]] = {
    "bin": ("PATH",),
    "man": ("MANPATH",),
    "share/man": ("MANPATH",),
    "share/aclocal": ("ACLOCAL_PATH",),
    "lib/pkgconfig": ("PKG_CONFIG_PATH",),
    "lib64/pkgconfig": ("PKG_CONFIG_PATH",),
    "share/pkgconfig": ("PKG_CONFIG_PATH",),
    "": ("CMAKE_PREFIX_PATH",),
}


def inspections_of(
    store: Store, inspections: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    """Return `inspections`, else those in the store's configuration, else Spack's own; normalised.

    Raises
    ------
    ConfigError
        When the configuration of the store is invalid.
    """
    if inspections is None and store.config is not None:
        inspections = store.config.prefix_inspections()
    return {
        "" if (relative := posixpath.normpath(key)) == "." else relative: tuple(variables)
        for key, variables in (DEFAULT_INSPECTIONS if inspections is None else inspections).items()
    }


def site_inspections(
    store: Store, inspections: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[str, ...]] | None:
    """Return the site's prefix inspections as configured; None if they are Spack's own.

    A kernel has only its install trees, not the Spack instance they belong to, so the inspections
    are recorded with it.

    Parameters
    ----------
    store : Store
        The store, whose configuration contains them.
    inspections : mapping of str to sequence of str, optional
        Recorded inspections, used instead of the configured ones.

    Raises
    ------
    ConfigError
        As `inspections_of`.
    """
    if inspections is None and store.config is not None:
        inspections = store.config.prefix_inspections()
    own = inspections_of(store, DEFAULT_INSPECTIONS)
    # Their order matters: it is that of the directories in a variable.
    if inspections is None or [*inspections_of(store, inspections).items()] == [*own.items()]:
        return None
    return {where: tuple(names) for where, names in inspections.items()}


def read_inspections(text: str) -> dict[str, tuple[str, ...]] | None:
    """Return recorded inspections from JSON; None for an empty text.

    Raises
    ------
    ConfigError
        When it is not a mapping of subdirectories to lists of variables.
    """
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Inspections)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ConfigError(
            f"recorded prefix inspections are invalid: {error}",
            details=[f"  {text}"],
            hint='They look like {"./bin": ["PATH"], "./lib": ["LD_LIBRARY_PATH"]}.',
        ) from error
