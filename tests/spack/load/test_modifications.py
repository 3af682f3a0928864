"""Operations on variables: their meaning, and their JSON round trip."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from spack_kernel.spack.load.apply import apply_modifications, is_system_directory
from spack_kernel.spack.load.modifications import OPERATIONS, InvalidModification, Modification


def apply(value: str | None, *modifications: tuple[Any, ...]) -> str | None:
    """Apply (operation, value, separator) to a variable that had `value`."""
    made = [
        Modification(operation, "X", *rest)  # type: ignore[arg-type]
        for operation, *rest in modifications
    ]
    return apply_modifications(made, {} if value is None else {"X": value}).get("X")


@pytest.mark.parametrize(
    ("before", "modifications", "after"),
    [
        ("/old", [("set", "new:/x/")], "new:/x/"),
        ("/old", [("unset",)], None),
        (None, [("unset",)], None),
        (None, [("prepend", "/a/")], "/a"),
        ("", [("prepend", "/a/./b")], "/a/b"),
        ("/old//kept:", [("prepend", "/a"), ("prepend", "/b")], "/b:/a:/old//kept:"),
        ("/a", [("prepend", "/a")], "/a:/a"),
        (None, [("append", "/a/")], "/a"),
        ("/old", [("append", "/a/"), ("prepend", "/b")], "/b:/old:/a"),
        ("/old", [("prepend", "?.so", ";"), ("prepend", "/b", ";")], "/b;?.so;/old"),
        ("/old", [("prepend", "/a"), ("prepend", "/b", ";")], "/b;/a:/old"),
        ("/a:/b/:/a/", [("remove", "/a")], "/b"),
        ("/a:/b:/a", [("remove-first", "/a/")], "/b:/a"),
        ("/a:/b:/a", [("remove-last", "/a")], "/a:/b"),
        ("/b", [("remove-last", "/a"), ("remove-first", "/a")], "/b"),
        (None, [("remove", "/a")], ""),
        (None, [("append-flags", "-O2", " ")], "-O2"),
        ("-g", [("append-flags", "-I/x/", " ")], "-g -I/x/"),
        ("-g -O2 -g", [("remove-flags", "-g", " ")], "-O2"),
        ("/usr/bin:/a:/bin:/b", [("system-last",)], "/a:/b:/usr/bin:/bin"),
        ("/a:/b:/a/:/b", [("prune",)], "/a:/b"),
        ("/a", [("prepend", "/b"), ("set", "/c"), ("prepend", "/d")], "/d:/c"),
        ("/a", [("unset",), ("append", "/b")], "/b"),
    ],
)
def test_operations(before: str | None, modifications: list[Any], after: str | None) -> None:
    assert apply(before, *modifications) == after


def test_other_variables_and_the_argument_stay() -> None:
    before = {"A": "1", "PATH": "/bin"}
    after = apply_modifications([Modification("prepend", "PATH", "/x")], before)
    assert after == {"A": "1", "PATH": "/x:/bin"}
    assert before == {"A": "1", "PATH": "/bin"}


def test_a_manpath_that_was_extended_lets_man_find_the_systems_pages() -> None:
    prepend = Modification("prepend", "MANPATH", "/x/man")
    assert apply_modifications([prepend], {})["MANPATH"] == "/x/man:"
    assert apply_modifications([prepend], {"MANPATH": "/y:"})["MANPATH"] == "/x/man:/y:"
    assert apply_modifications([], {"MANPATH": "/y"})["MANPATH"] == "/y"
    assert "MANPATH" not in apply_modifications([Modification("unset", "MANPATH")], {})
    assert apply_modifications([Modification("set", "MANPATH", "/x")], {})["MANPATH"] == "/x"


@pytest.mark.parametrize("path", ["/", "/usr", "/usr/", "/usr//local/lib64", "/bin", "/usr/bin64"])
def test_system_directories(path: str) -> None:
    assert is_system_directory(path)


@pytest.mark.parametrize("path", ["", "/usr/share/man", "/opt", "/usr/lib/x86_64-linux-gnu", "usr"])
def test_other_directories(path: str) -> None:
    assert not is_system_directory(path)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
modifications = st.builds(
    Modification,
    operation=st.sampled_from(OPERATIONS),
    variable=texts.filter(lambda text: text and "=" not in text),
    value=texts,
    separator=texts.filter(bool),
    spec=st.none() | texts,
    reason=texts,
    added_by_us=st.booleans(),
)


@given(modifications)
def test_json_round_trip(modification: Modification) -> None:
    text = json.dumps(modification.as_dict())
    assert Modification.from_dict(json.loads(text)) == modification


def test_json_leaves_defaults_out() -> None:
    assert Modification("prepend", "PATH", "/x").as_dict() == {
        "operation": "prepend",
        "variable": "PATH",
        "value": "/x",
    }


@given(st.lists(modifications, max_size=6), st.dictionaries(texts, texts, max_size=3))
def test_any_modifications_apply(made: list[Modification], environment: dict[str, str]) -> None:
    before = dict(environment)
    after = apply_modifications(made, environment)
    assert environment == before
    touched = {modification.variable for modification in made}
    assert {k: v for k, v in after.items() if k not in touched} == {
        k: v for k, v in before.items() if k not in touched
    }


@pytest.mark.parametrize(
    ("recorded", "field"),
    [
        ({"operation": "eval", "variable": "X"}, "operation"),
        ({"operation": "set", "variable": "A=B"}, "variable"),
        ({"operation": "set", "variable": ""}, "variable"),
        ({"operation": "set", "variable": "X", "value": 3}, "value"),
        ({"operation": "set", "variable": "X", "value": "a\0b"}, "value"),
        ({"operation": "prepend", "variable": "X", "separator": ""}, "separator"),
        ({"operation": ["set"], "variable": "X"}, "operation"),
    ],
)
def test_a_wrong_record_is_refused(recorded: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidModification, match="not a valid environment modification") as caught:
        Modification.from_dict(recorded)
    assert caught.value.details[0].endswith(f"at `$.{field}`")
    assert "prepend" in caught.value.hint


def test_a_record_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidModification, match="not a valid environment modification") as caught:
        Modification.from_dict({"op": "set", "name": "X"})
    assert "unknown field `op`" in caught.value.details[0]
