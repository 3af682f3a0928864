"""Which packages provide a virtual package: ``mpi``, ``blas``, ``zlib-api``.

A database of format 7 or 8 records which virtual packages a dependency provides on an edge. It
does not record what a package could provide, or in which version. This information is in the
package repository and in ``packages.yaml``; the code that reads them fills a `Providers`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.spec.version_ranges import ANY_VERSION, VersionList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .abstract_spec import AbstractSpec


class Provision(NamedTuple):
    """A package and the virtual package that it provides.

    Attributes
    ----------
    provider : AbstractSpec
        The package, and the conditions that it must satisfy.
    versions : VersionList
        The versions of the virtual package that it provides.
    """

    provider: AbstractSpec
    versions: VersionList = ANY_VERSION


class Providers:
    """What is known about virtual packages apart from the database.

    Parameters
    ----------
    provisions : mapping of str to iterable of Provision
        By virtual package. The list for each virtual package is assumed to be complete; nothing
        is known about virtual packages that are not listed.
    """

    def __init__(self, provisions: Mapping[str, Iterable[Provision]] | None = None) -> None:
        self._provisions = {name: tuple(each) for name, each in (provisions or {}).items()}

    @classmethod
    def parse(cls, provisions: Mapping[str, Iterable[str]]) -> Providers:
        """Parse provisions from text.

        Parameters
        ----------
        provisions : mapping of str to iterable of str
            By virtual package, with versions where they are limited: ``{"mpi": ["openmpi"],
            "mpi@:3.1": ["mpich@3:3.1"]}``.

        Raises
        ------
        QuerySyntaxError
            When a text does not parse.

        Examples
        --------
        >>> providers = Providers.parse({"mpi@:3.1": ["mpich@3:3.1"]})
        >>> "mpi" in providers, "blas" in providers
        (True, False)
        """
        from .parser import parse_query

        read: dict[str, list[Provision]] = {}
        for virtual, packages in provisions.items():
            provided = parse_query(virtual)
            assert provided.name is not None
            read.setdefault(provided.name, []).extend(
                Provision(parse_query(package), provided.versions) for package in packages
            )
        return cls(read)

    def __contains__(self, virtual: object) -> bool:
        return virtual in self._provisions

    def of(self, virtual: str) -> tuple[Provision, ...]:
        """Return all known providers of `virtual`; empty if there are none or none are known."""
        return self._provisions.get(virtual, ())

    def knows(self, package: str) -> bool:  # noqa: ARG002 - for subclasses that know only some
        """Return whether it is known what `package` provides, even if that is nothing."""
        return True

    def listed(self, virtual: str) -> frozenset[str]:  # noqa: ARG002 - for subclasses
        """Return packages known to provide some version of `virtual`, perhaps not all of them."""
        return frozenset()


class DeferredProviders(Providers):
    """Providers that are read on first use, which most queries never need.

    Parameters
    ----------
    read : callable
        Returns what is known.
    """

    def __init__(self, read: Callable[[], Providers]) -> None:
        super().__init__()
        self._read = read

    @cached_property
    def _providers(self) -> Providers:
        return self._read()

    def __contains__(self, virtual: object) -> bool:
        return virtual in self._providers

    def of(self, virtual: str) -> tuple[Provision, ...]:
        """Return all known providers of `virtual`; empty if there are none or none are known."""
        return self._providers.of(virtual)

    def knows(self, package: str) -> bool:
        """Return whether it is known what `package` provides, even if that is nothing."""
        return self._providers.knows(package)

    def listed(self, virtual: str) -> frozenset[str]:
        """Return packages known to provide some version of `virtual`, perhaps not all of them."""
        return self._providers.listed(virtual)


#: Nothing is known.
NO_PROVIDERS = Providers()
