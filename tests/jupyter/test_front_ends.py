"""The ways people start kernels: nbclient, console, `jupyter run`, and without a provisioner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
import nbformat
import pexpect
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.failure import KernelStartError
from spack_kernel.jupyter.kernelspecs import install_kernelspec
from spack_kernel.kernels.plan import plan_kernel
from spack_kernel.spack import Store
from tests.jupyter.conftest import WriteKernel, execute, use_directories


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


# -- without a provisioner -------------------------------------------------------------------------


@pytest.fixture
def by_argv(
    installed: str, jupyter_home: Path, tmp_path: Path
) -> Iterator[tuple[BlockingKernelClient, subprocess.Popen[bytes]]]:
    """Start the kernel as VS Code or PyCharm do: argv, a connection file, their environment."""
    spec = KernelSpecManager().get_kernel_spec(installed)
    path, _ = write_connection_file(str(jupyter_home / "runtime" / "by-argv.json"))
    (tmp_path / "numpy.py").write_text("raise ImportError('leaked')")
    (tmp_path / "spack_kernel.py").write_text("raise ImportError('of the notebook directory')")
    poison = {"PYTHONPATH": str(tmp_path), "VIRTUAL_ENV": str(tmp_path), "PYTHONSTARTUP": "/x"}
    process = subprocess.Popen(
        [argument.format(connection_file=path) for argument in spec.argv],
        env={**os.environ, **poison, **spec.env},
        cwd=tmp_path / "jupyter" / "home",
        start_new_session=True,
    )
    client = BlockingKernelClient(connection_file=path)
    client.load_connection_file()
    client.start_channels()
    try:
        wait_until_ready(client, process)
        yield client, process
    finally:
        client.stop_channels()
        process.kill()
        process.wait()


def wait_until_ready(client: BlockingKernelClient, process: subprocess.Popen[bytes]) -> None:
    for _ in range(60):
        client.kernel_info()
        try:
            client.get_shell_msg(timeout=1)
        except Exception:
            assert process.poll() is None
        else:
            client.wait_for_ready(timeout=60)
            return


def test_argv_alone_makes_the_same_environment(
    by_argv: tuple[BlockingKernelClient, subprocess.Popen[bytes]],
    demo_store: DemoStore,
) -> None:
    client, process = by_argv
    code = (
        "import json, os, sys, numpy, libensemble\n"
        "print(json.dumps([sys.executable, os.environ['PYTHONPATH'], os.getpid(), "
        "os.environ.get('VIRTUAL_ENV'), os.environ.get('PYTHONSTARTUP')]))"
    )
    executable, path, pid, *leaked = json.loads(execute(client, code).splitlines()[-1])
    store = Store.open(demo_store.root)
    spec = store.by_hash(demo_store.hash("py-libensemble"))
    assert spec is not None
    plan = plan_kernel(store, [spec])
    assert plan.interpreter is not None
    assert executable == plan.interpreter.path
    assert path.split(":") == [entry.path for entry in plan.pythonpath]
    assert leaked == [None, None]
    # The launcher was replaced by the kernel, so signals go where front ends send them.
    assert pid == process.pid


def test_a_signal_to_the_argv_process_interrupts_the_cell(
    by_argv: tuple[BlockingKernelClient, subprocess.Popen[bytes]],
) -> None:
    client, process = by_argv
    client.execute("import time\nprint('running', flush=True)\ntime.sleep(600)")
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream":
            break
    process.send_signal(signal.SIGINT)
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "error":
            break
    assert message["content"]["ename"] == "KeyboardInterrupt"


# -- jupyter_kernel_test's own suite ---------------------------------------------------------------


@pytest.fixture(scope="module")
def suite_kernel(demo_store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the kernel that the suite names, in directories of this module's own."""
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
