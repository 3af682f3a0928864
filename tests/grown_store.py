"""A test's own packages, added to a copy of the demo store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cloned_store import ClonedStore
from tests.records import dag_hash, edge, record

#: The directory of Python modules, relative to a prefix.
PURELIB = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def add_record(store: ClonedStore, name: str, version: str, *needs: str, prefix: Path) -> str:
    """Record a package with dependencies and return its hash."""
    # Built for the machine of the demo store, like its other packages.
    like = store.records[store.hash("py-six")]["spec"]
    nodes = [store.records[key]["spec"] for key in (store.hash("python"), *needs)]
    edges = [edge(node["name"], node["hash"], ("build", "run")) for node in nodes]
    own = ("name", "version", "hash", "dependencies")
    more = {field: value for field, value in like.items() if field not in own}
    key = dag_hash(f"{name}@{version}")
    store.records[key] = record(name, version, key, *edges, prefix=prefix, **more)
    return key


def from_pypi(
    store: ClonedStore, requirement: str, *needs: str, also: Sequence[str] | None = None
) -> str:
    """Install ``NAME==VERSION`` into its own prefix, record it, and return its hash.

    Its dependencies are the packages `needs`. With `also`, they are installed into the same prefix
    instead, together with these requirements.
    """
    name, _, version = requirement.partition("==")
    package = f"py-{name.replace('_', '-')}"
    prefix = store.root / f"{package}-{version}"
    command = [sys.executable, "-m", "pip", "install", "--quiet"]
    command += [] if also is not None else ["--no-deps"]
    options = ["--disable-pip-version-check", "--target", str(prefix / PURELIB)]
    subprocess.run([*command, *options, requirement, *(also or ())], check=True)
    return add_record(store, package, version, *needs, prefix=prefix)
