"""The arguments of a command form the query that they form for Spack.

``words.json.xz`` has argument lists, the text that Spack 1.3 joins each of them to, and the number
of specs that it parses; null where it refuses the text.
"""

from __future__ import annotations

import json
import lzma
from typing import Any

import pytest

from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.query import join_words, parse_queries
from tests.places import DATA

pytestmark = pytest.mark.unit

CASES: list[dict[str, Any]] = json.loads(lzma.decompress((DATA / "words.json.xz").read_bytes()))


def test_there_are_enough() -> None:
    assert len(CASES) >= 400


def test_words_are_joined_as_spack_joins_them() -> None:
    wrong = [
        (case["words"], case["text"], found)
        for case in CASES
        if (found := join_words(case["words"])) != case["text"]
    ]
    assert wrong == []


def test_the_text_is_parsed_as_spack_parses_it() -> None:
    wrong = []
    for case in CASES:
        try:
            found: int | None = len(parse_queries(case["text"]))
        except QuerySyntaxError:
            found = None
        if found != case["queries"]:
            wrong.append((case["text"], case["queries"], found))
    assert wrong == []
