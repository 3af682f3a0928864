"""Kernels of other languages: a bash kernel from PyPI and R from Debian, in Spack's layout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.discovery.manager import SpackKernelSpecManager
from spack_kernel.kernels.candidates.logos import drawing
from spack_kernel.kernels.candidates.shipped import (
    R_LIBRARIES,
    ShippedKernel,
    choose_shipped,
    may_ship,
    shipped_kernels,
)
from spack_kernel.kernels.errors import ShippedKernelError
from spack_kernel.spack import Spec
from tests.cloned_store import ClonedStore
from tests.grown_store import PURELIB, add_record, from_pypi
from tests.jupyter.conftest import Running, execute
from tests.small_store import SmallStore

pytestmark = pytest.mark.usefixtures("jupyter_home")

#: The directory in which Debian installs IRkernel.
IRKERNEL = Path("/usr/lib/R/site-library/IRkernel")


@pytest.fixture(scope="module")
def bash_store(demo_store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> ClonedStore:
    """Return the demo store with py-bash-kernel and the kernelspec from its own installer."""
    store = ClonedStore(demo_store, tmp_path_factory.mktemp("bash") / "store")
    filetype = from_pypi(store, "filetype==1.2.0")
    needs = [filetype, store.hash("py-ipykernel"), store.hash("py-pexpect")]
    bash = store.records[from_pypi(store, "bash_kernel==0.10.0", *needs)]["path"]
    store.save()
    query = ["--store", str(store.root), "py-bash-kernel", "--"]
    install = ["python", "-m", "bash_kernel.install", "--prefix", bash]
    subprocess.run(
        [sys.executable, "-m", "spack_kernel", "exec", *query, *install],
        check=True,
        capture_output=True,
    )
    return store


@pytest.fixture
def r_store(demo_store: DemoStore, tmp_path: Path) -> ClonedStore:
    """Return the demo store with R as an external and IRkernel in its own prefix."""
    if shutil.which("R") is None or not IRKERNEL.is_dir():
        pytest.skip("missing component: R with IRkernel (r-cran-irkernel)")
    store = ClonedStore(demo_store, tmp_path / "store")
    r = add_record(store, "r", "4.2.2", prefix=Path("/usr"))
    store.records[r]["spec"]["external"] = {"path": "/usr", "module": None, "extra_attributes": {}}
    store.records[r]["spec"]["dependencies"] = []
    prefix = store.root / "r-irkernel-1.3.2"
    shutil.copytree(IRKERNEL, prefix / R_LIBRARIES[0] / "IRkernel")
    key = add_record(store, "r-irkernel", "1.3.2", r, prefix=prefix)
    store.records[key]["spec"]["dependencies"] = store.records[key]["spec"]["dependencies"][1:]
    store.save()
    return store


def started_by_argv(argv: list[str], directory: Path, code: str) -> str:
    """Start a kernel from its argv alone, as front ends without provisioners do."""
    file, _ = write_connection_file(str(directory / "connection.json"))
    with (directory / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [word.replace("{connection_file}", file) for word in argv],
            stdout=stderr,
            stderr=stderr,
        )
    client = BlockingKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels(hb=False)
    try:
        client.wait_for_ready(timeout=60)
        return execute(client, code)
    finally:
        client.stop_channels()
        process.terminate()
        process.wait(30)


class TestBash:
    def install(self, store: ClonedStore, *options: str) -> int:
        return main(["install", "--user", "--store", str(store.root), *options, "py-bash-kernel"])

    def test_a_cell_runs_in_the_environment_of_the_closure(
        self,
        bash_store: ClonedStore,
        jupyter_home: Path,
        start: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert self.install(bash_store) == 0
        key = bash_store.hash("py-bash-kernel")
        name = f"spack-py-bash-kernel-0.10.0-{key[:7]}.bash"
        told = capsys.readouterr().out
        assert f"The kernel {name} is installed." in told
        assert f"shown as     Bash in py-bash-kernel 0.10.0 (Spack /{key[:7]})" in told
        directory = jupyter_home / "data" / "kernels" / name
        content = json.loads((directory / "kernel.json").read_text())
        assert content["language"] == "bash"
        assert content["env"] == {"PS1": "$"}
        assert "debugger" not in content["metadata"]
        prefix = bash_store.records[key]["path"]
        own = Path(prefix, "share/jupyter/kernels/bash")
        logos = sorted(path.name for path in directory.iterdir())
        # Only the shapes are copied: an SVG can contain a script.
        assert logos == ["kernel.json", "logo-svg.svg"]
        logo = (directory / "logo-svg.svg").read_bytes()
        assert logo == drawing((own / "logo-svg.svg").read_bytes())

        running: Running = start(name)
        code = "echo $((6 * 7)); echo $PYTHONPATH"
        answer, path = execute(running[1], code).split()
        assert answer == "42"
        assert f"{prefix}/{PURELIB}" in path.split(":")
        assert started_by_argv(content["argv"], tmp_path, "echo $((6 * 7))") == "42"

    def test_an_interrupt_stops_a_cell(self, bash_store: ClonedStore, start: Any) -> None:
        assert self.install(bash_store) == 0
        manager, client = start(
            f"spack-py-bash-kernel-0.10.0-{bash_store.hash('py-bash-kernel')[:7]}.bash"
        )
        client.execute("sleep 600")
        time.sleep(1)
        manager.interrupt_kernel()
        client.get_shell_msg(timeout=30)
        assert execute(client, "echo still here") == "still here"

    def test_python_can_be_had_from_it_too(
        self, bash_store: ClonedStore, start: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.install(bash_store, "--kernel", "python") == 0
        name = f"spack-py-bash-kernel-0.10.0-{bash_store.hash('py-bash-kernel')[:7]}"
        running: Running = start(name)
        assert execute(running[1], "import bash_kernel; print(1)") == "1"

    def test_one_that_is_not_shipped(
        self, bash_store: ClonedStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.install(bash_store, "--kernel", "fish") == 1
        words = capsys.readouterr().err
        assert "ships no kernel named `fish`" in words
        assert "bash: Bash, from py-bash-kernel@0.10.0/" in words
        assert "Name one of these, or `python` for IPython." in words

    def test_discovery_offers_it(
        self,
        bash_store: ClonedStore,
        start: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path))
        manager = SpackKernelSpecManager(stores=[str(bash_store.root)])
        key = bash_store.hash("py-bash-kernel")
        name = f"spack-py-bash-kernel-0.10.0-{key[:7]}.bash"
        specs = manager.get_all_specs()
        assert specs[name]["spec"]["language"] == "bash"
        assert name.removesuffix(".bash") not in specs
        prefix = bash_store.records[key]["path"]
        # A server publishes every file in this directory, so it must not be in the prefix.
        directory = Path(specs[name]["resource_dir"])
        assert directory.is_relative_to(tmp_path)
        (logo,) = directory.iterdir()
        assert logo.name == "logo-svg.svg"
        own = Path(prefix, "share/jupyter/kernels/bash/logo-svg.svg")
        assert logo.read_bytes() == drawing(own.read_bytes())
        running: Running = start(name, kernel_spec_manager=manager)
        assert execute(running[1], "echo here") == "here"

    def test_one_that_is_not_listed_is_found_by_its_name(self, bash_store: ClonedStore) -> None:
        manager = SpackKernelSpecManager(stores=[str(bash_store.root)], limit=0)
        name = f"spack-py-bash-kernel-{bash_store.hash('py-bash-kernel')[:7]}.bash"
        assert name not in manager.get_all_specs()
        assert manager.get_kernel_spec(name).language == "bash"


class TestR:
    def test_a_cell_runs_r_with_the_packages_of_the_closure(
        self, r_store: ClonedStore, jupyter_home: Path, start: Any, tmp_path: Path
    ) -> None:
        assert main(["install", "--user", "--store", str(r_store.root), "r-irkernel"]) == 0
        key = r_store.hash("r-irkernel")
        name = f"spack-r-irkernel-1.3.2-{key[:7]}.ir"
        content = json.loads((jupyter_home / "data" / "kernels" / name / "kernel.json").read_text())
        assert content["language"] == "R"
        code = 'cat(6 * 7, find.package("IRkernel"))'
        expected = f"42 {r_store.records[key]['path']}/rlib/R/library/IRkernel"
        running: Running = start(name)
        assert execute(running[1], code) == expected
        assert started_by_argv(content["argv"], tmp_path, code) == expected

    def test_discovery_offers_it(self, r_store: ClonedStore) -> None:
        manager = SpackKernelSpecManager(stores=[str(r_store.root)])
        name = f"spack-r-irkernel-1.3.2-{r_store.hash('r-irkernel')[:7]}.ir"
        assert manager.get_all_specs()[name]["spec"]["language"] == "R"


class TestShipped:
    """What is read from prefixes that the test lays out; no kernel is started."""

    def kernel(self, store: SmallStore, key: str, name: str, content: Any) -> Path:
        directory = Path(store.records[key]["path"], "share/jupyter/kernels", name)
        directory.mkdir(parents=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / "kernel.json").write_text(text)
        return directory

    def closure(self, store: SmallStore, key: str) -> list[Spec]:
        opened = store.open()
        root = opened.by_hash(key)
        assert root is not None
        return opened.closure(root)

    def test_what_a_kernel_json_says_is_taken_over(self, tmp_path: Path) -> None:
        store = SmallStore(tmp_path)
        key = store.add("xeus-cling", "0.15")
        directory = self.kernel(
            store,
            key,
            "XCpp17",
            {
                "argv": ["{prefix}/bin/xcpp", "{resource_dir}/x", "-f", "{connection_file}"],
                "display_name": "C++17",
                "language": "C++17",
                "interrupt_mode": "message",
                "env": {"A": "b"},
                "metadata": {"debugger": True, "kernel_provisioner": {"provisioner_name": "x"}},
            },
        )
        (spec,) = self.closure(store, key)
        kernels, problems = shipped_kernels([spec])
        assert problems == []
        assert kernels == [
            ShippedKernel(
                name="xcpp17",
                spec=spec,
                directory=str(directory),
                argv=(f"{spec.prefix}/bin/xcpp", f"{directory}/x", "-f", "{connection_file}"),
                display_name="C++17",
                language="C++17",
                interrupt_mode="message",
                env={"A": "b"},
                metadata={"debugger": True},
            )
        ]

    @pytest.mark.parametrize(
        "argv",
        [["python", "-m", "ipykernel_launcher", "-f", "x"], ["/p/python3", "-m", "ipykernel"]],
    )
    def test_ipykernels_own_is_none_of_them(self, tmp_path: Path, argv: list[str]) -> None:
        store = SmallStore(tmp_path)
        key = store.add("py-ipykernel", "7.3.0")
        self.kernel(store, key, "python3", {"argv": argv})
        assert shipped_kernels(self.closure(store, key)) == ([], [])

    @pytest.mark.parametrize(
        "content",
        ["{", "[]", "{}", {"argv": []}, {"argv": "R"}, {"argv": [1]}, {"argv": ["x"], "env": 3}],
    )
    def test_one_that_cannot_be_used_is_told(self, tmp_path: Path, content: Any) -> None:
        store = SmallStore(tmp_path)
        key = store.add("r-irkernel", "1")
        bad = self.kernel(store, key, "bad", content)
        self.kernel(store, key, "good", {"argv": ["x"]})
        kernels, problems = shipped_kernels(self.closure(store, key))
        assert [kernel.name for kernel in kernels] == ["good"]
        (problem,) = problems
        assert problem.startswith(f"{bad}/kernel.json is left out: ")

    def test_the_root_is_asked_before_its_dependencies(self, tmp_path: Path) -> None:
        store = SmallStore(tmp_path)
        deep = store.add("a-kernel", "1")
        self.kernel(store, deep, "a", {"argv": ["deep"]})
        root = store.add("b-kernel", "1", deep)
        self.kernel(store, root, "a", {"argv": ["root"]})
        chosen = choose_shipped(self.closure(store, root), None)
        assert chosen is not None
        assert chosen.argv == ("root",)

    def test_a_closure_with_python_stays_python_unless_told(self, tmp_path: Path) -> None:
        store = SmallStore(tmp_path)
        deep = store.add("a-kernel", "1")
        self.kernel(store, deep, "a", {"argv": ["deep"]})
        python = store.add("python", "3.11.4")
        closure = self.closure(store, store.add("bundle", "1", deep, python))
        assert choose_shipped(closure, None) is None
        chosen = choose_shipped(closure, "A")
        assert chosen is not None
        assert chosen.name == "a"
        assert choose_shipped(closure, "python") is None

    def test_of_several_none_is_guessed(self, tmp_path: Path) -> None:
        store = SmallStore(tmp_path)
        key = store.add("xeus-cling", "0.15")
        for name in ("xcpp11", "xcpp17"):
            self.kernel(store, key, name, {"argv": [name], "display_name": name.upper()})
        with pytest.raises(ShippedKernelError) as told:
            choose_shipped(self.closure(store, key), None)
        assert told.value.summary.endswith("ships 2 kernels")
        assert "--kernel xcpp11" in told.value.hint

    def test_a_whole_systems_kernels_are_not_an_externals(self, tmp_path: Path) -> None:
        store = SmallStore(tmp_path)
        key = store.add("some-kernel", "1", prefix="/usr", external=True)
        assert shipped_kernels(self.closure(store, key)) == ([], [])

    def test_who_is_asked_in_a_survey(self) -> None:
        yes = ("r-irkernel", "py-bash-kernel", "xeus-cling", "py-octave-kernel", "xeus-python")
        assert all(map(may_ship, yes))
        assert not any(map(may_ship, ("python", "py-numpy", "kokkos-kernels", "py-ipython")))
