"""The order of versions, and the version sets that a query can contain."""

from __future__ import annotations

import copy
import itertools
import pickle
import string

import pytest
from hypothesis import given, strategies as st

from spack_kernel.spack.spec.version_ranges import (
    ANY_VERSION,
    EmptyRangeError,
    VersionError,
    VersionList,
    VersionRange,
)
from spack_kernel.spack.spec.versions import DEVELOP_NAMES, Version

# Each is newer than the one before it, according to Spack 1.3.
ORDER = [
    "alpha",
    "1.0alpha",
    "1.0alpha2",
    "1.0beta",
    "1.0-rc1",
    "1.0.rc10",
    "1.0",
    "git.v1=1.0",
    "1.0a",
    "1.0p1",
    "1.0.0",
    "1.0.1",
    "1.2.9",
    "1.2.10",
    "1.10",
    "2",
    "20210216",
    "stable",
    "nightly",
    "trunk",
    "head",
    "master",
    "main",
    "develop",
    "develop-2.0",
]


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(ORDER)))
def test_order(older, newer):
    assert Version(older) < Version(newer)
    assert Version(newer) > Version(older)
    assert Version(older) != Version(newer)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.2", "1-2"), ("1.2", "1_2"), ("1.02", "1.2"), ("1.0rc1", "1.0-rc.1"), ("2.0final", "2.0")],
)
def test_spellings_of_one_version(one, other):
    assert Version(one) == Version(other)
    assert hash(Version(one)) == hash(Version(other))
    assert str(Version(one)) == one


def test_a_git_reference_is_not_the_version_it_stands_for():
    assert Version("git.v1=1.0") != Version("1.0")
    assert Version("git.v1=1.0") != Version("git.v2=1.0")
    assert Version("git.v1=1.0").ref == "v1"
    assert Version("a" * 40).ref == "a" * 40
    assert not Version("git.v1").is_placed


def test_versions_are_shared_and_survive_copies():
    version = Version("3.12.1")
    assert Version("3.12.1") is version
    assert copy.deepcopy(version) is version
    assert pickle.loads(pickle.dumps(version)) == version
    assert repr(version) == "Version('3.12.1')"
    assert version != "3.12.1"
    with pytest.raises(TypeError):
        assert version < "4"


def test_what_is_read_off_a_version():
    assert Version("3.12.1").up_to(2) == "3.12"
    assert Version("3.12.1").up_to(9) == "3.12.1"
    assert Version("").up_to(2) == ""
    assert Version("develop").is_develop
    assert not Version("1.develop1.x").is_prerelease
    assert Version("1.0rc1").is_prerelease


def test_a_database_may_say_anything():
    """Invalid characters separate components; numbers can have any length."""
    assert Version("1 2!") == Version("1.2")
    assert Version("9" * 5000) > Version("9" * 4999)
    assert Version("0" * 5000 + "1") == Version("1")


CONTAINED = [
    ("1.2", "1.2", True),
    ("1.2", "1.2.3", True),
    ("1.2", "1.20", False),
    ("=1.2", "1.2", True),
    ("=1.2", "1-2", True),
    ("=1.2", "1.2.3", False),
    ("1.2:1.4", "1.4.9", True),
    ("1.2:1.4", "1.5", False),
    ("1.2:", "develop", True),
    (":1.2", "1.2.99", True),
    (":1.2", "1.3", False),
    (":", "git.x", True),
    ("1:", "git.x", False),
    ("1.2", "1.2rc1", False),
    (":1.2", "1.2rc1", True),
    ("1.2", "1.3rc1", True),  # a pre-release of the next version sorts before it, as in Spack
    ("1.2,1.4", "1.4.1", True),
    ("1.2,1.4", "1.3", False),
    ("develop", "develop", True),
    (":main", "develop", False),
    ("1.2", "git.v1=1.2.1", True),
    ("=1.2", "git.v1=1.2", False),
    ("git.v1", "git.v1=1.2", True),
    ("git.v1=1.2", "git.v1=1.2", True),
    ("git.v1=1.2", "git.v1=1.3", False),
    ("b" * 40, "git." + "b" * 40 + "=1.2", True),
    ("1a", "1a", True),
    ("1z", "1zA", False),
    ("foo", "foo.1", True),
]


@pytest.mark.parametrize(("asked", "version", "contained"), CONTAINED)
def test_contained(asked, version, contained):
    assert (Version(version) in VersionList.parse(asked)) is contained


def test_contained_in_the_order_without_prereleases():
    plain = VersionList.parse("2.0", prereleases=False)
    assert Version("2.0-rc1") in plain
    assert Version("2.0-rc1") in VersionList.parse("2.0:", prereleases=False)
    assert Version("2.0-rc1") not in VersionList.parse("2.0")
    assert plain.intersection(plain) == plain


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1:2,3:4", "1:4"),  # nothing is between 2 and 3, since 2 means all of 2.x
        ("1.4,1.2", "1.2,1.4"),
        ("=1.3, =1.2", "=1.2,=1.3"),
        ("1.2,=1.2.3", "1.2"),
        ("1.2:1.2", "1.2"),
        ("1.2,git.main", "1.2,git.main"),
        ("1:2.", "1:2"),
        ("1,git.a:5", "_git.a:5"),  # without the underscore it would be a reference
    ],
)
def test_canonical(text, canonical):
    versions = VersionList.parse(text)
    assert str(versions) == canonical
    assert VersionList.parse(canonical) == versions


@pytest.mark.parametrize("text", ["1.3:1.1", "3:1", "1.3:alpha", "develop:1"])
def test_empty_ranges(text):
    with pytest.raises(EmptyRangeError, match="is empty"):
        VersionList.parse(text)


def test_a_range_may_hold_nothing_without_being_empty():
    """Spack compares 2 with the end of 1.x, so it accepts 2:1."""
    assert Version("1") not in VersionList.parse("2:1")
    assert Version("2") not in VersionList.parse("2:1")


@pytest.mark.parametrize("text", ["=1:", ":=1", "1:2:3", "1.2=3=4", "=é"])
def test_what_is_no_version(text):
    with pytest.raises(VersionError):
        VersionList.parse(text)


words = st.sampled_from(["alpha", "beta", "rc", "a", "z", "Z", "p", *DEVELOP_NAMES])
components = st.one_of(st.integers(0, 30).map(str), words)
texts = st.lists(components, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([".", "-", "_"]).map(lambda separator: separator.join(parts))
)
versions = st.one_of(texts, texts.map("git.x={}".format), texts.map("git.y={}".format)).map(Version)
arbitrary = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8)


def ranges(low: str, high: str) -> VersionRange | None:
    try:
        return VersionRange(low, high)
    except EmptyRangeError:
        return None


lists = st.lists(
    st.one_of(
        texts.map(Version),
        texts.map(lambda text: VersionRange(text, text)),
        texts.map(lambda text: VersionRange(text)),
        texts.map(lambda text: VersionRange(None, text)),
        st.builds(ranges, texts, texts).filter(bool),
    ),
    min_size=1,
    max_size=4,
).map(VersionList)


@given(versions, versions)
def test_exactly_one_order(one, other):
    assert (one < other) + (one == other) + (one > other) == 1
    assert (one == other) == (other == one)
    if one == other:
        assert hash(one) == hash(other)


@given(versions, versions, versions)
def test_transitive(one, two, three):
    low, middle, high = sorted([one, two, three])
    assert low <= middle <= high
    assert low <= high


@given(texts.map(Version))
def test_a_version_is_in_what_it_spells(version):
    assert version in VersionList.parse(f"={version}")
    assert version in VersionList.parse(str(version))
    assert version in ANY_VERSION
    assert version in VersionList.parse(f"{version}:")
    assert version in VersionList.parse(f":{version}")


@given(texts, texts, texts.map(Version))
def test_ranges_agree_with_the_order(low, high, version):
    span = ranges(low, high)
    if span is None:
        assert Version(high) < Version(low)
    elif Version(low) <= version <= Version(high):
        assert version in span
    elif version < Version(low):
        assert version not in span
    elif version in span:  # past the end, but within its series, or a pre-release of the next
        assert version in VersionRange(high, high)


@given(lists, lists, texts.map(Version))
def test_intersection(one, other, version):
    both = one.intersection(other)
    assert (version in both) == (version in one and version in other)
    assert both == other.intersection(one)
    assert one.intersects(other) == bool(both)


@given(lists, texts.map(Version))
def test_lists_are_printed_as_they_are_read(versions, version):
    again = VersionList.parse(str(versions))
    assert again == versions
    assert (version in again) == (version in versions)
    assert hash(again) == hash(versions)


@given(arbitrary)
def test_any_text_is_a_version_to_a_database(text):
    assert Version(text) == Version(text)
    assert str(Version(text)) == text


def test_ranges_are_merged_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    union = VersionRange.union

    def counted(self: VersionRange, other: VersionRange) -> VersionRange | None:
        calls.append(self)
        return union(self, other)

    monkeypatch.setattr(VersionRange, "union", counted)
    apart = VersionList.parse(",".join(f"{i}.1:{i}.5,={i}.3,={i}.7" for i in range(2000)))
    assert len(calls) < 2000
    assert len(apart.items) == 4000
    assert str(VersionList.parse(",".join(f"{i}:{i + 1}" for i in range(2000)))) == "0:2000"
