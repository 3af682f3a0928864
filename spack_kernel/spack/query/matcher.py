"""Decide which nodes of a store satisfy a query.

A query becomes predicates on the codes of columns, each of which is tested once, and walks over
the edges, whose results for a node are cached. Which edge counts differs between old and new
versions of Spack: `_first_edge` and `_any_below` are their rules.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES, depflag
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import AbstractSpec
from .predicates import predicates_of, variant_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.spec.records import Kind

    from .abstract_spec import DependencyConstraint, VariantConstraint
    from .dialects import Dialect
    from .predicates import Predicate
    from .virtuals import Providers

    #: A function that tests a node.
    Test = Callable[[int], bool]

    #: An edge: the node to which it leads, its kind, and the package there.
    Edge = tuple[int, Kind, str]

#: The virtual packages that the compiler of a node stands for.
_COMPILER_VIRTUALS = ("c", "cxx", "fortran")

_RUNTIME = frozenset(RUNTIME_DEPTYPES)


class Matcher:
    """Decides, for one store and one dialect, which nodes satisfy a query.

    Parameters
    ----------
    chain : Chain
        The databases of the store.
    dialect : Dialect
        The dialect of the queries.
    providers : Providers
        The known providers of virtual packages.
    """

    def __init__(self, chain: Chain, dialect: Dialect, providers: Providers) -> None:
        self.chain = chain
        self.dialect = dialect
        self.providers = providers
        #: Virtual packages requested with a version, where no versions are known.
        self.unknown_versions: set[str] = set()

    def test(self, query: AbstractSpec, *, named: bool = True) -> Test:
        """Return a function that tests whether a valid node satisfies `query`.

        Parameters
        ----------
        query : AbstractSpec
            The query.
        named : bool
            False when the nodes are known to have the name, or to provide it.
        """
        node = self._node_test(query, named=named)
        if not query.dependencies:
            return node
        edges = [self._dependency_test(dependency) for dependency in query.dependencies]
        return lambda spec: node(spec) and all(edge(spec) is not None for edge in edges)

    def provider_test(self, query: AbstractSpec) -> Test:
        """Return a function that tests whether a node is known to provide `query`.

        As in Spack, only the version of the virtual matters.
        """
        assert query.name is not None
        tests = [
            self._node_test(provision.provider, named=True)
            for provision in self.providers.of(query.name)
            if provision.versions.intersects(query.versions)
        ]
        return lambda node: any(test(node) for test in tests)

    # -- nodes --

    def _node_test(self, query: AbstractSpec, *, named: bool) -> Test:
        tests = [
            self._predicate(predicate)
            for predicate in predicates_of(query, self.dialect, named=named)
        ]
        if self.dialect.weak_propagation:
            tests += [
                self._propagation_test(variant)
                for variant in query.variants.values()
                if variant.propagate
            ]
        if not tests:
            return anything
        if len(tests) == 1:
            return tests[0]
        return lambda node: all(test(node) for test in tests)

    def _predicate(self, predicate: Predicate) -> Test:
        """Return a function that applies a predicate, once to each code of its column."""
        chain, column, test = self.chain, predicate.column, predicate.test
        if column == "hash":
            return lambda node: test(chain.hash_of(node))
        databases: list[tuple[Any, Any, dict[int, bool]]] = [
            (database.columns.codes[column], database.columns.values[column], {})
            for database in chain.databases
        ]

        def holds(node: int) -> bool:
            number, row = chain.place(node)
            codes, values, known = databases[number]
            code = codes[row]
            answer = known.get(code)
            if answer is None:
                answer = known[code] = test(values[code])
            return answer

        return holds

    def in_columns(self, query: AbstractSpec, nodes: Iterable[int]) -> list[int]:
        """Return those nodes whose own columns satisfy `query`, whatever it says of edges."""
        found = list(nodes)
        databases = self.chain.databases
        for predicate in predicates_of(query, self.dialect):
            if len(databases) > 1 or predicate.column == "hash":
                test = self._predicate(predicate)
                found = [node for node in found if test(node)]
                continue
            columns = databases[0].columns
            codes, values = columns.codes[predicate.column], columns.values[predicate.column]
            distinct = {codes[row] for row in found}
            good = {code for code in distinct if predicate.test(values[code])}
            found = [row for row in found if codes[row] in good]
        return found

    def _propagation_test(self, variant: VariantConstraint) -> Test:
        """Return a function that tests whether every node with the variant satisfies it."""
        satisfies = variant_test(variant, self.dialect)
        chain = self.chain

        def otherwise(node: int) -> bool:
            variants = chain.value("parameters", node)[0]
            return variant.name in variants and not satisfies(variants)

        violates = self._somewhere(otherwise)
        return lambda node: not violates(node, "")

    def _somewhere(self, holds: Test, name: str | None = None) -> Callable[[int, str], bool]:
        """Return a function that tests whether `holds` is true for a node or any node below it.

        It takes the node and its name. With `name`, only nodes of that package are tested.
        """
        known: dict[int, bool] = {}
        chain = self.chain

        def somewhere(start: int, package: str) -> bool:
            if start in known:
                return known[start]
            seen = {start}
            stack = [(start, package)]
            while stack:
                node, package = stack.pop()
                answer = known.get(node)
                if answer is None and name in (None, package):
                    answer = chain.is_valid(node) and holds(node)
                if answer:
                    known[node] = known[start] = True
                    return True
                for end, _, called in chain.edges_of(node):
                    if end not in seen and known.get(end) is not False:
                        seen.add(end)
                        stack.append((end, called))
            known.update(dict.fromkeys(seen, False))
            return False

        return somewhere

    # -- dependencies --

    def _dependency_test(self, dependency: DependencyConstraint) -> Callable[[int], int | None]:
        """Return a function that returns the requested dependency of a node, or None."""
        if self.dialect.compiler_nodes:
            find = self._first_edge(dependency)
        else:
            find = self._any_below(dependency)
        if dependency.when is None:
            return find
        applies = self.test(dependency.when)
        return lambda node: find(node) if applies(node) else node

    def _first_edge(self, dependency: DependencyConstraint) -> Callable[[int], int | None]:
        """Return the test for Spack 1.0 and newer: the first matching edge decides."""
        query, chain = dependency.query, self.chain
        fits = self._edge_test(dependency)
        below = [self._dependency_test(each) for each in query.dependencies]
        maybe = self._edge_somewhere(fits, query.name)
        compiler = self._compiler_edge_test(dependency)

        def search(node: int) -> int | None:
            edges = _in_order(chain.edges_of(node))
            for edge in edges:
                if fits(edge):
                    return edge[0]
            if compiler is not None and compiler(node):
                return node
            if dependency.direct or not maybe(node):
                return None
            queue = deque(edge for edge in edges if not _RUNTIME.isdisjoint(edge[1].deptypes))
            seen = {edge[0] for edge in queue}
            while queue:
                edge = queue.popleft()
                if fits(edge):
                    return edge[0]
                for following in _in_order(chain.edges_of(edge[0])):
                    is_runtime = not _RUNTIME.isdisjoint(following[1].deptypes)
                    if is_runtime and following[0] not in seen:
                        seen.add(following[0])
                        queue.append(following)
            return None

        def find(node: int) -> int | None:
            found = search(node)
            if found is None or not below:
                return found
            return found if all(test(found) is not None for test in below) else None

        return find

    def _edge_test(self, dependency: DependencyConstraint) -> Callable[[Edge], bool]:
        """Return a function that tests whether an edge is the requested one."""
        query, chain = dependency.query, self.chain
        name = query.name
        node_test = _kept(self._node_test(query, named=False))
        virtuals = set(dependency.virtuals)
        deptypes = set(dependency.deptypes) if self.dialect.edge_types else set()
        any_version = query.versions == ANY_VERSION

        @cache
        def provides() -> Test:
            return _kept(self._provides_version(query))

        def fits(edge: Edge) -> bool:
            node, kind, called = edge
            other = name is not None and called != name
            if other and name not in kind.virtuals:
                return False
            if not virtuals.issubset(kind.virtuals) or not deptypes.issubset(kind.deptypes):
                return False
            if not chain.is_valid(node):
                return False
            if not other:
                return node_test(node)
            # A virtual, of which only the version matters.
            return any_version or provides()(node)

        return fits

    def _provides_version(self, query: AbstractSpec) -> Test:
        """Return a function that tests whether a node provides the requested virtual versions."""
        assert query.name is not None
        virtual = query.name
        if virtual in self.providers:
            return self.provider_test(query)

        def unknown(_: int) -> bool:
            self.unknown_versions.add(virtual)
            return False

        return unknown

    def _edge_somewhere(self, fits: Callable[[Edge], bool], name: str | None = None) -> Test:
        """Return a function that tests whether a matching runtime edge is anywhere below a node.

        With `name`, only edges to that package or virtual can match.
        """
        known: dict[int, bool] = {}
        chain = self.chain

        def somewhere(start: int) -> bool:
            if start in known:
                return known[start]
            seen = {start}
            stack = [start]
            while stack:
                node = stack.pop()
                for edge in chain.edges_of(node):
                    end, kind, called = edge
                    if _RUNTIME.isdisjoint(kind.deptypes):
                        continue
                    may_fit = name is None or name == called or name in kind.virtuals
                    if known.get(end) or (may_fit and fits(edge)):
                        known[node] = known[start] = True
                        return True
                    if end not in seen and known.get(end) is not False:
                        seen.add(end)
                        stack.append(end)
            known.update(dict.fromkeys(seen, False))
            return False

        return somewhere

    def _compiler_edge_test(self, dependency: DependencyConstraint) -> Test | None:
        """Return a function that tests the compiler of a node; None if it can never match.

        This is for specs that an older Spack concretized: their compiler is an attribute, and
        counts as a build dependency of which only the name and version are known.
        """
        query, chain = dependency.query, self.chain
        if not set(dependency.deptypes) <= {"build"} or not set(dependency.virtuals) <= set(
            _COMPILER_VIRTUALS
        ):
            return None
        if query.dependencies or query.hash or query.variants or query.flags or query.target:
            return None
        if query.platform or query.os or query.namespace:
            return None

        def fits(compiler: Any) -> bool:
            if compiler is None:
                return False
            if query.name in _COMPILER_VIRTUALS:
                return query.versions == ANY_VERSION
            return query.name in (None, compiler.name) and compiler.version in query.versions

        return lambda node: fits(chain.value("compiler", node))

    def _any_below(self, dependency: DependencyConstraint) -> Callable[[int], int | None]:
        """Return the test for Spack up to 0.23, where any node below can match.

        Edges count only for virtuals.
        """
        query, chain = dependency.query, self.chain
        node_test = self._node_test(query, named=True)
        stands_for = None
        if self.dialect.edge_virtuals:
            stands_for = self._virtual_edge_test(dependency)
        elif dependency.virtuals:  # not recorded on edges: assume it of any possible provider
            providing = [self._provides(virtual) for virtual in dependency.virtuals]
            named = node_test
            node_test = lambda node: named(node) and all(test(node) for test in providing)  # noqa: E731
        below = self._somewhere(node_test, query.name)
        any_version = query.versions == ANY_VERSION

        @cache
        def provides() -> Callable[[int, str], bool] | None:
            # Asking `providers` about a name that is that of a package might read recipes.
            if query.name is None or chain.has_package(query.name):
                return None
            if query.name not in self.providers:
                return None
            return self._somewhere(self.provider_test(query))

        def find(node: int) -> int | None:
            edges = chain.edges_of(node)
            if any(below(end, called) for end, _, called in edges):
                found = not dependency.virtuals or stands_for is None or stands_for(node)
            elif query.name is None or (stands_for is not None and not stands_for(node)):
                found = False
            elif stands_for is not None and any_version:
                found = True
            elif (provider := provides()) is not None:
                found = any(provider(end, called) for end, _, called in edges)
            else:
                if stands_for is not None:
                    self.unknown_versions.add(query.name)
                found = False
            return node if found else None

        return find

    def _provides(self, virtual: str) -> Test:
        """Return a function that tests whether a node provides any version of `virtual`."""
        return self._provides_version(AbstractSpec(name=virtual))

    def _virtual_edge_test(self, dependency: DependencyConstraint) -> Test:
        """Return a function that tests whether an edge provides the requested virtuals."""
        name, chain = dependency.query.name, self.chain
        virtuals = set(dependency.virtuals)

        def fits(edge: Edge) -> bool:
            _, kind, called = edge
            return (name is None or name == called or name in kind.virtuals) and (
                virtuals.issubset(kind.virtuals) and bool(virtuals or name in kind.virtuals)
            )

        def valid(edge: Edge) -> bool:
            return chain.is_valid(edge[0]) and fits(edge)

        runtime = self._edge_somewhere(valid)
        return lambda node: any(map(fits, chain.edges_of(node))) or runtime(node)


def anything(_: int) -> bool:
    """Return True: the test of a query that asks for nothing."""
    return True


def _kept(test: Test) -> Test:
    """Return `test` with its answers cached by node."""
    known: dict[int, bool] = {}

    def kept(node: int) -> bool:
        answer = known.get(node)
        if answer is None:
            answer = known[node] = test(node)
        return answer

    return kept


def _in_order(edges: Sequence[Edge]) -> Sequence[Edge]:
    """Return the edges of a node in Spack's order: as recorded, but per package by type."""
    names = [called for _, _, called in edges]
    if len(set(names)) == len(names):
        return edges
    first = {name: position for position, name in reversed(list(enumerate(names)))}
    return sorted(edges, key=lambda edge: (first[edge[2]], depflag(edge[1].deptypes)))
