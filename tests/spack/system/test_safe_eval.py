"""The evaluator agrees with Python where it answers, and ends in a ValueError where it does not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from spack_kernel.spack.system.safe_eval import MAX_LENGTH, evaluate

NAMES = {"os": "linux", "env": {"A": "1"}, "many": ["a", "b"], "sys.platform": "linux"}

ATOMS = st.sampled_from(
    [
        "os",
        "env",
        "many",
        "'a'",
        "''",
        "1",
        "None",
        "True",
        "env['A']",
        "env['Z']",
        "x",
        "{'k': os}",
    ]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "==", "!=", "in", "and", "or", "is"]),
            inner,
        ),
        st.builds("(not {})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds(
            "({}).{}".format, inner, st.sampled_from(["get('A')", "items()", "startswith(os)"])
        ),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("len({})".format, inner),
    ),
    max_leaves=8,
)


def plain(value: Any) -> Any:
    """Return a value as the evaluator has it: every sequence is a list."""
    if isinstance(value, (list, tuple, type({}.items()))):
        return [plain(each) for each in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


@given(EXPRESSIONS)
def test_an_answer_is_that_of_python(text: str) -> None:
    try:
        answer = evaluate(text, NAMES)
    except ValueError:
        return
    try:
        expected = eval(text, {"__builtins__": {}}, NAMES)
    except TypeError:  # two kinds of sequences, of which ours has one
        return
    assert answer == plain(expected)


@given(st.text(max_size=40) | st.text("os.()[]'\"+ f{}!:=,", max_size=30))
def test_any_text(text: str) -> None:
    with contextlib.suppress(ValueError):
        evaluate(text, NAMES)


def test_doubling_does_not_fill_the_memory() -> None:
    value: Any = "x" * 1000
    while 2 * len(value) <= MAX_LENGTH:
        value = evaluate("a + a", {"a": value})
    with pytest.raises(ValueError, match="too long"):
        evaluate("a + a", {"a": value})


def test_functions_are_those_of_the_caller() -> None:
    assert evaluate("re.upper(os)", NAMES, {"re.upper": str.upper}) == "LINUX"
    with pytest.raises(ValueError, match=r"the call of os\.upper cannot be evaluated"):
        evaluate("os.upper()", NAMES)
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        evaluate("f()", {}, {"f": lambda: 1 / 0})
