"""Create a demo store: completely or not at all, resumable, and reused if it already exists."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import prefixes, wheels
from .errors import DemoError
from .nodes import Concretizer, index
from .pins import BUILD_TOOLS, PinnedRequirements, check_python, in_install_order, read_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .nodes import Node
    from .pins import Wheel

#: The file that marks a directory as a demo store, with its kind and whether it is complete.
MARKER = ".spack-kernel-demo.json"

#: Must change when stores created by older code can no longer be reused.
_LAYOUT = 1

#: The prefix of the name of the directory that wheels are downloaded to.
_DOWNLOADS = ".downloads-"

#: The maximum space that a store and its downloads need, in bytes.
_ROOM = 600_000_000


class Progress(NamedTuple):
    """One step in creating a store: number `done` of `total` in `phase`, for `subject`.

    `phase` is ``"download"``, ``"build"`` or ``"install"``; `done` counts from 1.
    """

    phase: str
    done: int
    total: int
    subject: str


@dataclass(frozen=True)
class DemoStore:
    """A demo store on disk.

    Attributes
    ----------
    root : Path
        The install tree, absolute.
    hashes : mapping of str to str
        ``"py-numpy@2.2.6"`` → the 32-character DAG hash, for every spec, ``python`` included.
    reused : bool
        Whether it already existed.
    """

    root: Path
    hashes: Mapping[str, str]
    reused: bool = False

    def hash(self, spec: str) -> str:
        """Return the DAG hash of ``name@version``, or of ``name`` when only one is installed.

        Raises
        ------
        KeyError
            When no spec has this name, or several do.
        """
        found = [
            dag_hash
            for label, dag_hash in self.hashes.items()
            if spec in (label, label.partition("@")[0])
        ]
        if len(found) != 1:
            raise KeyError(f"{len(found)} specs are called {spec!r}")
        return found[0]


def build(
    directory: str | os.PathLike[str],
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    force: bool = False,
    selection: PinnedRequirements | None = None,
) -> DemoStore:
    """Create a small store of real packages from PyPI in `directory`, or reuse an existing one.

    The store has Spack's own layout and database format: one prefix per package, the running
    Python as an external, a ``python-venv``, py-numpy (two builds), py-matplotlib and
    py-ipykernel with their closures, and py-libensemble, whose closure has no ipykernel.
    The same packages with the same Python and path have the same DAG hashes.

    If a call is interrupted, the next one completes the directory. The database is written last,
    so an incomplete store is never visible.

    Parameters
    ----------
    directory : path
        New, empty, or a demo store.
    progress : callable, optional
        Called with a `Progress` at every step.
    force : bool, optional
        Rebuild the store even if a complete one exists.
    selection : PinnedRequirements, optional
        Packages to use instead of those described above.

    Raises
    ------
    DemoError
        When it cannot be created: the directory contains something else, or there is no network,
        no pip or not enough space.
    """
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - links in it are the user's choice
    check_python()
    _check_directory(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root):
            return _build(root, selection or PinnedRequirements.default(), progress, force)
    except OSError as error:
        raise DemoError(
            f"cannot create a demo store in {root}: {error.strerror or error}",
            hint="Use a directory that you can write to, with about 300 MB of free space.",
        ) from error


def _build(
    root: Path, selection: PinnedRequirements, progress: Callable[[Progress], None], force: bool
) -> DemoStore:
    marker = _read_marker(root)
    fingerprint = _fingerprint(root, selection)
    if marker and not force:
        if marker.get("fingerprint") != fingerprint:
            raise DemoError(
                f"{root} contains a demo store with other packages, or for another Python",
                details=(
                    []
                    if marker.get("python") == sys.executable
                    else [f"  built for {marker.get('python')}; this is {sys.executable}"]
                ),
                hint="Rebuild it with --force, or use another directory.",
            )
        if "specs" in marker:
            return DemoStore(root, marker["specs"], reused=True)
    wheels.check_pip()
    _check_room(root)
    if force:
        _clear(root)
    facts = {"fingerprint": fingerprint, "python": sys.executable}
    _replace(root / MARKER, json.dumps(facts))
    nodes = _fill(root, selection, progress)
    specs = {f"{node.name}@{node.version}": node.hash for node in nodes}
    _write_database(root, nodes)
    _replace(root / MARKER, json.dumps({**facts, "specs": specs}, indent=1))
    return DemoStore(root, specs)


def _fill(
    root: Path, selection: PinnedRequirements, progress: Callable[[Progress], None]
) -> list[Node]:
    """Download, build and install everything; return the nodes, dependencies first."""
    concretizer = Concretizer(root)
    venv = concretizer.venv
    python = venv.prefix / "bin" / "python"
    _install(venv, python)
    pinned = selection.requirements()
    sources = [pinned[name] for name in selection.from_source]
    total = len(pinned) - len(sources) + 1
    started = 0

    def starting(subject: str) -> None:
        nonlocal started
        started += 1
        progress(Progress("download", min(started, total), total, subject))

    for abandoned in root.glob(f"{_DOWNLOADS}*"):
        shutil.rmtree(abandoned)
    # Below the root: a temporary file system may be too small.
    with tempfile.TemporaryDirectory(prefix=_DOWNLOADS, dir=root) as scratch:
        downloads = Path(scratch, "wheels")
        second = Path(scratch, "second")
        downloads.mkdir()
        second.mkdir()
        ready = [pin for name, pin in pinned.items() if name not in selection.from_source]
        wheels.download(ready, downloads, starting)
        wheels.download([selection.second_build], second, starting)
        found = _read_wheels(downloads)
        # The tools come first: they build the packages that PyPI has only as source.
        tools = concretizer.concretize([found[name] for name in BUILD_TOOLS])[2:]
        for node in tools:
            _install(node, python, bytecode=False)
        for done, requirement in enumerate(sources, 1):
            progress(Progress("build", done, len(sources), str(requirement)))
            paths = [prefixes.site_packages(tool.prefix) for tool in tools]
            wheels.build(requirement, downloads, python, paths)
        found = _read_wheels(downloads)
        (other,) = _read_wheels(second).values()
        nodes = concretizer.concretize([*in_install_order(found), other], selection.roots)
        for done, node in enumerate(nodes[1:], 1):  # the first is the external python
            progress(Progress("install", done, len(nodes) - 1, f"{node.name}@{node.version}"))
            # The second build exists to be found by name; it rarely runs.
            _install(node, python, bytecode=node is not nodes[-1])
    return nodes


def _install(node: Node, python: Path, *, bytecode: bool = True) -> None:
    if not prefixes.is_complete(node):
        prefixes.install(node, python, bytecode=bytecode)


def _read_wheels(directory: Path) -> dict[str, Wheel]:
    found = (read_wheel(path) for path in sorted(directory.glob("*.whl")))
    return {wheel.name: wheel for wheel in found}


def _write_database(root: Path, nodes: Sequence[Node]) -> None:
    """Write the files that Spack stores in ``.spack-db``, the index last."""
    directory = root / ".spack-db"
    (directory / "failures").mkdir(parents=True, exist_ok=True)
    for name in ("lock", "prefix_lock"):
        (directory / name).touch()
    _replace(directory / "index_verifier", str(uuid.uuid4()))
    _replace(directory / "index.json", json.dumps(index(nodes, time.time())))


def _check_directory(root: Path) -> None:
    """Raise `DemoError` unless `root` can be used: it must be new, empty or a demo store."""
    if os.pathsep in str(root):
        raise DemoError(
            f"{root} contains a {os.pathsep!r}, which separates paths in PYTHONPATH",
            hint="Use another directory for the demo store.",
        )
    if not root.exists():
        return
    if not root.is_dir():
        raise DemoError(
            f"{root} is a file, not a directory", hint="Use a directory for the demo store."
        )
    if root.stat().st_uid != os.geteuid():
        raise DemoError(
            f"{root} belongs to another user, who could change what would run from there",
            hint="Use a directory that belongs to you.",
        )
    entries = sorted(path.name for path in root.iterdir())
    if entries and MARKER not in entries:
        shown = ", ".join(entries[:4]) + (", …" if len(entries) > 4 else "")
        what = "another Spack store" if ".spack-db" in entries else "something else"
        raise DemoError(
            f"{root} contains {what}; a demo store needs a new or an empty directory",
            details=[f"  found there: {shown}"],
            hint=f"Use another directory, for example {root / 'demo-store'}",
        )


def _check_room(root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < _ROOM:
        raise DemoError(
            f"not enough space in {root}: {free // 1_000_000} MB are free, but "
            f"a demo store and its downloads need {_ROOM // 1_000_000} MB",
            hint="Use a directory on another file system.",
        )


def _read_marker(root: Path) -> dict[str, Any] | None:
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def _fingerprint(root: Path, selection: PinnedRequirements) -> str:
    """Return a fingerprint that is the same for two stores that are interchangeable."""
    wanted = [selection.text, selection.roots, str(selection.second_build)]
    facts = [_LAYOUT, str(root), sys.base_prefix, sys.version, wanted]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _clear(root: Path) -> None:
    """Remove what an earlier call created in `root`, the database first."""
    shutil.rmtree(root / ".spack-db", ignore_errors=True)
    for path in root.glob(f"{sys.platform}-*"):
        shutil.rmtree(path)


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Lock `root`: a second process waits and then finds a complete store."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write `text` to `path` completely or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
