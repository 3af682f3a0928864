"""What the picker finds in a store, for each kind of text that people type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spack_kernel.kernels.picker import Picker, Results
from spack_kernel.spack import Store
from tests.small_store import SmallStore


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """Return a store with several builds, and packages that people call by other names."""
    store = SmallStore(tmp_path / "sw")
    python = store.add("python", "3.11.9")
    kernel = store.add("py-ipykernel", "7.2.0", python)
    for version, mpi in (("1.24.4", False), ("1.26.4", False), ("1.26.4", True)):
        store.add("py-numpy", version, python, kernel, variants={"mpi": mpi}, salt=str(mpi))
    store.add("py-numpydoc", "1.5", python)
    pillow = store.add("py-pillow", "10.2.0", python)
    store.package(pillow, "PIL/")
    attrs = store.add("py-attrs", "23.1", python)
    store.package(attrs, "attr/")
    store.add("hdf5", "1.14.3", variants={"mpi": True})
    for key in (python, kernel):
        store.records[key]["explicit"] = False
    return store


@pytest.fixture
def picker(small: SmallStore) -> Picker:
    return Picker(small.open())


def found(results: Results) -> dict[str, list[str]]:
    return {group.package: [row.version for row in group.rows] for group in results.groups}


def test_without_a_text_the_explicitly_installed_specs_are_found(picker: Picker) -> None:
    results = picker.search("")
    assert list(found(results)) == ["py-attrs", "py-numpy", "py-numpydoc", "py-pillow", "hdf5"]
    assert (results.total, results.installed) == (7, 9)


def test_a_query_finds_what_spack_find_finds(picker: Picker) -> None:
    results = picker.search("py-numpy@1.26")
    assert found(results) == {"py-numpy": ["1.26.4", "1.26.4"]}
    assert {group.found_by for group in results.groups} == {"query"}
    store = picker.store
    hashes = {row.hash for group in results.groups for row in group.rows}
    assert hashes == {spec.hash for spec in store.find("py-numpy@1.26")}


def test_the_newest_build_comes_first_and_each_row_says_how_it_differs(picker: Picker) -> None:
    (group,) = picker.search("py-numpy +mpi").groups
    assert [row.version for row in group.rows] == ["1.26.4"]
    numpy = picker.search("py-numpy").groups[0]
    assert [row.version for row in numpy.rows] == ["1.26.4", "1.26.4", "1.24.4"]
    assert sorted(row.difference for row in numpy.rows) == ["", "+mpi", "~mpi"]


def test_a_name_also_finds_packages_that_contain_it(picker: Picker) -> None:
    results = picker.search("py-numpy")
    assert list(found(results)) == ["py-numpy", "py-numpydoc"]
    assert [group.found_by for group in results.groups] == ["query", "name"]


@pytest.mark.parametrize("text", ["numpy", "NumPy", "nump", " numpy ", "py_numpy"])
def test_plain_words_find_packages_by_name(picker: Picker, text: str) -> None:
    results = picker.search(text)
    assert next(iter(found(results))) == "py-numpy"
    assert results.error is None


@pytest.mark.parametrize(("text", "package"), [("PIL", "py-pillow"), ("PIL.Image", "py-pillow")])
def test_import_names_find_their_package(picker: Picker, text: str, package: str) -> None:
    assert list(found(picker.search(text))) == [package]


def test_a_module_is_looked_for_in_the_prefixes(small: SmallStore) -> None:
    odd = small.add("py-odd-name", "1.0")
    small.package(odd, "entirely_different")
    results = Picker(small.open()).search("entirely_different")
    assert [(group.package, group.found_by) for group in results.groups] == [
        ("py-odd-name", "module")
    ]


def test_what_was_meant_is_shown_instead(picker: Picker) -> None:
    results = picker.search("numpy==1.24.4")
    assert results.meant == "py-numpy@1.24.4"
    assert found(results) == {"py-numpy": ["1.24.4"]}


@pytest.mark.parametrize(
    ("text", "position"), [("py-numpy@", 8), ("py-numpy +", 9), ("py-numpy@1.26 @@", 14)]
)
def test_a_query_that_does_not_parse_is_marked(picker: Picker, text: str, position: int) -> None:
    error = picker.search(text).error
    assert error is not None
    assert (error["code"], error["position"]) == ("query-syntax", position)


@pytest.mark.parametrize("text", ["py-numpy@", "py-numpy +", "py-numpy mpi="])
def test_what_is_typed_so_far_is_searched(picker: Picker, text: str) -> None:
    assert found(picker.search(text))["py-numpy"] == ["1.26.4", "1.26.4", "1.24.4"]


def test_nothing_found_says_why_and_what_to_type(picker: Picker) -> None:
    results = picker.search("py-numpy@9")
    assert (results.total, results.groups) == (0, [])
    assert results.error is not None
    assert results.error["code"] == "no-match"
    assert results.error["details"]


@pytest.mark.parametrize("text", ["py-numpy ^pyt", "py-numpy +m", "py-numpy@1.26.4 +mpi ^z"])
def test_between_two_key_presses_the_beginning_of_the_text_is_searched(
    picker: Picker, text: str
) -> None:
    results = picker.search(text, explain=False)
    assert not results.explained
    assert next(iter(found(results))) == "py-numpy"
    assert results.error is None
    later = picker.search(text)
    assert later.explained
    assert later.error is not None


def test_pages_have_each_spec_once(small: SmallStore) -> None:
    for number in range(120):
        small.add("zlib", f"1.{number}")
    picker = Picker(small.open())
    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        results = picker.search("", cursor=cursor, limit=50)
        seen += [row.hash for group in results.groups for row in group.rows]
        cursor, pages = results.cursor, pages + 1
        assert results.total == 127
    assert (pages, len(seen), len(set(seen))) == (3, 127, 127)


@pytest.mark.parametrize("cursor", ["x", "-1", "99999999999999", "1e3", "²"])
def test_a_cursor_from_elsewhere_does_no_harm(picker: Picker, cursor: str) -> None:
    assert picker.search("", cursor=cursor, limit=10**9).total == 7


def test_a_spec_that_cannot_be_a_kernel_says_why(picker: Picker) -> None:
    ((row,),) = [group.rows for group in picker.search("hdf5").groups]
    assert row.why_not == "no python in its closure"
    assert row.ipykernel == ""
    numpy = picker.search("py-numpy").groups[0].rows[0]
    assert (numpy.why_not, numpy.ipykernel, numpy.python) == ("", "closure", "3.11.9")


def test_favourites_come_first_and_only_once(picker: Picker) -> None:
    results = picker.search("", favourites=["hdf5", "py-nothing", "@@"])
    first = results.groups[0]
    assert (first.package, first.found_by) == ("hdf5", "favourite")
    assert results.total == 7
    assert ["@@" in note for note in results.notes] == [True]
    assert picker.search("hdf5", favourites=["py-numpy"]).total == 1


def test_the_picker_of_a_changed_store_is_another_one(small: SmallStore) -> None:
    before = Picker(small.open())
    small.add("py-new", "1.0")
    assert "py-new" not in found(before.search("new"))
    assert "py-new" in found(Picker(small.open()).search("new"))


def test_names_of_packages_are_only_data(small: SmallStore) -> None:
    small.add("<img src=x onerror=alert(1)>", "1.0")
    store: Store = small.open()
    names: list[Any] = [group.package for group in Picker(store).search("").groups]
    assert "<img src=x onerror=alert(1)>" in names
