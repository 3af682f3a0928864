"""A real Spack and its own store: compare what Spack and spack-kernel find, walk and load.

Skipped unless ``SPACK_ROOT`` names a Spack. If its own install tree is empty, Spack is configured
to use a store from our test data. ``SPACK_KERNEL_TEST_REPOSITORY`` can name the builtin package
repository to use; ``SPACK_KERNEL_REAL_SPECS`` sets the number of installed specs to derive queries
from (default 10; Spack answers about two queries per second).
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.errors import SpackKernelError, StoreNotFound
from spack_kernel.spack.load.load import load_environment
from spack_kernel.spack.spec.spec import Spec
from spack_kernel.spack.store.store import Store
from tests.spack.golden_environments import materialise
from tests.spack_instance import listing

SPECS = int(os.environ.get("SPACK_KERNEL_REAL_SPECS", "10"))

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif("SPACK_ROOT" not in os.environ, reason="runs a real Spack: set SPACK_ROOT"),
    pytest.mark.timeout(3600),
]

#: Runs all queries in one process: Spack takes seconds to start.
_ANSWER = """
import json, sys
import spack.cmd, spack.store
store = getattr(spack.store, "STORE", None) or spack.store.store
checks = json.load(open(sys.argv[1]))
answers = {"find": {}, "closure": {}}
for text in checks["find"]:
    try:
        specs = spack.cmd.parse_specs(text)
        found = store.db.query(specs[0], installed=True)
        answers["find"][text] = [spec.dag_hash() for spec in found]
    except Exception as error:
        answers["find"][text] = type(error).__name__
for text in checks["closure"]:
    spec = store.db.get_by_hash(text)[0]
    walked = spec.traverse(order="topo", deptype=("link", "run"))
    answers["closure"][text] = [node.dag_hash() for node in walked]
json.dump(answers, open(sys.argv[2], "w"))
"""


@dataclass
class Site:
    """A Spack and its own store."""

    root: Path
    environ: dict[str, str]
    store: Store

    def spack(self, *words: str | Path) -> str:
        run = subprocess.run(
            [self.root / "bin" / "spack", *words],
            env=self.environ,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = Path(os.environ["SPACK_ROOT"])
    scope = tmp_path_factory.mktemp("scope")
    environ = {**os.environ, "SPACK_USER_CONFIG_PATH": str(scope)}
    repository = os.environ.get("SPACK_KERNEL_TEST_REPOSITORY")
    if repository:
        (scope / "repos.yaml").write_text(f"repos: {{builtin: {repository}}}\n")
    try:
        return Site(root, environ, Store.open(root, environ=environ))
    except StoreNotFound:
        tree = materialise("1.3", tmp_path_factory.mktemp("sw") / "store")
        (scope / "config.yaml").write_text(f"config: {{install_tree: {{root: {tree}}}}}\n")
        return Site(root, environ, Store.open(root, environ=environ))


@pytest.fixture(scope="module")
def sample(site: Site) -> list[Spec]:
    installed = sorted((spec for spec in site.store if spec.installed), key=lambda s: s.hash)
    return random.Random("ask Spack").sample(installed, min(SPECS, len(installed)))


@pytest.fixture(scope="module")
def answers(site: Site, sample: list[Spec], tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("answers")
    find = list(dict.fromkeys(text for spec in sample for text in checks(site.store, spec)))
    asked = {"find": find, "closure": [spec.hash for spec in sample]}
    (directory / "ask.py").write_text(_ANSWER)
    (directory / "checks.json").write_text(json.dumps(asked))
    names = [directory / name for name in ("ask.py", "checks.json", "answers.json")]
    site.spack("python", *names)
    return json.loads((directory / "answers.json").read_text())


def checks(store: Store, spec: Spec) -> list[str]:
    """Return queries derived from this spec, not all of which it satisfies."""
    series = ".".join(str(spec.version).split(".")[:2])
    texts = [
        spec.name,
        f"{spec.name}@{spec.version}",
        f"{spec.name}@={spec.version}",
        f"{spec.name}@{series}:",
        f"{spec.name}@:{series}",
        f"{spec.name}@1,{series}:{series}",
        f"{spec.name}/{spec.hash[:7]}",
        f"/{spec.hash}",
        f"{spec.name} target={spec.arch.target}",
        f"{spec.name} target=x86_64:",
        f"{spec.name} os={spec.arch.os}",
        f"{spec.name} arch=linux-None-x86_64",
        f"{spec.name}%gcc",
        f"{spec.name} %gcc@12:",
        f"{spec.name} %c=gcc",
        f"{spec.name} ^python@3.11:",
        f"{spec.name} ^mpi",
        f"^{spec.name}@{spec.version}",
        f"^{spec.name} ^python",
        f"{spec.name}@99:",
    ]
    for name, value in list(spec.variants.items())[:4]:
        if isinstance(value, bool):
            texts += [f"{spec.name}+{name}", f"{spec.name}~{name}", f"+{name}"]
        else:
            first = value if isinstance(value, str) else (value or ("none",))[0]
            texts += [f"{spec.name} {name}={first}", f"{spec.name} {name}=*"]
    for edge in spec.dependencies[:3]:
        texts += [f"{spec.name} ^{edge.name}", f"{spec.name} %{edge.name}"]
        texts += [f"{spec.name} ^[virtuals={virtual}] {edge.name}" for virtual in edge.virtuals]
    return texts


def test_both_find_the_same(site: Site, answers: Any) -> None:
    differing = {}
    for text, theirs in answers["find"].items():
        try:
            ours: object = sorted(spec.hash for spec in site.store.find(text))
        except SpackKernelError as error:
            ours = type(error).__name__
        expected = sorted(theirs) if isinstance(theirs, list) else theirs
        if ours != expected and not (isinstance(ours, str) and isinstance(expected, str)):
            differing[text] = (ours, expected)
    assert differing == {}
    assert sum(bool(found) for found in answers["find"].values()) > len(answers["find"]) / 4


def test_both_walk_alike(site: Site, sample: list[Spec], answers: Any) -> None:
    for spec in sample:
        ours = [node.hash for node in site.store.closure(spec)]
        assert ours == answers["closure"][spec.hash], spec.label


def test_both_load_the_same_pythonpath(site: Site) -> None:
    pythons = {
        spec.hash
        for spec in site.store.named("python")
        if spec.installed and any(Path(spec.prefix or "/nowhere", "bin").glob("python3*"))
    }
    packages = [
        spec
        for spec in site.store
        if spec.installed and not spec.external and pythons & {e.hash for e in spec.dependencies}
    ]
    chosen = random.Random("load").sample(packages, min(3, len(packages)))
    for spec in chosen:
        script = site.spack("load", "--sh", f"/{spec.hash}")
        theirs = dict(
            shlex.split(line.removeprefix("export ").rstrip(";"))[0].split("=", 1)
            for line in script.splitlines()
            if line.startswith("export ")
        )
        loaded = load_environment(site.store, [spec])
        known = dict.fromkeys(theirs.get("PYTHONPATH", "").split(":"))
        existing = [path for path in known if path and Path(path).exists()]
        assert [e.path for e in loaded.pythonpath if not e.added_by_us] == existing, spec.label


def test_both_plan_the_same_tree(site: Site, tmp_path: Path) -> None:
    """What Spack would install for a query, and for an environment; asking writes nothing."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {**site.environ, "HOME": str(home)}
    text = os.environ.get("SPACK_KERNEL_TEST_QUERY", "zlib-ng@2.1~opt")
    command = [sys.executable, "-m", "spack_kernel", "show", "--tree"]
    (home / ".ipython").mkdir()  # Jupyter makes it
    before = listing(home) + listing(Path(environ["SPACK_USER_CONFIG_PATH"]))
    stores = [word for base in site.store.databases for word in ("--store", str(base.root))]
    ours = subprocess.run(
        [*command, *stores, "--spack", str(site.root / "bin" / "spack"), text],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ours.returncode == 0, ours.stderr
    assert listing(home) + listing(Path(environ["SPACK_USER_CONFIG_PATH"])) == before
    theirs = Site(site.root, environ, site.store).spack("spec", "-lI", text)
    planned = [line.rstrip() for line in theirs.splitlines() if re.match(r"(\[.\]| - ) ", line)]
    assert planned
    assert [line.rstrip() for line in ours.stdout.splitlines()] == planned
