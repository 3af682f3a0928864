"""Format strings as ``spack find --format`` accepts them, and their output for a spec.

A template is text with fields in braces. Each field can have a sigil that is printed with the value
(``{@version}``, ``{/hash:7}``, ``{%compiler.name}``, ``{ target=architecture.target}``) and can
refer to a dependency (``{^python.version}``). The rules, and the order of variants and flags, are
those of Spack 1.x, whichever version wrote the record.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import NoMatch, QuerySyntaxError
from spack_kernel.spack.query.parser import COMPILER_PACKAGES
from spack_kernel.spack.spec.traversal import RUNTIME_DEPTYPES
from spack_kernel.spack.spec.versions import is_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from spack_kernel.spack.spec.spec import Spec, VariantValue
    from spack_kernel.spack.store.store import Store

#: How Spack 1.x shows a node in a tree.
DISPLAY_FORMAT = (
    "{name}{@version}{compiler_flags}{variants}"
    "{ platform=architecture.platform}{ os=architecture.os}{ target=architecture.target}"
    "{compilers}"
)

#: The virtuals that compilers provide since Spack 1.0.
LANGUAGES = ("c", "cxx", "fortran")

#: The names still in use for compilers whose package has another name.
_OLD_NAMES = {package: name for name, package in COMPILER_PACKAGES.items()}

_RUNTIME = frozenset(RUNTIME_DEPTYPES)

_NO_COMPILER = "none"

#: Matches a value that can be written without quotes.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9,/_.\-\[\]]+")

_FIELD = re.compile(
    r"(?P<sigil> ?[%@/]|[\w ][\w -]*=)?(?:\^(?P<dependency>[^}.]+)\.)?(?P<attribute>[^}]*)"
)
_HASH = re.compile(r"hash(?::(?P<length>\d+))?", re.IGNORECASE)


class FormatSyntaxError(QuerySyntaxError):
    """A format string that cannot be parsed, with the position of the error."""

    code = "format-syntax"


@dataclass(frozen=True, slots=True)
class _Field:
    """One ``{…}``: where it begins, and what it refers to."""

    position: int
    sigil: str
    dependency: str
    attribute: str
    hash_length: int | None = None


class SpecFormat:
    r"""A parsed format string.

    Parameters
    ----------
    template : str
        The format string. ``\`` makes the next character literal.

    Raises
    ------
    FormatSyntaxError
        When braces do not match, a field is empty or unknown, or a sigil is in the wrong place.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self._pieces = tuple(_parse(template))

    def format(
        self, spec: Spec, store: Store, paint: Callable[[str, str], str] | None = None
    ) -> str:
        """Return what the template prints for `spec`.

        Parameters
        ----------
        spec : Spec
            The spec to describe.
        store : Store
            Where its dependencies are looked up.
        paint : callable, optional
            Called with the kind of a field (``version``, ``variants``, ``compiler``,
            ``architecture``, ``hash`` or ``""``) and its text; returns the text to print.

        Raises
        ------
        NoMatch
            When the template refers to a dependency or variant the spec does not have.
        """
        out = []
        for piece in self._pieces:
            if isinstance(piece, str):
                out.append(piece)
                continue
            node = _dependency(spec, piece.dependency, store) if piece.dependency else spec
            value = _value(node, piece, store)
            if value:
                # Spack writes "none" if there is no compiler, whatever the sigil.
                text = value if value == _NO_COMPILER else piece.sigil + value
                out.append(paint(_kind(piece.attribute), text) if paint else text)
        return "".join(out).strip()


def format_variants(variants: Mapping[str, VariantValue]) -> str:
    """Return variants as Spack writes them: booleans first, then ``key=value`` by name."""
    switches = "".join(
        f"{'+' if value else '~'}{name}"
        for name, value in sorted(variants.items())
        if isinstance(value, bool)
    )
    values = "".join(
        " " + _key_value(name, value)
        for name, value in sorted(variants.items())
        if not isinstance(value, bool)
    )
    return switches + values


def format_flags(flags: Mapping[str, tuple[str, ...]]) -> str:
    """Return compiler flags as Spack writes them, with a blank at either end; "" for none."""
    if not flags:
        return ""
    return " " + " ".join(f"{k}={_quoted(' '.join(v))}" for k, v in sorted(flags.items())) + " "


def format_compilers(spec: Spec, store: Store) -> str:
    """Return the compilers of `spec` as a query would name them (``%c,cxx=gcc@12.2.0``).

    Before Spack 1.0, that is the compiler of the node; since then, the direct dependencies that
    provide a language. As in Spack, LLVM is still called ``clang``, and so on.
    """
    if spec.compiler is not None:
        return f"%{spec.compiler.name}@{spec.compiler.version}"
    parts = []
    for edge in sorted(spec.dependencies, key=lambda edge: edge.name):
        if any(language in edge.virtuals for language in LANGUAGES):
            compiler = store.by_hash(edge.hash)
            version = f"@{compiler.version}" if compiler else ""
            name = _OLD_NAMES.get(edge.name, edge.name)
            parts.append(f"%{','.join(edge.virtuals)}={name}{version}")
    return " ".join(parts)


def _parse(template: str) -> Iterable[str | _Field]:
    position = 0
    literal: list[str] = []
    while position < len(template):
        char = template[position]
        if char == "\\" and position + 1 < len(template):
            literal.append(template[position + 1])
            position += 2
        elif char == "{":
            end = template.find("}", position)
            if end < 0:
                raise FormatSyntaxError("this brace is never closed", template, position)
            if literal:
                yield "".join(literal)
                literal.clear()
            yield _field(template, position, end)
            position = end + 1
        elif char == "}":
            raise FormatSyntaxError(
                "this brace closes nothing",
                template,
                position,
                hint="Write \\} to print a brace.",
            )
        else:
            literal.append(char)
            position += 1
    if literal:
        yield "".join(literal)


def _field(template: str, start: int, end: int) -> _Field:
    def error(reason: str, hint: str = "") -> FormatSyntaxError:
        return FormatSyntaxError(reason, template, start, end + 1 - start, hint=hint)

    match = _FIELD.fullmatch(template, start + 1, end)
    assert match is not None  # every part of the pattern may be empty
    sigil = match["sigil"] or ""
    dependency = match["dependency"] or ""
    attribute = match["attribute"]
    mark = sigil.strip()
    if found := _HASH.fullmatch(attribute):
        if mark in ("@", "%"):
            raise error(f"{mark} cannot precede a hash", "Write {/hash} or {hash}.")
        length = int(found["length"]) if found["length"] else None
        return _Field(start, sigil, dependency, "hash", length)
    parts = attribute.split(".")
    parts[0] = parts[0].lower()
    if not attribute or "" in parts:
        raise error("a field needs a name")
    if parts[0] == "variants" and len(parts) > 1:
        if len(parts) > 3 or (len(parts) == 3 and parts[2] not in ("name", "value")):
            raise error(f"a variant has no {parts[-1]!r}", "Write {variants.NAME.value}.")
    else:
        attribute = attribute.lower()
        if attribute not in _FIELDS:
            raise error(f"unknown field {attribute!r}", _suggestion(attribute))
    if mark == "@" and attribute.rpartition(".")[2] not in ("version", "versions"):
        raise error("@ can only precede a version")
    if mark == "%" and attribute not in ("compiler", "compiler.name"):
        raise error("% can only precede a compiler")
    if mark == "/":
        raise error("/ can only precede a hash")
    return _Field(start, sigil, dependency, attribute)


def _suggestion(attribute: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(attribute, _FIELDS, n=2)
    if close:
        return "Did you mean " + " or ".join(f"{{{name}}}" for name in close) + "?"
    shown = [name for name in _FIELDS if "." not in name]
    return f"Fields are {', '.join(shown)}, variants.NAME, hash:LENGTH and ^DEPENDENCY.FIELD."


def _value(spec: Spec, field: _Field, store: Store) -> str | None:
    if field.attribute == "hash":
        return spec.hash[: field.hash_length]
    reader = _FIELDS.get(field.attribute)
    if reader is not None:
        return reader(spec, store)
    _, name, *part = field.attribute.split(".")
    if name not in spec.variants:
        have = ", ".join(sorted(spec.variants)) or "none"
        raise NoMatch(f"{spec.label} has no variant {name!r}", details=[f"It has: {have}."])
    value = spec.variants[name]
    if part == ["name"]:
        return name
    if part == ["value"]:
        return ",".join(value) if isinstance(value, tuple) else str(value)
    return format_variants({name: value}).strip()


def _dependency(spec: Spec, name: str, store: Store) -> Spec:
    """Return the dependency `name`, else the provider of the virtual package `name`.

    As in Spack, this considers every direct dependency, and those reached from one through link and
    run edges, the nearest first.
    """
    seen = {spec.hash}
    queue = deque(spec.dependencies)
    provider: Spec | None = None
    while queue:
        edge = queue.popleft()
        node = store.by_hash(edge.hash)
        if node is None:
            continue
        if node.name == name:
            return node
        if provider is None and name in edge.virtuals:
            provider = node
        if edge.hash not in seen:
            seen.add(edge.hash)
            queue.extend(e for e in node.dependencies if not _RUNTIME.isdisjoint(e.deptypes))
    if provider is not None:
        return provider
    raise NoMatch(f"{spec.label} has no dependency {name!r}")


def _compiler(spec: Spec, store: Store) -> tuple[str, str] | None:
    """Return the name and version of the compiler for C, else C++, else Fortran."""
    if spec.compiler is not None:
        return spec.compiler.name, str(spec.compiler.version)
    for language in LANGUAGES:
        for edge in spec.dependencies:
            if language in edge.virtuals:
                node = store.by_hash(edge.hash)
                return edge.name, str(node.version) if node else ""
    return None


def _compiler_part(spec: Spec, store: Store, part: int) -> str:
    compiler = _compiler(spec, store)
    return compiler[part] if compiler else _NO_COMPILER


def _compiler_text(spec: Spec, store: Store) -> str:
    compiler = _compiler(spec, store)
    return "@".join(compiler) if compiler else _NO_COMPILER


def _key_value(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return f"{name}={_quoted(value)}"
    # A patch is identified by the first seven digits of its checksum.
    parts = [part[:7] for part in value] if name == "patches" else value
    return f"{name}:={_quoted(','.join(parts))}"


def _quoted(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value):
        return value
    return json.dumps(value) if "'" in value else f"'{value}'"


def _kind(attribute: str) -> str:
    head, _, tail = attribute.partition(".")
    if "version" in (head, tail) or head == "versions":
        return "version"
    if head in ("architecture", "arch", "platform", "os", "target"):
        return "architecture"
    if head in ("compiler", "compilers", "compiler_flags"):
        return "compiler"
    return head if head in ("variants", "hash") else ""


_FIELDS: dict[str, Callable[[Spec, Store], str | None]] = {
    "name": lambda spec, _: spec.name,
    "fullname": lambda spec, _: f"{spec.namespace}.{spec.name}",
    "namespace": lambda spec, _: spec.namespace,
    "version": lambda spec, _: str(spec.version),
    "versions": lambda spec, _: ("" if is_git(str(spec.version)) else "=") + str(spec.version),
    "variants": lambda spec, _: format_variants(spec.variants),
    "compiler": _compiler_text,
    "compiler.name": lambda spec, store: _compiler_part(spec, store, 0),
    "compiler.version": lambda spec, store: _compiler_part(spec, store, 1),
    "compilers": lambda spec, store: " " + format_compilers(spec, store),
    "compiler_flags": lambda spec, _: format_flags(spec.flags),
    "architecture": lambda spec, _: str(spec.arch),
    "architecture.platform": lambda spec, _: spec.arch.platform,
    "architecture.os": lambda spec, _: spec.arch.os,
    "architecture.target": lambda spec, _: spec.arch.target,
    "arch": lambda spec, _: str(spec.arch),
    "arch.platform": lambda spec, _: spec.arch.platform,
    "arch.os": lambda spec, _: spec.arch.os,
    "arch.target": lambda spec, _: spec.arch.target,
    "platform": lambda spec, _: spec.arch.platform,
    "os": lambda spec, _: spec.arch.os,
    "target": lambda spec, _: spec.arch.target,
    "prefix": lambda spec, _: spec.prefix,
    "external": lambda spec, _: str(spec.external is not None),
    "external_path": lambda spec, _: spec.external.path if spec.external else None,
    "installed": lambda spec, _: str(spec.installed),
    "explicit": lambda spec, _: str(spec.explicit),
    "spack_install": lambda _, store: store.root,
}
