"""Kernels started without a server: by hand, in scripts, in batch jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
import nbformat
import pexpect
import pytest
from nbclient import NotebookClient

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.kernelspecs.files import install_kernelspec
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from tests.cloned_store import ClonedStore
from tests.jupyter.conftest import WriteKernel, use_directories


@pytest.fixture
def installed(jupyter_home: Path, demo_store: DemoStore) -> str:
    """Install a kernel for py-libensemble and return its name."""
    store = Store.open(demo_store.root)
    spec = store.by_hash(demo_store.hash("py-libensemble"))
    assert spec is not None
    return install_kernelspec(plan_kernel(store, [spec]), name="ensemble", user=True).name


def notebook(name: str, *cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": name, "display_name": name}
    return made


def test_nbclient_runs_a_notebook(installed: str, demo_store: DemoStore) -> None:
    made = notebook(installed, "import libensemble\nprint(libensemble.__file__)")
    NotebookClient(made, timeout=120).execute()
    (output,) = made.cells[0].outputs
    assert demo_store.hash("py-libensemble") in output.text


def test_nbclient_raises_our_text(write_kernel: WriteKernel) -> None:
    write_kernel("typo", spce="py-numpy")
    with pytest.raises(KernelStartError) as caught:
        NotebookClient(notebook("typo", "1"), timeout=60).execute()
    assert str(caught.value).splitlines()[-1] == "Did you mean `spec`?"


def test_the_console(installed: str) -> None:
    console = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter", "console", "--simple-prompt", "--kernel", installed],
        env={**os.environ, "TERM": "dumb"},
        encoding="utf-8",
        timeout=90,
    )
    try:
        console.expect(r"In \[1\]:")
        console.sendline("import libensemble; print('from', libensemble.__name__)")
        console.expect("from libensemble")
        console.expect(r"In \[2\]:")
        console.sendline("exit")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)


def test_jupyter_run(installed: str, tmp_path: Path, demo_store: DemoStore) -> None:
    script = tmp_path / "script.py"
    script.write_text("import libensemble\nprint(libensemble.__file__)\n")
    output = subprocess.run(
        [sys.executable, "-m", "jupyter", "run", "--kernel", installed, str(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert demo_store.hash("py-libensemble") in output


def test_jupyter_run_of_a_kernel_that_cannot_start_ends_in_our_text(
    write_kernel: WriteKernel, tmp_path: Path
) -> None:
    write_kernel("typo", spce="py-numpy")
    script = tmp_path / "script.py"
    script.write_text("1\n")
    answer = subprocess.run(
        [sys.executable, "-m", "jupyter", "run", "--kernel", "typo", str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode != 0
    assert answer.stderr.rstrip().endswith("Did you mean `spec`?")


# -- kernels from `spack-kernel sync` --------------------------------------------------------------

Command = Callable[[Path, Path, str], list[str]]

#: Tools that execute a notebook, from one file into another.
BATCH: dict[str, Command] = {
    "papermill": lambda source, target, kernel: [
        *("papermill", str(source), str(target), "-k", kernel, "--no-progress-bar")
    ],
    "nbconvert": lambda source, target, kernel: [
        *("jupyter", "nbconvert", "--to", "notebook", "--execute", str(source)),
        *(f"--ExecutePreprocessor.kernel_name={kernel}", f"--output={target}"),
    ],
}


def sync(store: Path) -> None:
    options = ["--user", "--no-config", "--query", "py-libensemble", "--environment", ""]
    assert main(["sync", "--store", str(store), *options]) == 0


def run_batch(
    command: Command, directory: Path, kernel: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Execute a notebook written for another kernel; return the result and the output path."""
    source, target = directory / "in.ipynb", directory / "out.ipynb"
    nbformat.write(notebook("python3", "import libensemble\nprint(libensemble.__file__)"), source)
    ended = subprocess.run(
        [sys.executable, "-m", *command(source, target, kernel)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return ended, target


def test_jupyter_lists_what_sync_wrote(jupyter_home: Path, demo_store: DemoStore) -> None:
    sync(demo_store.root)
    output = subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    listed = json.loads(output)["kernelspecs"]
    name = f"spack-py-libensemble-1.5.0-{demo_store.hash('py-libensemble')[:7]}"
    assert {name, "spack-notebook"} <= set(listed)
    assert listed[name]["resource_dir"] == str(jupyter_home / "data" / "kernels" / name)


@pytest.mark.parametrize("tool", BATCH)
@pytest.mark.usefixtures("jupyter_home")
def test_a_notebook_is_executed_in_a_batch_job(
    tool: str, tmp_path: Path, demo_store: DemoStore
) -> None:
    sync(demo_store.root)
    dag_hash = demo_store.hash("py-libensemble")
    kernel = f"spack-py-libensemble-1.5.0-{dag_hash[:7]}"
    ended, target = run_batch(BATCH[tool], tmp_path, kernel)
    assert ended.returncode == 0, ended.stderr
    cells = nbformat.read(target, as_version=4).cells
    (output,) = [cell for cell in cells if cell.cell_type == "code"][-1].outputs
    assert dag_hash in output.text


@pytest.mark.parametrize("tool", BATCH)
def test_a_batch_job_whose_spec_is_gone_ends_in_our_text(
    tool: str, tmp_path: Path, jupyter_home: Path, demo_store: DemoStore
) -> None:
    store = ClonedStore(demo_store, tmp_path / "store")
    sync(store.root)
    kernel = f"spack-py-libensemble-1.5.0-{store.hash('py-libensemble')[:7]}"
    store.uninstall("py-libensemble")
    ended, _ = run_batch(BATCH[tool], tmp_path, kernel)
    assert ended.returncode != 0
    assert ended.stderr.rstrip().endswith(
        f"py-libensemble@1.5.0/{kernel[-7:]}, which this kernel is pinned to, is not installed\n"
        "  `py-libensemble@1.5.0` matches no installed spec\n"
        f"  searched the {len(store.records)} specs of {store.root}\n"
        f"  requested by {jupyter_home}/data/kernels/{kernel}/kernel.json\n"
        "Install it again with `spack install py-libensemble@1.5.0`, or remove this kernel with "
        "`spack-kernel remove NAME`."
    )


# -- jupyter_kernel_test's own suite ---------------------------------------------------------------


@pytest.fixture(scope="module")
def suite_kernel(demo_store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the kernel that the suite uses, in this module's own directories."""
    with pytest.MonkeyPatch.context() as patch:
        use_directories(tmp_path_factory.mktemp("suite") / "jupyter", patch)
        store = Store.open(demo_store.root)
        spec = store.by_hash(demo_store.hash("py-libensemble"))
        assert spec is not None
        install_kernelspec(plan_kernel(store, [spec]), name="suite", user=True)
        yield


@pytest.mark.usefixtures("suite_kernel")
class TestKernelProtocol(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    kernel_name = "suite"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples: ClassVar[Any] = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples: ClassVar[Any] = [
        "1",
        "print('hello, world')",
        "def f(x):\n  return x*2\n\n\n",
    ]
    incomplete_code_samples: ClassVar[Any] = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples: ClassVar[Any] = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError"
    code_execute_result: ClassVar[Any] = [{"code": "1+2+3", "result": "6"}]
    code_display_data: ClassVar[Any] = [
        {
            "code": "from IPython.display import HTML, display; display(HTML('x'))",
            "mime": "text/html",
        }
    ]
    code_history_pattern = "1?2*"
    supported_history_operations: ClassVar[Any] = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"
