"""Read what one store offers, in a separate process.

Reading fifty thousand records takes one second of CPU time and some hundred megabytes. A separate
process does not block the server or its kernels, frees its memory when it exits, and can be killed
when the file system of the store hangs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.kernels.isolated import isolated_command
from spack_kernel.spack.errors import SpackKernelError, reason_of
from spack_kernel.spack.store import Store
from spack_kernel.spack.system import file_checks, run

from .offers import OfferFilter, Offers, offers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Niceness added for reading a store, as for nice(1): the server's own work has priority.
_NICENESS = 5

#: The largest listing, in bytes; one of 50,000 specs has some megabytes.
_MAX_LISTING = 1 << 30


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


class SlowStoreError(SpackKernelError):
    """A store that could not be read in time."""

    code = "store-slow"


def open_stores(paths: Sequence[str]) -> Store:
    """Open a store by its paths: the local one, then its upstreams; if empty, discover one.

    Raises
    ------
    StoreNotFound, DatabaseError, ConfigError
        When there is none, or it cannot be read.
    """
    if not paths:
        return Store.discover()
    return Store.open(paths[0], upstreams=paths[1:])


def list_store(paths: Sequence[str], selection: OfferFilter) -> Listing:
    """Return the listing of a store, read in this process.

    Raises
    ------
    StoreNotFound, DatabaseError, ConfigError
        When there is none, or it cannot be read.
    """
    with file_checks.Recorder() as recorder:
        store = open_stores(paths)
        offers = offers_of(store, selection)
    lines = {
        f"{dag_hash} {name}"
        for database in store.databases
        for name, hashes in database.names().items()
        for dag_hash in hashes
    }
    packages = "\n" + "\n".join([*sorted(lines), ""])
    return Listing(offers, packages, file_checks.distinct(recorder.checks))


def list_in_subprocess(paths: Sequence[str], selection: OfferFilter, timeout: float) -> Listing:
    """Return the listing of a store, read in a separate process.

    Parameters
    ----------
    paths : sequence of str
        As for `open_stores`.
    selection : OfferFilter
        What to offer.
    timeout : float
        Time limit in seconds.

    Raises
    ------
    SlowStoreError
        When it takes longer; the process is killed.
    KernelSpecError
        When the process fails with an error that is unrelated to the store.
    SpackKernelError
        As `list_store`, with the same message.
    """
    request = msgspec.to_builtins(_Request(list(paths), selection))
    text = json.dumps(request).encode()
    try:
        output = run(isolated_command(__name__), os.environ, timeout, text=text, limit=_MAX_LISTING)
    except subprocess.TimeoutExpired:
        raise SlowStoreError(f"reading the store timed out after {timeout:g} s") from None
    head, _, packages = output.stdout.partition("\n")
    try:
        answer = msgspec.convert(json.loads(head), _Answer)
    except ValueError:
        last = output.stderr.strip().rpartition("\n")[2]
        raise KernelSpecError(
            f"the process that reads the store exited with status {output.status}: {last}"
        ) from None
    if answer.offers is None:
        raise SpackKernelError.from_dict(answer.error or {})
    return Listing(answer.offers, "\n" + packages, answer.checks)


class _Request(msgspec.Struct):
    """What the process is to list."""

    stores: list[str]
    filter: OfferFilter


class _Answer(msgspec.Struct):
    """The listing without its packages, or the error (see `SpackKernelError.as_dict`)."""

    offers: Offers | None = None
    checks: list[Any] = []
    error: dict[str, Any] | None = None


def main() -> None:
    """Read a request from standard input; print a line of JSON, then the packages.

    The packages are not JSON: decoding megabytes of it would block the server's event loop.
    """
    os.nice(_NICENESS)
    request = msgspec.convert(json.load(sys.stdin), _Request)
    warned: list[str] = []
    packages = ""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: warned.append(str(message))
            listing = list_store(request.stores, request.filter)
        problems = (*dict.fromkeys(warned), *listing.offers.problems)
        offers = msgspec.structs.replace(listing.offers, problems=problems)
        answer, packages = _Answer(offers, listing.checks), listing.packages[1:]
    except SpackKernelError as error:
        answer = _Answer(error=error.as_dict())
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        answer = _Answer(error=SpackKernelError(reason_of(error)).as_dict())
    # A path may hold bytes that are no UTF-8, which json escapes and msgspec refuses.
    sys.stdout.buffer.write(json.dumps(msgspec.to_builtins(answer)).encode("ascii") + b"\n")
    sys.stdout.buffer.write(packages.encode("ascii", "replace"))


if __name__ == "__main__":
    main()
