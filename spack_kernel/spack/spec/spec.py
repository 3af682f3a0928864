"""Spec and Dependency: one concrete node as a database or a lock file records it.

This module reads Spack's specfile formats 1 to 5. It removes the differences between them, so
that higher layers do not need to know which Spack wrote a record.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, SupportsIndex, TypedDict

import msgspec

from .versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Unpack

#: The flag lists that share the ``parameters`` mapping with the variants.
FLAG_NAMES = ("cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs")

VariantValue = bool | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arch:
    """The architecture of a spec: platform, operating system and target by name."""

    platform: str
    os: str
    target: str

    def __str__(self) -> str:
        return f"{self.platform}-{self.os}-{self.target}"


@dataclass(frozen=True, slots=True)
class Compiler:
    """The compiler of a node that Spack up to 0.23 concretized."""

    name: str
    version: Version

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class External:
    """What makes a spec external: a prefix, modules to load, or both."""

    path: str | None
    modules: tuple[str, ...] = ()
    extra_attributes: Mapping[str, Any] = field(default_factory=dict)


class Dependency(msgspec.Struct, frozen=True, gc=False):
    """An edge to a dependency.

    Attributes
    ----------
    name, hash : str
        The dependency's package name and 32-character DAG hash.
    deptypes : tuple of str
        Some of ``build``, ``link``, ``run``, ``test``.
    virtuals : tuple of str
        The virtual packages the dependency provides on this edge; recorded from specfile
        format 4 on, empty before.
    """

    name: str
    hash: str
    deptypes: tuple[str, ...]
    virtuals: tuple[str, ...] = ()


class InstallRecord(TypedDict, total=False):
    """What an install record contains besides the spec: see the attributes of `Spec`."""

    prefix: str | None
    installed: bool
    explicit: bool
    deprecated_for: str | None
    installation_time: float


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One concrete spec and its install record.

    Two specs are equal when their DAG hashes are.

    Attributes
    ----------
    hash : str
        The 32-character DAG hash.
    name, namespace : str
        Package name, and the package repository it came from (``builtin``).
    version : Version
        The version; ``str(spec.version)`` is what the database records.
    variants : mapping of str to bool, str or tuple of str
        Boolean, single-valued and multi-valued variants.
    flags : mapping of str to tuple of str
        Compiler flags by list (``cflags`` …); only lists that are not empty.
    arch : Arch
        Platform, operating system and target.
    compiler : Compiler or None
        The compiler of the node; None where compilers are dependencies (in specs concretized by
        Spack 1.0 or newer).
    dependencies : tuple of Dependency
        All recorded edges, in the order recorded.
    external : External or None
        Set for a package that Spack uses but did not install.
    prefix : str or None
        The install directory (for an external, the directory that contains it).
    installed, explicit : bool
        Whether it is installed, and whether it was installed explicitly.
    deprecated_for : str or None
        DAG hash of the spec that replaces it, for a deprecated one.
    installation_time : float
        Seconds since the epoch; 0 where not recorded.
    """

    hash: str
    name: str
    namespace: str
    version: Version
    variants: Mapping[str, VariantValue]
    flags: Mapping[str, tuple[str, ...]]
    arch: Arch
    compiler: Compiler | None
    dependencies: tuple[Dependency, ...]
    external: External | None
    prefix: str | None = None
    installed: bool = True
    explicit: bool = False
    deprecated_for: str | None = None
    installation_time: float = 0.0

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, Spec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def is_missing(self) -> bool:
        """Whether it is recorded, but nothing is in its place.

        For a deprecated spec, Spack creates a link to its replacement.
        """
        return not self.installed and not self.deprecated_for

    @property
    def label(self) -> str:
        """The spec in short form: ``name@version/hash7``."""
        return f"{self.name}@{self.version}/{self.hash[:7]}"

    def __str__(self) -> str:
        return self.label

    @classmethod
    def from_node(
        cls, dag_hash: str, node: Mapping[str, Any], **record: Unpack[InstallRecord]
    ) -> Spec:
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
        name: str | None = None
        if not isinstance(node.get("name"), str):
            name, node = _unwrap(node)
        try:
            known = msgspec.convert(node, _Node)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(str(error)) from error
        return _spec(dag_hash, name or known.name, known, record)

    @classmethod
    def from_json(
        cls, dag_hash: str, node: bytes | msgspec.Raw, **record: Unpack[InstallRecord]
    ) -> Spec:
        """Create a spec from a node in JSON, several times faster than decoding it first.

        Parameters and errors are those of `from_node`, except that `node` is UTF-8 text.
        """
        name: str | None = None
        try:
            try:
                known = _decode_node(node)
            except msgspec.ValidationError:
                # Format 1, {name: node}; a malformed node of another format fails again.
                decoded = _decode_object(node)
                if isinstance(decoded.get("name"), str):
                    raise
                name, inner = _unwrap(decoded)
                known = msgspec.convert(inner, _Node)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error
        return _spec(dag_hash, name or known.name, known, record)


class DeferredSpecs:
    """Creates specs that are read on first access.

    Parameters
    ----------
    lookup : callable
        Returns the spec of a DAG hash; called once for each spec that is accessed. It must not
        return None.
    """

    def __init__(self, lookup: Callable[[str], Spec | None]) -> None:
        class Deferred(Spec):
            __slots__ = ()

            def __getattr__(self, name: str) -> Any:
                if name not in _FIELDS:
                    raise AttributeError(name)
                spec = lookup(self.hash)
                assert spec is not None
                for field_name in _FIELDS:
                    object.__setattr__(self, field_name, getattr(spec, field_name))
                object.__setattr__(self, "__class__", Spec)
                return getattr(self, name)

            def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
                self.external  # noqa: B018 - reads it, so that it is an ordinary spec
                return self.__reduce_ex__(protocol)

        Deferred.__qualname__ = "Spec"  # as its repr shows it
        self._class = Deferred

    def all(self, hashes: Iterable[str]) -> list[Spec]:
        """Return the specs of these DAG hashes."""
        deferred, new, specs = self._class, object.__new__, []
        for dag_hash in hashes:
            spec: Spec = new(deferred)
            _set_hash(spec, dag_hash)
            specs.append(spec)
        return specs

    def one(self, dag_hash: str, **known: Any) -> Spec:
        """Return the spec of a DAG hash.

        Parameters
        ----------
        dag_hash : str
            The DAG hash.
        **known
            Attributes of `Spec` that are already known, so that reading them is not necessary.
        """
        spec = self.all([dag_hash])[0]
        for name, value in known.items():
            object.__setattr__(spec, name, value)
        return spec


_set_hash = Spec.__dict__["hash"].__set__  # specs are frozen, and there may be 50,000
_FIELDS = tuple(each.name for each in fields(Spec) if each.name != "hash")


# The structure of the JSON. Keys that are not listed are ignored: newer versions of Spack add some.


class _EdgeParameters(msgspec.Struct, gc=False):
    deptypes: tuple[str, ...] = ()
    virtuals: tuple[str, ...] = ()


class _Edge(msgspec.Struct, gc=False):
    hash: str
    name: str = ""
    type: tuple[str, ...] = ()  # formats 1 to 3
    parameters: _EdgeParameters | None = None  # from format 4 on


class _Target(msgspec.Struct, gc=False):
    name: str


class _Arch(msgspec.Struct, gc=False):
    platform: str
    platform_os: str
    target: str | _Target


class _Compiler(msgspec.Struct, gc=False):
    name: str
    version: str


class _External(msgspec.Struct, gc=False):
    path: str | None = None
    module: str | bool | tuple[str, ...] | None = None
    extra_attributes: dict[str, Any] | None = None


class _Annotations(msgspec.Struct, gc=False):
    compiler: str | None = None


class _Node(msgspec.Struct, gc=False):
    version: str
    arch: _Arch
    name: str = ""
    namespace: str | None = None
    parameters: dict[str, bool | str | tuple[str, ...]] | None = None
    patches: tuple[str, ...] = ()
    dependencies: tuple[_Edge, ...] | dict[str, _Edge] | None = None
    compiler: _Compiler | None = None
    external: _External | None = None
    annotations: _Annotations | None = None


_decode_node = msgspec.json.Decoder(_Node).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def _unwrap(node: Mapping[str, Any]) -> tuple[str, Any]:
    """Return name and node of specfile format 1, ``{name: node}``."""
    if len(node) == 1:
        ((name, inner),) = node.items()
        if isinstance(inner, dict):
            return name, inner
    raise ValueError("the node has no name")


@lru_cache(maxsize=1024)
def _arch(platform: str, os: str, target: str) -> Arch:
    return Arch(platform, os, target)


@lru_cache(maxsize=1024)
def _compiler(name: str, version: str) -> Compiler:
    return Compiler(name, Version(version))


def _spec(dag_hash: str, name: str, node: _Node, record: InstallRecord) -> Spec:
    if not name:
        raise ValueError("the node has no name")
    variants: dict[str, VariantValue] = node.parameters or {}
    flags: dict[str, tuple[str, ...]] = {}
    for key in FLAG_NAMES:
        value = variants.pop(key, None)
        if value:
            flags[key] = value if isinstance(value, tuple) else (str(value),)
    for key, value in variants.items():
        if type(value) is str and len(value) < 6 and value.lower() in ("true", "false"):
            variants[key] = value.lower() == "true"  # Spack also reads these as booleans
    if node.patches and "patches" not in variants:
        variants["patches"] = node.patches
    target = node.arch.target
    return Spec(
        dag_hash,
        name,
        node.namespace or "builtin",
        Version(node.version),
        variants,
        flags,
        _arch(
            node.arch.platform,
            node.arch.platform_os,
            target if isinstance(target, str) else target.name,
        ),
        _compiler_of(node),
        _dependencies(node.dependencies),
        _external(node.external),
        **record,
    )


def _compiler_of(node: _Node) -> Compiler | None:
    if node.compiler is not None:
        return _compiler(node.compiler.name, node.compiler.version)
    if node.annotations is None or node.annotations.compiler is None:
        return None
    # A spec of format 4 or older that Spack 1.0 or newer has rewritten: "gcc@=12.2.0"
    name, at, version = node.annotations.compiler.partition("@")
    return _compiler(name.strip(), version.removeprefix("=").strip()) if at else None


def _dependencies(
    recorded: tuple[_Edge, ...] | dict[str, _Edge] | None,
) -> tuple[Dependency, ...]:
    if not recorded:
        return ()
    if isinstance(recorded, dict):  # format 1: {name: {hash, type}}
        return tuple([Dependency(name, edge.hash, edge.type) for name, edge in recorded.items()])
    return tuple(
        [
            Dependency(edge.name, edge.hash, edge.type)
            if edge.parameters is None
            else Dependency(
                edge.name, edge.hash, edge.parameters.deptypes, edge.parameters.virtuals
            )
            for edge in recorded
        ]
    )


def _external(recorded: _External | None) -> External | None:
    if recorded is None:
        return None
    module = recorded.module
    modules = (module,) if isinstance(module, str) else module if isinstance(module, tuple) else ()
    if recorded.path is None and not modules:
        return None  # Spack also writes an empty mapping
    return External(recorded.path, modules, recorded.extra_attributes or {})
