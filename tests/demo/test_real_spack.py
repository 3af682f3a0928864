"""A real Spack uses a demo store as its own and agrees with spack-kernel about it.

Skipped unless ``SPACK_ROOT`` names a Spack whose package repository is available (for Spack 1.x:
cloned, or named in ``repos.yaml``).
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.spack import Store, load_environment

pytestmark = pytest.mark.skipif(
    "SPACK_ROOT" not in os.environ, reason="runs a real Spack: set SPACK_ROOT"
)


def spack(store: Path, *words: str) -> str:
    program = Path(os.environ["SPACK_ROOT"], "bin", "spack")
    setting = f"config:install_tree:root:{store}"
    run = subprocess.run(
        [sys.executable, program, "-c", setting, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("query", ["", "py-numpy", "py-numpy@2.2:", "%python", "^py-numpy@2.2.6"])
def test_find(demo_store, query):
    found = json.loads(spack(demo_store.root, "find", "--json", *([query] if query else [])))
    store = Store.open(demo_store.root)
    ours = store.find(query) if query else [spec for spec in store if spec.installed]
    assert sorted(spec["hash"] for spec in found) == sorted(spec.hash for spec in ours)


@pytest.mark.parametrize(
    "queries", [["py-libensemble"], ["py-ipykernel"], ["py-libensemble", "py-matplotlib"]]
)
def test_load(demo_store, queries):
    script = spack(demo_store.root, "load", "--sh", *queries)
    theirs = dict(
        shlex.split(line.removeprefix("export ").rstrip(";"))[0].split("=", 1)
        for line in script.splitlines()
        if line.startswith("export ")
    )
    store = Store.open(demo_store.root)
    ours = load_environment(store, [store.get(query) for query in queries]).apply({})
    for name in ("PYTHONPATH", "CMAKE_PREFIX_PATH", "PKG_CONFIG_PATH"):
        existing = [path for path in theirs[name].split(":") if Path(path).exists()]
        assert ours[name].split(":") == list(dict.fromkeys(existing))


def test_manifests_are_what_spack_verifies(demo_store):
    labels = [f"/{demo_store.hash(name)}" for name in ("py-libensemble", "python-venv")]
    spack(demo_store.root, "verify", "manifest", *labels)
