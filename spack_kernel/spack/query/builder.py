"""Queries during parsing: which attributes a node can have, how often, and what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.spec.host import host
from spack_kernel.spack.spec.spec import FLAG_NAMES
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import AbstractSpec, Conflict, DependencyConstraint, VariantConstraint
from .quoting import is_spellable
from .tokens import QUOTED

if TYPE_CHECKING:
    from spack_kernel.spack.spec.version_ranges import VersionList

    from .abstract_spec import CompilerConstraint
    from .dialects import Dialect
    from .quoting import Flag

#: Attributes that are not variants of a package, and so cannot be propagated to dependencies.
RESERVED_NAMES = {
    *("arch", "architecture", "branch", "commit", "dev_path", "namespace", "operating_system"),
    *("os", "patches", "platform", "ref", "tag", "target"),
}

#: Names that stand for the operating system or target of this machine.
_HOST_OS = ("backend", "be", "default_os", "fe", "frontend")
_HOST_TARGET = ("backend", "be", "default_target", "fe", "frontend")

_replace_quoted = re.compile(QUOTED).sub


class BuildError(Exception):
    """An attribute that a node cannot have: the reason, and what to write instead."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class SpecBuilder(msgspec.Struct):
    """A query during parsing.

    Parameters
    ----------
    dialect : Dialect
        The dialect of the query.
    span : tuple of int
        Where its name is in the text.
    """

    dialect: Dialect
    span: tuple[int, int]
    name: str | None = None
    namespace: str | None = None
    versions: VersionList | None = None
    variants: dict[str, VariantConstraint] = msgspec.field(default_factory=dict)
    flags: dict[str, tuple[Flag, ...]] = msgspec.field(default_factory=dict)
    arch: dict[str, str | None] = msgspec.field(default_factory=dict)
    hash: str | None = None
    compiler: CompilerConstraint | None = None
    edges: list[EdgeBuilder] = msgspec.field(default_factory=list)
    edges_to: dict[str, list[EdgeBuilder]] = msgspec.field(default_factory=dict)

    def finished(self, text: str) -> AbstractSpec:
        """Return the query as parsed from `text`."""
        return AbstractSpec(
            name=self.name,
            namespace=self.namespace,
            versions=self.versions or ANY_VERSION,
            variants=self.variants,
            flags={
                name: tuple(sorted(flags, key=lambda flag: flag[1]))
                for name, flags in self.flags.items()
            },
            platform=self.arch.get("platform"),
            os=self.arch.get("os"),
            target=self.arch.get("target"),
            hash=self.hash,
            compiler=self.compiler,
            dependencies=tuple([edge.finished(text) for edge in self.edges]),
            dialect=self.dialect,
            text=text,
            span=self.span,
        )

    # Each of the following raises BuildError when the node cannot have what is added.

    def set_pair(self, name: str, value: str, *, propagate: bool = False) -> None:
        """Add ``name=value``, or ``name:=value`` with the colon in `name`."""
        exact = len(name) > 1 and name.endswith(":")
        if "'" in value or '"' in value:
            value = _replace_quoted(_unquoted, value)
        if not is_spellable(value):
            raise BuildError("a value in quotes cannot end in a backslash")
        self.set(name.removesuffix(":"), value, propagate=propagate, exact=exact)

    def set(
        self, name: str, value: bool | str, *, propagate: bool = False, exact: bool = False
    ) -> None:
        """Add an attribute: a part of the architecture, flags, the namespace or a variant."""
        if propagate and name in RESERVED_NAMES:
            raise BuildError(f"{name} cannot be propagated to dependencies", f"Write {name}=... .")
        if name in ("arch", "architecture"):
            if isinstance(value, bool):
                raise BuildError(f"{name} needs a value", "Write arch=linux-debian12-x86_64_v3.")
            parts = value.split("-")
            platform, os, target = parts if len(parts) == 3 else ("", "", value)
            self._set_arch(platform=platform, os=os, target=target)
        elif name in ("platform", "target", "os", "operating_system"):
            # A boolean here is always a mistake and never matches a spec; as in Spack.
            text = value if isinstance(value, str) else "True" if value else ""
            self._set_arch(**{"os" if name.startswith("o") else name: text})
        elif name == "namespace" and self.dialect.namespace_key:
            self.namespace = str(value)
        elif name in FLAG_NAMES:
            if isinstance(value, bool):
                raise BuildError(f"{name} needs a value", f'Write {name}="-O2 -g".')
            if flags := [(flag, propagate) for flag in _flags(value)]:
                self.flags[name] = (*self.flags.get(name, ()), *flags)
        else:
            if name in self.variants:
                raise BuildError(f"the variant {name} is given twice")
            self.variants[name] = _variant(name, value, exact, propagate)

    def _set_arch(self, **parts: str) -> None:
        target = self.arch.get("target") or ":"
        if all(self.arch.get(part) for part in ("platform", "os")) and not set(":,") & set(target):
            raise BuildError("a spec has one architecture, and this is the second")
        first = not self.arch
        for part, value in parts.items():
            if not first and self.arch.get(part):
                raise BuildError(f"{part} is given twice")
            if value == "None" and (first or part == "target"):
                value = ""
            self.arch[part] = self._on_host(part, value) or None

    def _on_host(self, part: str, value: str) -> str:
        if value not in {"os": _HOST_OS, "target": _HOST_TARGET}.get(part, ()):
            return value
        here = host()
        platform = self.arch["platform"] = self.arch.get("platform") or here.platform
        if platform != here.platform:
            raise BuildError(
                f"{part}={value} refers to this machine, but the platform is {platform}",
                f"Name the {part}.",
            )
        return here.os if part == "os" else here.target

    def attach(self, edge: EdgeBuilder) -> None:
        """Add a dependency, or constrain the one that was named before."""
        name = edge.node.name
        same_name = self.edges_to.get(name, []) if name else []
        for other in same_name:
            if other.deptypes == edge.deptypes and other.when == edge.when:
                try:
                    other.node.constrain(edge.node)
                except Conflict:
                    raise BuildError(
                        f"no spec can be both this {name} and the one before it",
                        "Write all constraints on one dependency after a single ^.",
                    ) from None
                other.virtuals = tuple(dict.fromkeys([*other.virtuals, *edge.virtuals]))
                return
        if all(other.when == edge.when for other in same_name) and any(
            other.excludes(edge) for other in same_name
        ):
            raise BuildError(f"{name} is named twice with dependency types that exclude each other")
        if same_name:
            edge.preferred = False  # as in Spack
        self.edges.append(edge)
        if name:
            self.edges_to.setdefault(name, []).append(edge)

    def constrain(self, other: SpecBuilder) -> None:
        """Add the constraints of `other`; raises Conflict when no spec can satisfy both."""
        both = self.finished("").constrained(other.finished(""))
        self.name, self.namespace, self.hash = both.name, both.namespace, both.hash
        self.versions = both.versions
        self.variants = dict(both.variants)
        self.flags = dict(both.flags)
        self.arch = {"platform": both.platform, "os": both.os, "target": both.target}
        self.compiler = both.compiler


class EdgeBuilder(msgspec.Struct):
    """A dependency during parsing; see `DependencyConstraint`."""

    node: SpecBuilder
    direct: bool
    virtuals: tuple[str, ...] = ()
    deptypes: tuple[str, ...] = ()
    preferred: bool = False
    when: AbstractSpec | None = None
    when_text: str = ""

    def finished(self, text: str) -> DependencyConstraint:
        """Return the query as parsed from `text`."""
        return DependencyConstraint(
            self.node.finished(text),
            self.direct,
            self.virtuals,
            self.deptypes,
            self.preferred,
            self.when,
            self.when_text,
        )

    def excludes(self, other: EdgeBuilder) -> bool:
        """Return whether Spack rejects two such dependencies on packages of the same name."""
        ours, theirs = set(self.deptypes), set(other.deptypes)
        return bool(ours & theirs) or bool(ours & {"link", "run"} and theirs & {"link", "run"})


def _variant(name: str, value: bool | str, exact: bool, propagate: bool) -> VariantConstraint:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if isinstance(value, bool):
        return VariantConstraint(name, (value,), exact=True, propagate=propagate)
    if value == "*":
        return VariantConstraint(name, (), propagate=propagate)
    values = sorted(set(value.split(",")))
    if "*" in values:
        raise BuildError(
            "the value * means any value, and must be the only one", f"Write {name}=* ."
        )
    if not is_spellable(",".join(values)):
        raise BuildError("a value cannot end in a backslash")
    return VariantConstraint(name, tuple(values), exact, propagate)


def _unquoted(match: re.Match[str]) -> str:
    quote, value = match[0][0], match[0][1:-1]
    return value.replace(f"\\{quote}", quote)


def _flags(value: str) -> list[str]:
    """Split a list of compiler flags; a word that is not a flag is the previous flag's argument."""
    flags: list[str] = []
    for word in value.split():
        if flags and not word.startswith("-"):
            flags[-1] += f" {word}"
        else:
            flags.append(word)
    return flags
