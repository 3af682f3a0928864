"""Search a store as somebody does who types: a query of Spack, a part of a name, or a module.

Of 50,000 specs, only those of the page are decoded and surveyed, so that each key press is
answered at once.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.kernels.candidates import Survey, shipped_kernels
from spack_kernel.spack.errors import ITEM_ERRORS, NoMatch, QuerySyntaxError, reason_of
from spack_kernel.spack.output import format_compilers, format_variants
from spack_kernel.spack.query import distinctions, newest_first

from .modules_index import ModulesIndex
from .results import FoundBy, Group, Results, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.query import Selection
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

#: The rows of a page by default, and at most.
PAGE = 50
MAX_PAGE = 200

#: The number of recent searches kept in memory for their further pages.
_KEPT_SEARCHES = 32

#: Seconds for which a survey is used: it looks into the directories of interpreters.
_SURVEY_AGE = 30.0

#: The most specs among which the differences of a row are looked for.
_COMPARED = 200

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.\w+)*")

#: The last part of a query, which may not be complete yet.
_LAST = re.compile(r"[\s+~^%@/]*[^\s+~^%@/=]*$")

#: What a query ends in while it is being typed.
_UNFINISHED = re.compile(r"(\s[\w-]+={1,2}\S*|[\s@+~^%/=,:\[\"'-]+)$")


class _Package(NamedTuple):
    """What was found of one package, not sorted yet."""

    name: str
    found_by: FoundBy
    specs: list[Spec]


class _Found(NamedTuple):
    """What a text finds."""

    packages: list[_Package]
    meant: str = ""
    notes: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    is_explained: bool = True


class Picker:
    """Searches one store; safe to use from several threads.

    Parameters
    ----------
    store : Store
        The store; a picker is for one state of it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._searches: OrderedDict[str, _Found] = OrderedDict()
        self._sorted: dict[tuple[str, str, str], list[Spec]] = {}
        self._survey = Survey(store)
        self._surveyed = time.monotonic()
        self._modules = ModulesIndex(store)
        self._shipped: dict[str, list[str]] = {}
        self._everything: dict[str, list[Spec]] = {}
        self._recorded = len({dag_hash for database in store.databases for dag_hash in database})

    def search(
        self,
        text: str,
        *,
        cursor: str = "",
        limit: int = PAGE,
        favourites: Sequence[str] = (),
        explain: bool = True,
    ) -> Results:
        """Return one page of what a text finds.

        Parameters
        ----------
        text : str
            A query, a part of package names, or the name of a module; blank text finds the
            explicitly installed specs.
        cursor : str
            That of the page before; empty for the first page.
        limit : int
            The number of rows, at most `MAX_PAGE`.
        favourites : sequence of str
            Queries for the specs that come first if the text is blank.
        explain : bool
            Whether to find out, if nothing matches, what was meant and why. It takes longer than a
            search, and is not worth it between two key presses: without it, what the beginning of
            the text finds is returned.
        """
        key = text if text.strip() else "\0" + "\0".join(favourites)
        if explain:
            self._explain(key)  # which takes long, and must not hold up the next key press
        with self._lock:
            found = self._found(key)
            start = int(cursor) if cursor.isdecimal() and len(cursor) < 10 else 0
            end = start + max(1, min(limit, MAX_PAGE))
            total = sum(len(package.specs) for package in found.packages)
            return Results(
                text=text,
                meant=found.meant,
                total=total,
                installed=self._recorded,
                groups=list(self._page(text, found, start, end)),
                cursor=str(end) if end < total else "",
                notes=list(found.notes),
                error=found.error,
                explained=found.is_explained,
            )

    def warm_up(self) -> None:
        """Read what most searches need, so that the next key press does not wait for it."""
        everything = self._all_packages()
        with self._lock:
            self._everything = everything
        self.store.select("^python")

    def _all_packages(self) -> dict[str, list[Spec]]:
        (selection,) = self.store.select("")
        return {package.name: package.specs for package in self._grouped(selection.specs, "query")}

    # -- finding --

    def _first(self, favourites: Sequence[str]) -> _Found:
        """Return the favourites, then the other explicitly installed specs."""
        notes: list[str] = []
        chosen: list[Spec] = []
        for query in favourites:
            try:
                chosen += self.store.find(query)
            except QuerySyntaxError as error:  # noqa: PERF203
                notes.append(f"The favourite `{query}` of the site is left out: {error.summary}.")
        known = {spec.hash for spec in chosen}
        others = (spec for spec in self.store.explicit() if spec.hash not in known)
        return _Found(
            [*self._grouped(chosen, "favourite"), *self._grouped(others, "query")],
            notes=tuple(notes),
        )

    def _explain(self, text: str) -> None:
        """Find out why a text finds nothing, if that is not known yet."""
        with self._lock:
            found = self._found(text)
        if not found.is_explained:
            found = self._find(text, explain=True)
            with self._lock:
                self._searches[text] = found
                self._sorted.clear()

    def _found(self, text: str) -> _Found:
        found = self._searches.get(text)
        if found is None:
            found = self._searches[text] = self._find(text, explain=False)
            self._sorted.clear()
        self._searches.move_to_end(text)
        while len(self._searches) > _KEPT_SEARCHES:
            self._searches.popitem(last=False)
        return found

    def _find(self, text: str, *, explain: bool) -> _Found:
        if text.startswith("\0"):
            return self._first([each for each in text.split("\0") if each])
        try:
            packages, selections = self._matching(text)
        except QuerySyntaxError as error:
            return self._unparsed(text, error, explain=explain)
        notes = tuple(
            f"The database does not record {thing}."
            for thing in dict.fromkeys(thing for each in selections for thing in each.unknown)
        )
        if packages:
            return _Found(packages, notes=notes)
        if not explain:
            packages, meant = self._typed_so_far(_LAST.sub("", text), text)
            return _Found(packages, meant, notes, is_explained=False)
        packages, meant = self._guessed(text.strip())
        return _Found(packages, meant, notes, None if packages else self._no_match(selections))

    def _matching(self, text: str) -> tuple[list[_Package], list[Selection]]:
        """Return what a text finds as a query and in names, and what the query selects."""
        selections = self.store.select(text)
        packages = self._grouped((s for each in selections for s in each.specs), "query")
        packages += self._by_name(text, {package.name for package in packages})
        return packages, selections

    def _unparsed(self, text: str, error: QuerySyntaxError, *, explain: bool) -> _Found:
        """Return what the part that is typed so far finds, with the error."""
        packages, meant = self._guessed(text.strip()) if explain else ([], "")
        if not packages:
            packages, meant = self._typed_so_far(_UNFINISHED.sub("", text), text)
        return _Found(packages, meant, error=error.as_dict(), is_explained=explain)

    def _typed_so_far(self, typed: str, text: str) -> tuple[list[_Package], str]:
        """Return what the beginning of a text finds, and that beginning."""
        if not typed.strip() or typed == text:
            return [], ""
        try:
            packages, _ = self._matching(typed)
        except QuerySyntaxError:
            return [], ""
        return packages, typed if packages else ""

    def _guessed(self, text: str) -> tuple[list[_Package], str]:
        """Return what a text finds that no query matches, and the query that was meant."""
        if _MODULE.fullmatch(text):
            packages = self._packages(self.store.packages_meant(text), "module")
            packages = packages or self._packages(self._modules.packages(text), "module")
            if packages:
                return packages, ""
        meant = self.store.meant(text)
        if not meant:
            return [], ""
        return self._grouped(self.store.find(meant), "query"), meant

    def _no_match(self, selections: Sequence[Selection]) -> dict[str, Any]:
        error: NoMatch = self.store.no_match(next(each for each in selections if not each.specs))
        return error.as_dict()

    def _by_name(self, text: str, known: set[str]) -> list[_Package]:
        """Return the packages whose names contain the words of a text, the best match first."""
        words = [word.lower().replace("_", "-") for word in text.split()]
        if not all(_WORD.fullmatch(word) for word in words):
            return []
        names = [n for n in self.store.names() - known if all(word in n for word in words)]
        first = words[0]
        names.sort(
            key=lambda name: (
                name.removeprefix("py-") != first,
                not name.removeprefix("py-").startswith(first),
                *_python_first(name),
            )
        )
        return self._packages(names, "name")

    def _packages(self, names: Iterable[str], found_by: FoundBy) -> list[_Package]:
        if not self._everything:
            self._everything = self._all_packages()
        known = self._everything
        return [_Package(name, found_by, known[name]) for name in names if name in known]

    def _grouped(self, specs: Iterable[Spec], found_by: FoundBy) -> list[_Package]:
        """Return specs by package."""
        groups: dict[str, dict[str, Spec]] = {}
        for spec in specs:
            groups.setdefault(spec.name, {}).setdefault(spec.hash, spec)
        return [
            _Package(name, found_by, list(group.values()))
            for name, group in sorted(groups.items(), key=lambda pair: _python_first(pair[0]))
        ]

    # -- showing --

    def _page(self, text: str, found: _Found, start: int, end: int) -> Iterator[Group]:
        position = 0
        for package in found.packages:
            first, last = max(start - position, 0), min(end - position, len(package.specs))
            if first < last:
                newest = self._newest(text, package)
                yield Group(
                    package=package.name,
                    count=len(newest),
                    found_by=package.found_by,
                    rows=list(self._rows(newest[first:last], newest)),
                )
            position += len(package.specs)

    def _newest(self, text: str, package: _Package) -> list[Spec]:
        key = (text, package.name, package.found_by)
        if key not in self._sorted:
            self._sorted[key] = newest_first(package.specs)
        return self._sorted[key]

    def _rows(self, shown: Sequence[Spec], among: Sequence[Spec]) -> Iterator[Row]:
        versions = {spec.version for spec in shown}
        alike = [spec for spec in among if spec.version in versions][:_COMPARED]
        alike += [spec for spec in shown if spec not in alike]
        differences = distinctions(alike, self.store.by_hash)
        if time.monotonic() - self._surveyed > _SURVEY_AGE:
            self._survey, self._surveyed = Survey(self.store), time.monotonic()
        for candidate in self._survey.candidates(shown):
            yield self._row(candidate, differences.get(candidate.spec.hash, ""))

    def _row(self, candidate: Candidate, difference: str) -> Row:
        spec, python = candidate.spec, candidate.python
        why_not, kernels = candidate.why_not, []
        try:
            kernels = self._kernels(candidate)
        except ITEM_ERRORS as error:
            why_not = why_not or reason_of(error)
        return Row(
            name=spec.name,
            version=str(spec.version),
            hash=spec.hash,
            difference=difference,
            variants=format_variants(spec.variants).strip(),
            compiler=format_compilers(spec, self.store),
            target=str(spec.arch.target),
            python=str(python.version) if python else "",
            store=self.store.tree_of(spec.hash),
            explicit=spec.explicit,
            external=spec.external is not None,
            ipykernel=candidate.source or "",  # type: ignore[arg-type]
            ipykernel_version=candidate.ipykernel_version,
            kernels=kernels,
            why_not=why_not,
        )

    def _kernels(self, candidate: Candidate) -> list[str]:
        """Return the names of the kernels that packages in a candidate's closure ship."""
        names: list[str] = []
        for spec in candidate.shippers:
            if spec.hash not in self._shipped:
                self._shipped[spec.hash] = [kernel.name for kernel in shipped_kernels([spec])[0]]
            names += self._shipped[spec.hash]
        return list(dict.fromkeys(names))


def _python_first(name: str) -> tuple[bool, str]:
    """Return the key by which packages are sorted: those of Python first, then by name."""
    return not name.startswith(("py-", "python")), name
