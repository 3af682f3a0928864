"""Which packages provide a virtual one: ``mpi``, ``blas``, ``zlib-api``.

A database of format 7 or 8 records what a dependency stood for on an edge. It does not record
what a package could provide, nor in which version; that is known to the package repository and
to ``packages.yaml``, whose readers fill a `Providers`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.spec.version_ranges import ANY_VERSION, VersionList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .abstract_spec import Query


class Provision(NamedTuple):
    """That a package provides a virtual one.

    Attributes
    ----------
    provider : Query
        The package, and what must be true of it.
    versions : VersionList
        The versions of the virtual package that it provides.
    """

    provider: Query
    versions: VersionList = ANY_VERSION


class Providers:
    """What is known of virtual packages beside the database.

    Parameters
    ----------
    provisions : mapping of str to iterable of Provision
        By virtual package. A virtual that is named is taken to be known completely; nothing is
        known of others.
    """

    def __init__(self, provisions: Mapping[str, Iterable[Provision]] | None = None) -> None:
        self._provisions = {name: tuple(each) for name, each in (provisions or {}).items()}

    @classmethod
    def parse(cls, provisions: Mapping[str, Iterable[str]]) -> Providers:
        """Read provisions as text.

        Parameters
        ----------
        provisions : mapping of str to iterable of str
            By virtual package, with versions where they are limited: ``{"mpi": ["openmpi"],
            "mpi@:3.1": ["mpich@3:3.1"]}``.

        Raises
        ------
        QuerySyntaxError
            When a text does not parse.
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
        """Return everything that provides `virtual`; empty when nothing does or is known."""
        return self._provisions.get(virtual, ())

    def knows(self, package: str) -> bool:  # noqa: ARG002 - for who knows of some packages only
        """Return whether what `package` provides is known, be it nothing."""
        return True

    def listed(self, virtual: str) -> frozenset[str]:  # noqa: ARG002 - for who knows some
        """Return packages known to provide some version of `virtual`, perhaps not all of them."""
        return frozenset()


class DeferredProviders(Providers):
    """What is read when it is first asked for, which most queries never do.

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
        """Return everything that provides `virtual`; empty when nothing does or is known."""
        return self._providers.of(virtual)

    def knows(self, package: str) -> bool:
        """Return whether what `package` provides is known, be it nothing."""
        return self._providers.knows(package)

    def listed(self, virtual: str) -> frozenset[str]:
        """Return packages known to provide some version of `virtual`, perhaps not all of them."""
        return self._providers.listed(virtual)


#: Nothing is known.
NO_PROVIDERS = Providers()
