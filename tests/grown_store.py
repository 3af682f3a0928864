"""A test's own packages, added to a copy of the demo store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cloned_store import ClonedStore
from tests.small_store import dag_hash

#: The directory of Python modules, relative to a prefix.
PURELIB = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def record(store: ClonedStore, name: str, version: str, *needs: str, prefix: Path) -> str:
    """Record a package with dependencies and return its hash."""
    python = store.hash("python")
    node = json.loads(json.dumps(store.records[store.hash("py-six")]["spec"]))
    key = dag_hash(f"{name}@{version}")
    edges = [store.records[dag]["spec"] for dag in (python, *needs)]
    node |= {
        "name": name,
        "version": version,
        "hash": key,
        "dependencies": [
            {
                "name": edge["name"],
                "hash": edge["hash"],
                "parameters": {"deptypes": ["build", "run"], "virtuals": []},
            }
            for edge in edges
        ],
    }
    store.records[key] = {
        "spec": node,
        "path": str(prefix),
        "installed": True,
        "explicit": True,
        "ref_count": 0,
        "installation_time": 1.0,
        "deprecated_for": None,
    }
    return key


def from_pypi(store: ClonedStore, requirement: str, *needs: str) -> str:
    """Install ``NAME==VERSION`` into its own prefix, record it, and return its hash."""
    name, _, version = requirement.partition("==")
    package = f"py-{name.replace('_', '-')}"
    prefix = store.root / f"{package}-{version}"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    options = ["--disable-pip-version-check", "--target", str(prefix / PURELIB)]
    subprocess.run([*command, *options, requirement], check=True)
    return record(store, package, version, *needs, prefix=prefix)
