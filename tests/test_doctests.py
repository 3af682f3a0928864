"""The examples in docstrings and in docs/library.md give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys
from pathlib import Path

import spack_kernel
from tests.places import DOCS
from tests.small_store import SmallStore, python_prefix

LIBRARY = DOCS / "library.md"


def test_examples_in_docstrings() -> None:
    examples = 0
    failed = []
    for module in pkgutil.walk_packages(spack_kernel.__path__, "spack_kernel."):
        if module.name.endswith("__main__"):
            continue
        result = doctest.testmod(importlib.import_module(module.name), report=True)
        examples += result.attempted
        failed += [module.name] if result.failed else []
    assert failed == []
    assert examples >= 10


def test_examples_of_the_library_page(tmp_path: Path) -> None:
    store = SmallStore(tmp_path)
    prefix = python_prefix(tmp_path / "python", sys.executable)
    python = store.add("python", "3.11.9", prefix=prefix)
    for version in ("2.1.3", "2.2.6"):
        store.package(store.add("py-numpy", version, python), "numpy/")
    store.write()
    # The end of a fenced block would be part of the expected output of the last example.
    text = "\n".join(
        line for line in LIBRARY.read_text(encoding="utf-8").splitlines() if "```" not in line
    )
    test = doctest.DocTestParser().get_doctest(
        text, {"tree": tmp_path}, "library.md", str(LIBRARY), 0
    )
    result = doctest.DocTestRunner().run(test)
    assert result.failed == 0
    assert result.attempted >= 10
