"""The results of a search, as the picker shows them and scripts read them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FoundBy = Literal["query", "name", "module", "favourite"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An installed spec, and the kernel it would make.

    Attributes
    ----------
    name, version, hash : str
        Package, version and DAG hash (32 characters).
    difference : str
        In what it differs from other builds of its version, as a query adds it: ``+mpi``. Empty
        if there is no other build.
    variants, compiler, target : str
        As `spack find -v` prints them.
    python : str
        The version of the Python in its closure; empty without one.
    store : str
        The install tree.
    explicit, external : bool
        Whether it was explicitly installed, and whether it is external.
    ipykernel : {"closure", "interpreter", "companion", ""}
        Where its ipykernel comes from; empty when there is none.
    ipykernel_version : str
        Its version; empty if unknown.
    kernels : list of str
        The kernels for other languages that packages in its closure ship.
    why_not : str
        Why it cannot be an IPython kernel; empty when it can.
    """

    name: str
    version: str
    hash: str
    difference: str = ""
    variants: str = ""
    compiler: str = ""
    target: str = ""
    python: str = ""
    store: str = ""
    explicit: bool = False
    external: bool = False
    ipykernel: Literal["closure", "interpreter", "companion", ""] = ""
    ipykernel_version: str = ""
    kernels: list[str] = []
    why_not: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one package on a page; a long group continues on the next page.

    Attributes
    ----------
    package : str
        Its name.
    count : int
        The number of its specs among all results.
    found_by : {"query", "name", "module", "favourite"}
        Whether the text selects them as a query, is part of the package's name, or names a module
        of the package; or whether they are favourites of the site.
    rows : list of Row
        The newest first.
    """

    package: str
    count: int
    found_by: FoundBy
    rows: list[Row]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the results of a search.

    Attributes
    ----------
    text : str
        What was searched for; blank text finds the explicitly installed specs.
    meant : str
        The query that was searched for instead, because nothing matches `text`; empty if there is
        none.
    total : int
        The number of specs on all pages.
    installed : int
        The number of specs that are recorded in the store.
    groups : list of Group
        The results.
    cursor : str
        What to pass to get the next page; empty on the last one.
    notes : list of str
        What makes the results uncertain.
    error : dict or None
        Why nothing was found, or where the query does not parse; see `SpackKernelError.as_dict`.
    explained : bool
        False if `explain` was not asked for, and would tell more.
    """

    text: str
    meant: str = ""
    total: int = 0
    installed: int = 0
    groups: list[Group] = []
    cursor: str = ""
    notes: list[str] = []
    error: dict[str, Any] | None = None
    explained: bool = True
