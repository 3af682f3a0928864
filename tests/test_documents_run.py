"""Run the examples in the documentation as shown, on a store like the one they describe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.spack import Store
from tests.cloned_store import ClonedStore
from tests.grown_store import PURELIB, add_record
from tests.made_environment import link_view, make_environment
from tests.test_documents import DOCUMENTS, blocks, identify

#: The programs that the test runs; others (pip, cp, spack) belong to a real site.
_COMMAND = re.compile(
    r"^(?:\$ |# (?=/sw/jupyter/bin/spack-kernel))?(?:sudo )?"
    r"(?P<line>(?:\w+=\S+ )?(?:/sw/jupyter/bin/)?(?:spack-kernel|jupyter|papermill) .*)$"
)

LMOD = Path("/usr/share/lmod/lmod/libexec/lmod")


def shown(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each complete command line, and whether an error is shown below it."""
    for content in blocks(path, "console", "bash", "sh", ""):
        lines = content.replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines):
            match = _COMMAND.match(line.strip())
            if match is None or "…" in line or "..." in line or re.search(r"\b[A-Z]{4,}\b$", line):
                continue
            text = re.sub(r"\s{2,}#.*", "", match["line"])
            below = []
            for other in lines[number + 1 :]:
                if other.startswith("$ ") or not other.strip():
                    break
                below.append(other)
            yield text, any(other.startswith(("error:", "✗")) for other in below)


@dataclass
class Place:
    """The working directory and environment in which the lines are run."""

    directory: Path
    environment: dict[str, str]
    store: Path
    demo: Path
    hashes: dict[str, str]

    def typed(self, line: str) -> str:
        """Return a line with the site's paths and hashes instead of the example's."""
        line = re.sub(r"(py-libensemble(?:-[\d.]+-|/)|(?<= )/)[a-z2-7]{7}\b", self._hash, line)
        line = line.replace("/sw/spack/opt/spack", str(self.store))
        line = line.replace("~/demo-store", str(self.demo))
        line = line.replace("/sw/jupyter/bin/", "")
        return line.replace("/sw/jupyter", str(self.directory / "jupyter"))

    def _hash(self, match: re.Match[str]) -> str:
        return f"{match[1]}{self.hashes['py-libensemble'][:7]}"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self.typed(line)],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )


@pytest.fixture
def place(tmp_path: Path, demo_store: DemoStore) -> Place:
    """Create a site like the one that the documentation describes."""
    site = ClonedStore(demo_store, tmp_path / "spack" / "opt" / "spack")
    needs = [site.hash("py-numpy"), site.hash("python-venv")]
    prefix = site.root / "py-mpi4py-4"
    (prefix / PURELIB).mkdir(parents=True)
    add_record(site, "py-mpi4py", "4.0.1", *needs, prefix=prefix)
    prefix = site.root / "r-irkernel-1.3.2"
    kernel = prefix / "rlib/R/library/IRkernel/kernelspec"
    kernel.mkdir(parents=True)
    ir = {"argv": ["R", "{connection_file}"], "display_name": "R", "language": "R"}
    (kernel / "kernel.json").write_text(json.dumps(ir))
    key = add_record(site, "r-irkernel", "1.3.2", prefix=prefix)
    site.records[key]["spec"]["dependencies"] = []
    site.save()
    spack = tmp_path / "spack"
    (spack / "etc" / "spack" / "defaults").mkdir(parents=True)
    (spack / "bin").mkdir()
    (spack / "bin" / "spack").write_text("#!/bin/sh\nexit 1\n")
    store = Store.open(site.root)
    roots = [store.get("py-libensemble"), store.get("py-matplotlib")]
    managed = spack / "var" / "spack" / "environments"
    for environment in (managed / "science", tmp_path / "science"):
        make_environment(environment, roots, view=False)
    link_view(tmp_path / "my-view", store, roots[1:])
    cells = [nbformat.v4.new_code_cell("import libensemble; print(libensemble.__version__)")]
    for name in ("analysis", "in"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    (tmp_path / "script.py").write_text("import matplotlib\n")
    module = tmp_path / "modules" / "py-numpy" / "2.2.6-gcc-13.2.0-bfbtk5v.lua"
    module.parent.mkdir(parents=True)
    numpy = store.get("py-numpy@2.2.6")
    module.write_text(f'prepend_path("PYTHONPATH", "{numpy.prefix}/{PURELIB}")\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / ".config" / "fish" / "completions").mkdir(parents=True)
    for name in ("jupyter", "papermill"):
        (tmp_path / "bin" / name).symlink_to(Path(sys.executable).with_name(name))
    command = tmp_path / "bin" / "spack-kernel"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m spack_kernel \"$@\"\n")
    command.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SPACK_ROOT": str(spack),
        "SPACK_KERNEL_CACHE": "",
        "MODULEPATH": str(tmp_path / "modules"),
        "JUPYTER_PATH": str(tmp_path / "jupyter" / "share" / "jupyter"),
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "LANG": "C.UTF-8",
    }
    hashes = {"py-libensemble": site.hash("py-libensemble")}
    return Place(tmp_path, environment, site.root, demo_store.root, hashes)


def test_there_are_lines_to_type() -> None:
    assert sum(len(list(shown(path))) for path in DOCUMENTS) >= 40


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if list(shown(path))], ids=identify)
def test_every_line_works_as_it_is_shown(path: Path, place: Place) -> None:
    """Run line by line, in one directory, as a reader types them."""
    # A page may mention kernels that another page creates.
    made = place.run("spack-kernel sync --prefix /sw/jupyter --query py-libensemble")
    assert made.returncode == 0, made.stderr
    place.run("spack-kernel pin --install-kernel --user")
    place.run("spack-kernel pin analysis.ipynb py-libensemble")
    for line, fails in shown(path):
        if "--module" in line and not LMOD.exists():
            pytest.skip("missing component: lmod (Debian: apt-get install lmod)")
        if line.startswith("sudo "):
            line = line.removeprefix("sudo ")
        if "install" in line.split() and "--user" not in line and "--prefix" not in line:
            line += " --sys-prefix --dry-run"  # the default is a directory of the system
        done = place.run(line)
        said = f"{line}\n{done.stdout}{done.stderr}"
        assert done.returncode == (1 if fails else 0), said
        assert "Traceback" not in done.stderr, said


def test_the_readme_speaks_of_the_store_that_it_makes(place: Place) -> None:
    """The README must not contain a hash that its own demo store does not have."""
    text = next(path for path in DOCUMENTS if path.name == "README.md").read_text()
    assert re.findall(r"py-[\w-]+/[a-z2-7]{7}\b", text.split("### As a library")[0]) == []
    shutil.rmtree(place.directory / "spack")
    environment = {k: v for k, v in place.environment.items() if k != "SPACK_ROOT"}
    environment["SPACK_KERNEL_STORE"] = str(place.demo)
    for name in ("list", "show", "check"):
        done = subprocess.run(
            [str(place.directory / "bin" / "spack-kernel"), name, "py-libensemble"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
