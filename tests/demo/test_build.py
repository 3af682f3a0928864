"""The demo store itself: its layout, its database, and its real packages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from spack_kernel.spack import Store
from tests.demo_versions import NUMPY, OTHER_NUMPY


def test_every_recorded_prefix_is_there(demo_store):
    store = Store.open(demo_store.root)
    specs = list(store)
    assert len(specs) == len(demo_store.hashes) == 50 or len(specs) == 51  # exceptiongroup
    for spec in specs:
        assert Path(spec.prefix, "bin" if spec.name.startswith("python") else ".spack").is_dir()


def test_names_layout_and_roots(demo_store):
    store = Store.open(demo_store.root)
    (libensemble,) = store.named("py-libensemble")
    assert libensemble.prefix == str(
        demo_store.root
        / f"linux-{libensemble.arch.target}"
        / f"py-libensemble-1.5.0-{libensemble.hash}"
    )
    assert {spec.name for spec in store if spec.explicit} == {
        "py-ipykernel",
        "py-libensemble",
        "py-matplotlib",
        "py-numpy",
    }
    assert [str(spec.version) for spec in store.named("py-numpy")] == [NUMPY, OTHER_NUMPY]


def test_libensemble_has_no_ipykernel(demo_store):
    store = Store.open(demo_store.root)
    (libensemble,) = store.named("py-libensemble")
    names = {spec.name for spec in store.closure(libensemble)}
    assert {"py-numpy", "py-psutil", "py-pydantic", "python-venv", "python"} <= names
    assert "py-ipykernel" not in names
    assert "py-pip" not in names


def test_console_scripts_name_the_stores_python(demo_store):
    store = Store.open(demo_store.root)
    (venv,) = store.named("python-venv")
    script = Path(store.named("py-numpy")[0].prefix, "bin", "f2py")
    # If the path is too long for a shebang, the second line has it, after the shell's `exec`.
    assert f"{venv.prefix}/bin/python" in "".join(script.read_text().splitlines()[:2])
    version = subprocess.run(
        [f"{venv.prefix}/bin/python", "-c", "import sys; print(sys.prefix)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert version.stdout.strip() == venv.prefix


def test_specfile_holds_the_node_and_its_dependencies(demo_store):
    store = Store.open(demo_store.root)
    (libensemble,) = store.named("py-libensemble")
    text = Path(libensemble.prefix, ".spack", "spec.json").read_text()
    nodes = json.loads(text)["spec"]["nodes"]
    assert nodes[0]["hash"] == libensemble.hash
    recorded = {dependency.hash for dependency in libensemble.dependencies}
    assert recorded <= {node["hash"] for node in nodes}
