"""Random input: the parser accepts or rejects it in bounded time, and never crashes.

``SPACK_KERNEL_FUZZ=1000000`` sets the number of inputs.
"""

from __future__ import annotations

import os
import random

import pytest

from spack_kernel.spack.errors import QuerySyntaxError, SpackKernelError
from spack_kernel.spack.query import parser
from spack_kernel.spack.query.dialects import SPACK_0_16, SPACK_0_19, SPACK_0_21, SPACK_1
from spack_kernel.spack.query.parser import parse_queries, parse_query
from tests.spack.golden_queries import STORES, read_queries

DIALECTS = (SPACK_0_16, SPACK_0_19, SPACK_0_21, SPACK_1)
INPUTS = int(os.environ.get("SPACK_KERNEL_FUZZ", "20000"))

#: Characters and tokens that a mutation inserts: all meaningful ones, and some meaningless ones.
PIECES = [
    *"@:=,+~-^%[]/ .*'\"\\\n\t!#é\u2028\x00",
    *("==", ":=", "^[", "%[", "virtuals=", "deptypes=", "when=", "git.", "namespace=", "arch="),
    *("target=", "os=", "cflags=", "patches=", "%%", "++", "~~", "--", "@=", "builtin.", "zlib"),
    *("x86_64_v3", "None", "fe", "True", "/abc", ".json", "a" * 40, "9" * 30, "1.2:1.4"),
]


def mutated(text: str, chosen: random.Random) -> str:
    for _ in range(chosen.randint(0, 4)):
        start = chosen.randint(0, len(text))
        end = min(len(text), start + chosen.choice([0, 0, 1, 1, 5, 30]))
        move = chosen.random()
        if move < 0.5:
            text = text[:start] + chosen.choice(PIECES) + text[end:]
        elif move < 0.8:
            text = text[:start] + text[end:]
        else:
            text = text[:start] + text[end:] + text[start:end]
    return text


def soup(chosen: random.Random) -> str:
    return "".join(chosen.choice(PIECES) for _ in range(chosen.randint(0, 12)))


def test_anything_parses_or_is_refused(golden_store):
    chosen = random.Random("what could go wrong")
    seeds = [
        golden.query
        for version in STORES
        for golden in read_queries(version, golden_store(version))
    ]
    parsed = refused = 0
    for number in range(INPUTS):
        text = soup(chosen) if number % 5 == 0 else mutated(chosen.choice(seeds), chosen)
        dialect = chosen.choice(DIALECTS)
        try:
            queries = parse_queries(text, dialect)
        except QuerySyntaxError as error:
            refused += 1
            assert 0 <= error.position <= len(text), text  # noqa: PT017
            assert len(error.details) == 2, text  # noqa: PT017
            continue
        parsed += 1
        for query in queries:
            again = str(query)
            assert parse_query(again, dialect) == query, (text, again)
    assert parsed > INPUTS / 10
    assert refused > INPUTS / 10
    parser._parsed.cache_clear()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("@=git.main/abc", "@git.main /abc"),
        ("a=b\\", "a=b\\"),
        ("a=%\\ b='x y'", 'a=%\\ b="x y"'),
        ("cflags=-a cflags=b\\ +c", "+c cflags=-a cflags=b\\"),
        ("a=x,b\\,a%", 'a="a%,b\\,x"'),
        ("zlib os=None platform=None", "zlib target=None platform=None"),
        ("target=x86_64 platform=None", "target=x86_64 platform=None"),
        ("^*a=b ^* c=d", "^* a=b ^* c=d"),
        ("%gcc%c=gcc", "%c=gcc"),
        ("a.b-c", "a.b-c"),
        ("namespace=a b", "namespace=a b"),
        ("zlib namespace='a b'", 'zlib namespace="a b"'),
        ("+a.b-c~d", "+a.b-c~d"),
    ],
)
def test_spellings_that_were_found_to_be_hard(text, canonical):
    queries = parse_queries(text)
    assert " ".join(map(str, queries)) == canonical
    assert parse_queries(canonical) == queries


@pytest.mark.parametrize("version", ["0.17", "0.23", "1.3"])
def test_anything_that_parses_is_answered(version, golden_store):
    store = golden_store(version)
    chosen = random.Random(version)
    seeds = [golden.query for golden in read_queries(version, store)]
    for _ in range(min(400, INPUTS)):
        text = mutated(chosen.choice(seeds), chosen)
        try:
            found = store.find(text)
        except QuerySyntaxError:
            continue
        try:
            taken = store.get_each(text)
        except SpackKernelError as error:
            assert error.summary  # noqa: PT017
        else:
            assert {spec.hash for spec in taken} <= {spec.hash for spec in found}


LONG = 40_000
HOSTILE = {
    "brackets": "[" * LONG,
    "closing brackets": "]" * LONG,
    "carets": "^" * LONG,
    "percents": "%" * LONG,
    "opened edges": "^[" * (LONG // 2),
    "versions": "@" + "1," * (LONG // 2),
    "colons": "@" + ":," * (LONG // 2),
    "ranges": "@" + ",".join(f"{n}:{n}" for n in range(4000)),
    "namespaces": "a." * (LONG // 2),
    "qualified": ".".join("a" * (LONG // 2)),
    "slashes": "a/" * (LONG // 2),
    "paths": "a/" * (LONG // 2) + ".jso",
    "an open quote": 'a="' + "b" * LONG,
    "escaped quotes": "a='" + "\\'" * (LONG // 2),
    "quotes": "a=" + "''" * (LONG // 2),
    "blanks": "a" + " " * LONG + "b",
    "blanks behind a sign": "+" + " " * LONG,
    "blanks behind a version": "@1" + " " * LONG,
    "virtuals": "^" + "a," * (LONG // 2),
    "names": "a " * (LONG // 2),
    "equal signs": "a" + "=" * LONG,
    "signs": "+-~" * (LONG // 3),
    "digits": "@" + "9" * LONG,
    "hex": "@" + "a" * LONG,
    "dependencies": " ".join(f"^a{n}" for n in range(5000)),
    "one dependency": "^a+b" + "".join(f"^a+b{n}" for n in range(1000)),
    "variants": "".join(f"+a{n}" for n in range(6000)),
    "too long": "a" * 60_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_takes_bounded_time(text, dialect):
    try:
        queries = parse_queries(text, dialect)
    except QuerySyntaxError as error:
        assert max(map(len, error.details)) < 250  # noqa: PT017
    else:
        assert all(str(query) for query in queries)
    parser._parsed.cache_clear()
