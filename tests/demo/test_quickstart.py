"""The main use case: a kernel by abbreviated hash, and a notebook that runs in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest

from tests.demo_versions import MATPLOTLIB, NUMPY, OTHER_NUMPY
from tests.places import ROOT


@pytest.fixture(scope="module")
def quickstart(demo_store, tmp_path_factory):
    """Run the quick start once; return its standard output and the directory it used."""
    directory = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, str(ROOT / "notebooks" / "quickstart.py"), str(demo_store.root)]
    command += ["--output", str(directory / "output")]
    environment = {
        **os.environ,
        "PYTHONPATH": "/nowhere",
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "IPYTHONDIR": str(directory / "ipython"),
    }
    run = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, directory


def test_kernel_is_installed_for_the_abbreviated_hash(quickstart, demo_store):
    stdout, directory = quickstart
    dag_hash = demo_store.hash("py-libensemble")
    assert f"install py-libensemble/{dag_hash[:7]} py-matplotlib" in stdout
    path = directory / "output" / "share" / "jupyter" / "kernels" / "spack-quickstart"
    kernel = json.loads((path / "kernel.json").read_text())
    provisioner = kernel["metadata"]["kernel_provisioner"]
    assert provisioner["provisioner_name"] == "spack-provisioner"
    assert dag_hash in json.dumps(provisioner["config"])


def test_modules_come_from_their_prefixes(quickstart, demo_store):
    stdout, _ = quickstart
    table = dict(re.findall(r"^(\S+/[a-z0-9]{7}) +(.+)$", stdout, re.MULTILINE))

    def short(label):
        return f"{label}/{demo_store.hash(label)[:7]}"

    assert "numpy" in table[short(f"py-numpy@{NUMPY}")].split(", ")
    assert "libensemble" in table[short("py-libensemble@1.5.0")]
    assert "matplotlib" in table[short(f"py-matplotlib@{MATPLOTLIB}")].split(", ")
    # py-libensemble and py-matplotlib do not depend on it: the store's ipykernel is appended.
    assert "ipykernel" in table[short("py-ipykernel@7.2.0")]
    assert short(f"py-numpy@{OTHER_NUMPY}") not in table


def test_executed_notebook(quickstart):
    stdout, directory = quickstart
    path = directory / "output" / "quickstart.ipynb"
    assert f"The executed notebook: {path}" in stdout
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    printed = "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "400 evaluations by 4 workers, exit flag 0" in printed
    (value,) = re.findall(r"best f = ([\d.]+) at", printed)
    assert float(value) < 10  # the best of 400 random points is near one of four minima
    assert not [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_the_plot_is_a_picture(quickstart):
    _, directory = quickstart
    data = (directory / "output" / "plot-1.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 20_000


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert notebook.metadata.kernelspec.name == "spack-quickstart"
