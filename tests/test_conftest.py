"""With ``CI`` set, a test that would be skipped because of a missing component fails."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

_TESTS = """
import pytest

@pytest.mark.skip(reason="missing component: lmod")
def test_marked(): ...

def test_called():
    pytest.skip("missing component: chromium")

def test_import():
    pytest.importorskip("no_such_module_anywhere")

def test_by_design():
    pytest.skip("only with SPACK_ROOT")

@pytest.mark.xfail(reason="missing component: not a skip")
def test_expected_failure():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcomes"),
    [
        ("true", {"failed": 2, "errors": 1, "skipped": 1, "xfailed": 1}),
        (None, {"skipped": 4, "xfailed": 1}),
    ],
)
def test_missing_components(pytester, monkeypatch, ci, outcomes):
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    hook = Path(__file__).with_name("conftest.py")
    pytester.makeconftest(hook.read_text(encoding="utf-8"))
    pytester.makepyfile(_TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcomes)
