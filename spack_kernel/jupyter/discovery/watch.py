"""Cache the listing of a store, and detect when it changes, without blocking callers.

Nothing is read without a request: a caller gets the last listing at once, and a thread then
checks whether it is still valid.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import SlowStoreError
from spack_kernel.jupyter.helper import look_through_helper
from spack_kernel.jupyter.offers import Listing, Offers
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.errors import SpackKernelError, one_line
from spack_kernel.spack.system import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from spack_kernel.jupyter.offers import Look, OfferFilter
    from spack_kernel.spack.system.file_checks import Check

    Reader = Callable[[tuple[str, ...], OfferFilter, Sequence[Check], float], Look]

#: Seconds after which an unreadable store is read again even if nothing has changed.
_RETRY = 60.0


class StoreWatcher:
    """Caches the listing of one store.

    Parameters
    ----------
    paths : tuple of str
        As for `open_stores`.
    selection : OfferFilter
        What to offer.
    log : Logger
        Gets one line when something is wrong, and one when it works again.
    interval : float
        Minimum number of seconds between two checks of the store for changes.
    timeout : float
        Time limit in seconds for reading the store.
    reader : callable
        Looks at the store; by default `look_through_helper`.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        selection: OfferFilter,
        *,
        log: logging.Logger | logging.LoggerAdapter[Any],
        interval: float,
        timeout: float,
        reader: Reader = look_through_helper,
    ) -> None:
        self.paths = paths
        self.selection = selection
        self._log = log
        self._interval = interval
        self._timeout = timeout
        self._reader = reader
        self._changed = threading.Condition()
        self._busy_since: float | None = None
        self._checked = float("-inf")
        self._rounds = 0
        self._listing: Listing | None = None
        self._read_with: OfferFilter | None = None
        self._checks: list[Check] = []
        self._retry_at = float("-inf")
        self._said = ""

    @property
    def listing(self) -> Listing | None:
        """The last listing, or None. It has no offers if the store became unreadable."""
        return self._listing

    @property
    def answered(self) -> bool:
        """Whether the store has been read, successfully or not."""
        return self._rounds > 0

    def refresh(self) -> None:
        """Check in a thread whether the store has changed; return at once."""
        self._look(force=False)

    def wait(self, seconds: float, *, force: bool = False) -> None:
        """Wait until the store has been checked, for at most the given time.

        Parameters
        ----------
        seconds : float
            The maximum time.
        force : bool
            Check now, however recent the last check is.
        """
        with self._changed:
            rounds = self._rounds
            self._look(force=force)
            if self._busy_since is not None and not self.stuck:
                self._changed.wait_for(lambda: self._rounds > rounds, seconds)

    @property
    def stuck(self) -> bool:
        """Whether the check in progress has exceeded the timeout."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._timeout

    def _look(self, *, force: bool) -> None:
        with self._changed:
            now = time.monotonic()
            if self._busy_since is not None:
                if self.stuck:
                    self._say_slow()
                return
            due = force or self._read_with != self.selection
            if not due and now - self._checked < self._interval:
                return
            self._busy_since = now
        threading.Thread(target=self._run, name="spack-kernel-listing", daemon=True).start()

    def _run(self) -> None:
        try:
            self._read()
        except Exception:
            self._log.exception("spack-kernel failed to list %s", self._place)
        finally:
            with self._changed:
                self._busy_since = None
                self._checked = time.monotonic()
                self._rounds += 1
                self._changed.notify_all()

    def _read(self) -> None:
        selection = self.selection
        due = self._read_with != selection or time.monotonic() >= self._retry_at
        checks = [] if due else self._checks
        if not due and not checks:
            return  # it could not be read, and nothing that changes would show that it can be
        error: SpackKernelError | OSError | None
        try:
            listing, error, checks = self._reader(self.paths, selection, checks, self._timeout)
        except SlowStoreError:
            # The kernels offered before most likely still exist.
            self._say_slow()
            self._failed(selection, [])
            return
        except (SpackKernelError, OSError) as raised:
            listing, error, checks = None, raised, []
        if error is not None:
            self._say(f"no kernels of {self._place}: {one_line(error)}")
            self._failed(selection, checks)
            packages = self._listing.packages if self._listing else "\n"
            known = self._listing.offers.request if self._listing else None
            request = known or KernelRequest(stores=self.paths)
            self._listing = Listing(Offers((), request, (), 0), packages)
            return
        if listing is None:
            return  # nothing has changed
        self._listing = listing
        self._read_with = selection
        self._checks = checks
        self._retry_at = float("inf")
        offers = listing.offers
        parts = list(offers.problems[:3])
        if len(offers.problems) > 3:
            parts.append(f"and {len(offers.problems) - 3} more problems")
        if offers.left_out:
            parts.append(f"{offers.left_out} specs are beyond the limit of {selection.limit}")
        text = f"kernels of {self._place}: {'; '.join(parts)}" if parts else ""
        self._say(text, logging.WARNING if offers.problems else logging.INFO)

    def _failed(self, selection: OfferFilter, checks: list[Check]) -> None:
        self._read_with = selection
        self._retry_at = time.monotonic() + _RETRY
        self._checks = checks

    @property
    def _place(self) -> str:
        return " > ".join(self.paths) or "the store of $SPACK_ROOT or the spack on PATH"

    def _say_slow(self) -> None:
        kept = "; the kernels it offered before stay listed" if self._listing else ""
        self._say(
            f"reading {self._place} timed out after {self._timeout:g} s{kept}. Its file system may "
            "hang"
        )

    def _say(self, text: str, level: int = logging.WARNING) -> None:
        """Log a line unless it repeats the last one."""
        text = printable(text)
        if text == self._said:
            return
        if text:
            self._log.log(level, "spack-kernel: %s", text)
        else:
            self._log.info("spack-kernel: %s can be read again", self._place)
        self._said = text
