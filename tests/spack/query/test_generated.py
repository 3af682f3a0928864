"""The large databases generated for benchmarks are read like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.spack.database.database import Database
from tests.places import ROOT
from tests.spack.trees import recorded

RECORDS = 3000


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("tree"), RECORDS)


def generate(root: Path, records: int) -> Path:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.generate", str(root), "--records", str(records)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    index = root / ".spack-db" / "index.json"
    assert answer.stdout.startswith(f"{index}: {records} records, ")
    return index


@pytest.mark.kernel
def test_the_same_every_time(index: Path) -> None:
    content = index.read_bytes()
    assert generate(index.parent.parent, RECORDS).read_bytes() == content


def test_every_record_is_whole(index: Path) -> None:
    database = Database.read(index.parent.parent)
    specs = list(database.specs())
    assert len(specs) == len(database) == RECORDS
    for spec in specs:
        assert len(spec.hash) == 32
        assert all(edge.hash in database for edge in spec.dependencies)
        assert spec.external or spec.prefix == str(
            database.root
            / f"{spec.arch.platform}-{spec.arch.target}"
            / f"{spec.name}-{spec.version}-{spec.hash}"
        )


def test_clones_differ_and_externals_do_not(index: Path) -> None:
    database = Database.read(index.parent.parent)
    first = recorded("1.3")["database"]["installs"]
    externals = {dag_hash for dag_hash, record in first.items() if record["spec"].get("external")}
    assert {spec.hash for spec in database.specs() if spec.external} == externals
    numpys = [spec for dag_hash in database.named("py-numpy") if (spec := database.get(dag_hash))]
    again = json.loads(index.read_bytes())["database"]["installs"]
    assert len(numpys) == sum(record["spec"]["name"] == "py-numpy" for record in again.values())
    assert len({str(spec.version) for spec in numpys}) > 4
