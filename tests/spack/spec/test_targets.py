"""Targets and their ranges; every expected result is that of Spack 1.3."""

from __future__ import annotations

import pytest

from spack_kernel.spack.spec.targets import common_targets, in_targets, is_known, unknown_ends

IN = [
    ("zen3", "zen3", True),
    ("zen3", "zen", False),
    ("zen3", "zen:", True),
    ("zen", "zen3:", False),
    ("zen3", ":zen3", True),
    ("zen3", "x86_64_v3:", True),
    ("zen3", "x86_64_v4:", False),
    ("zen3", "haswell:", False),
    ("zen3", "x86_64:zen4", True),
    ("zen3", "power9le:,:zen2,x86_64_v2:", True),
    ("zen3", ":", True),
    ("x86_64_v3", ":x86_64_v3", True),
    ("x86_64_v4", ":x86_64_v3", False),
    ("power9le", "ppc64le:", True),
    ("m1", "aarch64:", True),
    ("m1", "x86_64:", False),
    ("made_up", "made_up", True),
    ("made_up", "x86_64:", False),
    ("made_up", ":", True),
    ("zen3", "made_up:", False),
    ("zen3", ":made_up", False),
]

COMMON = [
    ("zen3", "zen:", "zen3"),
    ("zen:", "zen3", "zen3"),
    ("zen:", ":zen3", "zen:zen3"),
    ("zen:", "zen3:", "zen3:"),
    (":zen3", ":zen", ":zen"),
    ("zen:zen4", "zen2:zen3", "zen2:zen3"),
    ("zen2:zen3", "zen:zen4", "zen2:zen3"),
    ("zen3:", ":zen3", "zen3"),
    ("zen4:", ":zen3", ""),
    ("zen:", "haswell:", ""),
    ("zen:", "power9le:", ""),
    (":zen", ":haswell", ""),
    ("zen,zen2", "zen2,zen3", "zen2"),
    (":", "zen:", "zen:"),
    ("zen", "haswell", ""),
]


@pytest.mark.parametrize(("target", "wanted", "contained"), IN)
def test_in_targets(target, wanted, contained):
    assert in_targets(target, wanted) is contained


@pytest.mark.parametrize(("one", "other", "common"), COMMON)
def test_common_targets(one, other, common):
    assert common_targets(one, other) == common


def test_names_that_are_no_targets():
    assert is_known("zen3")
    assert not is_known("zen99")
    assert unknown_ends("zen:zen99,made_up,:old") == ["zen99", "old"]
