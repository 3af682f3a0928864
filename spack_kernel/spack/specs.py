"""Spec and Dependency: one concrete node as a database or a lock file records it.

The shapes are those of Spack's specfile formats 1 to 5. What differs between them is ironed
out here, so that nothing above needs to know which Spack wrote a record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .versions import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The compiler a node of specfile format 4 or older names (Spack up to 0.23)."""

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


@dataclass(frozen=True, slots=True)
class Dependency:
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
        The compiler of the node; None where compilers are dependencies (Spack 1.0 and newer).
    dependencies : tuple of Dependency
        All recorded edges, in the order recorded.
    external : External or None
        Set for a package Spack uses but did not install.
    prefix : str or None
        The install directory (for an external, the directory it lives in).
    installed, explicit : bool
        Whether it is installed, and whether somebody asked for it by name.
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
    def label(self) -> str:
        """The spec as people read it: ``name@version/hash7``."""
        return f"{self.name}@{self.version}/{self.hash[:7]}"

    def __str__(self) -> str:
        return self.label

    @classmethod
    def from_node(cls, dag_hash: str, node: Mapping[str, Any], **record: Any) -> Spec:
        """Make a spec from a decoded node of any specfile format.

        Parameters
        ----------
        dag_hash : str
            The DAG hash the node is stored under.
        node : mapping
            The node as JSON gives it; format 1 wraps it as ``{name: node}``.
        **record
            What the install record adds: `prefix`, `installed`, `explicit`,
            `deprecated_for`, `installation_time`.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError
            When the node does not have the shape of any known specfile format.
        """
        name = node.get("name")
        if name is None:
            (name, node), *rest = node.items()
            if rest:
                raise ValueError("a node without a name")
        parameters = node.get("parameters") or {}
        arch = node["arch"]
        target = arch["target"]
        compiler = node.get("compiler")
        external = node.get("external")
        return cls(
            hash=dag_hash,
            name=name,
            namespace=node.get("namespace") or "builtin",
            version=Version(str(node["version"])),
            variants={
                key: tuple(value) if isinstance(value, list) else value
                for key, value in parameters.items()
                if key not in FLAG_NAMES
            },
            flags={key: tuple(parameters[key]) for key in FLAG_NAMES if parameters.get(key)},
            arch=Arch(
                str(arch["platform"]),
                str(arch["platform_os"]),
                target if isinstance(target, str) else target["name"],
            ),
            compiler=Compiler(compiler["name"], Version(compiler["version"])) if compiler else None,
            dependencies=_dependencies(node.get("dependencies") or ()),
            external=_external(external) if external else None,
            **record,
        )


def _dependencies(recorded: Any) -> tuple[Dependency, ...]:
    if isinstance(recorded, dict):  # format 1: {name: {hash, type}}
        return tuple(
            Dependency(name, edge["hash"], tuple(edge["type"])) for name, edge in recorded.items()
        )
    edges = []
    for edge in recorded:
        parameters = edge.get("parameters")
        if parameters is None:  # formats 2 and 3
            edges.append(Dependency(edge["name"], edge["hash"], tuple(edge["type"])))
        else:
            edges.append(
                Dependency(
                    edge["name"],
                    edge["hash"],
                    tuple(parameters["deptypes"]),
                    tuple(parameters.get("virtuals") or ()),
                )
            )
    return tuple(edges)


def _external(recorded: Mapping[str, Any]) -> External:
    modules = recorded.get("module") or ()
    if isinstance(modules, str):
        modules = (modules,)
    return External(
        recorded.get("path"), tuple(modules), recorded.get("extra_attributes") or {}
    )
