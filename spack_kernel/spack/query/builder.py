"""Queries while they are read: what may be said of a node, how often, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.host import host
from spack_kernel.spack.spec.spec import FLAG_NAMES
from spack_kernel.spack.spec.version_ranges import ANY_VERSION

from .abstract_spec import Conflict, DependencyQuery, Query, VariantQuery
from .quoting import is_spellable
from .tokens import QUOTED

if TYPE_CHECKING:
    from spack_kernel.spack.spec.version_ranges import VersionList

    from .abstract_spec import CompilerQuery
    from .dialects import Dialect
    from .quoting import Flag

#: Attributes that are no variants of a package, so that they cannot be propagated to others.
RESERVED_NAMES = {
    *("arch", "architecture", "branch", "commit", "dev_path", "namespace", "operating_system"),
    *("os", "patches", "platform", "ref", "tag", "target"),
}

#: Names that stand for what the machine has.
_HOST_OS = ("backend", "be", "default_os", "fe", "frontend")
_HOST_TARGET = ("backend", "be", "default_target", "fe", "frontend")

_replace_quoted = re.compile(QUOTED).sub


class Refusal(Exception):  # noqa: N818 - what the parser does with it is the error
    """Something that cannot be said of a node: why, and what to write instead."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass
class NodeDraft:
    """A query while it is read.

    Parameters
    ----------
    dialect : Dialect
        How it is read.
    span : tuple of int
        Where its name stands in the text.
    """

    dialect: Dialect
    span: tuple[int, int]
    name: str | None = None
    namespace: str | None = None
    versions: VersionList | None = None
    variants: dict[str, VariantQuery] = field(default_factory=dict)
    flags: dict[str, tuple[Flag, ...]] = field(default_factory=dict)
    arch: dict[str, str | None] = field(default_factory=dict)
    hash: str | None = None
    compiler: CompilerQuery | None = None
    edges: list[EdgeDraft] = field(default_factory=list)
    edges_to: dict[str, list[EdgeDraft]] = field(default_factory=dict)

    def finished(self, text: str) -> Query:
        """Return the query, as read from `text`."""
        return Query(
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

    # Each of the following raises Refusal when it cannot be said.

    def set_pair(self, name: str, value: str, *, propagate: bool = False) -> None:
        """Take ``name=value``, or ``name:=value`` with the colon in `name`."""
        exact = len(name) > 1 and name.endswith(":")
        if "'" in value or '"' in value:
            value = _replace_quoted(_unquoted, value)
        if not is_spellable(value):
            raise Refusal("a value in quotes cannot end in a backslash")
        self.set(name.removesuffix(":"), value, propagate=propagate, exact=exact)

    def set(
        self, name: str, value: bool | str, *, propagate: bool = False, exact: bool = False
    ) -> None:
        """Take an attribute: a part of the architecture, flags, the namespace or a variant."""
        if propagate and name in RESERVED_NAMES:
            raise Refusal(f"{name} cannot be asked of dependencies, too", f"Write {name}=... .")
        if name in ("arch", "architecture"):
            if isinstance(value, bool):
                raise Refusal(f"{name} needs a value", "Write arch=linux-debian12-x86_64_v3.")
            parts = value.split("-")
            platform, os, target = parts if len(parts) == 3 else ("", "", value)
            self._set_arch(platform=platform, os=os, target=target)
        elif name in ("platform", "target", "os", "operating_system"):
            # A boolean here is never meant, and never true of a spec; so in Spack.
            text = value if isinstance(value, str) else "True" if value else ""
            self._set_arch(**{"os" if name.startswith("o") else name: text})
        elif name == "namespace" and self.dialect.namespace_key:
            self.namespace = str(value)
        elif name in FLAG_NAMES:
            if isinstance(value, bool):
                raise Refusal(f"{name} needs a value", f'Write {name}="-O2 -g".')
            if flags := [(flag, propagate) for flag in _flags(value)]:
                self.flags[name] = (*self.flags.get(name, ()), *flags)
        else:
            if name in self.variants:
                raise Refusal(f"the variant {name} is given twice")
            self.variants[name] = _variant(name, value, exact, propagate)

    def _set_arch(self, **parts: str) -> None:
        target = self.arch.get("target") or ":"
        if all(self.arch.get(part) for part in ("platform", "os")) and not set(":,") & set(target):
            raise Refusal("a spec has one architecture, and this is the second")
        first = not self.arch
        for part, value in parts.items():
            if not first and self.arch.get(part):
                raise Refusal(f"{part} is given twice")
            if value == "None" and (first or part == "target"):
                value = ""
            self.arch[part] = self._on_host(part, value) or None

    def _on_host(self, part: str, value: str) -> str:
        if value not in {"os": _HOST_OS, "target": _HOST_TARGET}.get(part, ()):
            return value
        here = host()
        platform = self.arch["platform"] = self.arch.get("platform") or here.platform
        if platform != here.platform:
            raise Refusal(
                f"{part}={value} stands for that of this machine, and the platform is {platform}",
                f"Name the {part}.",
            )
        return here.os if part == "os" else here.target

    def attach(self, edge: EdgeDraft) -> None:
        """Take a dependency, or constrain the one that was named before."""
        name = edge.node.name
        same_name = self.edges_to.get(name, []) if name else []
        for other in same_name:
            if other.deptypes == edge.deptypes and other.when == edge.when:
                try:
                    other.node.constrain(edge.node)
                except Conflict:
                    raise Refusal(
                        f"nothing can be both this {name} and the one before it",
                        "What is said of one dependency belongs behind one ^.",
                    ) from None
                other.virtuals = tuple(dict.fromkeys([*other.virtuals, *edge.virtuals]))
                return
        if all(other.when == edge.when for other in same_name) and any(
            other.excludes(edge) for other in same_name
        ):
            raise Refusal(f"{name} is named twice with dependency types that exclude each other")
        if same_name:
            edge.preferred = False  # so in Spack
        self.edges.append(edge)
        if name:
            self.edges_to.setdefault(name, []).append(edge)

    def constrain(self, other: NodeDraft) -> None:
        """Ask for `other`, too; raises Conflict when nothing can be both."""
        both = self.finished("").constrained(other.finished(""))
        self.name, self.namespace, self.hash = both.name, both.namespace, both.hash
        self.versions = both.versions
        self.variants = dict(both.variants)
        self.flags = dict(both.flags)
        self.arch = {"platform": both.platform, "os": both.os, "target": both.target}
        self.compiler = both.compiler


@dataclass
class EdgeDraft:
    """A dependency while it is read; see `DependencyQuery`."""

    node: NodeDraft
    direct: bool
    virtuals: tuple[str, ...] = ()
    deptypes: tuple[str, ...] = ()
    preferred: bool = False
    when: Query | None = None
    when_text: str = ""

    def finished(self, text: str) -> DependencyQuery:
        """Return the query, as read from `text`."""
        return DependencyQuery(
            self.node.finished(text),
            self.direct,
            self.virtuals,
            self.deptypes,
            self.preferred,
            self.when,
            self.when_text,
        )

    def excludes(self, other: EdgeDraft) -> bool:
        """Return whether Spack refuses two such dependencies on packages of one name."""
        ours, theirs = set(self.deptypes), set(other.deptypes)
        return bool(ours & theirs) or bool(ours & {"link", "run"} and theirs & {"link", "run"})


def _variant(name: str, value: bool | str, exact: bool, propagate: bool) -> VariantQuery:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.lower() == "true"
    if isinstance(value, bool):
        return VariantQuery(name, (value,), exact=True, propagate=propagate)
    if value == "*":
        return VariantQuery(name, (), propagate=propagate)
    values = sorted(set(value.split(",")))
    if "*" in values:
        raise Refusal("the value * stands for any, and stands alone", f"Write {name}=* .")
    if not is_spellable(",".join(values)):
        raise Refusal("a value cannot end in a backslash")
    return VariantQuery(name, tuple(values), exact, propagate)


def _unquoted(match: re.Match[str]) -> str:
    quote, value = match[0][0], match[0][1:-1]
    return value.replace(f"\\{quote}", quote)


def _flags(value: str) -> list[str]:
    """Cut a list of compiler flags; a word that is no flag is the argument of the one before."""
    flags: list[str] = []
    for word in value.split():
        if flags and not word.startswith("-"):
            flags[-1] += f" {word}"
        else:
            flags.append(word)
    return flags
