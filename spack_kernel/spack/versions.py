"""Versions as Spack orders them, and the sets of versions a query can ask for.

A version is cut into numbers and words; separators do not count, so ``1.2`` equals ``1-2``.
Words sort before numbers, and the names of moving targets (`DEVELOP_NAMES`) after everything. A
trailing ``alpha``, ``beta`` or ``rc`` makes a pre-release, which sorts before its release.

A set of versions is a `VersionList` of exact versions (``=1.2``) and ranges; ``1.2`` without the
``=`` is the range of everything that begins with ``1.2``. The rules are those of Spack 1.x.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, total_ordering
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Names of moving targets, oldest meaning first; all are newer than any number.
DEVELOP_NAMES: Final = ("stable", "nightly", "trunk", "head", "master", "main", "develop")

_FINAL: Final = 3
_PRERELEASES: Final = {"alpha": 0, "beta": 1, "rc": 2, "final": _FINAL}

# Kinds of components, in the order in which they sort.
_WORD, _NUMBER, _DEVELOP = 0, 1, 2

_Component = tuple[int, "int | str"]
_Key = tuple[tuple[_Component, ...], tuple[int, ...]]

_VALID = re.compile(r"[A-Za-z0-9_.-]*")
_SEGMENT = re.compile(r"([0-9]+)|([A-Za-z]+)")
_COMMIT = re.compile(r"[a-f0-9]{40}")
_GIT_LIKE = re.compile(r"git\.|[A-Fa-f0-9]{40}")

_LETTERS: Final = string.ascii_uppercase + string.ascii_lowercase

#: Python refuses to read longer decimal numbers, as a guard against slow conversions.
_LONG_NUMBER: Final = 1000

_LOWEST: Final[_Key] = ((), (_PRERELEASES["alpha"],))
_HIGHEST: Final[_Key] = (((_DEVELOP, len(DEVELOP_NAMES) + 1),), (_FINAL,))


class VersionError(ValueError):
    """Text that is not a version, a range or a list of them."""


class EmptyRangeError(VersionError):
    """A range whose upper end is below its lower one."""


@total_ordering
class Version:
    """One version: a release, a pre-release, a branch name or a git reference.

    Versions are ordered and hashed by meaning, not by spelling; ``str(version)`` is the
    spelling. Made from any text, since a database is to be read as it is; what a user may type
    is checked by `VersionList.parse`. Instances are shared and parsed when first compared.

    Parameters
    ----------
    text : str
        What a database records: ``1.2.3``, ``3.12rc1``, ``develop``, ``git.main=1.2``, or the
        40 characters of a commit.
    """

    text: str

    def __new__(cls, text: str) -> Version:
        """Return the shared version spelled `text`."""
        return _shared(text)

    def __reduce__(self) -> tuple[type[Version], tuple[str]]:
        return Version, (self.text,)

    @cached_property
    def _parts(self) -> tuple[str | None, str]:
        if not is_git(self.text):
            return None, self.text
        ref, _, stands_for = self.text.removeprefix("git.").partition("=")
        return ref, stands_for

    @property
    def ref(self) -> str | None:
        """The branch, tag or commit of a git reference; None for other versions."""
        return self._parts[0]

    @property
    def is_placed(self) -> bool:
        """Whether its place in the order is known.

        False for a git reference that does not say which version it stands for: only the
        package's repository knows. It sorts before everything and is in no range but ``:``.
        """
        return self._parts[0] is None or bool(self._parts[1])

    @cached_property
    def key(self) -> _Key:
        """What versions are ordered by: the components of the release, then the pre-release."""
        return _parse(self._parts[1])

    @cached_property
    def plain_key(self) -> _Key:
        """The same in the order of Spack 0.21 and older, which knew no pre-releases."""
        return _parse(self._parts[1], prereleases=False)

    @property
    def is_develop(self) -> bool:
        """Whether a component is one of `DEVELOP_NAMES`."""
        return any(kind == _DEVELOP for kind, _ in self.key[0])

    @property
    def is_prerelease(self) -> bool:
        """Whether this is an alpha, a beta or a release candidate."""
        return self.key[1][0] != _FINAL

    def up_to(self, count: int) -> str:
        """Return the text of the first `count` (at least 1) components: ``3.12`` of ``3.12.1``."""
        ends = [match.end() for match in _SEGMENT.finditer(self._parts[1])]
        return self._parts[1][: ends[:count][-1]] if ends else self._parts[1]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Version):
            return NotImplemented
        return self.key == other.key and self.ref == other.ref

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._order < other._order

    @cached_property
    def _order(self) -> tuple[_Key, bool, str]:
        # A git reference comes directly behind the version it stands for.
        return self.key, self.ref is not None, self.ref or ""

    def __hash__(self) -> int:
        return hash(self._order)


@lru_cache(maxsize=1 << 16)
def _shared(text: str) -> Version:
    version = object.__new__(Version)
    version.text = text
    return version


def is_git(text: str) -> bool:
    """Return whether `text` is spelled as a git reference: ``git.*``, ``*=*`` or a commit."""
    return text.startswith("git.") or "=" in text[1:] or _COMMIT.fullmatch(text) is not None


def _parse(text: str, prereleases: bool = True) -> _Key:
    segments: list[tuple[str, str]] = _SEGMENT.findall(text)
    prerelease: tuple[int, ...] = (_FINAL,)
    if not prereleases:
        pass
    elif len(segments) >= 3 and segments[-1][0] and segments[-2][1] in _PRERELEASES:
        prerelease = (_PRERELEASES[segments[-2][1]], _number(segments[-1][0]))
        del segments[-2:]
    elif len(segments) >= 2 and segments[-1][1] in _PRERELEASES:
        prerelease = (_PRERELEASES[segments[-1][1]],)
        del segments[-1:]
    return tuple([_component(number, word) for number, word in segments]), prerelease


def _component(number: str, word: str) -> _Component:
    if number:
        return _NUMBER, _number(number)
    if word in DEVELOP_NAMES:
        return _DEVELOP, DEVELOP_NAMES.index(word)
    return _WORD, word


def _number(digits: str) -> int:
    if len(digits) > _LONG_NUMBER:
        digits = digits.lstrip("0")
        if len(digits) > _LONG_NUMBER:
            return int(digits, 16)  # in the same order as the decimal numbers, and linear
    return int(digits or "0")


def _behind(key: _Key) -> _Key:
    """Return the lowest key behind everything that begins with `key`."""
    release, prerelease = key
    if prerelease[0] != _FINAL:
        number = prerelease[1] + 1 if len(prerelease) > 1 else 0
        return release, (prerelease[0], number)
    if not release:
        return ((_WORD, "A"),), prerelease
    kind, value = release[-1]
    following = value + 1 if isinstance(value, int) else _next_word(value)
    return (*release[:-1], (kind, following)), prerelease


def _next_word(word: str) -> str:
    while True:
        if not word or word[-1] == _LETTERS[-1]:
            word += _LETTERS[0]
        else:
            word = word[:-1] + _LETTERS[_LETTERS.index(word[-1]) + 1]
        if word not in DEVELOP_NAMES:
            return word


class VersionRange:
    """All versions from `low` to `high`, both with everything that begins with them.

    Parameters
    ----------
    low, high : str or None
        The ends as text; None leaves that side open. ``VersionRange("1.2", "1.2")`` is what
        ``@1.2`` means.
    prereleases : bool
        False for the order of Spack 0.21 and older, in which ``2.0rc1`` is one of ``2.0``.

    Raises
    ------
    EmptyRangeError
        When `high` is below `low`.
    VersionError
        When an end has a character no version can have.
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
        #: The lowest key in the range, and the lowest behind it.
        self.bounds = (
            _LOWEST if low is None else _parse(low, prereleases),
            _HIGHEST if high is None else _behind(_parse(high, prereleases)),
        )
        if self.bounds[1] < self.bounds[0]:
            raise EmptyRangeError(f"the range of versions '{self}' is empty")

    def __contains__(self, version: Version) -> bool:
        low, behind = self.bounds
        if not version.is_placed:
            return self.bounds == (_LOWEST, _HIGHEST)
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
        if self.low is not None and self.high is not None and _parse(self.low) == _parse(self.high):
            return self.low
        return f"{self.low or ''}:{self.high or ''}"

    def __repr__(self) -> str:
        return f"VersionRange({self.low!r}, {self.high!r})"

    def __eq__(self, other: object) -> bool:
        return self.bounds == other.bounds if isinstance(other, VersionRange) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.bounds)


@dataclass(frozen=True)
class VersionList:
    """The versions a query asks for: exact versions and ranges, any of which will do.

    Parameters
    ----------
    items : iterable of Version or VersionRange
        Kept sorted, with ranges that touch made one and what they cover left out, so that two
        lists of the same versions are equal.
    """

    items: tuple[Version | VersionRange, ...] = field(default=())

    def __init__(self, items: Iterable[Version | VersionRange] = ()):
        object.__setattr__(self, "items", _normalised(items))

    @classmethod
    def parse(cls, text: str, *, prereleases: bool = True) -> VersionList:
        """Read what stands behind an ``@``: ``1.2``, ``=1.2``, ``1.2:1.4,1.6:``, ``git.main``.

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
        # A git reference in front would be read as the only version.
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
        raise VersionError(f"'{text}' stands for more than one version")
    return Version(text)


def _spelled(item: Version | VersionRange) -> str:
    if isinstance(item, Version):
        return str(item) if item.ref is not None else f"={item}"
    # A range from a word that looks like a git reference: the underscore changes nothing else.
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
    ranges: list[VersionRange] = []
    versions: list[Version] = []
    for item in items:
        if isinstance(item, Version):
            versions.append(item)
            continue
        merged = item
        for other in list(ranges):
            union = merged.union(other)
            if union is not None:
                merged = union
                ranges.remove(other)
        ranges.append(merged)
    distinct = {v: v for v in versions if not any(v in each for each in ranges)}
    return tuple(sorted([*distinct, *ranges], key=_position))


def _position(item: Version | VersionRange) -> tuple[_Key, bool, str, _Key]:
    if isinstance(item, VersionRange):
        return item.bounds[0], True, "\uffff", item.bounds[1]
    return item.key, item.ref is not None, item.ref or "", item.key


#: Every version.
ANY_VERSION: Final = VersionList([VersionRange()])
