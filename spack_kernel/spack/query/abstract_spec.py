"""A query: an abstract spec, as a user types it to select installed specs.

Queries are immutable and compare by meaning. ``str(query)`` is a canonical spelling, and parsing
that spelling gives an equal query. The module `matching` decides which specs match, and
`selection` which of them is chosen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.spec.targets import common_targets
from spack_kernel.spack.spec.version_ranges import ANY_VERSION, VersionList

from .dialects import SPACK_1, Dialect
from .quoting import bracketed, flag_words, quoted
from .tokens import IDENTIFIER, LOOSE_QUALIFIED, QUALIFIED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spack_kernel.spack.spec.spec import Spec

    from .quoting import Flag

_is_identifier = re.compile(IDENTIFIER).fullmatch
_is_qualified = re.compile(QUALIFIED).fullmatch
_is_loosely_qualified = re.compile(LOOSE_QUALIFIED).fullmatch


class Conflict(ValueError):  # noqa: N818 - names the state of the two queries
    """Two queries that no spec can satisfy together."""


class VariantConstraint(msgspec.Struct, frozen=True):
    """The requirement on one variant.

    Attributes
    ----------
    name : str
        The variant.
    values : tuple
        Sorted; a boolean, or strings that must be among its values. Empty: any value.
    exact : bool
        Whether other values are excluded (booleans, and ``name:=value``).
    propagate : bool
        Whether it also applies to the dependencies (``++name``, ``name==value``).
    """

    name: str
    values: tuple[bool, ...] | tuple[str, ...]
    exact: bool = False
    propagate: bool = False

    def intersects(self, other: VariantConstraint) -> bool:
        """Return whether some values satisfy both."""
        if self.exact and other.exact:
            return self.values == other.values
        if self.exact:
            return set(other.values) <= set(self.values)
        return not other.exact or set(self.values) <= set(other.values)

    def constrained(self, other: VariantConstraint) -> VariantConstraint:
        """Return the combination of both; raise Conflict when nothing can satisfy it."""
        if not self.intersects(other):
            raise Conflict
        values = {*self.values, *other.values}
        return VariantConstraint(
            self.name,
            tuple(sorted(values)),
            self.exact or other.exact,
            self.propagate and other.propagate,
        )

    @property
    def is_boolean(self) -> bool:
        """Whether the value is a boolean, so that it is written ``+name`` or ``~name``."""
        return bool(self.name and self.values) and isinstance(self.values[0], bool)

    def __str__(self) -> str:
        if self.is_boolean:
            sigil = "+" if self.values[0] else "~"
            return f"{sigil * 2 if self.propagate else sigil}{self.name}"
        operator = (":" if self.exact and self.name else "") + ("==" if self.propagate else "=")
        value = ",".join(map(str, self.values)) if self.values else "*"
        return f"{self.name}{operator}{quoted(value)}"


class CompilerConstraint(msgspec.Struct, frozen=True):
    """The compiler required of a node, where compilers are not dependencies."""

    name: str
    versions: VersionList = ANY_VERSION

    def __str__(self) -> str:
        return f"%{self.name}" + ("" if self.versions == ANY_VERSION else f"@{self.versions}")


@dataclass(frozen=True)
class DependencyConstraint:
    """The requirement on a dependency.

    Attributes
    ----------
    query : AbstractSpec
        The dependency itself.
    direct : bool
        Whether it must be a direct dependency (``%``) or can be any dependency (``^``).
    virtuals : tuple of str
        Virtual packages that it must provide on that edge.
    deptypes : tuple of str
        Types the edge must have, sorted.
    preferred : bool
        Whether it is a preference for all nodes (``%%``), which matters only to the concretizer.
    when : AbstractSpec or None
        The requirement applies only to specs that satisfy this query.
    """

    query: AbstractSpec
    direct: bool = False
    virtuals: tuple[str, ...] = ()
    deptypes: tuple[str, ...] = ()
    preferred: bool = False
    when: AbstractSpec | None = None
    when_text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        sigil = "%%" if self.preferred else "%" if self.direct else "^"
        node = str(self.query)
        if not self.query.name:
            node = node if node.startswith("*") else f"* {node}" if "=" in node else f"*{node}"
        if not self.deptypes and self.when is None and all(map(_is_identifier, self.virtuals)):
            if not self.virtuals:
                return sigil + node
            if self.query.name and self.query.dialect.compiler_nodes:
                return f"{sigil}{','.join(self.virtuals)}={node}"
        attributes = []
        if self.deptypes:
            attributes.append(f"deptypes={','.join(self.deptypes)}")
        if self.virtuals:
            attributes.append(f"virtuals={bracketed(','.join(self.virtuals))}")
        if self.when is not None:
            attributes.append(f"when={bracketed(self.when_text or str(self.when))}")
        return f"{sigil}[{' '.join(attributes)}] {node}"


@dataclass(frozen=True)
class AbstractSpec:
    """One abstract spec.

    Attributes
    ----------
    name, namespace : str or None
        Name of a package or virtual package, and namespace; None for any.
    versions : VersionList
        The requested versions.
    variants : mapping of str to VariantConstraint
        By name.
    flags : mapping of str to tuple of (flag, propagate)
        Compiler flags by list.
    platform, os, target : str or None
        The architecture; `target` may contain ranges and lists.
    hash : str or None
        The beginning of the DAG hash.
    compiler : CompilerConstraint or None
        The compiler of the node; only in the older dialects.
    dependencies : tuple of DependencyConstraint
        The requirements on dependencies.
    dialect : Dialect
        The dialect in which it was parsed.
    text : str
        What the user typed, possibly with other queries around it.
    span : tuple of int
        The start and end of the name in `text`, or of the first token of the node.
    """

    name: str | None = None
    namespace: str | None = None
    versions: VersionList = ANY_VERSION
    variants: Mapping[str, VariantConstraint] = field(default_factory=dict)
    flags: Mapping[str, tuple[Flag, ...]] = field(default_factory=dict)
    platform: str | None = None
    os: str | None = None
    target: str | None = None
    hash: str | None = None
    compiler: CompilerConstraint | None = None
    dependencies: tuple[DependencyConstraint, ...] = ()
    dialect: Dialect = field(default=SPACK_1, compare=False, repr=False)
    text: str = field(default="", compare=False, repr=False)
    span: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.name, self.versions, self.hash, tuple(sorted(self.variants))))

    @property
    def label(self) -> str:
        """The package with its namespace, as requested; empty for an anonymous query."""
        return ".".join(part for part in (self.namespace, self.name) if part) if self.name else ""

    def walk(self) -> Iterator[AbstractSpec]:
        """Yield this query and those of its dependencies."""
        yield self
        for dependency in self.dependencies:
            yield from dependency.query.walk()

    def intersects(self, other: AbstractSpec) -> bool:
        """Return False only when the node itself rules out that a spec satisfies both.

        Queries with different names may mean the same spec, since one may be a virtual package.
        """
        if self.name and other.name and self.name != other.name:
            return True
        try:
            self._decisive(other).constrained(other._decisive(self))
        except Conflict:
            return False
        return True

    def _decisive(self, other: AbstractSpec) -> AbstractSpec:
        """Return this query without the parts that cannot exclude `other` with certainty."""
        variants = {
            name: variant
            for name, variant in self.variants.items()
            # Patches may be abbreviated, and a propagated variant applies only where it exists.
            if name != "patches"
            and not (
                variant.propagate and name in other.variants and other.variants[name].propagate
            )
        }
        # If platform or os is *, Spack ignores the parts that follow.
        platform = None if self.platform == "*" else self.platform
        os = None if self.platform == "*" or self.os == "*" else self.os
        target = None if "*" in (self.platform, self.os, self.target) else self.target
        return replace(self, variants=variants, platform=platform, os=os, target=target)

    def constrained(self, other: AbstractSpec) -> AbstractSpec:
        """Return the combination of both nodes, with the dependencies of `self`.

        Raises
        ------
        Conflict
            When no spec can satisfy both.
        """
        if not ((self.hash or "").startswith(other.hash or "")) and not (
            (other.hash or "").startswith(self.hash or "")
        ):
            raise Conflict
        versions = self.versions.intersection(other.versions)
        if not versions:
            raise Conflict
        variants = dict(self.variants)
        for name, variant in other.variants.items():
            ours = variants.get(name)
            variants[name] = ours.constrained(variant) if ours else variant
        flags = dict(self.flags)
        for name, theirs in other.flags.items():
            have = flags.get(name, ())
            flags[name] = have + tuple(flag for flag in theirs if flag not in have)
        if self.compiler and other.compiler:
            if self.compiler.name != other.compiler.name:
                raise Conflict
            compiler_versions = self.compiler.versions.intersection(other.compiler.versions)
            if not compiler_versions:
                raise Conflict
            compiler: CompilerConstraint | None = CompilerConstraint(
                self.compiler.name, compiler_versions
            )
        else:
            compiler = self.compiler or other.compiler
        return replace(
            self,
            name=_one_of(self.name, other.name),
            namespace=_one_of(self.namespace, other.namespace),
            versions=versions,
            variants=variants,
            flags=flags,
            platform=_one_of(self.platform, other.platform),
            os=_one_of(self.os, other.os),
            target=_target(self.target, other.target),
            hash=max(self.hash or "", other.hash or "", key=len) or None,
            compiler=compiler,
        )

    @classmethod
    def of(cls, spec: Spec, dialect: Dialect = SPACK_1) -> AbstractSpec:
        """Return the query that requires all attributes of `spec` itself.

        Other specs may also match: builds that differ only in their dependencies.

        Parameters
        ----------
        spec : Spec
            A concrete spec.
        dialect : Dialect
            The dialect of the query.
        """
        compiler: CompilerConstraint | None = None
        dependencies: tuple[DependencyConstraint, ...] = ()
        if spec.compiler is not None:
            versions = VersionList([spec.compiler.version])
            if dialect.compiler_nodes:
                node = cls(name=spec.compiler.name, versions=versions, dialect=dialect)
                dependencies = (DependencyConstraint(node, direct=True),)
            else:
                compiler = CompilerConstraint(spec.compiler.name, versions)
        return cls(
            name=spec.name,
            namespace=spec.namespace,
            versions=VersionList([spec.version]),
            variants={name: _asking(name, value) for name, value in spec.variants.items()},
            flags={
                name: tuple((flag, False) for flag in flags) for name, flags in spec.flags.items()
            },
            platform=spec.arch.platform,
            os=spec.arch.os,
            target=spec.arch.target,
            compiler=compiler,
            dependencies=dependencies,
            dialect=dialect,
        )

    def __str__(self) -> str:
        parts = [self._node()]
        for dependency in self.dependencies:
            if parts[-1] and (not dependency.direct or _ends_in_value(parts[-1])):
                parts.append(" ")
            parts.append(str(dependency))
        return "".join(parts) or "*"

    def _node(self) -> str:
        named = self.name is not None
        qualified = _is_loosely_qualified if self.dialect.loose_words else _is_qualified
        keyed = self.namespace is not None and not (named and qualified(self.label))
        text = (self.name or "") if keyed or not named else self.label
        if "" in self.variants:  # after a version it would change the version
            text += f" {self.variants['']} "
        if self.versions != ANY_VERSION:
            text += f"@{self.versions}"
        if self.compiler is not None:
            text += str(self.compiler)
        ordered = [self.variants[name] for name in sorted(self.variants)]
        text += "".join([str(variant) for variant in ordered if variant.is_boolean])
        words = [str(variant) for variant in ordered if variant.name and not variant.is_boolean]
        if keyed:
            words.append(f"namespace={quoted(self.namespace or '')}")
        for name in sorted(self.flags):
            words += flag_words(name, self.flags[name])
        arch = {"platform": self.platform, "os": self.os, "target": self.target}
        if "None" in arch.values():  # a value only after another part of the architecture
            arch = dict(sorted(arch.items(), key=lambda part: (part[1] or "None") == "None"))
            words += ["target=None"] if set(arch.values()) <= {None, "None"} else []
        words += [f"{part}={quoted(value)}" for part, value in arch.items() if value is not None]
        if words:
            text += (" " if text else "") + " ".join(words)
        if self.hash:
            # A git reference may contain slashes.
            text += f"{' ' if words or '@git.' in text else ''}/{self.hash}"
        return text


def _one_of(ours: str | None, theirs: str | None) -> str | None:
    if ours and theirs and ours != theirs:
        raise Conflict
    return ours or theirs


def _target(ours: str | None, theirs: str | None) -> str | None:
    if ours is None or theirs is None or ours == theirs:
        return ours or theirs
    both = common_targets(ours, theirs)
    if not both:
        raise Conflict
    return both


def _asking(name: str, value: bool | str | tuple[str, ...]) -> VariantConstraint:
    if isinstance(value, bool):
        return VariantConstraint(name, (value,), exact=True)
    if isinstance(value, str):
        return VariantConstraint(name, (value,))
    return VariantConstraint(name, tuple(sorted(value)), exact=True)


def _ends_in_value(text: str) -> bool:
    return "=" in text.rsplit(None, 1)[-1]
