"""Explain why a query matched nothing, or too much: the texts of NoMatch and Ambiguous."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.errors import Ambiguous, NoMatch
from spack_kernel.spack.spec.targets import known_targets, unknown_ends
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import AbstractSpec
from .candidate_table import candidate_table, differences, short_hashes
from .matcher import Matcher
from .suggestions import package_form, package_of_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.spec.spec import Spec

    from .store_index import Selection, StoreIndex
    from .virtuals import Providers

_PACKAGE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

#: How hints begin that a query for something installed can replace.
_MEANT = "Did you mean"
_NEAR = "To use one of these"

#: The maximum number of candidates, nearest specs, and values listed.
_SPECS = 20
_MANY = 5
_NEAREST = 5
_VALUES = 8


def ambiguous(chain: Chain, selection: Selection) -> Ambiguous:
    """Return the error for a query that several installed specs satisfy."""
    specs = newest_first(selection.specs)
    asked = f"'{selection.query}'" if selection.query is not None else "an empty query"
    shown = specs[:_SPECS]
    details = candidate_table(shown, chain.by_hash)
    if len(specs) > _MANY:
        unlike = "; ".join(differences(specs, chain.by_hash))
        details.insert(0, f"They differ in {unlike}." if unlike else "They differ in dependencies.")
    if len(specs) > len(shown):
        query = shlex.join(str(selection.query).split()) if selection.query is not None else ""
        command = f"spack-kernel list --all {query}".rstrip()
        details.append(f"  ... and {len(specs) - len(shown)} older; `{command}` shows all")
    first = shown[0]
    return Ambiguous(
        f"{asked} matches {len(specs)} installed specs",
        specs,
        details=details,
        hint=f"Name one by its hash, for example {first.name}/{short_hashes(specs)[0]}",
    )


def newest_first(specs: Iterable[Spec]) -> list[Spec]:
    """Return specs by name, the newest version first, and of one version the last installed."""
    latest = sorted(specs, key=lambda spec: spec.installation_time, reverse=True)
    latest.sort(key=lambda spec: spec.version, reverse=True)
    return sorted(latest, key=lambda spec: spec.name)


def no_match(
    index: StoreIndex, selection: Selection, providers: Providers, meant: str = ""
) -> NoMatch:
    """Return the error for a query that nothing installed satisfies.

    Parameters
    ----------
    index, selection, providers
        As for `search.no_match`.
    meant : str
        The hint that names a query that matches something installed and that may be meant.
    """
    query = selection.query
    if query is None:
        return NoMatch(
            f"nothing is installed in {index.chain.root}",
            hint="Install something with `spack install SPEC`, or name another store (--store).",
        )
    details, hint = _Diagnosis(index, query, providers, is_meant=bool(meant)).found()
    if meant and (not hint or hint.startswith((_MEANT, _NEAR))):
        hint = meant
    details += [f"The database does not record {thing}." for thing in selection.unknown]
    if not hint:
        details.append(_looked_in(index.chain))
        hint = _what_to_type(query, providers)
    return NoMatch(f"no installed spec matches '{query}'", details=details, hint=hint)


class _Part(NamedTuple):
    """One constraint of a query on a node: its text, and the constraint as its own query."""

    text: str
    query: AbstractSpec


class _Diagnosis:
    """Finds the reasons why no installed spec satisfies a query."""

    def __init__(
        self, index: StoreIndex, query: AbstractSpec, providers: Providers, *, is_meant: bool
    ) -> None:
        self.chain = index.chain
        self.query = query
        self.is_meant = is_meant
        self.known = self.chain.names()
        self.matcher = Matcher(self.chain, query.dialect, providers)
        self.virtuals = self.chain.virtuals
        self.providers = providers

    def _test(self, query: AbstractSpec) -> Callable[[Spec], bool]:
        """Return a function that tests whether a spec of the store satisfies a query."""
        test, node_of = self.matcher.test(query), self.chain.node

        def holds(spec: Spec) -> bool:
            node = node_of(spec.hash)
            return node is not None and test(node)

        return holds

    def found(self) -> tuple[list[str], str]:
        """Return the lines of the explanation, and a hint."""
        for query in self.query.walk():
            name = query.name
            if name and not (name in self.known or name in self.virtuals or name in self.providers):
                details, hint = self._unknown_name(query)
                if hint or self.query.name not in self.known:
                    return details, hint
                near, hint = self._near()
                return details + near, hint
        gone, instead = self._not_installed()
        if gone and self.query.hash:
            return gone, instead
        dag_hash = self.query.hash
        if dag_hash and not self.query.name and not self.chain.with_hash_prefix(dag_hash):
            return self._unknown_hash(dag_hash)
        pool = [spec for spec in self._pool() if spec.installed]
        if not pool:
            return gone or self._none_of_that_name(), instead
        virtual = self.query.name is not None and self.query.name not in self.known
        details = gone
        if virtual:
            packages = sorted({spec.name for spec in pool})
            details.append(f"{self.query.name} is a virtual package, provided by {_or(packages)}.")
        else:
            details += self._parts_missing(pool)
        if not details:
            details = ["Each part of the query matches an installed spec, but no spec matches all."]
        if self.query.name is None:
            return details, ""
        near, hint = self._near()
        return details + near, hint

    def _near(self) -> tuple[list[str], str]:
        """Return a table of the nearest installed specs, and a hint for selecting one."""
        pool = [spec for spec in self._pool() if spec.installed]
        if not pool:
            return self._none_of_that_name(), ""
        near = newest_first(self._nearest(pool))[:_NEAREST]
        title = "Installed:" if len(near) == len(pool) else "The nearest installed specs:"
        return [
            title,
            *candidate_table(near, self.chain.by_hash, versions=True),
        ], f"{_NEAR}, name it: {near[0].name}/{short_hashes(near)[0]}"

    def _none_of_that_name(self) -> list[str]:
        """Return lines that report that nothing is installed, and what was installed before."""
        name = self.query.name
        there_were = sorted({spec.label for spec in self._pool()})
        if name is not None and name not in self.known:
            return [f"Nothing that provides {name} is installed."]
        if not there_were:
            return ["Nothing of that name is installed."]
        return [f"Nothing of that name is installed any more{_there_was(there_were)}"]

    def _pool(self) -> Iterable[Spec]:
        name = self.query.name
        if name is None:
            return self.chain
        specs = self.chain.named(name)
        if specs:
            return specs
        packages = self.chain.virtuals.get(name, ())
        return [spec for package in sorted(packages) for spec in self.chain.named(package)]

    # Names and hashes

    def _unknown_name(self, query: AbstractSpec) -> tuple[list[str], str]:
        name = query.name
        assert name is not None
        details = []
        if query.text and name in query.text[slice(*query.span)]:
            start = query.text.index(name, query.span[0])
            details += [f"  {query.text}", f"  {' ' * start}{'^' * len(name)}"]
        details.append(f"No recorded package is named {name}.")
        if self.is_meant:
            return details, ""
        names = [*self.known, *self.virtuals]
        close = [other for other in (f"py-{name}", f"r-{name}", f"perl-{name}") if other in names]
        close += [
            other for other in get_close_matches(name, names, n=3, cutoff=0.7) if other not in close
        ]
        if not query.dialect.edge_virtuals:
            details.append(
                f"If {name} is a virtual package, this database does not record its providers."
            )
        elif f"py-{name}" not in close:
            details.append(
                f"If {name} is a virtual package, no recorded spec depends on a provider of it."
            )
        return details, f"{_MEANT} {_or(close)}?" if close else ""

    def _unknown_hash(self, dag_hash: str) -> tuple[list[str], str]:
        details = [f"No recorded hash begins with {dag_hash}."]
        if dag_hash != dag_hash.lower() and self.chain.with_hash_prefix(dag_hash.lower()):
            return details, f"Hashes are written in lower case: /{dag_hash.lower()}"
        near: list[str] = []
        for length in range(len(dag_hash) - 1, 3, -1):
            near = [s.label for s in self.chain.with_hash_prefix(dag_hash[:length]) if s.installed]
            if near:
                break
        return details, f"{_MEANT} {_or(near[:5])}?" if near else ""

    def _not_installed(self) -> tuple[list[str], str]:
        """Return lines about records that satisfy the query but are not installed, and a hint."""
        if self.query.hash:
            records: Iterable[Spec] = self.chain.with_hash_prefix(self.query.hash)
        elif self.query.name:
            records = self._pool()
        else:
            return [], ""
        test = self._test(self.query)
        lines, hint = [], ""
        for spec in records:
            if spec.installed or not test(spec):
                continue
            if spec.deprecated_for:
                other = self.chain.by_hash(spec.deprecated_for)
                instead = other.label if other else f"/{spec.deprecated_for[:7]}"
                lines.append(f"{spec.label} was deprecated in favour of {instead}.")
                hint = f"Use {other.name}/{other.hash[:7]}" if other and other.installed else hint
            else:
                lines.append(f"{spec.label} is no longer installed.")
                hint = hint or f"Reinstall it with `spack install /{spec.hash[:7]}`."
        return lines[:_SPECS], hint

    # Constraints on a node

    def _parts(self) -> Iterator[_Part]:
        query = self.query
        empty = AbstractSpec(dialect=query.dialect)
        if query.namespace is not None:
            part = replace(empty, namespace=query.namespace)
            yield _Part(f"namespace={query.namespace}", part)
        if query.hash is not None:
            yield _Part(f"/{query.hash}", replace(empty, hash=query.hash))
        if query.versions != ANY_VERSION:
            yield _Part(f"@{query.versions}", replace(empty, versions=query.versions))
        if query.compiler is not None:
            yield _Part(str(query.compiler), replace(empty, compiler=query.compiler))
        for name, variant in query.variants.items():
            yield _Part(str(variant), replace(empty, variants={name: variant}))
        for name, flags in query.flags.items():
            part = replace(empty, flags={name: flags})
            yield _Part(str(part), part)
        for name in ("platform", "os", "target"):
            value = getattr(query, name)
            if value is not None:
                yield _Part(f"{name}={value}", replace(empty, **{name: value}))
        for dependency in query.dependencies:
            part = replace(empty, dependencies=(dependency,))
            yield _Part(str(part), part)

    def _parts_missing(self, pool: Sequence[Spec]) -> Iterator[str]:
        """Yield a line for each constraint that none of the candidates satisfies."""
        who = self.query.name or "spec"
        for text, part in self._parts():
            test = self._test(part)
            if any(test(spec) for spec in pool):
                continue
            yield f"No installed {who} satisfies {text}{self._instead(part, pool)}"

    def _instead(self, part: AbstractSpec, pool: Sequence[Spec]) -> str:
        """Return the end of the sentence, with the available alternatives."""
        if self.query.name is None and (part.versions != ANY_VERSION or part.dependencies):
            return "."
        if part.versions != ANY_VERSION:
            versions = sorted({spec.version for spec in pool}, reverse=True)
            return _there_is(map(str, versions))
        for name in part.variants:
            values = {_shown(spec.variants[name], name) for spec in pool if name in spec.variants}
            if values:
                return _there_is(sorted(values))
            names = {variant for spec in pool for variant in spec.variants}
            close = get_close_matches(name, names, n=3)
            who = "it has" if self.query.name else "none has"
            return f": {who} {'no' if self.query.name else 'a'} variant {name}" + (
                f"; did you mean {_or(close)}?" if close else "."
            )
        if part.compiler is not None:
            return _there_is(sorted({f"%{spec.compiler}" for spec in pool if spec.compiler}))
        if part.target:
            ends = unknown_ends(part.target)
            if ends:
                close = get_close_matches(ends[0], known_targets(), n=3)
                asked = f"; did you mean {_or(close)}?" if close else "."
                return f": no target is named {ends[0]}{asked}"
            return _there_is(sorted({spec.arch.target for spec in pool}))
        for name in ("platform", "os"):
            if getattr(part, name):
                return _there_is(sorted({getattr(spec.arch, name) for spec in pool}))
        if part.namespace:
            return _there_is(sorted({spec.namespace for spec in pool}))
        if part.hash is not None:
            others = [spec.label for spec in self.chain.with_hash_prefix(part.hash)]
            return f"; that is {_or(others[:_NEAREST])}." if others else "."
        for dependency in part.dependencies:
            if dependency.query.name is not None:
                return self._other_dependencies(dependency.query.name, pool)
        return "."

    def _other_dependencies(self, name: str, pool: Sequence[Spec]) -> str:
        """Return which specs named `name` are anywhere in the dependencies of the candidates."""
        seen: set[str] = set()
        found: set[Spec] = set()
        stack = list(pool)
        while stack:
            for edge in stack.pop().dependencies:
                if edge.hash not in seen:
                    seen.add(edge.hash)
                    child = self.chain.by_hash(edge.hash)
                    if child is not None:
                        stack.append(child)
                        found.update([child] if child.name == name else [])
        if not found:
            return f": none has {name} among its dependencies."
        versions = sorted({spec.version for spec in found}, reverse=True)
        return _there_is(f"{name}@{version}" for version in versions)

    def _nearest(self, pool: Sequence[Spec]) -> list[Spec]:
        """Return the specs that satisfy the most constraints of the query."""
        tests = [self._test(part.query) for part in self._parts()]
        scores = [sum(test(spec) for test in tests) for spec in pool]
        best = max(scores)
        return [spec for spec, score in zip(pool, scores, strict=True) if score == best]


def _shown(value: bool | str | tuple[str, ...], name: str) -> str:
    if isinstance(value, bool):
        return f"{'+' if value else '~'}{name}"
    return value if isinstance(value, str) else ",".join(value)


def _there_is(values: Iterable[str]) -> str:
    listed = list(values)
    if not listed:
        return "."
    more = f" and {len(listed) - _VALUES} others" if len(listed) > _VALUES else ""
    return f"; available: {', '.join(listed[:_VALUES])}{more}."


def _there_was(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _VALUES} others" if len(labels) > _VALUES else ""
    return f"; previously: {', '.join(labels[:_VALUES])}{more}."


def _looked_in(chain: Chain) -> str:
    """Return a line that lists the searched databases: often the store is the wrong one."""
    told = [f"{len(database):,} in {database.root}" for database in chain.databases]
    return f"Searched all recorded specs: {', '.join(told)}."


def _what_to_type(query: AbstractSpec, providers: Providers) -> str:
    """Return a hint for a query that is not close to any installed spec."""
    instead = "choose from `spack-kernel list --all`,\nor name another store (--store)."
    if query.name is None or query.hash is not None:
        return "Choose from `spack-kernel list --all`, or name another store (--store)."
    package = package_of_import(query.name)
    if package:
        return f"{query.name} is a module of {package}: `spack install {package}`, {instead}"
    if providers.knows(query.name) and _PACKAGE_NAME.fullmatch(query.name):
        return f"Install it with `spack install {query}`, {instead}"
    return f"Search for the package with `spack list {package_form(query.name)}`, {instead}"


def _or(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last
