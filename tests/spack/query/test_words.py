"""The arguments of a command form the query that they form for Spack.

``words.json.xz`` has argument lists, the text that Spack 1.3 joins each of them to, and the number
of specs that it parses; null where it refuses the text.
"""

from __future__ import annotations

import json
import lzma
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.errors import QuerySyntaxError
from spack_kernel.spack.output import format_compilers
from spack_kernel.spack.query import distinctions, join_words, parse_queries
from spack_kernel.spack.store import Store
from tests.places import DATA
from tests.spack.trees import unpack

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


@pytest.mark.parametrize("version", ["0.16", "0.17", "0.20", "0.23", "1.3"])
def test_what_is_printed_can_be_typed_back(version: str, tmp_path: Path) -> None:
    """What `list` prints of a spec selects it: its difference from others, and its compilers."""
    store = Store.open(unpack(version, tmp_path))
    specs = [spec for spec in store if spec.installed]
    different = distinctions(specs, store.by_hash)
    wrong = []
    for spec in specs[:: 3 if version == "1.3" else 6]:
        # In parentheses is what no query can ask for.
        difference = re.sub(
            r"\((external|namespace: \w+|build: .*)\)", "", different.get(spec.hash, "")
        )
        for words in (shlex.split(difference), format_compilers(spec, store).split()):
            text = join_words([spec.name, *words])
            if spec not in store.find(text):
                wrong.append((spec.label, text))
    assert wrong == []
    assert len(different) > 500
