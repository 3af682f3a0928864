"""The constraints of a query on a node itself, column by column.

A query becomes some tests of values, each of which is applied once to each distinct value of a
column, whatever the number of nodes that have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.spack.spec.targets import in_targets
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spack_kernel.spack.spec.records import Parameters
    from spack_kernel.spack.spec.spec import Arch, Compiler, VariantValue
    from spack_kernel.spack.spec.versions import Version

    from .abstract_spec import AbstractSpec, VariantConstraint
    from .dialects import Dialect
    from .quoting import Flag

    Variants = Mapping[str, VariantValue]
    Flags = Mapping[str, tuple[str, ...]]


class Predicate(NamedTuple):
    """A test of the values of a column.

    Attributes
    ----------
    column : str
        The column, or ``hash``. The values of ``parameters`` are variants and flags.
    test : callable
        Returns whether a value satisfies the query.
    """

    column: str
    test: Callable[[Any], bool]


def predicates_of(
    query: AbstractSpec, dialect: Dialect, *, named: bool = True
) -> Iterator[Predicate]:
    """Yield the tests of `query` for a node itself, the cheapest first.

    Parameters
    ----------
    query : AbstractSpec
        The query; its dependencies and weakly propagated variants are left out.
    dialect : Dialect
        The dialect of the query.
    named : bool
        Whether to test the name.
    """
    if named and query.name is not None:
        yield Predicate("name", query.name.__eq__)
    if query.hash is not None:
        prefix = query.hash
        yield Predicate("hash", lambda dag_hash: dag_hash.startswith(prefix))
    if query.namespace is not None:
        yield Predicate("namespace", query.namespace.__eq__)
    if query.versions != ANY_VERSION:
        yield Predicate("version", _version_test(query))
    if query.compiler is not None:
        yield Predicate("compiler", _compiler_test(query))
    if query.platform or query.os or query.target:
        yield Predicate("arch", _arch_test(query, dialect))
    for variant in query.variants.values():
        if not (variant.propagate and dialect.weak_propagation):
            yield Predicate("parameters", _first(variant_test(variant, dialect)))
    for kind, flags in query.flags.items():
        yield Predicate("parameters", _second(_flag_test(kind, flags, dialect)))


def _first(test: Callable[[Variants], bool]) -> Callable[[Parameters], bool]:
    return lambda parameters: test(parameters[0])


def _second(test: Callable[[Flags], bool]) -> Callable[[Parameters], bool]:
    return lambda parameters: test(parameters[1])


def _version_test(query: AbstractSpec) -> Callable[[Version], bool]:
    versions = query.versions
    return lambda version: version in versions


def _compiler_test(query: AbstractSpec) -> Callable[[Compiler | None], bool]:
    asked = query.compiler
    assert asked is not None

    def test(compiler: Compiler | None) -> bool:
        return (
            compiler is not None
            and compiler.name == asked.name
            and compiler.version in asked.versions
        )

    return test


def _arch_test(query: AbstractSpec, dialect: Dialect) -> Callable[[Arch], bool]:
    platform, os, target = query.platform, query.os, query.target
    if target == "*" and dialect.any_target:
        target = None

    def test(arch: Arch) -> bool:
        # Spack stops at the first * and considers the architecture satisfied.
        if platform == "*":
            return True
        if platform is not None and arch.platform != platform:
            return False
        if os == "*":
            return True
        if os is not None and arch.os != os:
            return False
        return target is None or in_targets(arch.target, target)

    return test


def variant_test(query: VariantConstraint, dialect: Dialect) -> Callable[[Variants], bool]:
    """Return a function that tests whether the variants of a node satisfy `query`."""
    name, values = query.name, query.values
    if values and isinstance(values[0], bool):
        wanted = values[0]
        return lambda variants: variants.get(name) is wanted
    if query.exact:
        return lambda variants: name in variants and _sorted_values(variants[name]) == values
    if name == "patches" and dialect.partial_patches:
        return lambda variants: _has_patches(variants.get(name), values)
    if not values:
        return lambda variants: name in variants
    needed = set(values)
    only = values[0] if len(needed) == 1 else None

    def has(variants: Variants) -> bool:
        value = variants.get(name)
        return (
            needed.issubset(value)
            if isinstance(value, tuple)
            else value is not None and value == only
        )

    return has


def _sorted_values(value: VariantValue) -> tuple[bool | str, ...]:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (value,)


def _has_patches(patches: VariantValue | None, values: tuple[bool | str, ...]) -> bool:
    return isinstance(patches, tuple) and all(
        any(patch.startswith(str(value)) for patch in patches) for value in values
    )


def _flag_test(kind: str, flags: tuple[Flag, ...], dialect: Dialect) -> Callable[[Flags], bool]:
    named = tuple(flag for flag, _ in flags)
    needed = set(named)
    if dialect.ordered_flags:
        return lambda recorded: recorded.get(kind, ()) == named
    if not dialect.partial_flags:
        return lambda recorded: set(recorded.get(kind, ())) == needed
    return lambda recorded: needed.issubset(recorded.get(kind, ()))
