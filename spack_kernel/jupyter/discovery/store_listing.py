"""What one store offers, read in a process of its own.

Reading fifty thousand records takes a second of one processor and some hundred megabytes. In a
process beside the server it stops nobody's kernels, leaves no memory behind, and can be ended when
the file system of the store hangs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
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
from spack_kernel.spack.system import file_checks

from .offers import OfferFilter, Offers, offers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How much less urgent than the server's own work reading a store is, as for nice(1).
_NICENESS = 5

#: Seconds that a killed process has to be gone; one that waits for a disk may never be.
_GRACE = 1.0


@dataclass(frozen=True)
class Listing:
    """What a store offers, and which packages it has.

    Attributes
    ----------
    offers : Offers
        The kernels.
    packages : str
        A line ``HASH NAME`` for every record, sorted; each begins with a newline.
    questions : list of Question
        What was asked of the file system: as long as the answers are the same, so is the listing.
    """

    offers: Offers
    packages: str
    questions: list[file_checks.Question] = dataclasses.field(default_factory=list)

    def find(self, hash_prefix: str) -> list[tuple[str, str]]:
        """Return hash and package name of the records whose DAG hash begins like this."""
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
    """Open a store as a kernelspec names it: the others behind the first; none to look for one.

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
    with file_checks.Listener() as heard:
        store = open_stores(paths)
        offers = offers_of(store, selection)
    lines = {
        f"{dag_hash} {name}"
        for database in store.databases
        for name, hashes in database.names().items()
        for dag_hash in hashes
    }
    packages = "\n" + "\n".join([*sorted(lines), ""])
    return Listing(offers, packages, file_checks.distinct(heard.questions))


def list_store_apart(paths: Sequence[str], selection: OfferFilter, timeout: float) -> Listing:
    """Return the listing of a store, read in a process of its own.

    Parameters
    ----------
    paths : sequence of str
        As for `open_stores`.
    selection : OfferFilter
        What to offer.
    timeout : float
        Seconds it may take.

    Raises
    ------
    SlowStoreError
        When it takes longer; the process is ended.
    KernelSpecError
        When the process ends in an error that is not about the store.
    SpackKernelError
        As `list_store`, with the same words.
    """
    request = msgspec.to_builtins(_Request(list(paths), selection))
    process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
        isolated_command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        # What is typed at the terminal of the server is not meant for it.
        start_new_session=True,
    )
    try:
        output, words = process.communicate(json.dumps(request).encode(), timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        raise SlowStoreError(f"it could not be read in {timeout:g} seconds") from None
    head, _, packages = output.partition(b"\n")
    try:
        answer = msgspec.convert(json.loads(head), _Answer)
    except ValueError:
        last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise KernelSpecError(
            f"the process that reads it ended with status {process.returncode}: {last}"
        ) from None
    if answer.offers is None:
        raise SpackKernelError.from_dict(answer.error or {})
    return Listing(answer.offers, "\n" + packages.decode("ascii", "replace"), answer.questions)


class _Request(msgspec.Struct):
    """What the process is to list."""

    stores: list[str]
    filter: OfferFilter


class _Answer(msgspec.Struct):
    """The listing without its packages, or the error (see `SpackKernelError.as_dict`)."""

    offers: Offers | None = None
    questions: list[Any] = []
    error: dict[str, Any] | None = None


def main() -> None:
    """Answer the request on standard input on standard output: a line of JSON, then the packages.

    The packages are no JSON, since decoding megabytes of it would stop the server's event loop.
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
        answer, packages = _Answer(offers, listing.questions), listing.packages[1:]
    except SpackKernelError as error:
        answer = _Answer(error=error.as_dict())
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        answer = _Answer(error=SpackKernelError(reason_of(error)).as_dict())
    # A path may hold bytes that are no UTF-8, which json escapes and msgspec refuses.
    sys.stdout.buffer.write(json.dumps(msgspec.to_builtins(answer)).encode("ascii") + b"\n")
    sys.stdout.buffer.write(packages.encode("ascii", "replace"))


if __name__ == "__main__":
    main()
