"""The errors of the project: a base class, and what can go wrong with a store or a query.

An error carries facts and words, and knows nothing of terminals, servers or colours; the
faces (`spack_kernel.cli`, `spack_kernel.jupyter`) decide how it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .specs import Spec


class SpackKernelError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    summary : str
        One line: what was wrong.
    details : sequence of str, optional
        Further lines: what was found instead (candidates, places looked in, a stderr tail).
    hint : str, optional
        What the user can type or change next; may span lines.
    """

    #: Stable word for scripts (`--json`) and the name of the documentation anchor.
    code = "error"

    def __init__(self, summary: str, *, details: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.details = tuple(details)
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.details, *([self.hint] if self.hint else [])])

    def as_dict(self) -> dict[str, Any]:
        """Return the error as JSON types: ``code``, ``summary``, ``details`` and ``hint``."""
        return {
            "code": self.code,
            "summary": self.summary,
            "details": list(self.details),
            "hint": self.hint,
        }


class QuerySyntaxError(SpackKernelError):
    """A query that does not parse.

    Parameters
    ----------
    reason : str
        What is wrong, in one line.
    query : str
        The whole text.
    position, length : int
        The offending characters ``query[position:position + length]``; `length` may be 0 at
        the end of the text.
    """

    code = "query-syntax"

    def __init__(
        self, reason: str, query: str, position: int = 0, length: int = 1, *, hint: str = ""
    ) -> None:
        pointer = " " * position + "^" * max(1, length)
        super().__init__(reason, details=(f"  {query}", f"  {pointer}"), hint=hint)
        self.query = query
        self.position = position
        self.length = length


class NoMatch(SpackKernelError):  # noqa: N818 - the public name the design fixes
    """No installed spec matches a query."""

    code = "no-match"


class Ambiguous(SpackKernelError):  # noqa: N818 - the public name the design fixes
    """Several installed specs match where exactly one is needed.

    Attributes
    ----------
    candidates : tuple of Spec
        All that match, in the order `spack find` lists them.
    """

    code = "ambiguous"

    def __init__(
        self,
        summary: str,
        candidates: Sequence[Spec],
        *,
        details: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        super().__init__(summary, details=details, hint=hint)
        self.candidates = tuple(candidates)


class StoreNotFound(SpackKernelError):  # noqa: N818 - reads as Spack's own errors do
    """No store where the caller said, or none anywhere we look."""

    code = "store-not-found"


class DatabaseError(SpackKernelError):
    """An install database that cannot be read: not one, truncated, unreadable, too new."""

    code = "database"


class SpackKernelWarning(UserWarning):
    """Base of our warnings: something that can be lived with, and what was done about it."""


class DatabaseWarning(SpackKernelWarning):
    """Part of a store is left out, or is read although it is not quite known."""


class ConfigWarning(SpackKernelWarning):
    """Part of Spack's configuration is left out."""


class ConfigError(SpackKernelError):
    """A Spack configuration file that cannot be read or does not say what it must."""

    code = "config"
