"""Each reader accepts any file, or rejects it with our own error, within time and memory limits.

``SPACK_KERNEL_FUZZ=100000`` sets the number of inputs for each reader. The install database has
its own fuzz tests, in tests/spack/database/test_database.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from spack_kernel._cache import CACHE_VARIABLE
from spack_kernel.cli import cached_launch
from spack_kernel.cli.sources import installed_traits
from spack_kernel.jupyter.kernelspecs import files
from spack_kernel.jupyter.kernelspecs.installed import describe, read_kernel_json
from spack_kernel.jupyter.notebook import NotebookSpec, read_notebook_spec, write_notebook_spec
from spack_kernel.kernels import user_cache
from spack_kernel.kernels.candidates import logos
from spack_kernel.kernels.candidates.shipped import shipped_kernels
from spack_kernel.kernels.interpreters import probe
from spack_kernel.spack.config.config import Config
from spack_kernel.spack.environments.activation import specs_in_view
from spack_kernel.spack.environments.manifest import open_environment
from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.load import modules
from spack_kernel.spack.load.inspections import read_inspections
from spack_kernel.spack.load.modules import ModuleSystem
from spack_kernel.spack.load.recipe_variables import read_recipes
from spack_kernel.spack.repos.repositories import Repository
from spack_kernel.spack.store.install_tree import install_tree, upstream_trees
from spack_kernel.spack.system.processes import Output
from tests.mutations import mutate_bytes, mutate_tree
from tests.records import dag_hash
from tests.small_store import SmallStore

pytestmark = pytest.mark.unit

INPUTS = int(os.environ.get("SPACK_KERNEL_FUZZ", "400"))

#: The limits for one input.
MAX_SECONDS = 10.0
MAX_KILOBYTES = 500_000

HASH = dag_hash("py-numpy@2.2.6 ")

#: Inputs that are large, deep or odd in ways that small mutations cannot produce.
EXTREMES = [
    b"",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"- " * 100_000,
    b"\n" * 1_000_000,
    b"\x00" * 100_000,
    b"\xff\xfe" * 1000,
    b"a: &a [x]\nb: &b [" + b"*a," * 10_000 + b"]\n",
    b'"' + b"\\" * 200_001,
    b"1" * 400_000,
    b"e" * 1_000_000,
    json.dumps({f"k{i}": i for i in range(100_000)}).encode(),
]

Reader = Callable[[bytes], object]


class Readers:
    """Each reader, as a function of its file's content, and valid files for each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        small = SmallStore(root / "store")
        small.add("py-numpy", "2.2.6")
        self.kernel_prefix = root / "store" / "shipped"
        shipped = small.add("xeus-x", "1.0", prefix=self.kernel_prefix)
        self.store = small.open()
        found = self.store.by_hash(shipped)
        assert found is not None
        self.shipper = found
        (root / "env").mkdir()
        (root / "spack" / "etc" / "spack" / "defaults").mkdir(parents=True)
        (root / "kernels" / "k").mkdir(parents=True)
        (root / "view" / ".spack" / "py-numpy").mkdir(parents=True)
        (root / "repo" / "packages" / "openmpi").mkdir(parents=True)
        self.kernel_directory = self.kernel_prefix / "share" / "jupyter" / "kernels" / "x"
        self.kernel_directory.mkdir(parents=True)

    MANIFEST: ClassVar[dict[str, Any]] = {
        "spack": {
            "specs": ["py-numpy@2:", {"matrix": [["a", "b"], ["%gcc"]]}],
            "view": {"default": {"root": "view", "projections": {"all": "{name}"}}},
            "config": {"install_tree": {"root": "$spack/opt", "padded_length": 128}},
            "env_vars": {"set": {"A": "1"}, "prepend_path": {"PATH": "/x"}},
            "include": [{"path": "y", "when": "os == 'x'"}, {"path": "z.yaml", "optional": True}],
            "modules": {"prefix_inspections": {"./lib": ["LD_LIBRARY_PATH"]}},
        }
    }
    LOCK: ClassVar[dict[str, Any]] = {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6, "specfile-version": 5},
        "roots": [{"hash": HASH, "spec": "py-numpy"}],
        "concrete_specs": {HASH: {"name": "py-numpy", "version": "2.2.6", "hash": HASH}},
        "include_concrete": {"/x": {"roots": [{"hash": HASH, "spec": "py-numpy"}]}},
    }
    KERNEL: ClassVar[dict[str, Any]] = {
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "x",
        "language": "python",
        "env": {"A": "1"},
        "metadata": {
            "debugger": True,
            "kernel_provisioner": {
                "provisioner_name": "spack-provisioner",
                "config": {
                    "spec": "py-numpy",
                    "hash": HASH,
                    "store": ["/a", "/b"],
                    "env": {"A": "1"},
                    "modules": ["m"],
                    "load_modules": False,
                    "recipes": {
                        "spack_version": "1.0",
                        "replaces": ["A"],
                        "specs": [HASH],
                        "modifications": [{"operation": "set", "variable": "A", "value": "1"}],
                    },
                    "prefix_inspections": {"./": ["A"]},
                    "probe_timeout": 3.0,
                },
            },
        },
    }
    NOTEBOOK: ClassVar[dict[str, Any]] = {
        "cells": [{"cell_type": "code", "source": ["1"], "outputs": [], "metadata": {}}],
        "metadata": {"spack": {"spec": "py-numpy", "hash": HASH}, "kernelspec": {"name": "x"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    FACTS: ClassVar[dict[str, Any]] = {
        "version": "3.11.2",
        "implementation": "cpython",
        "prefix": "/usr",
        "base_prefix": "/usr",
        "purelib": "/a",
        "platlib": "/b",
        "path": ["/a"],
        "ipykernel": {"version": "7", "location": "/a"},
        "debugpy": None,
        "modules": ["os"],
    }
    START: ClassVar[dict[str, Any]] = {
        "checks": [["dir", "/nonexistent", False], ["stamp", "/nonexistent", None]],
        "python": "/usr/bin/python3",
        "env": {"A": "1"},
        "composition": [[["prepend", "PATH", "/x", ":"]], {"R": "1"}, ["/y"], False],
        "launch": {"launcher": "/l", "pythonpath": None, "variables": {}},
    }
    MODULES = (
        b"import os\nos.environ['PATH'] = '/x:/y'\nos.environ[\"A\"] = \"b\";\n"
        b"del os.environ['B']\n_mlstatus = True\n"
    )
    RECIPE = (
        b"from spack.package import *\nX = 'mpi'\nclass Openmpi(Package):\n"
        b"    provides(X, f'{X}@3:', when='@1.2:' + ' +x')\n    for v in ('a', 'b'):\n"
        b"        provides(v)\n"
    )
    SPEC: ClassVar[dict[str, Any]] = {"spec": {"nodes": [{"name": "py-numpy", "hash": HASH}]}}
    SVG = (
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">]>'
        b'<svg xmlns="http://www.w3.org/2000/svg"><g id="&a;"><rect width="8"/></g></svg>'
    )

    def lock_file(self, data: bytes) -> None:
        (self.root / "env" / "spack.yaml").write_text('{"spack": {"specs": ["py-numpy"]}}')
        (self.root / "env" / "spack.lock").write_bytes(data)
        environment = open_environment(str(self.root / "env"), environ={})
        environment.specs(self.store)

    def manifest(self, data: bytes) -> None:
        (self.root / "env" / "spack.lock").write_text(json.dumps(self.LOCK))
        (self.root / "env" / "spack.yaml").write_bytes(data)
        environment = open_environment(str(self.root / "env"), environ={"HOME": "/h"})
        environment.variables()
        environment.view()
        with contextlib.suppress(SpackKernelError):
            environment.store(self.store)

    def configuration(self, data: bytes) -> None:
        etc = self.root / "spack" / "etc" / "spack"
        sections = ("config", "upstreams", "modules", "repos", "packages", "include")
        for section in sections:
            (etc / f"{section}.yaml").unlink(missing_ok=True)
        (etc / f"{sections[zlib.crc32(data) % len(sections)]}.yaml").write_bytes(data)
        config = Config.open(self.root / "spack", {"HOME": "/h", "SPACK_DISABLE_LOCAL_CONFIG": ""})
        for ask in (install_tree, upstream_trees, Config.prefix_inspections):
            with contextlib.suppress(SpackKernelError):
                ask(config)

    def kernel_json(self, data: bytes) -> None:
        directory = self.root / "kernels" / "k"
        (directory / "kernel.json").write_bytes(data)
        installed = describe("k", directory, read_kernel_json(directory))
        json.dumps(installed.as_dict())
        traits = installed_traits(installed)
        traits.request()
        traits.all_env()

    def shipped_kernel_json(self, data: bytes) -> None:
        (self.kernel_directory / "kernel.json").write_bytes(data)
        kernels, problems = shipped_kernels([self.shipper])
        assert len(kernels) + len(problems) <= 1

    def notebook(self, data: bytes) -> None:
        path = self.root / "n.ipynb"
        path.write_bytes(data)
        with contextlib.suppress(SpackKernelError):
            read_notebook_spec(path)
        write_notebook_spec(path, NotebookSpec("py-numpy", HASH))
        assert read_notebook_spec(path) == NotebookSpec("py-numpy", HASH)

    def module_output(self, data: bytes) -> None:
        system = ModuleSystem("lmod", Path("/lmod"))
        modules._read(Output(data.decode("utf-8", "replace"), "", 0), system)

    def cached_python(self, data: bytes) -> None:
        self._cached("python", data)
        value = user_cache.read("python", ["k"])
        probe._remembered("/usr/bin/python3", value)

    def cached_start(self, data: bytes) -> None:
        self._cached(user_cache.STARTS, data)
        record = user_cache.read(user_cache.STARTS, ["k"])
        if record is not None:
            cached_launch.prepared(record, ["python", "-c", "1"])

    def _cached(self, kind: str, data: bytes) -> None:
        user_cache.write(kind, ["k"], {})
        (file,) = Path(os.environ[CACHE_VARIABLE]).glob(f"{kind}-*.json")
        file.write_bytes(b'{"key":["k"],"value":' + data + b"}")

    def recipes_option(self, data: bytes) -> None:
        read_recipes(data.decode("utf-8", "surrogateescape"))

    def inspections_option(self, data: bytes) -> None:
        read_inspections(data.decode("utf-8", "surrogateescape"))

    def metadata_of_a_view(self, data: bytes) -> None:
        (self.root / "view" / ".spack" / "py-numpy" / "spec.json").write_bytes(data)
        specs_in_view(self.store, str(self.root / "view"))

    def recipe_of_a_package(self, data: bytes) -> None:
        (self.root / "repo" / "repo.yaml").write_text("repo: {namespace: x}")
        (self.root / "repo" / "packages" / "openmpi" / "package.py").write_bytes(data)
        Repository(self.root / "repo").provides("openmpi")

    def repository(self, data: bytes) -> None:
        (self.root / "repo" / "repo.yaml").write_bytes(data)
        Repository(self.root / "repo").provides("openmpi")

    def logo(self, data: bytes) -> None:
        logos.image(data)

    def drawing(self, data: bytes) -> None:
        logos.drawing(data)

    def seeds(self) -> dict[str, bytes | Any]:
        """Return a mapping from reader name to a valid file, as bytes or as JSON types."""
        with (files.RESOURCES / "logo-64x64.png").open("rb") as f:
            png = f.read()
        spack = self.MANIFEST["spack"]
        return {
            "lock_file": self.LOCK,
            "manifest": self.MANIFEST,
            "configuration": {
                "config": spack["config"],
                "upstreams": {"a": {"install_tree": "/x"}},
                "modules": spack["modules"],
                "repos": ["$spack/repo", "/y"],
                "packages": {"all": {"providers": {"mpi": ["openmpi"]}}},
                "include": spack["include"],
            },
            "kernel_json": self.KERNEL,
            "shipped_kernel_json": self.KERNEL,
            "notebook": self.NOTEBOOK,
            "module_output": self.MODULES,
            "cached_python": {"info": self.FACTS, "stamps": [None] * 4},
            "cached_start": self.START,
            "recipes_option": self.KERNEL["metadata"]["kernel_provisioner"]["config"]["recipes"],
            "inspections_option": {"./": ["A"], "lib": ["B", "C"]},
            "metadata_of_a_view": self.SPEC,
            "recipe_of_a_package": self.RECIPE,
            "repository": {"repo": {"namespace": "x", "api": "v2.0", "subdirectory": "packages"}},
            "logo": png,
            "drawing": self.SVG,
        }


#: Exceptions that a reader may raise in addition to our own errors, by its contract.
OWN = {"logo": (logos.NoLogoError,), "drawing": (logos.NoLogoError,)}

NAMES = sorted(Readers.seeds(Readers.__new__(Readers)))


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Readers:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SPACK_ROOT", "SPACK_KERNEL_STORE"):
        monkeypatch.delenv(name, raising=False)
    return Readers(tmp_path)


def inputs(seed: bytes | Any, count: int, chosen: random.Random) -> Any:
    """Yield a valid file, the extremes, and mutations of the valid file."""
    text = seed if isinstance(seed, bytes) else json.dumps(seed).encode()
    yield text
    yield from EXTREMES
    for _ in range(count):
        if isinstance(seed, bytes) or chosen.random() < 0.5:
            yield mutate_bytes(text, chosen)
        else:
            yield json.dumps(mutate_tree(json.loads(text), chosen)).encode()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_lies_there(name: str, readers: Readers) -> None:
    read: Reader = getattr(readers, name)
    allowed = (SpackKernelError, *OWN.get(name, ()))
    answered = refused = 0
    slowest, memory = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, data in enumerate(inputs(readers.seeds()[name], INPUTS, random.Random(name))):
            started = time.perf_counter()
            try:
                read(data)
                answered += 1
                assert number or not refused, "the file as it should be is refused"
            except allowed:
                assert number, "the file as it should be is refused"
                refused += 1
            except Exception as error:
                told = f"{type(error).__name__}: {error} for {data[:2000]!r}"
                raise AssertionError(told) from error
            slowest = max(slowest, time.perf_counter() - started)
            assert slowest < MAX_SECONDS, f"{slowest:.1f} s for {data[:200]!r}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown < MAX_KILOBYTES
    if INPUTS > 10_000:
        sys.stderr.write(
            f"{name}: {answered} answered, {refused} refused, at most {slowest:.3f} s, "
            f"{grown / 1000:.0f} MB more\n"
        )
