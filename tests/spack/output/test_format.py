"""Format strings compared with the output of Spack 1.3, and errors in invalid ones."""

from __future__ import annotations

import contextlib
import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from spack_kernel.spack import NoMatch, Store
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.output.format import FormatSyntaxError, SpecFormat
from spack_kernel.spack.output.values import format_flags, format_variants
from tests.records import make_store, node
from tests.spack.trees import DATA, unpack

#: Template → DAG hash → text, or null if Spack raised an error.
ANSWERS = json.loads(lzma.decompress((DATA / "1.3" / "formats.json.xz").read_bytes()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(unpack("1.3", tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize("template", ANSWERS)
def test_what_is_printed_is_what_spack_prints(template: str, store: Store) -> None:
    expected = ANSWERS[template]
    assert len(expected) > 100
    ours: dict[str, str | None] = {}
    for readable_hash in expected:
        spec = store.by_hash(readable_hash)
        assert spec is not None
        try:
            ours[readable_hash] = SpecFormat(template).format(spec, store)
        except NoMatch:
            ours[readable_hash] = None
    assert ours == expected


@pytest.mark.parametrize(
    ("template", "reason", "pointer"),
    [
        ("{name", "this brace is never closed", "^"),
        ("{name}}", "this brace closes nothing", "      ^"),
        ("a {} b", "a field needs a name", "  ^^"),
        ("{name.}", "a field needs a name", "^^^^^^^"),
        ("{nope}", "unknown field 'nope'", "^^^^^^"),
        ("{@name}", "@ can only precede a version", "^^^^^^^"),
        ("{%version}", "% can only precede a compiler", "^^^^^^^^^^"),
        ("{/name}", "/ can only precede a hash", "^^^^^^^"),
        ("{@hash}", "@ cannot precede a hash", "^^^^^^^"),
        ("{hash:x}", "unknown field 'hash:x'", "^^^^^^^^"),
        ("{variants.mpi.nope}", "a variant has no 'nope'", "^" * 19),
    ],
)
def test_a_wrong_template_points_at_the_place(template: str, reason: str, pointer: str) -> None:
    with pytest.raises(FormatSyntaxError) as caught:
        SpecFormat(template)
    assert caught.value.summary == reason
    assert caught.value.details == (f"  {template}", f"  {pointer}")


def test_a_misspelt_field_is_suggested() -> None:
    with pytest.raises(FormatSyntaxError) as caught:
        SpecFormat("{versoin}")
    assert caught.value.hint.startswith("Did you mean {version}")


def test_what_a_spec_lacks_is_named(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("zlib", parameters={"shared": True}))
    (spec,) = store
    with pytest.raises(NoMatch, match=r"has no variant 'mpi'\nIt has: shared"):
        SpecFormat("{variants.mpi}").format(spec, store)
    with pytest.raises(NoMatch, match=r"zlib@1\.0/zlibaaa has no dependency 'python'"):
        SpecFormat("{^python.version}").format(spec, store)


def test_variants_keep_their_case(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("petsc", parameters={"X": False, "build_system": "generic"}))
    (spec,) = store
    assert SpecFormat("{variants.X}").format(spec, store) == "~X"
    assert SpecFormat("{Variants.X.Value}".replace("Value", "value")).format(spec, store) == "False"


def test_compilers_of_the_node(tmp_path: Path) -> None:
    compiler = {"name": "gcc", "version": "12.2.0"}
    store = make_store(tmp_path, node("zlib", compiler=compiler), version="7")
    (spec,) = store
    template = "{name}{%compiler}|{%compiler.name}{@compiler.version}|{compilers}"
    assert SpecFormat(template).format(spec, store) == "zlib%gcc@12.2.0|%gcc@12.2.0| %gcc@12.2.0"


def test_flags_and_values_are_quoted_where_a_query_needs_it() -> None:
    assert (
        format_flags({"cflags": ("-O2", "-g"), "ldflags": ("-s",)})
        == " cflags='-O2 -g' ldflags=-s "
    )
    assert format_flags({}) == ""
    variants = {"lang": ("c", "c++"), "who": "it's", "b": True, "a": False, "one": "1.2"}
    assert format_variants(variants) == "~a+b lang:='c,c++' one=1.2 who=\"it's\""


def test_fields_are_painted_by_kind(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("zlib"))
    (spec,) = store
    painted = SpecFormat("{name}{@version} {variants}{ target=target}{/hash:4}").format(
        spec, store, lambda kind, text: f"<{kind}:{text}>"
    )
    assert painted == (
        "<:zlib><version:@1.0> <variants: build_system=generic>"
        "<architecture: target=x86_64><hash:/zlib>"
    )


@given(st.text(alphabet="{}\\@%/^.: =nameversionhashvariants7", max_size=30) | st.text())
def test_any_text_is_a_template_or_an_error_of_ours(store: Store, text: str) -> None:
    spec = next(iter(store))
    with contextlib.suppress(SpackKernelError):
        assert isinstance(SpecFormat(text).format(spec, store), str)


@pytest.mark.parametrize(
    ("version", "up_to_2", "numbers"),
    [
        ("3.12rc1", "3.12", "3.12.0.1"),
        ("2021.06", "2021.6", "2021.6"),
        ("1-2_3b", "1-2", "1.2.3.0"),
        ("develop", "develop", "0"),
        ("git.main=1.2.3", "1.2", "1.2.3"),
    ],
)
def test_forms_of_a_version(version: str, up_to_2: str, numbers: str, tmp_path: Path) -> None:
    store = make_store(tmp_path, node("zlib", version=version))
    (spec,) = store
    template = SpecFormat("{version.up_to_2} {version.dotted_numeric_string}")
    assert template.format(spec, store) == f"{up_to_2} {numbers}"


def test_a_field_that_spack_prints_as_an_object_is_refused() -> None:
    with pytest.raises(FormatSyntaxError) as caught:
        SpecFormat("{package}")
    assert caught.value.hint == "Spack prints a Python object for it, which is not recorded."
