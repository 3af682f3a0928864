"""Views: directories that present many prefixes as one.

https://spack.readthedocs.io/en/latest/environments.html#filesystem-views
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.load.pythonpath import PYTHON, PYTHON_VENV, extends_python
from spack_kernel.spack.output.format import SpecFormat
from spack_kernel.spack.spec.traversal import reachable

from .frozen import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spack_kernel.spack.config.config import Config
    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

#: The view that is used when none is named.
DEFAULT_VIEW = "default"

#: Its default path below the environment, if the manifest does not name another.
DEFAULT_VIEW_PATH = Path(".spack-env", "view")

# Characters that Spack does not use in the names of directories that it creates.
_IMPOLITE = re.compile(r"[^A-Za-z0-9_+.-]")

# Packages that a view projects like the package they extend, by name prefix. For Python,
# `extends_python` decides instead.
_EXTENDEES = {"r-": "r", "perl-": "perl", "lua-": "lua", "ruby-": "ruby", "octave-": "octave"}


def read_views(config: Config, directory: Path) -> dict[str, View]:
    """Return the views of the environment in `directory`, by name.

    Raises
    ------
    ConfigError
        When ``view:`` is not true, false, a path or a mapping of views.
    """
    configured = config.section("view")
    if configured is False:
        return {}
    default = {DEFAULT_VIEW: View(DEFAULT_VIEW, str(directory / DEFAULT_VIEW_PATH))}
    if configured is None or configured is True or configured == {}:
        return default
    if isinstance(configured, str):
        configured = {DEFAULT_VIEW: configured}
    if not isinstance(configured, dict):
        raise ConfigError(f"{directory}: view needs true, false, a path or a mapping")
    return {
        str(name): _read_view(str(name), values, config, directory)
        for name, values in configured.items()
    }


def _read_view(name: str, values: Any, config: Config, directory: Path) -> View:
    if isinstance(values, str):
        values = {"root": values}
    if not isinstance(values, dict) or not isinstance(values.get("root"), str):
        raise ConfigError(f"{directory}: the view {name} needs a root")
    link = values.get("link", "all")
    if link not in ("all", "run", "roots"):
        raise ConfigError(
            f"{directory}: link of the view {name} is {link!r}, not all, run or roots"
        )
    projections = values.get("projections") or {}
    if not isinstance(projections, dict):
        raise ConfigError(f"{directory}: projections of the view {name} need a mapping")
    groups = values.get("group")
    return View(
        name=name,
        root=os.path.normpath(directory / config.path(values["root"], f"the view {name}")),
        projections={str(key): str(value) for key, value in projections.items()},
        select=_texts(values.get("select")),
        exclude=_texts(values.get("exclude")),
        link=link,
        groups=None if groups is None else _texts(groups),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(item) for item in value)


class Projection:
    """Where a view shows each spec of a closure.

    Parameters
    ----------
    view : View
        The view.
    closure : iterable of Spec
        The specs that may be shown.
    store : Store
        The store for the queries of the view.

    Raises
    ------
    QuerySyntaxError
        When a query or a projection of the view cannot be read.
    """

    def __init__(self, view: View, closure: Iterable[Spec], store: Store) -> None:
        self._view = view
        self._store = store
        self._formats = {query: _formats(text) for query, text in view.projections.items()}
        self._matching = {
            query: _matching(store, query)
            for query in (*view.projections, *view.select, *view.exclude)
            if query != "all"
        }
        self._by_hash = {spec.hash: spec for spec in closure}
        self._knows_venv = store.has_package(PYTHON_VENV)
        # Externals are not shown. The longest prefix first: one may begin with another.
        shown = {s.prefix: s for s in self._by_hash.values() if s.prefix and not s.external}
        self._shown = shown
        self._prefixes = re.compile(
            "|".join(re.escape(prefix) for prefix in sorted(shown, key=len, reverse=True)) or "(?!)"
        )

    def directory(self, spec: Spec) -> str:
        """Return the directory in which the view shows the prefix of `spec`."""
        spec = self._extended(spec) or spec
        formats = self._formats.get("all")
        for query in self._view.projections:
            if query != "all" and spec.hash in self._matching[query]:
                formats = self._formats[query]
                break
        if formats is None:
            return self._view.root
        parts = [_IMPOLITE.sub("_", each.format(spec, self._store)) for each in formats]
        return posixpath.join(self._view.root, *parts)

    def _extended(self, spec: Spec) -> Spec | None:
        """Return the spec that `spec` extends; None if it extends none."""
        has_venv = any(edge.name == PYTHON_VENV for edge in spec.dependencies)
        package = next((n for p, n in _EXTENDEES.items() if spec.name.startswith(p)), None)
        for edge in spec.dependencies:
            extended = self._by_hash.get(edge.hash)
            if extended is None or not {"link", "run"}.intersection(edge.deptypes):
                continue
            if edge.name == package:
                return extended
            if edge.name == PYTHON and (
                has_venv or extends_python(spec, edge, knows_venv=self._knows_venv)
            ):
                return extended
        return None

    def replace(self, value: str) -> str:
        """Return `value` with every prefix in it replaced by its directory in the view."""
        return self._prefixes.sub(lambda match: self.directory(self._shown[match[0]]), value)

    def linked(self, roots: Sequence[Spec]) -> set[str]:
        """Return the DAG hashes of the specs in the closure of `roots` that the view shows."""
        shown = {root.hash for root in roots}
        if self._view.link != "roots":
            deptypes = ("run",) if self._view.link == "run" else ("link", "run")
            shown = set(reachable(roots, self._store.by_hash, deptypes).nodes)
        if self._view.select:
            shown &= set().union(*(self._matching[query] for query in self._view.select))
        return shown.difference(*(self._matching[query] for query in self._view.exclude))


def _matching(store: Store, query: str) -> set[str]:
    return {spec.hash for spec in store.find(query, installed=None)}


def _formats(text: str) -> list[SpecFormat]:
    return [SpecFormat(part) for part in text.split("/") if part]
