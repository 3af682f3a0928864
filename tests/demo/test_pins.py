"""The pinned packages of the real demo store are complete for every supported Python."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from spack_kernel.demo.pins import BUILD_TOOLS, PYTHONS, PinnedRequirements, spack_name
from tests.places import ROOT

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def selection():
    return PinnedRequirements.default()


def lines(selection):
    texts = (line.partition("#")[0].strip() for line in selection.text.splitlines())
    return [Requirement(text) for text in texts if text]


def test_everything_is_pinned_to_one_version(selection):
    for requirement in [*lines(selection), selection.second_build]:
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="


def test_tools_and_roots_are_among_them(selection):
    names = {spack_name(requirement.name) for requirement in lines(selection)}
    assert set(BUILD_TOOLS) | set(selection.roots) | set(selection.from_source) <= names


def test_the_second_build_is_another_version(selection):
    first = selection.requirements()[spack_name(selection.second_build.name)]
    assert first.specifier != selection.second_build.specifier


def test_pythons_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text()
    minors = [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", text)]
    assert ((3, min(minors)), (3, max(minors))) == PYTHONS


@pytest.mark.parametrize(
    ("name", "spack"),
    [("PyYAML", "py-pyyaml"), ("jupyter_core", "py-jupyter-core"), ("a.b--c", "py-a-b-c")],
)
def test_spack_name(name, spack):
    assert spack_name(name) == spack
