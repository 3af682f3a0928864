"""Single versions, in Spack's order.

A version is split into numbers and words; separators are ignored, so ``1.2`` equals ``1-2``. Words
sort before numbers, and the names of moving targets (`DEVELOP_NAMES`) sort after everything else.
A trailing ``alpha``, ``beta`` or ``rc`` marks a pre-release, which sorts before its release.

The rules are those of Spack 1.x. Sets of versions are in `version_lists`.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache, total_ordering
from typing import Final

#: Names of moving targets, from oldest to newest; all are newer than any number.
DEVELOP_NAMES: Final = ("stable", "nightly", "trunk", "head", "master", "main", "develop")

_FINAL: Final = 3
_PRERELEASES: Final = {"alpha": 0, "beta": 1, "rc": 2, "final": _FINAL}

# Kinds of components, in the order in which they sort.
_WORD, _NUMBER, _DEVELOP = 0, 1, 2

_Component = tuple[int, "int | str"]

#: The sort key of versions: the components of the release, then the pre-release.
VersionKey = tuple[tuple[_Component, ...], tuple[int, ...]]

# One shared object, since a store has thousands of versions.
_RELEASE: Final[tuple[int, ...]] = (_FINAL,)

_SEGMENT = re.compile(r"([0-9]+)|([A-Za-z]+)")
_COMMIT = re.compile(r"[a-f0-9]{40}")

_LETTERS: Final = string.ascii_uppercase + string.ascii_lowercase

#: Python refuses to read longer decimal numbers, as a guard against slow conversions.
_LONG_NUMBER: Final = 1000

#: The keys that sort before and after those of all versions.
LOWEST_KEY: Final[VersionKey] = ((), (_PRERELEASES["alpha"],))
HIGHEST_KEY: Final[VersionKey] = (((_DEVELOP, len(DEVELOP_NAMES) + 1),), (_FINAL,))


@total_ordering
class Version:
    """One version: a release, a pre-release, a branch name or a git reference.

    Versions are ordered and hashed by meaning, not by spelling; ``str(version)`` is the
    spelling. Any text is accepted, because databases must be read as they are; `VersionList.parse`
    checks the text that a user types. Instances are shared, and parsed when first compared.

    Parameters
    ----------
    text : str
        What a database records: ``1.2.3``, ``3.12rc1``, ``develop``, ``git.main=1.2``, or the
        40 characters of a commit.

    Examples
    --------
    >>> sorted(map(Version, ["3.10", "develop", "3.9", "3.10rc1"]))
    [Version('3.9'), Version('3.10rc1'), Version('3.10'), Version('develop')]
    """

    __slots__ = ("_order", "text")

    text: str
    _order: tuple[VersionKey, bool, str] | None

    def __new__(cls, text: str) -> Version:
        """Return the shared version spelled `text`."""
        return _shared(text)

    def __reduce__(self) -> tuple[type[Version], tuple[str]]:
        return Version, (self.text,)

    @property
    def _parts(self) -> tuple[str | None, str]:
        if not is_git(self.text):
            return None, self.text
        ref, _, stands_for = self.text.removeprefix("git.").partition("=")
        return ref, stands_for

    @property
    def ref(self) -> str | None:
        """The branch, tag or commit of a git reference; None for other versions."""
        _, is_reference, ref = self.order
        return ref if is_reference else None

    @property
    def is_placed(self) -> bool:
        """Whether its position in the order is known.

        False for a git reference that does not contain the version it stands for: only the
        package's repository has this information. Such a reference sorts before everything and is
        in no range except ``:``.
        """
        return self.ref is None or bool(self._parts[1])

    @property
    def key(self) -> VersionKey:
        """The sort key of versions: the components of the release, then the pre-release."""
        return self.order[0]

    @property
    def plain_key(self) -> VersionKey:
        """The same in the order of Spack 0.21 and older, which had no pre-releases."""
        return version_key(self._parts[1], prereleases=False)

    @property
    def is_develop(self) -> bool:
        """Whether a component is one of `DEVELOP_NAMES`."""
        return any(kind == _DEVELOP for kind, _ in self.key[0])

    @property
    def is_prerelease(self) -> bool:
        """Whether this is an alpha, a beta or a release candidate."""
        return self.key[1][0] != _FINAL

    def up_to(self, count: int) -> str:
        """Return the text of the first `count` (at least 1) components: ``3.12`` for ``3.12.1``."""
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
        return self.order == other.order

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self.order < other.order

    @property
    def order(self) -> tuple[VersionKey, bool, str]:
        """A key that sorts like the version itself, but faster for many versions."""
        order = self._order
        if order is None:
            ref, stands_for = self._parts
            # A git reference comes directly after the version that it stands for.
            order = self._order = version_key(stands_for), ref is not None, ref or ""
        return order

    def __hash__(self) -> int:
        return hash(self.order)


@lru_cache(maxsize=1 << 16)
def _shared(text: str) -> Version:
    version = object.__new__(Version)
    version.text = text
    version._order = None
    return version


def is_git(text: str) -> bool:
    """Return whether `text` is spelled as a git reference: ``git.*``, ``*=*`` or a commit."""
    return text.startswith("git.") or "=" in text[1:] or _COMMIT.fullmatch(text) is not None


def version_key(text: str, prereleases: bool = True) -> VersionKey:
    """Return the sort key of the version `text`.

    Parameters
    ----------
    text : str
        A version that is not a git reference; characters that are not valid in versions separate
        components.
    prereleases : bool
        False for the order of Spack 0.21 and older, which had no pre-releases.
    """
    segments: list[tuple[str, str]] = _SEGMENT.findall(text)
    prerelease = _RELEASE
    if not prereleases:
        pass
    elif len(segments) >= 3 and segments[-1][0] and segments[-2][1] in _PRERELEASES:
        prerelease = (_PRERELEASES[segments[-2][1]], _number(segments[-1][0]))
        del segments[-2:]
    elif len(segments) >= 2 and segments[-1][1] in _PRERELEASES:
        prerelease = (_PRERELEASES[segments[-1][1]],)
        del segments[-1:]
    return tuple([_component(number, word) for number, word in segments]), prerelease


@lru_cache(maxsize=1 << 12)
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


def key_behind(key: VersionKey) -> VersionKey:
    """Return the lowest key after everything that begins with `key`."""
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
