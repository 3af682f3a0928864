"""The project rules that a test can enforce: layers, dependencies, sizes, and clean text."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "spack_kernel"

#: The parts of the package that a layer may import: itself and the layers below.
MAY_IMPORT = {
    "spack": set(),
    "demo": {"spack"},
    "kernels": {"spack"},
    "jupyter": {"spack", "kernels"},
    "cli": {"spack", "kernels", "jupyter", "demo"},
}

#: Import names of our dependencies, if they differ.
IMPORT_NAMES = {"pyyaml": "yaml"}

#: The only file that runs under the Python of an old store, with nothing else installed.
LAUNCHERS = sorted(PACKAGE.glob("kernels/launcher.py"))

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path):
    """Yield ``(line, absolute module name)`` for everything that `path` imports."""
    package = ("spack_kernel", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                base = node.module or ""
            else:
                parts = package[: len(package) - node.level + 1]
                base = ".".join((*parts, node.module) if node.module else parts)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def optional_lines(path: Path) -> set[int]:
    """Return the lines that run only for a type checker, or that may fail to import."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        trying = isinstance(node, ast.Try) and any(
            handler.type is not None and ast.unparse(handler.type) == "ImportError"
            for handler in node.handlers
        )
        if checking or trying:
            for statement in node.body:
                lines.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return lines


def layer(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if (path := ROOT / name).is_file()]


def test_every_layer_is_known():
    assert {layer(path) for path in MODULES} - {None} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [p for p in MODULES if layer(p)], ids=identify)
def test_imports_run_downwards_only(path):
    own = layer(path)
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "spack_kernel" and len(parts) > 1 and parts[1] in MAY_IMPORT:
            assert parts[1] == own or parts[1] in MAY_IMPORT[own], (
                f"{identify(path)}:{line} imports {name}: {own} stands below {parts[1]}"
            )


@pytest.mark.parametrize("path", [p for p in MODULES if layer(p) == "spack"], ids=identify)
def test_the_spack_layer_knows_no_jupyter(path):
    for line, name in imports(path):
        top = name.partition(".")[0]
        assert not re.match(r"jupyter|traitlets|ipykernel|zmq|tornado|nb", top), (
            f"{identify(path)}:{line} imports {name}"
        )


def test_the_spack_layer_loads_no_jupyter():
    code = (
        "import sys, spack_kernel.spack\n"
        "print([m for m in sys.modules if m.startswith(('jupyter', 'traitlets', 'zmq'))])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def declared() -> list[str]:
    """Return the distributions that ``pyproject.toml`` requires at run time."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    return re.findall(r'"([\w-]+)', block)


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_only_declared_dependencies_are_imported(path):
    known = {IMPORT_NAMES.get(name, name) for name in declared()} | {"spack_kernel"}
    # Code inside a kernel imports ipykernel; code that only a server loads imports jupyter_server.
    # Both are available whenever that code runs.
    known |= {"ipykernel", "IPython", "jupyter_server", "tornado", "zmq"}
    optional = optional_lines(path)
    for line, name in imports(path):
        top = name.partition(".")[0]
        assert line in optional or top in known or top in sys.stdlib_module_names, (
            f"{identify(path)}:{line} imports {name}, which pyproject.toml does not require"
        )


def test_each_dependency_is_justified():
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    missing = [name for name in declared() if f"`{name}`" not in text]
    assert not missing, f"docs/dependencies.md does not say why {missing} is needed"


@pytest.mark.parametrize("path", LAUNCHERS, ids=identify)
def test_the_launcher_is_old_python_with_nothing_installed(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    for line, name in imports(path):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names or top in {"ipykernel", "IPython"}, (
            f"{identify(path)}:{line} imports {name}"
        )


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_is_one_thing(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 440, f"{identify(path)} has {lines} lines; about 400: which two is it?"


def test_nothing_carries_a_path_of_one_machine():
    machine = {str(ROOT), str(Path.home()), sys.prefix} - {"/"}
    personal = re.compile(r"/(home|Users)/(?!(user|you|me|alice|bob)\b)\w+")
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found = [place for place in machine if f"{place}/" in text]
        found += [match[0] for match in personal.finditer(text)]
        assert not found, f"{identify(path)} speaks of {found}"


def test_no_file_is_large():
    for path in tracked_files():
        assert path.stat().st_size < 2_000_000, f"{identify(path)} is large for a repository"


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    for path in MODULES:
        found = marks.search(path.read_text(encoding="utf-8"))
        assert not found, f"{identify(path)} has a {found[0]}"
