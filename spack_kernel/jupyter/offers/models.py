"""What a store offers, as the server keeps it; a helper finds it out. Cheap to import."""

from __future__ import annotations

import base64
import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spack_kernel import STORE_VARIABLE
from spack_kernel.jupyter.kernelspecs.names import (
    DISPLAY_FIELDS,
    DISPLAY_NAME_TEMPLATE,
    NAME_TEMPLATE,
    check_template,
)
from spack_kernel.kernels.candidates import PACKAGES
from spack_kernel.kernels.request import KernelRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.system import file_checks

#: Kernels offered of one store by default.
LIMIT = 50


class OfferFilter(msgspec.Struct, frozen=True):
    """Which specs of a store become kernels, and under which names.

    Attributes
    ----------
    queries : tuple of str
        Queries for the specs to offer. If empty: explicitly installed Python packages, what
        directly depends on one, and packages with a kernel of their own.
    environments : tuple of str
        Name patterns for managed Spack environments, and directories of others.
    also : tuple of str
        DAG hashes to offer in addition, whatever the limit, if they are installed.
    name_template, display_name_template : str
        Their fields are `FIELDS` and `DISPLAY_FIELDS` of `spack_kernel.jupyter.kernelspecs`.
    limit : int
        Maximum number of specs; the newest of each package come first, then the last installed.
        Environments and `also` do not count.
    companion : str
        As for `plan_kernel`.
    kernel_packages : tuple of str
        Name patterns of packages that may ship a kernel.
    """

    queries: tuple[str, ...] = ()
    environments: tuple[str, ...] = ("*",)
    also: tuple[str, ...] = ()
    name_template: str = NAME_TEMPLATE
    display_name_template: str = DISPLAY_NAME_TEMPLATE
    limit: int = LIMIT
    companion: str = "auto"
    kernel_packages: tuple[str, ...] = PACKAGES

    def __post_init__(self) -> None:
        check_template(self.name_template)
        check_template(self.display_name_template, DISPLAY_FIELDS)


class Offer(msgspec.Struct, frozen=True):
    """One kernel that a store offers.

    Attributes
    ----------
    name : str
        Its name.
    content : mapping
        The content of its kernel.json.
    shipped : str
        The name of the kernel when a package ships it; empty for IPython.
    logos : mapping of str to str
        The logos that the package ships, as base64-encoded PNG by file name; empty for our own.
    """

    name: str
    content: dict[str, Any]
    shipped: str = ""
    logos: dict[str, str] = {}

    def images(self) -> dict[str, bytes]:
        """Return the logos by file name."""
        return {name: base64.b64decode(text) for name, text in self.logos.items()}


class Offers(msgspec.Struct, frozen=True):
    """What a store offers.

    Attributes
    ----------
    offers : tuple of Offer
        The kernels, sorted by name.
    request : KernelRequest
        The stores they are in, and the options that all of them have.
    problems : tuple of str
        A line for each requested item that could not be offered.
    left_out : int
        The number of specs beyond the limit.
    complete : bool
        Whether everything requested could be read, so that specs that are not offered do not
        exist.
    """

    offers: tuple[Offer, ...]
    request: KernelRequest
    problems: tuple[str, ...]
    left_out: int
    complete: bool = True


@dataclass(frozen=True)
class Listing:
    """What a store offers, and which packages it has.

    Attributes
    ----------
    offers : Offers
        The kernels.
    packages : str
        A line ``HASH NAME`` for every record, sorted; a newline precedes each line.
    checks : list of Check
        The file system checks made for the listing, which is valid while their results hold.
    """

    offers: Offers
    packages: str
    checks: list[file_checks.Check] = dataclasses.field(default_factory=list)

    def find(self, hash_prefix: str) -> list[tuple[str, str]]:
        """Return hash and package name of the records whose DAG hash starts with `hash_prefix`."""
        found = []
        start = self.packages.find(f"\n{hash_prefix}")
        while start >= 0:
            end = self.packages.index("\n", start + 1)
            dag_hash, _, name = self.packages[start + 1 : end].partition(" ")
            found.append((dag_hash, name))
            more = end + 1 < len(self.packages) and self.packages.startswith(hash_prefix, end + 1)
            start = end if more else -1
        return found


class Look(NamedTuple):
    """What a look at a store found.

    Attributes
    ----------
    listing : Listing or None
        The listing; None if nothing has changed or the store cannot be read.
    error : SpackKernelError or None
        Why the store cannot be read.
    checks : list of Check
        What is to be checked by the next look.
    """

    listing: Listing | None
    error: SpackKernelError | None
    checks: list[file_checks.Check]


def store_lists(stores: Sequence[str], upstreams: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the paths for `open_stores` of each store that a site configures.

    Parameters
    ----------
    stores : sequence of str
        The stores; if empty, that of $SPACK_KERNEL_STORE, or one that is to be discovered.
    upstreams : sequence of str
        The upstreams of each.
    """
    if stores:
        return [(store, *upstreams) for store in stores]
    named = os.environ.get(STORE_VARIABLE, "").split(os.pathsep)
    return [(*filter(None, named), *upstreams)]
