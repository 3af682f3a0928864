"""One table of options: every way of writing a request means the same."""

from __future__ import annotations

import argparse
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from spack_kernel.cli.options import add_request_options
from spack_kernel.cli.sources import request_of
from spack_kernel.jupyter.provisioner import KernelTraits
from spack_kernel.kernels.errors import RequestError
from spack_kernel.kernels.option import GROUPS
from spack_kernel.kernels.request import KernelRequest, fields
from spack_kernel.spack.environments import FrozenEnvironment, LockedRoot, View
from spack_kernel.spack.load import Modification, RecipeVariables

pytestmark = pytest.mark.unit

WORDS = st.text("abc/=~ é", min_size=1, max_size=6).map(lambda text: f"x{text}")
NAMES = st.text("AB_", min_size=1, max_size=4)
RECIPES = st.builds(
    RecipeVariables,
    spack_version=WORDS,
    specs=st.tuples(WORDS),
    replaces=st.tuples(NAMES),
    modifications=st.tuples(st.builds(Modification, st.just("set"), NAMES, WORDS)),
)
FROZEN = st.builds(
    FrozenEnvironment,
    name=WORDS,
    path=WORDS,
    roots=st.tuples(st.builds(LockedRoot, query=WORDS, hash=WORDS, label=WORDS)),
    view=st.none() | st.builds(View, name=WORDS, root=WORDS, select=st.tuples(WORDS)),
    prefix_inspections=st.none() | st.dictionaries(WORDS, st.tuples(NAMES), max_size=2),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "stores": st.lists(WORDS.map(lambda word: f"/{word}"), max_size=2, unique=True).map(tuple),
    "frozen": st.none() | FROZEN,
    "recipes": st.none() | RECIPES,
    "prefix_inspections": st.none() | st.dictionaries(WORDS, st.tuples(NAMES), max_size=2),
    "env": st.dictionaries(NAMES, WORDS, max_size=2),
    "start_timeout": st.sampled_from([0.0, 0.5, 30.0]),  # 0 is for no limit
    "image_directory": st.just("") | WORDS.map(lambda word: f"/{word}"),
    "user_site": st.sampled_from([None, True, False]),
}
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    str: st.just("") | WORDS,
    float: st.sampled_from([0.5, 30.0]),
    tuple[str, ...]: st.lists(WORDS, max_size=2).map(tuple),
}
REQUESTS = st.builds(
    KernelRequest,
    **{f.name: VALUES[f.name] if f.name in VALUES else BY_TYPE[f.type] for f in fields()},
)


def test_every_field_but_the_derived_one_is_an_option() -> None:
    declared = {info.name for info in msgspec.structs.fields(KernelRequest)}
    assert declared - {field.name for field in fields()} == {"kernel"}
    for field in fields():
        assert field.option.help.endswith("."), field.name
        assert bool(field.option.flag) == bool(field.option.usage or field.name == "stores")
        assert field.option.group in {"", *(name for names in GROUPS.values() for name in names)}


def test_each_option_is_a_trait_with_its_default_and_its_help() -> None:
    traits = KernelTraits.class_traits(config=True)
    assert {field.key for field in fields()} <= set(traits)
    for field in fields():
        assert traits[field.key].help == field.option.help
    assert KernelRequest.from_config({}) == KernelRequest()


@given(REQUESTS)
def test_a_kernel_json_says_the_same(request: KernelRequest) -> None:
    config = json.loads(json.dumps(request.to_config()))
    assert KernelRequest.from_config(config) == request
    assert KernelRequest.from_config(config).to_config() == config


@given(REQUESTS)
@pytest.mark.parametrize("command", GROUPS)
def test_the_options_of_a_command_say_the_same(command: str, request: KernelRequest) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--store", action="append", default=[])
    add_request_options(parser, command)
    args = parser.parse_args(request.to_words(command))
    args.query, args.parser = [], parser
    taken = [f.name for f in fields() if f.option.flag and f.option.group in ("", *GROUPS[command])]
    expected = {name: getattr(request, name) for name in taken}
    assert request_of(args) == KernelRequest(**expected)


@given(REQUESTS, REQUESTS)
def test_a_key_is_that_of_equal_requests_only(one: KernelRequest, other: KernelRequest) -> None:
    assert (one.key() == other.key()) == (one == other)
    assert one.key() == msgspec.structs.replace(one).key()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"no_such": 1}, "no_such"),
        ({"specs": "text"}, "specs"),
        ({"env": {"A": 1}}, "env"),
        ({"recipes": {"spack_version": 1}}, "spack_version"),
        ({"start_timeout": "soon"}, "start_timeout"),
        ({"start_timeout": float("nan")}, "start_timeout"),
        ({"plan_timeout": 0}, "plan_timeout"),
        ({"probe_timeout": float("inf")}, "probe_timeout"),
    ],
)
def test_a_wrong_value_is_named(config: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        KernelRequest.from_config(config)
