"""``check``: starts real kernels, reports what fails, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from spack_kernel.cli.import_check import modules_of
from spack_kernel.kernels.plan.plan import plan_kernel
from spack_kernel.spack import Store
from tests.small_store import SmallStore

from .conftest import Runner, command

STEPS = ["resolve", "start", "answer", "python", "import libensemble", "shutdown"]


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Assert that no process and no temporary file outlives a check."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    after = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.pid not in before and child.status() != psutil.STATUS_ZOMBIE
    ]
    assert after == []
    assert list(scratch.iterdir()) == []
    runtime = Path(os.environ["JUPYTER_RUNTIME_DIR"])
    assert not runtime.exists() or list(runtime.iterdir()) == []


@pytest.fixture
def beside(tmp_path: Path, demo: Path) -> SmallStore:
    """Return an empty store, for use in front of the demo store."""
    return SmallStore(tmp_path / "own", upstreams=[demo])


def package(store: SmallStore, demo: Path, name: str, body: str) -> str:
    """Add a package for the demo store's Python, with one module that contains `body`."""
    below = Store.open(demo)
    venv, python = below.get("python-venv"), below.get("python")
    key = store.add(f"py-{name}", "1.0", venv, python)
    series = ".".join(str(python.version).split(".")[:2])
    store.package(key, f"{name}/", body, python=series)
    return key


def test_a_query(run: Runner, demo: Path) -> None:
    result = run("check", "--store", demo, "py-libensemble")
    assert (result.status, result.err) == (0, "")
    spec = Store.open(demo).get("py-libensemble")
    lines = result.out.splitlines()
    steps, end = lines[: len(STEPS)], lines[len(STEPS) :]
    assert [line[0] for line in steps] == ["✓"] * len(STEPS)
    assert all(" ms  " in line or " s  " in line for line in steps)
    assert lines[0].endswith(spec.label)
    assert f"{spec.prefix}/" in lines[4]
    assert end[0].startswith("The kernel works: 1 module imported, ")
    # Each check reports which other users can read the computation.
    assert "cannot be encrypted: ipykernel " in end[1]
    assert "every user of this machine can read" in end[2]
    assert 'c.KernelManager.transport = "ipc"' in end[3]


def test_an_installed_kernel(run: Runner, demo: Path) -> None:
    run("install", "--store", demo, "--user", "--name", "mine", "--env", "A=1", "py-libensemble")
    result = run("check", "--json", "MINE")
    assert (result.status, result.err) == (0, "")
    spec = Store.open(demo).get("py-libensemble")
    assert result.json["ok"] is True
    assert result.json["kernel"] == "mine"
    assert result.json["specs"] == [{"spec": spec.label, "hash": spec.hash}]
    assert [step["name"] for step in result.json["steps"]] == STEPS
    assert all(step["ok"] and step["seconds"] >= 0 for step in result.json["steps"])
    assert "error" not in result.json


def test_an_installed_kernel_keeps_its_own_settings(run: Runner, demo: Path) -> None:
    run("install", "--store", demo, "--user", "--name", "mine", "py-libensemble")
    for words in (
        ["--store", str(demo)],
        ["--env", "A=1"],
        ["--companion", "none"],
        ["--kernel", "python"],
    ):
        result = run("check", "mine", *words)
        assert result.status == 2
        assert "error: mine is an installed kernel, which has its own settings" in result.err
        assert f": {words[0]} can be given only with a QUERY" in result.err
    shown = run("show", "mine", "--env", "A=1")
    assert shown.status == 2
    assert "--env can be given only with a QUERY" in shown.err


def test_an_installed_kernel_whose_spec_is_gone(
    run: Runner, demo: Path, beside: SmallStore
) -> None:
    key = package(beside, demo, "fleeting", "")
    root = beside.write()
    made = run("install", "--store", root, "--store", demo, "--user", "--name", "a", f"/{key}")
    assert made.status == 0, made.err
    del beside.records[key]
    beside.write()
    result = run("check", "a")
    assert result.status == 1
    assert result.out.startswith("✗ ")
    assert "which this kernel is pinned to, is not installed" in result.err


def test_a_module_that_fails(run: Runner, demo: Path, beside: SmallStore) -> None:
    key = package(beside, demo, "broken", "import no_such_module_at_all\n")
    argv = ["check", "--store", beside.write(), "--store", demo, "py-broken"]
    result = run(*argv)
    assert result.status == 1
    assert [line[0] for line in result.out.splitlines()] == ["✓", "✓", "✓", "✓", "✗"]
    lines = result.err.splitlines()
    assert lines[0] == (
        "error: `import broken` fails: ModuleNotFoundError: No module named 'no_such_module_at_all'"
    )
    assert any("import no_such_module_at_all" in line for line in lines[1:-1])
    stores = f"--store {beside.root} --store {demo}"
    again = f"spack-kernel exec {stores} /{key[:7]} -- python -c 'import broken'"
    assert f"`{again}`" in result.err
    done = command(*shlex.split(again)[1:])
    assert done.returncode == 1
    assert "No module named 'no_such_module_at_all'" in done.stderr
    facts = run(*argv, "--json")
    assert facts.status == 1
    assert facts.json["ok"] is False
    assert facts.json["steps"][-1]["ok"] is False
    assert facts.json["error"]["code"] == "import"
    assert facts.err == result.err


def test_a_module_that_kills_the_kernel(run: Runner, demo: Path, beside: SmallStore) -> None:
    body = "import os, sys\nprint('farewell', file=sys.__stderr__, flush=True)\n"
    key = package(beside, demo, "deadly", body + "os.kill(os.getpid(), 9)\n")
    argv = ["check", "--store", beside.write(), "--store", demo, "py-deadly"]
    result = run(*argv)
    assert result.status == 1
    assert result.err == (
        f"error: the kernel of py-deadly@1.0/{key[:7]} ended while it ran `import deadly`: "
        "killed by SIGKILL\n"
        "  | farewell\n"
        "hint: It was killed, often by a memory limit of the machine or the batch system.\n"
    )
    package(beside, demo, "deadly", "import os\nos.kill(os.getpid(), 11)\n")
    assert "ended while it ran `import deadly`: killed by SIGSEGV" in run(*argv).err


def test_a_module_that_never_ends(run: Runner, demo: Path, beside: SmallStore) -> None:
    package(beside, demo, "endless", "import time\ntime.sleep(600)\n")
    result = run(
        *("check", "--store", beside.write(), "--store", demo, "--timeout", "8", "py-endless")
    )
    assert result.status == 1
    assert result.err == (
        "error: the kernel ran `import endless`, but did not finish within 8 s\n"
        "hint: Increase --timeout; a parallel file system with a cold cache is slow.\n"
    )


def test_a_module_that_is_somebody_elses(run: Runner, demo: Path, beside: SmallStore) -> None:
    key = package(beside, demo, "time", "")  # Python's own module is built in and comes first
    result = run("check", "--store", beside.write(), "--store", demo, "py-time")
    assert result.status == 1
    assert result.err == (
        f"error: `import time` does not find the time of py-time@1.0/{key[:7]}\n"
        "  found: a module built into the interpreter\n"
        f"  expected in: {beside.records[key]['path']}\n"
        "hint: A module of the same name is found first; "
        f"`spack-kernel show --store {beside.root} --store {demo} --paths /{key[:7]}` shows the "
        "order of PYTHONPATH.\n"
    )


def test_a_spec_without_modules(run: Runner, demo: Path) -> None:
    result = run("check", "--store", demo, "python-venv")
    assert result.status == 0
    assert "The kernel works: 0 modules imported, " in result.out


def test_a_kernel_of_another_language(run: Runner, demo: Path, beside: SmallStore) -> None:
    below = Store.open(demo)
    needed = [below.get(name) for name in ("py-ipykernel", "python-venv", "python")]
    series = ".".join(str(needed[2].version).split(".")[:2])
    key = beside.add("py-echo-kernel", "1.0", *needed)
    beside.package(
        key,
        "echo_kernel",
        "from ipykernel.kernelapp import IPKernelApp\n"
        "from ipykernel.kernelbase import Kernel\n"
        "class Echo(Kernel):\n"
        "    implementation, implementation_version, banner = 'echo', '1', ''\n"
        "    language_info = {'name': 'echo', 'version': '2.0', 'mimetype': 'text/plain',\n"
        "                     'file_extension': '.txt'}\n"
        "    def do_execute(self, code, silent, *_, **__):\n"
        "        return {'status': 'ok', 'execution_count': 1, 'payload': [],\n"
        "                'user_expressions': {}}\n"
        "IPKernelApp.launch_instance(kernel_class=Echo)\n",
        python=series,
    )
    kernels = Path(beside.records[key]["path"], "share", "jupyter", "kernels", "echo")
    kernels.mkdir(parents=True)
    argv = ["python", "-m", "echo_kernel", "-f", "{connection_file}"]
    content = {"argv": argv, "display_name": "Echo", "language": "echo"}
    (kernels / "kernel.json").write_text(json.dumps(content))
    stores = ["--store", beside.write(), "--store", demo]
    result = run("check", "--json", *stores, "py-echo-kernel")
    assert (result.status, result.err) == (0, "")
    steps = {step["name"]: step["detail"] for step in result.json["steps"]}
    assert list(steps) == ["resolve", "start", "answer", "shutdown"]
    assert steps["answer"] == "echo 2.0"
    made = run("install", *stores, "--user", "--name", "echo", "py-echo-kernel")
    assert made.status == 0, made.err
    assert [step["name"] for step in run("check", "--json", "echo").json["steps"]] == list(steps)
    python = run("check", "--json", *stores, "--kernel", "python", "py-echo-kernel")
    assert "python" in [step["name"] for step in python.json["steps"]]


def test_a_spec_that_cannot_be_planned(run: Runner, tmp_path: Path) -> None:
    store = SmallStore(tmp_path / "store")
    store.add("zlib", "1.3")
    result = run("check", "--store", store.write(), "zlib")
    assert result.status == 1
    assert result.out.splitlines()[0].startswith("✗ ")
    assert "does not depend on Python" in result.err


def test_an_ipykernel_that_does_not_start(run: Runner, demo: Path, beside: SmallStore) -> None:
    below = Store.open(demo)
    python, venv = below.get("python"), below.get("python-venv")
    series = ".".join(str(python.version).split(".")[:2])
    kernel = beside.add("py-ipykernel", "1.0", venv, python)
    packages = beside.package(kernel, "ipykernel/", python=series)
    (packages / "ipykernel_launcher.py").write_text("raise SystemExit('far too old')\n")
    app = beside.add("py-app", "1.0", kernel, venv, python)
    result = run("check", "--store", beside.write(), "--store", demo, f"/{app}")
    assert result.status == 1
    assert [line[0] for line in result.out.splitlines()] == ["✓", "✗"]
    assert "ended during startup" in result.err
    assert result.err.count("far too old") == 1


def test_nothing_but_the_error_is_shown(demo: Path, beside: SmallStore) -> None:
    package(beside, demo, "broken", "import no_such_module_at_all\n")
    stores = ["--store", beside.write(), "--store", demo]
    result = command("check", *stores, "py-broken")
    assert result.returncode == 1
    assert result.stderr.startswith("error: `import broken` fails")
    killed = command("check", *stores, "--env", "PYTHONUTF8=nonsense", "py-broken")
    assert killed.returncode == 1
    assert killed.stderr.startswith("error: the kernel of py-broken@1.0/")
    assert killed.stderr.count("invalid PYTHONUTF8") == 1
    assert "Traceback" not in killed.stderr


def test_an_interrupt_ends_the_kernel(
    run: Runner, demo: Path, beside: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spack_kernel.cli import kernel_check

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel_check, "_ask_python", interrupted)
    result = run("check", "--store", demo, "py-libensemble")
    assert result.status == 130
    assert result.err == "interrupted\n"


def test_a_timeout_that_is_none(run: Runner, demo: Path) -> None:
    for seconds in ("0", "-1", "nan"):
        result = run("check", "--store", demo, f"--timeout={seconds}", "py-libensemble")
        assert result.status == 2
        assert (
            "error: argument --timeout: it must be a number of seconds greater than 0\n"
            in result.err
        )
    assert "invalid float value" in run("check", "--timeout", "x", "a").err


def test_marks_a_terminal_can_show(
    run: Runner, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    from spack_kernel.cli import main

    assert main(["check", "--store", str(demo), "py-numpy"]) == 1
    out.flush()
    assert out.buffer.getvalue().startswith(b"FAILED ")


def test_which_modules_a_spec_offers(demo: Path, beside: SmallStore) -> None:
    key = package(beside, demo, "many", "")
    (packages,) = Path(beside.records[key]["path"]).glob("lib/python*/site-packages")
    for name in ("single.py", "fast.cpython-311-x86_64-linux-gnu.so", "abi.abi3.so", "_private.py"):
        (packages / name).touch()
    for name in ("many-1.0.dist-info", "__pycache__", "tests", "data", "space/inner", "no-name"):
        (packages / name).mkdir(parents=True)
    (packages / "tests" / "__init__.py").touch()
    (packages / "data" / "table.csv").touch()
    (packages / "space" / "inner" / "__init__.py").touch()
    (packages / "README.txt").touch()
    (packages / "many.pth").touch()
    store = beside.open()
    spec = store.by_hash(key)
    assert spec is not None
    plan = plan_kernel(store, [spec])
    assert modules_of(plan, spec) == ["abi", "fast", "many", "single", "space"]
    for path in packages.iterdir():
        if path.name not in ("_private.py", "tests"):
            path.rename(packages.parent / path.name)
    plan = plan_kernel(store, [spec])
    assert modules_of(plan, spec) == ["tests"]


def test_a_signal_of_the_batch_system_leaves_nothing(demo: Path, tmp_path: Path) -> None:
    """SIGTERM while the kernel starts: neither its process nor the scratch directory stays."""
    argv = [sys.executable, "-m", "spack_kernel", "check", "--store", str(demo), "py-libensemble"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("spack-kernel-check-*/connection.json")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert list(tmp_path.glob("spack-kernel-check-*")) == []
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(p.info["cmdline"])]
    assert left == []
