"""The records of a database and the nodes of lock files, as JSON: specfile formats 1 to 5.

A node is decoded only as far as nodes differ from each other. What thousands of nodes have in
common (architectures, compilers, variants, kinds of edges) stays text, and the functions here
decode each distinct text once. The differences between the formats end here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .spec import FLAG_NAMES, Arch, Compiler, Dependency, External, Spec
from .versions import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from .spec import InstallRecord, VariantValue

#: What msgspec raises for text of another form.
MALFORMED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)

_NOTHING = msgspec.Raw()


class Kind(NamedTuple):
    """What an edge is, apart from the nodes that it connects.

    Attributes
    ----------
    deptypes, virtuals : tuple of str
        As in `Dependency`.
    """

    deptypes: tuple[str, ...]
    virtuals: tuple[str, ...]


class Edge(msgspec.Struct, gc=False):
    """An edge as recorded: `type` up to specfile format 3, then `parameters`."""

    hash: str
    name: str = ""
    type: msgspec.Raw = _NOTHING
    parameters: msgspec.Raw = _NOTHING

    @property
    def text(self) -> bytes:
        """The text from which `kind_of` derives the kind of the edge."""
        text = bytes(self.parameters)
        if text and text != b"null":
            return text
        return b'{"deptypes":%b}' % (bytes(self.type) or b"[]")


class Node(msgspec.Struct, gc=False):
    """A node as recorded. Keys that are not listed are ignored: newer versions of Spack add some.

    Attributes
    ----------
    name, version, namespace
        As in `Spec`.
    dependencies : tuple of Edge
        The edges; format 1 records a mapping by name, which `edges` makes a tuple of.
    """

    version: str
    arch: msgspec.Raw
    name: str = ""
    namespace: str | None = None
    parameters: msgspec.Raw = _NOTHING
    patches: msgspec.Raw = _NOTHING
    dependencies: tuple[Edge, ...] | dict[str, Edge] | None = None
    compiler: msgspec.Raw = _NOTHING
    annotations: msgspec.Raw = _NOTHING
    external: msgspec.Raw = _NOTHING

    def edges(self) -> tuple[Edge, ...]:
        """Return the edges in recorded order."""
        recorded = self.dependencies
        if isinstance(recorded, dict):
            return tuple([Edge(e.hash, name, e.type, e.parameters) for name, e in recorded.items()])
        return recorded or ()

    @property
    def compiler_text(self) -> bytes:
        """The text from which `compiler_of` derives the compiler."""
        return _pair(self.compiler, self.annotations)

    @property
    def parameters_text(self) -> bytes:
        """The text from which `parameters_of` derives variants and flags."""
        return _pair(self.parameters, self.patches)


class Record(msgspec.Struct, gc=False):
    """A record of a database."""

    spec: Node
    path: str | None = None
    installed: bool = False  # Spack's default for an absent one
    explicit: bool | None = False
    deprecated_for: str | None = None
    installation_time: float | None = 0.0


class _OuterRecord(msgspec.Struct, gc=False):
    spec: msgspec.Raw
    path: str | None = None
    installed: bool = False
    explicit: bool | None = False
    deprecated_for: str | None = None
    installation_time: float | None = 0.0


class _Target(msgspec.Struct, gc=False):
    name: str


class _Arch(msgspec.Struct, gc=False):
    platform: str
    platform_os: str
    target: str | _Target


class _Compiler(msgspec.Struct, gc=False):
    name: str
    version: str


class _Annotations(msgspec.Struct, gc=False):
    compiler: str | None = None


class _External(msgspec.Struct, gc=False):
    path: str | None = None
    module: str | bool | tuple[str, ...] | None = None
    extra_attributes: dict[str, Any] | None = None


class _EdgeParameters(msgspec.Struct, gc=False):
    deptypes: tuple[str, ...] = ()
    virtuals: tuple[str, ...] = ()


_decode_record = msgspec.json.Decoder(Record).decode
_decode_outer = msgspec.json.Decoder(_OuterRecord).decode
_decode_node = msgspec.json.Decoder(Node).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_arch = msgspec.json.Decoder(_Arch).decode
_decode_compiler = msgspec.json.Decoder(tuple[_Compiler | None, _Annotations | None]).decode
_decode_parameters = msgspec.json.Decoder(
    tuple[dict[str, bool | str | tuple[str, ...]] | None, tuple[str, ...]]
).decode
_decode_kind = msgspec.json.Decoder(_EdgeParameters).decode
_decode_external = msgspec.json.Decoder(_External | None).decode


def decode_record(raw: msgspec.Raw | bytes) -> Record:
    """Return a record.

    Raises
    ------
    ValueError
        When it is malformed, with what is wrong and where.
    """
    try:
        record = _decode_record(raw)
        if record.spec.name:
            return record
    except MALFORMED:
        pass  # format 1, or malformed: the second look says what is wrong
    try:
        outer = _decode_outer(raw)
        return Record(
            decode_node(outer.spec),
            outer.path,
            outer.installed,
            outer.explicit,
            outer.deprecated_for,
            outer.installation_time,
        )
    except MALFORMED as error:
        raise ValueError(str(error)) from error


def decode_node(raw: msgspec.Raw | bytes) -> Node:
    """Return a node; errors are those of `decode_record`."""
    try:
        try:
            node = _decode_node(raw)
        except msgspec.ValidationError:
            # Format 1, {name: node}; a malformed node of another format fails again.
            members = _decode_object(raw)
            if _is_text(members.get("name")):
                raise
            node = _unwrapped(members)
    except MALFORMED as error:
        raise ValueError(str(error)) from error
    if not node.name:
        raise ValueError("the node has no name")
    return node


def _is_text(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw).startswith(b'"')


def _unwrapped(members: Mapping[str, msgspec.Raw]) -> Node:
    if len(members) == 1:
        ((name, inner),) = members.items()
        if bytes(inner).startswith(b"{"):
            node = _decode_node(inner)
            node.name = name
            return node
    raise ValueError("the node has no name")


def _pair(first: msgspec.Raw, second: msgspec.Raw) -> bytes:
    return b"[%b,%b]" % (bytes(first) or b"null", bytes(second) or b"null")


def _located(error: Exception, place: str) -> ValueError:
    """Return the error of a part of a node, with the path from the node on."""
    text = str(error)
    if " - at `$" in text:
        return ValueError(text.replace(" - at `$", f" - at `$.{place}", 1))
    return ValueError(f"{text} - at `$.{place}`")


def arch_of(text: bytes) -> Arch:
    """Return an architecture; raise ValueError when the text is malformed."""
    try:
        arch = _decode_arch(text)
    except MALFORMED as error:
        raise _located(error, "arch") from error
    target = arch.target
    return Arch(arch.platform, arch.platform_os, target if isinstance(target, str) else target.name)


def compiler_of(text: bytes) -> Compiler | None:
    """Return the compiler of a node from `Node.compiler_text`; ValueError when malformed."""
    try:
        compiler, annotations = _decode_compiler(text)
    except MALFORMED as error:
        raise _located(error, "compiler") from error
    if compiler is not None:
        return Compiler(compiler.name, Version(compiler.version))
    if annotations is None or annotations.compiler is None:
        return None
    # A spec of format 4 or older that Spack 1.0 or newer has rewritten: "gcc@=12.2.0"
    name, at, version = annotations.compiler.partition("@")
    return Compiler(name.strip(), Version(version.removeprefix("=").strip())) if at else None


Parameters = tuple[dict[str, "VariantValue"], dict[str, tuple[str, ...]]]


def parameters_of(text: bytes) -> Parameters:
    """Return variants and flags from `Node.parameters_text`; ValueError when malformed."""
    if text.endswith(b",null]"):
        text = b"%b,[]]" % text[:-6]
    try:
        recorded, patches = _decode_parameters(text)
    except MALFORMED as error:
        raise _located(error, "parameters") from error
    variants: dict[str, VariantValue] = recorded or {}
    flags: dict[str, tuple[str, ...]] = {}
    for key in FLAG_NAMES:
        value = variants.pop(key, None)
        if value:
            flags[key] = value if isinstance(value, tuple) else (str(value),)
    for key, value in variants.items():
        if type(value) is str and len(value) < 6 and value.lower() in ("true", "false"):
            variants[key] = value.lower() == "true"  # Spack also reads these as booleans
    if patches and "patches" not in variants:
        variants["patches"] = patches
    return variants, flags


def kind_of(text: bytes) -> Kind:
    """Return the kind of an edge from `Edge.text`; raise ValueError when it is malformed."""
    try:
        recorded = _decode_kind(text)
    except MALFORMED as error:
        raise _located(error, "dependencies[...]") from error
    return Kind(recorded.deptypes, recorded.virtuals)


def external_of(raw: msgspec.Raw) -> External | None:
    """Return what makes a node external, None if it is not; ValueError when malformed."""
    if raw is _NOTHING:
        return None
    try:
        recorded = _decode_external(raw)
    except MALFORMED as error:
        raise _located(error, "external") from error
    if recorded is None:
        return None
    module = recorded.module
    modules = (module,) if isinstance(module, str) else module if isinstance(module, tuple) else ()
    if recorded.path is None and not modules:
        return None  # Spack also writes an empty mapping
    return External(recorded.path, modules, recorded.extra_attributes or {})


def spec_from_node(dag_hash: str, node: Mapping[str, Any], **record: Unpack[InstallRecord]) -> Spec:
    """Create a spec from a decoded node of any specfile format.

    Parameters
    ----------
    dag_hash : str
        The DAG hash the node is stored under.
    node : mapping
        The node as decoded from JSON; format 1 wraps it as ``{name: node}``.
    **record
        What the install record adds: `prefix`, `installed`, `explicit`,
        `deprecated_for`, `installation_time`.

    Raises
    ------
    ValueError
        When the node does not match any known specfile format; the message describes what
        is wrong and where.
    """
    try:
        text = msgspec.json.encode(node)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from error
    known = decode_node(text)
    variants, flags = parameters_of(known.parameters_text)
    return Spec(
        dag_hash,
        known.name,
        known.namespace or "builtin",
        Version(known.version),
        variants,
        flags,
        arch_of(bytes(known.arch)),
        compiler_of(known.compiler_text),
        tuple([Dependency(e.name, e.hash, *kind_of(e.text)) for e in known.edges()]),
        external_of(known.external),
        **record,
    )
