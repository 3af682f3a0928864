"""Format strings as ``spack find --format`` accepts them, and their output for a spec.

A template is text with fields in braces. Each field can have a sigil that is printed with the value
(``{@version}``, ``{/hash:7}``, ``{%compiler.name}``, ``{ target=architecture.target}``) and can
refer to a dependency (``{^python.version}``). The rules, and the order of variants and flags, are
those of Spack 1.x, whichever version wrote the record.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spack_kernel.spack.errors import NoMatch, QuerySyntaxError
from spack_kernel.spack.spec.spec import Dependency
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES, RUNTIME_DEPTYPES

from .fields import FIELDS, NO_COMPILER, TEMPLATES, is_field, read_field
from .tree import dependency_tree
from .values import format_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

#: How Spack 1.x shows a node in a tree.
DISPLAY_FORMAT = (
    "{name}{@version}{compiler_flags}{variants}"
    "{ platform=architecture.platform}{ os=architecture.os}{ target=architecture.target}"
    "{compilers}"
)

_RUNTIME = frozenset(RUNTIME_DEPTYPES)
_BUILDTIME = frozenset(ALL_DEPTYPES) - _RUNTIME

#: Fields that print the whole tree of a spec.
_LONG = ("long_spec", "clong_spec")

#: Fields that are made of others.
_SPECIAL = (*TEMPLATES, *_LONG)

#: What Spack prints as a Python object, or does not record.
_OLD_SYNTAX = re.compile(r"\$\{?[A-Z]+|\$_")
_OBJECTS = ("annotations", "package", "build_spec", "root", "edge_attributes", "patches")

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
        if not template:
            raise FormatSyntaxError(
                "the format is empty",
                template,
                hint="Write {name}{@version}{/hash:7}, for example.",
            )
        old = _OLD_SYNTAX.search(template)
        if old is not None:
            raise FormatSyntaxError(
                "this is the old syntax of formats, which Spack does not have any more",
                template,
                old.start(),
                len(old[0]),
                hint="Write fields in lower case in braces: {name}-{version}-{hash:7}.",
            )
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
                text = value if value == NO_COMPILER else piece.sigil + value
                out.append(paint(_kind(piece.attribute), text) if paint else text)
        return "".join(out).strip()


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
        if not (is_field(attribute) or attribute in _SPECIAL):
            raise error(f"unknown field {attribute!r}", _suggestion(attribute, mark))
    if mark == "@" and attribute.rpartition(".")[2] not in ("version", "versions"):
        raise error("@ can only precede a version")
    if mark == "%" and attribute not in ("compiler", "compiler.name"):
        raise error("% can only precede a compiler")
    if mark == "/" and attribute != "abstract_hash":
        raise error("/ can only precede a hash")
    return _Field(start, sigil, dependency, attribute)


def _suggestion(attribute: str, mark: str = "") -> str:
    from difflib import get_close_matches

    if attribute in ("dag_hash", "short_hash"):
        return "Did you mean {hash} or {hash:7}?"
    name, dot, field = attribute.partition(".")
    if mark == "%" and dot and field in FIELDS:
        return f"A dependency is named with ^: {{^{name}.{field}}}."
    if attribute.startswith("^"):
        return f"Name a field of the dependency: {{{attribute}.version}}."
    if attribute.partition(".")[0] in _OBJECTS:
        return "Spack prints a Python object for it, which is not recorded."
    close = get_close_matches(attribute, [*FIELDS, *_SPECIAL], n=2)
    if close:
        return "Did you mean " + " or ".join(f"{{{name}}}" for name in close) + "?"
    shown = [name for name in [*FIELDS, *_SPECIAL] if "." not in name]
    return f"Fields are {', '.join(shown)}, variants.NAME, hash:LENGTH and ^DEPENDENCY.FIELD."


def _value(spec: Spec, field: _Field, store: Store) -> str | None:
    if field.attribute == "hash":
        return spec.hash[: field.hash_length]
    if field.attribute in TEMPLATES:
        return SpecFormat(TEMPLATES[field.attribute]).format(spec, store)
    if field.attribute in _LONG:
        return _long_spec(spec, store)
    if is_field(field.attribute):
        return read_field(field.attribute, spec, store)
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


def _long_spec(spec: Spec, store: Store) -> str:
    """Return the tree of a spec; a dependency without a record is only named."""
    template = SpecFormat(DISPLAY_FORMAT)
    return "\n".join(
        "    " * node.depth
        + "^" * bool(node.depth)
        + (template.format(node.spec, store) if node.spec else node.name)
        for node in dependency_tree(store, [spec])
    )


def _dependency(spec: Spec, name: str, store: Store) -> Spec:
    """Return the nearest dependency that is the package `name` or provides the virtual `name`.

    As in Spack, that is a direct build dependency, else the spec itself, else what link and run
    edges lead to, the nearest first.
    """
    for edge in _edges(spec, store):
        if edge.name == name or name in edge.virtuals:
            node = store.by_hash(edge.hash)
            if node is not None:
                return node
    raise NoMatch(f"{spec.label} has no dependency {name!r}")


def _edges(spec: Spec, store: Store) -> Iterator[Dependency]:
    yield from (e for e in spec.dependencies if not _BUILDTIME.isdisjoint(e.deptypes))
    queue = deque([Dependency(spec.name, spec.hash, ())])
    seen = set()
    while queue:
        edge = queue.popleft()
        yield edge
        node = store.by_hash(edge.hash)
        if edge.hash not in seen and node is not None:
            seen.add(edge.hash)
            below = [e for e in node.dependencies if not _RUNTIME.isdisjoint(e.deptypes)]
            queue.extend(sorted(below, key=lambda e: e.name))


def _kind(attribute: str) -> str:
    head, _, tail = attribute.partition(".")
    if "version" in (head, tail) or head == "versions":
        return "version"
    if head in ("architecture", "arch", "platform", "os", "target"):
        return "architecture"
    if head in ("compiler", "compilers", "compiler_flags"):
        return "compiler"
    return head if head in ("variants", "hash") else ""
