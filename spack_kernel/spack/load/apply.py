"""Apply changes to environment variables, as ``spack.util.environment`` does.

Lightweight: a kernel with a cached plan needs little else of this package.
"""

from __future__ import annotations

import posixpath
from collections import deque, namedtuple
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .modifications import Modification

#: Directories that every program searches anyway; Spack never prepends them.
SYSTEM_DIRECTORIES = frozenset(
    posixpath.normpath(posixpath.join(root, directory))
    for root in ("/", "/usr", "/usr/local")
    for directory in ("", "bin", "bin64", "include", "lib", "lib64")
)

#: The part of a `Modification` that `apply_modifications` needs.
Change = namedtuple("Change", ("operation", "variable", "value", "separator"))


@lru_cache(maxsize=8192)
def is_system_directory(path: str) -> bool:
    """Return whether `path` is one of the directories that Spack never prepends."""
    return posixpath.normpath(path) in SYSTEM_DIRECTORIES if path else False


def apply_modifications(
    modifications: Iterable[Modification | Change], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return a copy of `environment` with `modifications` applied, in order.

    As in Spack, prepending and appending normalise the path and keep duplicates. A modified
    ``MANPATH`` ends with a separator, so that ``man`` still searches the system's pages.

    Examples
    --------
    >>> apply_modifications([Change("prepend", "PATH", "/sw/bin", ":")], {"PATH": "/usr/bin"})
    {'PATH': '/sw/bin:/usr/bin'}
    """
    result = dict(environment)
    groups: dict[str, list[Modification | Change]] = {}
    for change in modifications:
        groups.setdefault(change.variable, []).append(change)
    for variable, group in groups.items():
        value = _apply_group(group, result.get(variable))
        if value is None:
            result.pop(variable, None)
        else:
            result[variable] = value
    extended = any(change.operation not in ("set", "unset") for change in groups.get("MANPATH", ()))
    if extended and not result.get("MANPATH", ":").endswith(":"):
        result["MANPATH"] += ":"
    return result


def _apply_group(group: list[Modification | Change], value: str | None) -> str | None:
    """Apply the changes to one variable, joining consecutive prepends in one step."""
    pending: deque[str] = deque()
    separator = ":"
    for change in group:
        operation, text, between = change.operation, change.value, change.separator
        if pending and (operation != "prepend" or between != separator):
            value = _join(pending, value, separator)
            pending.clear()
        if operation == "prepend":
            separator = between
            pending.appendleft(posixpath.normpath(text))
        else:
            value = _apply_one(operation, text, between, value)
    return _join(pending, value, separator) if pending else value


def _join(entries: Iterable[str], value: str | None, separator: str) -> str:
    return separator.join([*entries, value] if value else entries)


def _apply_one(operation: str, text: str, separator: str, value: str | None) -> str | None:
    if operation == "set":
        return text
    if operation == "unset":
        return None
    if operation == "append":
        return (
            _join([value], posixpath.normpath(text), separator)
            if value
            else posixpath.normpath(text)
        )
    if operation == "append-flags":
        return f"{value}{separator}{text}" if value else text
    entries = value.split(separator) if value else []
    if operation == "remove-flags":
        return separator.join(entry for entry in entries if entry != text)
    entries = [posixpath.normpath(entry) for entry in entries if entry]
    if operation == "prune":
        entries = list(dict.fromkeys(entries))
    elif operation == "system-last":
        entries.sort(key=is_system_directory)
    else:
        _remove(operation, entries, posixpath.normpath(text))
    return separator.join(entries)


def _remove(operation: str, entries: list[str], path: str) -> None:
    if operation == "remove":
        entries[:] = [entry for entry in entries if entry != path]
    elif path in entries:
        if operation == "remove-last":
            del entries[len(entries) - 1 - entries[::-1].index(path)]
        else:
            entries.remove(path)
