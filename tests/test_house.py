"""The house rules that a machine can check: rooms, dependencies, sizes, public names, clean text.

Each test lists every offender.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = ROOT / "spack_kernel"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(PACKAGE.rglob("*.py"))

#: The rooms from top to bottom: each may import itself and what comes after it.
ROOMS = (
    "__main__",
    "cli",
    "demo",
    "jupyter.discovery",
    "jupyter.server",
    "jupyter.slurm",
    "jupyter.provisioner",
    "jupyter.helper",
    "jupyter.offers",
    "jupyter.notebook",
    "jupyter.kernelspecs",
    "jupyter.failure",
    "jupyter.logs",
    "jupyter.pending",
    "jupyter.errors",
    "kernels.picker",
    "kernels.image_choice",
    "kernels.planner",
    "kernels.plan",
    "kernels.candidates",
    "kernels.request",
    "kernels.option",
    "kernels.sources",
    "kernels.import_index",
    "kernels.image",
    "kernels.interpreters",
    "kernels.launcher",
    "kernels.startup",
    "kernels.sockets",
    "kernels.kernel_json",
    "kernels.exits",
    "kernels.errors",
    "kernels.user_cache",
    "spack.environments",
    "spack.load",
    "spack.output",
    "spack.store",
    "spack.repos",
    "spack.query",
    "spack.config",
    "spack.database",
    "spack.spec",
    "spack.errors",
    "spack.system",
    "_cache",
    "_lazy",
    "_log",
)

#: What a layer must not import, although it is below: a demo store is Spack's business alone.
FORBIDDEN = {"demo": ("jupyter", "kernels")}

#: The largest number of modules in a room; `cli` has one for each subcommand.
MAX_MODULES = 17
MAX_LINES = 440

#: Names under which our dependencies are imported, where they differ.
IMPORT_NAMES = {"pyyaml": "yaml"}

#: Run under the Python of an old store, with nothing but that Python.
LAUNCHER = PACKAGE / "kernels" / "launcher.py"


def module_name(path: Path) -> str:
    """Return the name of a module without ``spack_kernel.``; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in MODULES}


@functools.cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Return line and absolute name of everything that a file imports."""
    package = ("spack_kernel", *path.relative_to(PACKAGE).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package[: len(package) - node.level + 1]
                base = ".".join((*parts, node.module) if node.module else parts)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return tuple(found)


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module, without ``spack_kernel.``, of what a file imports of the package."""
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "spack_kernel":
            while ".".join(parts[1:]) not in NAMES:
                parts.pop()
            yield line, ".".join(parts[1:])


def room_of(module: str) -> str | None:
    """Return the room of a module; None for a package that only hands on names."""
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), None)


def place(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return tuple(p for name in listing.stdout.split("\0") if (p := ROOT / name).is_file())


@functools.cache
def tracked_texts() -> tuple[tuple[Path, str], ...]:
    binary = {".png", ".gz", ".xz", ".zst"}
    return tuple((p, p.read_text("utf-8")) for p in tracked_files() if p.suffix not in binary)


def test_every_module_is_in_a_room() -> None:
    layers = {"", "spack", "kernels", "jupyter"}
    assert [name for name in sorted(NAMES) if room_of(name) is None and name not in layers] == []
    assert [room for room in ROOMS if not any(room_of(name) == room for name in NAMES)] == []


def test_imports_run_one_way_between_rooms() -> None:
    wrong = []
    for path in MODULES:
        room = room_of(module_name(path))
        for line, module in own_imports(path):
            other = room_of(module)
            if room is None or other is None:
                continue
            forbidden = module.startswith(FORBIDDEN.get(room, ("-",)))
            if ROOMS.index(other) < ROOMS.index(room) or forbidden:
                wrong.append(f"{place(path, line)}: {room} imports {module}")
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = {
        module_name(path): {module for _, module in own_imports(path)} - {module_name(path)}
        for path in MODULES
        if path.name != "__init__.py"
    }
    while edges:
        free = [name for name, needed in edges.items() if not needed & edges.keys()]
        assert free, f"circles among {sorted(edges)}"
        for name in free:
            del edges[name]


def test_upper_layers_import_from_rooms_and_not_from_their_modules() -> None:
    wrong = []
    for path in MODULES:
        layer = module_name(path).partition(".")[0]
        for line, module in own_imports(path):
            room = room_of(module)
            if room and module != room and room.partition(".")[0] not in (layer, "cli"):
                public = importlib.import_module(f"spack_kernel.{room}")
                if module.rpartition(".")[2] not in getattr(public, "__all__", ()):
                    wrong.append(f"{place(path, line)} imports {module}")
    assert wrong == []


def test_public_names_exist_and_are_typed() -> None:
    wrong = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if path.name != "__init__.py" or "attach(" not in text:
            continue
        name = f"spack_kernel.{module_name(path)}"
        package = importlib.import_module(name)
        typed = {alias for _, alias in imports(path) if alias.startswith(f"{name}.")}
        for public in package.__all__:
            value = getattr(package, public)
            is_module = type(value) is type(sys)
            if not is_module and not any(alias.endswith(f".{public}") for alias in typed):
                wrong.append(f"{name}.{public} is not imported for type checkers")
        wrong += [
            f"{alias} is not in the table of {name}"
            for alias in typed
            if alias.rpartition(".")[2] not in package.__all__
        ]
    assert wrong == []


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    for path in MODULES:
        if module_name(path) != "__main__":
            importlib.import_module(f"spack_kernel.{module_name(path)}".rstrip("."))
    from spack_kernel.spack import errors

    drawn = re.findall(r"\w+(?:Error|Found|Match|Ambiguous|Ready|Modification)\b", errors.__doc__)
    drawn += re.findall(r"Ambiguous", errors.__doc__)
    kinds, stack = set(), [errors.SpackKernelError]
    while stack:
        kind = stack.pop()
        if kind.__module__.startswith("spack_kernel."):
            kinds.add(kind.__name__)
            stack += kind.__subclasses__()
    assert kinds - set(drawn) == set()
    assert set(drawn) - kinds <= {"ValueError", "LookupError"}


def test_the_library_page_describes_what_is_public() -> None:
    from spack_kernel import kernels, spack

    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    for package in (spack, kernels):
        section = text.partition(f"## {package.__name__}\n")[2].partition("\n## ")[0]
        described = set(re.findall(r"^\| `(\w+)", section, re.MULTILINE))
        assert described == set(package.__all__), package.__name__


def test_no_room_is_crowded() -> None:
    rooms: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        rooms[str(path.parent.relative_to(PACKAGE))].append(path.name)
    assert {k: len(v) for k, v in rooms.items() if len(v) > MAX_MODULES and k != "cli"} == {}


def test_a_module_is_one_thing() -> None:
    lengths = {place(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_spack_layer_loads_no_jupyter() -> None:
    code = (
        "import sys, spack_kernel.spack as spack\n"
        "[getattr(spack, name) for name in spack.__all__]\n"
        "print([m for m in sys.modules if m.startswith(('jupyter', 'traitlets', 'zmq'))])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def optional_lines(path: Path) -> set[int]:
    """Return the lines that run only for a type checker, or whose import may fail."""
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


def declared(*extras: str) -> list[str]:
    """Return the distributions that ``pyproject.toml`` requires at run time."""
    listed = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        listed += PROJECT["project"]["optional-dependencies"][extra]
    return [match[0] for line in listed if (match := re.match(r"[\w-]+", line))]


def test_only_declared_dependencies_are_imported() -> None:
    wrong = []
    for path in MODULES:
        extras = ("demo",) if module_name(path).startswith("demo") else ()
        known = {IMPORT_NAMES.get(name, name) for name in declared(*extras)} | {"spack_kernel"}
        # Code that runs inside a kernel imports ipykernel, and only a server imports
        # jupyter_server: both are there when that code runs.
        known |= {"ipykernel", "IPython", "jupyter_server", "tornado", "zmq"}
        optional = optional_lines(path)
        wrong += [
            f"{place(path, line)} imports {name}"
            for line, name in imports(path)
            if line not in optional
            and (top := name.partition(".")[0]) not in known
            and top not in sys.stdlib_module_names
        ]
    assert wrong == []


def test_each_dependency_is_justified() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert [name for name in declared() if f"`{name}`" not in text] == []


def test_the_launcher_is_old_python_with_nothing_installed() -> None:
    ast.parse(LAUNCHER.read_text(encoding="utf-8"), feature_version=(3, 6))
    known = {*sys.stdlib_module_names, "ipykernel", "IPython"}
    assert [name for _, name in imports(LAUNCHER) if name.partition(".")[0] not in known] == []


def test_nothing_carries_a_path_of_one_machine() -> None:
    machine = {str(ROOT), str(Path.home()), sys.prefix} - {"/"}
    personal = re.compile(r"/(home|Users)/(?!(user|you|me|alice|bob)\b)\w+")
    wrong = []
    for path, text in tracked_texts():
        wrong += [f"{place(path)}: {each}" for each in machine if f"{each}/" in text]
        wrong += [f"{place(path)}: {match[0]}" for match in personal.finditer(text)]
    assert wrong == []


def test_no_file_is_large() -> None:
    assert [place(path) for path in tracked_files() if path.stat().st_size >= 2_000_000] == []


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    assert [place(p) for p, text in tracked_texts() if p in MODULES and marks.search(text)] == []
