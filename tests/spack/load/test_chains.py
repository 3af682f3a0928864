"""Databases of a chain that know the same hashes: PYTHONPATH as Spack 1.3 sets it.

``chains.json.xz`` has the records of a demo store, random chains of two or three databases, each
with some of the records in its own order, and for each spec the prefixes on the PYTHONPATH that
Spack sets, in order. Spack overlooks a dependent that is linked with another record of the same
``python-venv``; we add it behind all others.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack import Store, load_environment
from tests.places import DATA
from tests.records import write_database

pytestmark = pytest.mark.unit

GOLDEN: dict[str, Any] = json.loads(lzma.decompress((DATA / "chains.json.xz").read_bytes()))


@pytest.fixture(scope="module")
def installs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the records, with prefixes that exist."""
    root = tmp_path_factory.mktemp("store")
    text = json.dumps(GOLDEN["installs"]).replace("@ROOT@", str(root))
    records: dict[str, Any] = json.loads(text)
    for record in records.values():
        if record["path"].startswith(str(root)):
            Path(record["path"], "lib", "python3.11", "site-packages").mkdir(parents=True)
    return records


@pytest.mark.parametrize("number", range(len(GOLDEN["chains"])))
def test_pythonpath_is_spacks(installs: dict[str, Any], tmp_path: Path, number: int) -> None:
    chain = GOLDEN["chains"][number]
    trees = [
        write_database(tmp_path / f"tree{i}", {key: installs[key] for key in keys})
        for i, keys in enumerate(chain["trees"])
    ]
    store = Store.open(trees[0], upstreams=trees[1:])
    prefixes = {record["path"]: key for key, record in installs.items()}
    wrong = {}
    for dag_hash, expected in chain["pythonpath"].items():
        entries = load_environment(store, [store.get(f"/{dag_hash}")]).pythonpath
        found = [prefixes[entry.path.partition("/lib/python3.11/")[0]] for entry in entries]
        behind = [entry for entry in entries if "which Spack overlooks" in entry.reason]
        assert all(entry.added_by_us for entry in behind)
        if found[: len(found) - len(behind)] != expected:
            wrong[dag_hash] = found, expected
        assert entries[len(entries) - len(behind) :] == tuple(behind)
    assert wrong == {}


def test_what_spack_overlooks_is_on_it(installs: dict[str, Any], tmp_path: Path) -> None:
    hashes = {record["spec"]["name"]: key for key, record in installs.items()}
    copied = {hashes[name]: installs[hashes[name]] for name in ("python-venv", "py-pexpect")}
    local = write_database(tmp_path / "local", copied)
    upstream = write_database(tmp_path / "upstream", installs)
    store = Store.open(local, upstreams=[upstream])
    own, other = load_environment(store, [store.get("py-pexpect")]).pythonpath
    assert (own.spec.name, other.spec.name) == ("py-pexpect", "py-ptyprocess")
    assert other.added_by_us
    assert "which Spack overlooks: two databases have python-venv@1.0/" in other.reason


def test_a_complete_copy_decides_alone(installs: dict[str, Any], tmp_path: Path) -> None:
    local = write_database(tmp_path / "local", dict(reversed(installs.items())))
    upstream = write_database(tmp_path / "upstream", installs)
    alone, chained = Store.open(local), Store.open(local, upstreams=[upstream])
    for dag_hash in installs:
        loads = [load_environment(s, [s.get(f"/{dag_hash}")]) for s in (alone, chained)]
        assert loads[0].pythonpath == loads[1].pythonpath
