"""What a Python can import: a program that runs in a kernel's interpreter and prints JSON.

``python -m import_survey specs`` calls `importlib.util.find_spec` for every top-level name on
``sys.path``; ``modules`` imports them all. Standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Modules that are not imported, with the reason.
SKIPPED = {
    "antigravity": "opens a browser",
    "import_survey": "is this program",
}

#: Names that do not exist, and some that are not valid names.
ABSENT = ("nowhere_to_be_found", "numpyy", "site-packages", "lib-dynload", "__pycache__", "ab c")


def names() -> list[str]:
    """Return every top-level name that a directory on ``sys.path`` may have."""
    found = {*ABSENT, *sys.builtin_module_names}
    found.update(module.name for module in pkgutil.iter_modules())
    for directory in sys.path:
        with contextlib.suppress(OSError):
            found.update(entry.partition(".")[0] for entry in os.listdir(directory))  # noqa: PTH208
    for distribution in importlib.metadata.distributions():
        found.update((distribution.read_text("top_level.txt") or "").split())
    return sorted(found - {""})


def described(spec: Any) -> Any:
    """Return the attributes that identify a module spec."""
    if spec is None:
        return None
    locations = spec.submodule_search_locations
    return {
        "name": spec.name,
        "origin": spec.origin,
        "cached": spec.cached,
        "locations": None if locations is None else list(locations),
        "loader": _class(spec.loader),
    }


def specs(asked: list[str]) -> dict[str, Any]:
    """Return the result of `importlib.util.find_spec`, or its error, for each name."""
    return {name: _outcome(_found, name) for name in asked}


def modules(asked: list[str]) -> dict[str, Any]:
    """Import each name and return the result or the error."""
    return {name: _outcome(_imported, name) for name in asked if name not in SKIPPED}


def distributions() -> list[list[Any]]:
    """Return name, version, location and entry points of all distributions, in Python's order."""
    return [
        [
            distribution.metadata["Name"],
            distribution.version,
            str(distribution.locate_file("")),
            [str(point) for point in distribution.entry_points],
        ]
        for distribution in importlib.metadata.distributions()
    ]


def _found(name: str) -> Any:
    return described(importlib.util.find_spec(name))


def _imported(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    path = getattr(module, "__path__", None)
    return {
        "file": getattr(module, "__file__", None),
        "path": None if path is None else list(path),
        "spec": described(getattr(module, "__spec__", None)),
    }


def _outcome(ask: Callable[[str], Any], name: str) -> Any:
    try:
        return ask(name)
    except BaseException as error:  # a module can also call sys.exit()
        return [type(error).__name__, str(error)]


def _class(instance: object) -> str:
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def main() -> None:
    if sys.path[0] in ("", str(Path.cwd())):  # -m adds it, ipykernel removes it
        del sys.path[0]
    asked = names()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        outcomes = {"specs": specs, "modules": modules}[sys.argv[1]](asked)
    answer = {
        "indexed": any(type(finder).__name__ == "IndexedFinder" for finder in sys.meta_path),
        "imaged": any(
            type(finder).__name__ == "ImageFinder" and bool(finder.image.modules)
            for finder in sys.meta_path
        ),
        "outcomes": outcomes,
        "sys.path": [str(entry) for entry in sys.path],
        "PYTHONPATH": os.environ.get("PYTHONPATH"),
        "distributions": distributions(),
        "loaded": sorted(
            [name, getattr(module, "__file__", None) or ""]
            for name, module in sys.modules.items()
            # -m itself imports the first, and what has an image made at the end the second.
            if name not in ("runpy", "atexit")
        ),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
