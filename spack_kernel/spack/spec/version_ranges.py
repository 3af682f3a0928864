"""Sets of versions: ranges and lists, as written after an ``@``.

``=1.2`` is the exact version; ``1.2`` without the ``=`` is the range of everything that begins with
``1.2``. The rules are those of Spack 1.x.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .versions import HIGHEST_KEY, LOWEST_KEY, Version, VersionKey, is_git, key_behind, version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_VALID = re.compile(r"[A-Za-z0-9_.-]*")
_GIT_LIKE = re.compile(r"git\.|[A-Fa-f0-9]{40}")


class VersionError(ValueError):
    """Text that is not a version, a range or a list of them."""


class EmptyRangeError(VersionError):
    """A range whose upper end is below its lower one."""


class VersionRange:
    """All versions from `low` to `high`, including all that begin with either.

    Parameters
    ----------
    low, high : str or None
        The ends as text; None leaves that side open. ``VersionRange("1.2", "1.2")`` is what
        ``@1.2`` means.
    prereleases : bool
        False for the order of Spack 0.21 and older, in which ``2.0`` includes ``2.0rc1``.

    Raises
    ------
    EmptyRangeError
        When `high` is below `low`.
    VersionError
        When an end contains a character that is not valid in versions.
    """

    __slots__ = ("bounds", "high", "low", "prereleases")

    def __init__(
        self, low: str | None = None, high: str | None = None, *, prereleases: bool = True
    ) -> None:
        for end in (low, high):
            if end is not None and not _VALID.fullmatch(end):
                raise VersionError(f"'{end}' cannot end a range of versions")
        self.low = low
        self.high = high
        self.prereleases = prereleases
        #: The lowest key in the range, and the lowest after it.
        self.bounds = (
            LOWEST_KEY if low is None else version_key(low, prereleases),
            HIGHEST_KEY if high is None else key_behind(version_key(high, prereleases)),
        )
        if self.bounds[1] < self.bounds[0]:
            raise EmptyRangeError(f"the range of versions '{self}' is empty")

    def __contains__(self, version: Version) -> bool:
        low, behind = self.bounds
        if not version.is_placed:
            return self.bounds == (LOWEST_KEY, HIGHEST_KEY)
        return low <= (version.key if self.prereleases else version.plain_key) < behind

    def intersection(self, other: VersionRange) -> VersionRange | None:
        """Return the versions in both ranges as one range; None when there are none."""
        low = max(self, other, key=lambda each: each.bounds[0])
        high = min(self, other, key=lambda each: each.bounds[1])
        return self._between(low, high) if low.bounds[0] < high.bounds[1] else None

    def union(self, other: VersionRange) -> VersionRange | None:
        """Return the versions in either range as one range; None when there is a gap."""
        if self.bounds[1] < other.bounds[0] or other.bounds[1] < self.bounds[0]:
            return None
        low = min(self, other, key=lambda each: each.bounds[0])
        high = max(self, other, key=lambda each: each.bounds[1])
        return self._between(low, high)

    def _between(self, low: VersionRange, high: VersionRange) -> VersionRange:
        return VersionRange(low.low, high.high, prereleases=self.prereleases)

    def __str__(self) -> str:
        if (
            self.low is not None
            and self.high is not None
            and version_key(self.low) == version_key(self.high)
        ):
            return self.low
        # An end before an attribute name may have a trailing separator that is not valid here.
        return f"{self.low or ''}:{(self.high or '').rstrip('.-')}"

    def __repr__(self) -> str:
        return f"VersionRange({self.low!r}, {self.high!r})"

    def __eq__(self, other: object) -> bool:
        return self.bounds == other.bounds if isinstance(other, VersionRange) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.bounds)


@dataclass(frozen=True)
class VersionList:
    """The versions that a query accepts: any of some exact versions and ranges.

    Parameters
    ----------
    items : iterable of Version or VersionRange
        Stored sorted, with adjacent ranges merged and the versions that they cover left out, so
        that two lists of the same versions are equal.

    Examples
    --------
    >>> Version("1.4.7") in VersionList.parse("1.2:1.4,1.6:")
    True
    >>> str(VersionList.parse("1.2,1.1:1.3"))
    '1.1:1.3'
    """

    items: tuple[Version | VersionRange, ...] = field(default=())

    def __init__(self, items: Iterable[Version | VersionRange] = ()):
        object.__setattr__(self, "items", _normalised(items))

    @classmethod
    def parse(cls, text: str, *, prereleases: bool = True) -> VersionList:
        """Parse the text after an ``@``: ``1.2``, ``=1.2``, ``1.2:1.4,1.6:``, ``git.main``.

        Parameters
        ----------
        text : str
            Versions and ranges, separated by commas.
        prereleases : bool
            The order of the ranges; see `VersionRange`.

        Raises
        ------
        VersionError
            When it is not a list of versions, or one of the ranges is empty.
        """
        return cls(_item(part, prereleases) for part in "".join(text.split()).split(","))

    @property
    def exact(self) -> Version | None:
        """The version, when the list is just one exact version."""
        if len(self.items) == 1 and isinstance(self.items[0], Version):
            return self.items[0]
        return None

    def __contains__(self, version: Version) -> bool:
        return any(_matches(item, version) for item in self.items)

    def intersection(self, other: VersionList) -> VersionList:
        """Return the versions in both lists."""
        return VersionList(_common(self.items, other.items))

    def intersects(self, other: VersionList) -> bool:
        """Return whether some version is in both lists."""
        return any(True for _ in _common(self.items, other.items))

    def __bool__(self) -> bool:
        return bool(self.items)

    def __str__(self) -> str:
        # A git reference at the beginning would be parsed as the only version.
        return ",".join(sorted(map(_spelled, self.items), key=is_git))


def _item(text: str, prereleases: bool) -> Version | VersionRange:
    if ":" in text:
        low, _, high = text.partition(":")
        return VersionRange(low or None, high or None, prereleases=prereleases)
    if text.startswith("="):
        text = text[1:]
        exact = True
    else:
        exact = is_git(text)
    if not exact:
        return VersionRange(text, text, prereleases=prereleases)
    if not is_git(text) and not _VALID.fullmatch(text):
        raise VersionError(f"'{text}' is not a version")
    if text.count("=") > 1:
        raise VersionError(f"'{text}' refers to more than one version")
    return Version(text)


def _spelled(item: Version | VersionRange) -> str:
    if isinstance(item, Version):
        return str(item) if item.ref is not None else f"={item}"
    # A range whose lower end looks like a git reference: the underscore changes nothing else.
    return f"_{item}" if _GIT_LIKE.match(str(item)) else str(item)


def _matches(item: Version | VersionRange, version: Version) -> bool:
    if isinstance(item, VersionRange):
        return version in item
    if item.ref is not None and not item.is_placed:
        return item.ref == version.ref
    return item == version


def _common(
    ours: Iterable[Version | VersionRange], theirs: tuple[Version | VersionRange, ...]
) -> Iterator[Version | VersionRange]:
    for one in ours:
        for other in theirs:
            if isinstance(one, VersionRange) and isinstance(other, VersionRange):
                both = one.intersection(other)
                if both is not None:
                    yield both
            elif isinstance(one, Version):
                if _matches(other, one) or not one.is_placed:
                    yield one
                elif isinstance(other, Version) and _matches(one, other):
                    yield other
            elif isinstance(other, Version) and (_matches(one, other) or not other.is_placed):
                yield other


def _normalised(
    items: Iterable[Version | VersionRange],
) -> tuple[Version | VersionRange, ...]:
    versions: dict[Version, None] = {}
    given: list[VersionRange] = []
    for item in items:
        if isinstance(item, Version):
            versions[item] = None
        else:
            given.append(item)
    ranges: list[VersionRange] = []
    for item in sorted(given, key=lambda each: each.bounds[0]):
        union = ranges[-1].union(item) if ranges else None
        if union is None:
            ranges.append(item)
        else:
            ranges[-1] = union
    lows = [each.bounds[0] for each in ranges]

    def is_covered(version: Version) -> bool:
        if not version.is_placed:
            return len(ranges) == 1 and version in ranges[0]
        key = version.key if ranges[0].prereleases else version.plain_key
        index = bisect_right(lows, key) - 1
        return index >= 0 and version in ranges[index]

    distinct = [version for version in versions if not ranges or not is_covered(version)]
    return tuple(sorted([*distinct, *ranges], key=_position))


def _position(item: Version | VersionRange) -> tuple[VersionKey, bool, str, VersionKey]:
    if isinstance(item, VersionRange):
        return item.bounds[0], True, "\uffff", item.bounds[1]
    return item.key, item.ref is not None, item.ref or "", item.key


#: Every version.
ANY_VERSION: Final = VersionList([VersionRange()])
