"""Spec and Dependency: one concrete node as a database or a lock file records it.

The module `records` removes the differences between the specfile formats, so that nobody needs to
know which Spack wrote a record.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .versions import Version


#: The flag lists that share the ``parameters`` mapping with the variants.
FLAG_NAMES = ("cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs")

VariantValue = bool | str | tuple[str, ...]


class Arch(msgspec.Struct, frozen=True):
    """The architecture of a spec: platform, operating system and target by name."""

    platform: str
    os: str
    target: str

    def __str__(self) -> str:
        return f"{self.platform}-{self.os}-{self.target}"


class Compiler(msgspec.Struct, frozen=True):
    """The compiler of a node that Spack up to 0.23 concretized."""

    name: str
    version: Version

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class External(msgspec.Struct, frozen=True):
    """What makes a spec external: a prefix, modules to load, or both."""

    path: str | None
    modules: tuple[str, ...] = ()
    extra_attributes: Mapping[str, Any] = msgspec.field(default_factory=dict)


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


class SpecReader(Protocol):
    """Reads the attributes of the specs of a database."""

    def attributes(self, row: int, name: str) -> Mapping[str, Any]:
        """Return an attribute of the spec in a row, with those that come along with it.

        Raises
        ------
        DatabaseError
            When its record cannot be read any more.
        """


class _ReadOnDemand:
    """The part of a spec that knows where its attributes are."""

    __slots__ = ("_reader", "_row")

    _reader: SpecReader
    _row: int

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> Any:
            # Called only for an attribute that has not been set.
            if name not in _FIELDS:
                raise AttributeError(name)
            for each, value in self._reader.attributes(self._row, name).items():
                object.__setattr__(self, each, value)
            return object.__getattribute__(self, name)


@dataclass(frozen=True, slots=True, eq=False)
class Spec(_ReadOnDemand):
    """One concrete spec and its install record.

    Two specs are equal when their DAG hashes are. The specs of a store read their attributes when
    these are first accessed.

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
    def of_row(cls, dag_hash: str, reader: SpecReader, row: int) -> Spec:
        """Return a spec that reads its attributes on demand.

        Parameters
        ----------
        dag_hash : str
            Its DAG hash.
        reader, row : SpecReader, int
            What reads them, and for which row.
        """
        spec: Spec = object.__new__(cls)
        _set_hash(spec, dag_hash)
        _set_reader(spec, reader)
        _set_row(spec, row)
        return spec


# Specs are frozen, and there may be 50,000.
_set_hash = Spec.__dict__["hash"].__set__
_set_reader = _ReadOnDemand.__dict__["_reader"].__set__
_set_row = _ReadOnDemand.__dict__["_row"].__set__
_FIELDS = frozenset(each.name for each in fields(Spec) if each.name != "hash")
