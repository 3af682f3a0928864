"""A matcher that asks each spec by itself: what the engine on columns is compared with."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.query.abstract_spec import AbstractSpec
from spack_kernel.spack.query.predicates import predicates_of, variant_test
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES, depflag
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spack_kernel.spack.query.abstract_spec import DependencyConstraint, VariantConstraint
    from spack_kernel.spack.query.dialects import Dialect
    from spack_kernel.spack.query.predicates import Predicate
    from spack_kernel.spack.query.virtuals import Providers
    from spack_kernel.spack.spec.spec import Dependency, Spec

#: The virtual packages that the compiler of a node stands for.
_COMPILER_VIRTUALS = ("c", "cxx", "fortran")


class NaiveMatcher:
    """Decides, for one store and one dialect, which specs satisfy a query.

    Parameters
    ----------
    lookup : callable
        Returns the spec of a DAG hash, or None.
    dialect : Dialect
        The dialect of the queries.
    providers : Providers
        The known providers of virtual packages.
    dependencies : callable, optional
        Returns the edges of a DAG hash, if that is cheaper than looking up its spec.
    is_package : callable
        Returns whether a name is known to be that of a package, so that it is not looked up in
        `providers`, which might have to read recipes.
    """

    def __init__(
        self,
        lookup: Callable[[str], Spec | None],
        dialect: Dialect,
        providers: Providers,
        dependencies: Callable[[str], Sequence[Dependency]] | None = None,
        is_package: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._lookup = lookup
        self._dependencies = dependencies or self._looked_up
        self._dialect = dialect
        self._providers = providers
        self._is_package = is_package
        #: Virtual packages requested with a version, where no versions are known.
        self.unknown_versions: set[str] = set()

    def test(self, query: AbstractSpec, *, named: bool = True) -> Callable[[Spec], bool]:
        """Return a function that tests whether a spec satisfies `query`.

        Parameters
        ----------
        query : AbstractSpec
            The query.
        named : bool
            False when the candidates are known to have the name, or to provide it.
        """
        node = self._node_test(query, named=named)
        if not query.dependencies:
            return node
        edges = [self._dependency_test(dependency) for dependency in query.dependencies]
        return lambda spec: node(spec) and all(edge(spec) is not None for edge in edges)

    def provider_test(self, query: AbstractSpec) -> Callable[[Spec], bool]:
        """Return a function that tests whether a spec is known to provide `query`.

        As in Spack, only the version of the virtual matters.
        """
        assert query.name is not None
        tests = [
            self._node_test(provision.provider, named=True)
            for provision in self._providers.of(query.name)
            if provision.versions.intersects(query.versions)
        ]
        return lambda spec: any(test(spec) for test in tests)

    # Nodes

    def _node_test(self, query: AbstractSpec, *, named: bool) -> Callable[[Spec], bool]:
        node = spec_test(list(predicates_of(query, self._dialect, named=named)))
        propagated = [
            self._propagation_test(variant)
            for variant in query.variants.values()
            if variant.propagate and self._dialect.weak_propagation
        ]
        if not propagated:
            return node
        return lambda spec: node(spec) and all(test(spec) for test in propagated)

    def _propagation_test(self, variant: VariantConstraint) -> Callable[[Spec], bool]:
        """Return a function that tests whether every node with the variant satisfies it."""
        satisfies = variant_test(variant, self._dialect)
        violates = self._somewhere(
            lambda spec: variant.name in spec.variants and not satisfies(spec.variants)
        )
        return lambda spec: not violates(spec.hash, spec.name)

    def _looked_up(self, dag_hash: str) -> Sequence[Dependency]:
        spec = self._lookup(dag_hash)
        return spec.dependencies if spec is not None else ()

    def _somewhere(
        self, holds: Callable[[Spec], bool], name: str | None = None
    ) -> Callable[[str, str], bool]:
        """Return a function that tests whether `holds` is true for a node or any node below it.

        It takes the DAG hash and the name of the node. With `name`, only nodes of that package are
        tested.
        """
        known: dict[str, bool] = {}

        def somewhere(start: str, package: str) -> bool:
            if start in known:
                return known[start]
            seen = {start}
            stack = [(start, package)]
            while stack:
                dag_hash, package = stack.pop()
                answer = known.get(dag_hash)
                if answer is None and name in (None, package):
                    spec = self._lookup(dag_hash)
                    answer = spec is not None and holds(spec)
                if answer:
                    known[dag_hash] = known[start] = True
                    return True
                for edge in self._dependencies(dag_hash):
                    if edge.hash not in seen and known.get(edge.hash) is not False:
                        seen.add(edge.hash)
                        stack.append((edge.hash, edge.name))
            known.update(dict.fromkeys(seen, False))
            return False

        return somewhere

    # Dependencies

    def _dependency_test(self, dependency: DependencyConstraint) -> Callable[[Spec], Spec | None]:
        """Return a function that returns the requested dependency of a spec, or None."""
        if self._dialect.compiler_nodes:
            find = self._modern(dependency)
        else:
            find = self._classic(dependency)
        if dependency.when is None:
            return find
        applies = self.test(dependency.when)
        return lambda spec: find(spec) if applies(spec) else spec

    def _modern(self, dependency: DependencyConstraint) -> Callable[[Spec], Spec | None]:
        """Return the test for Spack 1.0 and newer: the first matching edge decides."""
        query = dependency.query
        fits = self._edge_test(dependency)
        below = [self._dependency_test(each) for each in query.dependencies]
        wanted = set(RUNTIME_DEPTYPES)
        maybe = self._edge_somewhere(fits, wanted, query.name)
        compiler = self._compiler_edge_test(dependency)

        def child(edge: Dependency) -> Spec | None:
            if not _may_be(edge, query.name):
                return None
            spec = self._lookup(edge.hash)
            return spec if spec is not None and fits(edge, spec) else None

        def search(spec: Spec) -> Spec | None:
            for edge in _in_order(self._dependencies(spec.hash)):
                found = child(edge)
                if found is not None:
                    return found
            if compiler is not None and compiler(spec):
                return spec
            if dependency.direct or not maybe(spec.hash):
                return None
            edges = _in_order(self._dependencies(spec.hash))
            queue = deque(edge for edge in edges if wanted.intersection(edge.deptypes))
            seen = {edge.hash for edge in queue}
            while queue:
                edge = queue.popleft()
                found = child(edge)
                if found is not None:
                    return found
                for following in _in_order(self._dependencies(edge.hash)):
                    if following.hash not in seen and wanted.intersection(following.deptypes):
                        seen.add(following.hash)
                        queue.append(following)
            return None

        def find(spec: Spec) -> Spec | None:
            found = search(spec)
            if found is None or not below:
                return found
            return found if all(test(found) is not None for test in below) else None

        return find

    def _edge_test(self, dependency: DependencyConstraint) -> Callable[[Dependency, Spec], bool]:
        """Return a function that tests whether an edge to a spec is the requested one."""
        query = dependency.query
        name = query.name
        node = _kept(self._node_test(query, named=False))
        virtuals = set(dependency.virtuals)
        deptypes = set(dependency.deptypes) if self._dialect.edge_types else set()
        any_version = query.versions == ANY_VERSION

        @cache
        def provides() -> Callable[[Spec], bool]:
            return _kept(self._provides_version(query))

        def fits(edge: Dependency, spec: Spec) -> bool:
            other = name is not None and spec.name != name
            if other and name not in edge.virtuals:
                return False
            if not virtuals.issubset(edge.virtuals) or not deptypes.issubset(edge.deptypes):
                return False
            if not other:
                return node(spec)
            # A virtual, of which only the version matters.
            return any_version or provides()(spec)

        return fits

    def _provides_version(self, query: AbstractSpec) -> Callable[[Spec], bool]:
        """Return a function that tests whether a spec provides the requested virtual versions."""
        assert query.name is not None
        virtual = query.name
        if virtual in self._providers:
            return self.provider_test(query)

        def unknown(_: Spec) -> bool:
            self.unknown_versions.add(virtual)
            return False

        return unknown

    def _edge_somewhere(
        self,
        fits: Callable[[Dependency, Spec], bool],
        deptypes: set[str],
        name: str | None = None,
    ) -> Callable[[str], bool]:
        """Return a function that tests whether a matching edge is anywhere below a node.

        It takes the DAG hash. With `name`, only edges to that package or virtual can match.
        """
        known: dict[str, bool] = {}

        def somewhere(start: str) -> bool:
            if start in known:
                return known[start]
            seen = {start}
            stack = [start]
            while stack:
                dag_hash = stack.pop()
                for edge in self._dependencies(dag_hash):
                    if deptypes.isdisjoint(edge.deptypes):
                        continue
                    found = known.get(edge.hash)
                    if not found and _may_be(edge, name):
                        child = self._lookup(edge.hash)
                        found = child is not None and fits(edge, child)
                    if found:
                        known[dag_hash] = known[start] = True
                        return True
                    if edge.hash not in seen and known.get(edge.hash) is not False:
                        seen.add(edge.hash)
                        stack.append(edge.hash)
            known.update(dict.fromkeys(seen, False))
            return False

        return somewhere

    def _compiler_edge_test(
        self, dependency: DependencyConstraint
    ) -> Callable[[Spec], bool] | None:
        """Return a function that tests the compiler of a node; None if it can never match.

        This is for specs that an older Spack concretized: their compiler is an attribute, and
        counts as a build dependency of which only the name and version are known.
        """
        query = dependency.query
        if not set(dependency.deptypes) <= {"build"} or not set(dependency.virtuals) <= set(
            _COMPILER_VIRTUALS
        ):
            return None
        if query.dependencies or query.hash or query.variants or query.flags or query.target:
            return None
        if query.platform or query.os or query.namespace:
            return None
        if query.name in _COMPILER_VIRTUALS:
            return lambda spec: spec.compiler is not None and query.versions == ANY_VERSION
        return lambda spec: (
            spec.compiler is not None
            and (query.name is None or spec.compiler.name == query.name)
            and spec.compiler.version in query.versions
        )

    def _classic(self, dependency: DependencyConstraint) -> Callable[[Spec], Spec | None]:
        """Return the test for Spack up to 0.23, where any node below can match.

        Edges count only for virtuals.
        """
        query = dependency.query
        node = self._node_test(query, named=True)
        stands_for = None
        if self._dialect.edge_virtuals:
            stands_for = self._virtual_edge_test(dependency)
        elif dependency.virtuals:  # not recorded on edges: assume it of any possible provider
            providing = [self._provides(virtual) for virtual in dependency.virtuals]
            named = node
            node = lambda spec: named(spec) and all(test(spec) for test in providing)  # noqa: E731
        below = self._somewhere(node, query.name)
        any_version = query.versions == ANY_VERSION

        @cache
        def provides() -> Callable[[str, str], bool] | None:
            if query.name is None or self._is_package(query.name):
                return None
            if query.name not in self._providers:
                return None
            return self._somewhere(self.provider_test(query))

        def find(spec: Spec) -> Spec | None:
            if any(below(edge.hash, edge.name) for edge in self._dependencies(spec.hash)):
                found = not dependency.virtuals or stands_for is None or stands_for(spec)
            elif query.name is None or (stands_for is not None and not stands_for(spec)):
                found = False
            elif stands_for is not None and any_version:
                found = True
            elif (provider := provides()) is not None:
                edges = self._dependencies(spec.hash)
                found = any(provider(edge.hash, edge.name) for edge in edges)
            else:
                if stands_for is not None:
                    self.unknown_versions.add(query.name)
                found = False
            return spec if found else None

        return find

    def _provides(self, virtual: str) -> Callable[[Spec], bool]:
        """Return a function that tests whether a spec provides any version of `virtual`."""
        return self._provides_version(AbstractSpec(name=virtual))

    def _virtual_edge_test(self, dependency: DependencyConstraint) -> Callable[[Spec], bool]:
        """Return a function that tests whether an edge provides the requested virtuals."""
        name = dependency.query.name
        virtuals = set(dependency.virtuals)

        def fits(edge: Dependency, _: Spec) -> bool:
            return (name is None or name == edge.name or name in edge.virtuals) and (
                virtuals.issubset(edge.virtuals) and bool(virtuals or name in edge.virtuals)
            )

        runtime = self._edge_somewhere(fits, set(RUNTIME_DEPTYPES))

        def stands_for(spec: Spec) -> bool:
            edges = self._dependencies(spec.hash)
            return any(fits(edge, spec) for edge in edges) or runtime(spec.hash)

        return stands_for


def _kept(test: Callable[[Spec], bool]) -> Callable[[Spec], bool]:
    """Return `test` with its answers cached by DAG hash."""
    known: dict[str, bool] = {}

    def kept(spec: Spec) -> bool:
        answer = known.get(spec.hash)
        if answer is None:
            answer = known[spec.hash] = test(spec)
        return answer

    return kept


def _may_be(edge: Dependency, name: str | None) -> bool:
    """Return whether an edge leads to the package `name`, or to a provider of it."""
    return name is None or name == edge.name or name in edge.virtuals


def _in_order(edges: Sequence[Dependency]) -> Sequence[Dependency]:
    """Return the edges of a node in Spack's order: as recorded, but per package by type."""
    names = [edge.name for edge in edges]
    if len(set(names)) == len(names):
        return edges
    first = {name: position for position, name in reversed(list(enumerate(names)))}
    return sorted(edges, key=lambda edge: (first[edge.name], depflag(edge.deptypes)))


def spec_test(predicates: list[Predicate]) -> Callable[[Spec], bool]:
    """Return a function that applies all predicates to a spec."""
    return lambda spec: all(each.test(_value(spec, each.column)) for each in predicates)


def _value(spec: Spec, column: str) -> Any:
    return (spec.variants, spec.flags) if column == "parameters" else getattr(spec, column)
