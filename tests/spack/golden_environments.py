"""Environments recorded from real Spacks: stores, directories and variables by version.

``tests/data/<version>/index.json.xz`` is the database as that Spack wrote it; ``load.json.xz``
holds the directories below its prefixes, and the result of `spack load` in an empty environment.
"""

from __future__ import annotations

import json
import lzma
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.database.database import Database
from spack_kernel.spack.load.directories import Directories
from spack_kernel.spack.store.store import Store
from tests.places import DATA

if TYPE_CHECKING:
    from spack_kernel.spack.spec.spec import Spec


#: Every version with recorded data; a chain is a second store whose upstream is the first.
VERSIONS = ("0.16", "0.17", "0.20", "0.23", "1.3", "0.23/chain", "1.3/chain")

#: Versions that use the order of current Spack or of 0.21 to 0.23.
ORDERED = ("0.23", "1.3", "0.23/chain", "1.3/chain")


@dataclass(frozen=True)
class Environment:
    """Spack's result for loading some specs together."""

    specs: tuple[Spec, ...]
    variables: dict[str, str]

    @property
    def key(self) -> str:
        """The abbreviated hashes, which identify an environment in the tests."""
        return "+".join(spec.hash[:7] for spec in self.specs)


@dataclass(frozen=True)
class Golden:
    """One store, the directories below its prefixes, and Spack's answers."""

    version: str
    store: Store
    existing: frozenset[str]
    inspections: dict[str, list[str]]
    environments: tuple[Environment, ...]
    traversals: dict[str, list[str]]

    @property
    def directories(self) -> Directories:
        """A new `Directories` object with the directories that existed."""
        return Directories(self.existing.__contains__)


def read(relative: str) -> Any:
    """Return the decoded JSON of a compressed file below ``tests/data``."""
    with lzma.open(DATA / relative) as file:
        return json.load(file)


def open_golden(version: str, directory: Path) -> Golden:
    """Unpack the data of `version` below `directory` and return it."""
    answers = read(f"{version}/load.json.xz")
    chain = [version]
    if version.endswith("/chain"):
        chain.append(version.removesuffix("/chain"))
    databases = [_database(part, directory / part.replace("/", "-")) for part in chain]
    existing = set()
    for part in chain:
        existing |= _existing(read(f"{part}/load.json.xz"))
    store = Store(databases)
    environments = []
    for answer in answers["environments"]:
        specs = [store.by_hash(dag_hash) for dag_hash in answer["hashes"]]
        environments.append(Environment(tuple(s for s in specs if s), answer["env"]))
    return Golden(
        version,
        store,
        frozenset(existing),
        answers["inspections"],
        tuple(environments),
        answers["traversals"],
    )


def _database(version: str, root: Path) -> Database:
    target = root / ".spack-db" / "index.json"
    target.parent.mkdir(parents=True)
    with lzma.open(DATA / version / "index.json.xz") as file:
        target.write_bytes(file.read())
    return Database.read(root)


def _existing(answers: dict[str, Any]) -> set[str]:
    found = {
        posixpath.normpath(posixpath.join(answers["root"], prefix, relative))
        for prefix, relatives in answers["directories"].items()
        for relative in relatives
    }
    for prefix, relatives in answers["externals"].items():
        for relative in ("", *relatives):
            path = posixpath.normpath(posixpath.join(prefix, relative))
            while len(path) >= len(prefix):
                found.add(path)
                path = posixpath.dirname(path)
    return found


def materialise(version: str, root: Path) -> Path:
    """Create the store of `version` on disk below `root`, with fake Python executables."""
    import lzma

    answers = read(f"{version}/load.json.xz")
    with lzma.open(DATA / version / "index.json.xz") as file:
        text = file.read().decode().replace(f"{answers['root']}/", f"{root}/")
    (root / ".spack-db").mkdir(parents=True)
    (root / ".spack-db/index.json").write_text(text)
    for prefix, relatives in answers["directories"].items():
        for relative in relatives:
            (root / prefix / relative).mkdir(parents=True, exist_ok=True)
    store = Store.open(root)
    for venv in store.named("python-venv"):
        python = next(
            spec
            for e in venv.dependencies
            if (spec := store.by_hash(e.hash)) and e.name == "python"
        )
        series = ".".join(str(python.version).split(".")[:2])
        lib64 = Path(python.prefix or "", f"lib64/python{series}/site-packages").is_dir()
        for spec in (venv, python):
            if spec.external or not spec.prefix:
                continue
            executable = Path(spec.prefix, "bin", "python3")
            executable.parent.mkdir(parents=True, exist_ok=True)
            executable.write_text(
                "#!/bin/sh\n"
                'case "$*" in\n'
                f"*purelib*) echo {venv.prefix}/lib/python{series}/site-packages;;\n"
                f"*platlib*) echo {venv.prefix}/{'lib64' if lib64 else 'lib'}/python{series}"
                "/site-packages;;\n"
                "*) exit 1;;\nesac\n"
            )
            executable.chmod(0o755)
    return root
