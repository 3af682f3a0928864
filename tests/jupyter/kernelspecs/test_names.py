from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from jupyter_client.kernelspec import _is_valid_kernel_name

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import default_name, kernel_name
from spack_kernel.jupyter.kernelspecs.names import (
    FIELDS,
    NAME_TEMPLATE,
    check_template,
    filled,
    matches_package,
    parse_name,
)
from tests.records import dag_hash

pytestmark = pytest.mark.unit

HASHES = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32)
PACKAGES = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,20}", fullmatch=True)
VERSIONS = st.from_regex(r"[A-Za-z0-9_.=-]{1,12}", fullmatch=True)


class Pin:
    def __init__(self, name: str, version: str, dag_hash: str) -> None:
        self.name, self.version, self.hash = name, version, dag_hash


@given(PACKAGES, VERSIONS, HASHES)
def test_a_default_name_is_valid_and_says_its_package_and_hash(
    package: str, version: str, key: str
) -> None:
    name = default_name([Pin(package, version, key)])
    assert _is_valid_kernel_name(name)
    parsed = parse_name(name)
    assert parsed is not None
    assert parsed.hash == key[:7]
    assert matches_package(parsed, package)


@given(st.text(max_size=40))
def test_any_text_becomes_a_name_and_any_name_can_be_asked_for(text: str) -> None:
    name = kernel_name(f"spack-{text}")
    assert _is_valid_kernel_name(name)
    parse_name(text)
    parse_name(text, "x-{name}-{hash}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spack-py-numpy-abc2345", ("py-numpy", "abc2345", "")),
        ("Spack-Py-Numpy-2.2.6-ABC2345", ("py-numpy-2.2.6", "abc2345", "")),
        ("spack-r-irkernel-1.3.2-abc2345.ir", ("r-irkernel-1.3.2", "abc2345", "ir")),
        (f"spack-zlib-{dag_hash('zlib')}", ("zlib", dag_hash("zlib"), "")),
        ("spack-py-numpy", None),
        ("spack-notebook", None),
        ("spack-py-numpy-abc234", None),
        ("spack-py-numpy-abc1890", None),
        ("python3", None),
    ],
)
def test_what_a_name_says(name: str, expected: tuple[str, ...] | None) -> None:
    assert parse_name(name) == expected


def test_a_template_of_the_site_is_understood_beside_the_default() -> None:
    template = "Site {name}/{hash}"
    assert parse_name("site-py-numpy-abc2345", template) == ("py-numpy", "abc2345", "")
    assert parse_name("spack-py-numpy-abc2345", template) == ("py-numpy", "abc2345", "")
    assert parse_name("site-py-numpy-1.0", "site-{name}-{version}") is None
    key = dag_hash("x")
    assert parse_name(f"k{key}", "k{dag_hash}") == ("", key, "")


def test_a_name_means_only_its_own_package() -> None:
    parsed = parse_name("spack-py-numpy-2.2.6-abc2345")
    assert parsed is not None
    assert matches_package(parsed, "py-numpy")
    assert not matches_package(parsed, "py-numpydoc")
    assert not matches_package(parsed, "zlib")


@pytest.mark.parametrize(
    ("template", "summary", "hint"),
    [
        ("{nam}", "it contains `{nam}`", "name, version, hash"),
        ("{name.x}", "it contains `{name.x}`", "name, version"),
        ("{name:>9}", "it contains `{name:>9}`", "name, version"),
        ("{0}", "it contains `{0}`", "name, version"),
        ("{name", "expected '}' before end of string", "Double a brace"),
    ],
)
def test_what_is_no_template(template: str, summary: str, hint: str) -> None:
    with pytest.raises(KernelSpecError) as told:
        check_template(template)
    assert summary in told.value.summary
    assert hint in told.value.hint


def test_an_empty_field_leaves_no_gap() -> None:
    values = dict.fromkeys(FIELDS, "")
    assert filled("a {python} b", values) == "a b"
    assert check_template(NAME_TEMPLATE) == NAME_TEMPLATE
