"""The errors of this project: a base class, and what can go wrong with a store or a query.

An error carries facts and text, and does not depend on terminals, servers or colours. The user
interfaces (`spack_kernel.cli`, `spack_kernel.jupyter`) decide how to show it.

The tree; each class is defined where it is raised::

    SpackKernelError
    ├── QuerySyntaxError (ValueError)         a query that does not parse
    │   └── FormatSyntaxError                 spack.output: a format string that does not parse
    ├── NoMatch (LookupError)                 no installed spec matches
    ├── Ambiguous (LookupError)               several match where one is needed
    ├── StoreNotFound (LookupError)           no store at a place, or at any place
    ├── DatabaseError                         an install database that cannot be read
    ├── ConfigError                           a configuration file that is not valid
    ├── EnvironmentNotFound (LookupError)     spack.environments: no such Spack environment
    ├── EnvironmentNotReady                   … one that is not concretized or installed
    ├── ViewNotFound (LookupError)            … a view that does not exist
    ├── InvalidModification (ValueError)      spack.load: a recorded change that is not valid
    ├── ModulesError                          … modules that cannot be loaded
    ├── SpackCommandError                     … a spack that cannot answer
    ├── RequestError (ValueError)             kernels: a request that contradicts itself
    │   └── KernelSpecError                   jupyter: a kernelspec that is not valid
    ├── InterpreterError                      kernels: no Python that runs
    ├── KernelPackageError                    … no ipykernel for it
    ├── ShippedKernelError                    … no such kernel in the closure
    ├── ModuleContentError                    … a module that does not lead to specs
    ├── EnvironmentTooLongError               … variables too long for a process
    ├── PrefixGoneError                       … a recorded prefix that does not exist
    ├── IncompleteError                       … a closure of which not all is installed
    ├── KernelStartError, KernelDiedError     jupyter: a kernel that does not start, or exits
    │   └── UnknownKernelError                … no kernel has this name
    ├── KernelSilentError, PortTakenError     … a kernel that does not listen, or cannot
    ├── JobRefusedError, JobEndedError        … a job that Slurm refuses, or that has ended
    ├── ServerStopsError                      … a start that a server's end has cut short
    ├── EncryptionError, NotebookError        … a connection, a notebook
    ├── PickerOffError, UnreadableError       … a picker that is off, a path it cannot read
    ├── HelperError, SlowStoreError           … a helper that fails, a store that takes too long
    ├── ImportFailedError                     cli: a module that `check` cannot import
    ├── TimeoutExpiredError                   … a kernel that does not answer in time
    ├── SiteError, OtherUserError             … a site, a user that cannot be checked
    └── DemoError                             demo: a store that cannot be built
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

from .system.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


#: Characters of a query that are shown before the position of an error, and in total.
_BEFORE, _WIDTH = 40, 100


class SpackKernelError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    summary : str
        One line: what is wrong.
    details : sequence of str, optional
        Further lines: what was found instead (candidates, places searched, the end of stderr).
    hint : str, optional
        What the user can type or change next; can span several lines.

    Examples
    --------
    >>> print(SpackKernelError("no store", details=["  looked in /sw"], hint="Use --store."))
    no store
      looked in /sw
    Use --store.
    """

    #: Stable identifier for scripts (`--json`), and the name of the documentation anchor.
    code = "error"

    def __init__(self, summary: str, *, details: Sequence[str] = (), hint: str = "") -> None:
        # Much of it comes from stores, notebooks and kernelspecs, and is shown on a terminal.
        summary = printable(summary)
        super().__init__(summary)
        self.summary = summary
        self.details = tuple(map(printable, details))
        self.hint = printable(hint)

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class again, whose arguments differ: errors cross process borders.
        return _copy_error, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.details, *([self.hint] if self.hint else [])])

    @staticmethod
    def from_dict(told: Mapping[str, Any]) -> SpackKernelError:
        """Return the error that `as_dict` returned, with the same type if that is known here."""
        kind: type[SpackKernelError] = SpackKernelError
        for each in _subclasses(SpackKernelError):
            if each.code == told["code"] and each.__init__ is SpackKernelError.__init__:
                kind = each
                break
        error = kind(told["summary"], details=told["details"], hint=told["hint"])
        error.code = told["code"]
        return error

    def as_dict(self) -> dict[str, Any]:
        """Return the error as JSON types: ``code``, ``summary``, ``details`` and ``hint``."""
        return {
            "code": self.code,
            "summary": self.summary,
            "details": list(self.details),
            "hint": self.hint,
        }


def _copy_error(
    kind: type[SpackKernelError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> SpackKernelError:
    """Return an error as it was pickled."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


def _subclasses(kind: type[SpackKernelError]) -> Iterator[type[SpackKernelError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


class QuerySyntaxError(SpackKernelError, ValueError):
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
        super().__init__(reason, details=_pointing(query, position, length), hint=hint)
        self.query = query
        self.position = position
        self.length = length

    def as_dict(self) -> dict[str, Any]:
        """Return the error as JSON types, with ``position`` and ``length``."""
        return {**super().as_dict(), "position": self.position, "length": self.length}


def _one_column(character: str) -> str:
    """Return a character, or a substitute that takes one column in any terminal."""
    if character.isspace():
        return " "
    wide = east_asian_width(character) in "WF" or combining(character)
    return character if character.isprintable() and not wide else "?"


def _pointing(text: str, position: int, length: int) -> tuple[str, str]:
    """Return the part of `text` around `position`, and a line that points at it."""
    start = max(0, position - _BEFORE) if len(text) > _WIDTH else 0
    shown = text[start : start + _WIDTH]
    left, right = "... " if start else "", " ..." if len(text) > start + _WIDTH else ""
    shown = "".join(map(_one_column, shown))
    before = len(left) + position - start
    return f"  {left}{shown}{right}", "  " + " " * before + "^" * max(1, min(length, _WIDTH))


class NoMatch(SpackKernelError, LookupError):  # noqa: N818 - the public name the design fixes
    """No installed spec matches a query."""

    code = "no-match"


class Ambiguous(SpackKernelError, LookupError):  # noqa: N818 - the public name the design fixes
    """Several installed specs match where exactly one is needed.

    Attributes
    ----------
    candidates : tuple of Spec
        All matching specs, in the order of `spack find`.
    """

    code = "ambiguous"

    def __init__(
        self,
        summary: str,
        candidates: Sequence[Any],
        *,
        details: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        super().__init__(summary, details=details, hint=hint)
        self.candidates = tuple(candidates)


class StoreNotFound(SpackKernelError, LookupError):  # noqa: N818 - reads as Spack's own errors do
    """No store at the given place, or at any of the places that are searched."""

    code = "store-not-found"


class DatabaseError(SpackKernelError):
    """An install database that cannot be used: not a database, truncated, unreadable or too new."""

    code = "database"


class SpackKernelWarning(UserWarning):
    """Base of this project's warnings: a tolerable problem, and how it was handled."""


class DatabaseWarning(SpackKernelWarning):
    """Part of a store is left out, or is read although its format is not fully known."""


#: What a single record, prefix or file can raise; code that reads many skips it and continues.
ITEM_ERRORS = (SpackKernelError, OSError, ValueError, RecursionError)


def reason_of(error: BaseException) -> str:
    """Return the message of an error of `ITEM_ERRORS`, in one line."""
    if isinstance(error, SpackKernelError):
        return error.summary
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


def one_line(error: BaseException) -> str:
    """Return the full text of an error of `ITEM_ERRORS` in one line, for a log."""
    if not isinstance(error, SpackKernelError):
        return reason_of(error)
    parts = [error.summary, *(detail.strip() for detail in error.details)]
    hint = " ".join(line.strip() for line in error.hint.splitlines())
    return "; ".join(parts) + (f"; {hint}" if hint else "")


def warn_left_out(error: DatabaseError, stacklevel: int) -> None:
    """Warn that a record is left out because it is malformed.

    Parameters
    ----------
    error : DatabaseError
        What is wrong with it.
    stacklevel : int
        As for `warnings.warn`, as if the caller called that directly.
    """
    warnings.warn(f"{error.summary}; it is left out", DatabaseWarning, stacklevel=stacklevel + 1)


class ConfigWarning(SpackKernelWarning):
    """Part of Spack's configuration is left out."""


class ConfigError(SpackKernelError):
    """A Spack configuration file that cannot be read or has invalid content."""

    code = "config"
