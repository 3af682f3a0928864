"""``exec``: the command replaces the ``spack-kernel`` process, in the plan's environment."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spack_kernel.spack import Store

from .conftest import Runner, command

SHOW = "import json, os, sys; json.dump([sys.executable, sys.argv, dict(os.environ)], sys.stdout)"


def on(demo: Path, *argv: str, **options: object):
    return command("exec", "--store", demo, *argv, **options)


def test_python_is_the_plans_and_finds_the_package(run: Runner, demo: Path) -> None:
    facts = run("show", "--store", demo, "--json", "py-libensemble").json
    version = str(Store.open(demo).get("python").version)
    series = ".".join(version.split(".")[:2])
    for python in ("python", "python3", f"/usr/bin/python{series}"):
        result = on(demo, "py-libensemble", "--", python, "-c", "import sys; print(sys.executable)")
        assert (result.stdout, result.stderr) == (facts["interpreter"] + "\n", "")
    result = on(demo, "py-libensemble", "--", "python", "-c", "import libensemble as m; print(m)")
    assert Store.open(demo).get("py-libensemble").prefix in result.stdout


def test_another_python_is_refused(run: Runner, demo: Path) -> None:
    spec, python = (Store.open(demo).get(name) for name in ("py-libensemble", "python"))
    for name in ("python2", "python3.5", "/usr/bin/python3.5"):
        for _ in range(2):  # as planned, and as cached
            result = on(demo, "py-libensemble", "--", name, "-V")
            assert result.returncode == 1
            assert result.stderr == (
                f"error: `{name}` is not the Python of {spec.label}, which is {python.version}\n"
                "hint: Write `python` for that one, or choose a spec for another Python.\n"
            )


def test_the_environment_is_the_plans(run: Runner, demo: Path) -> None:
    import json

    facts = run("show", "--store", demo, "--json", "py-libensemble").json
    leaked = {"PYTHONPATH": "/leaked", "VIRTUAL_ENV": "/leaked", "MAX_ENTRIES": "yes"}
    result = on(
        demo,
        *(
            "--env",
            "A=1",
            "--env",
            "B",
            "${A}-${MAX_ENTRIES}",
            "py-libensemble",
            "--",
            "python",
            "-c",
        ),
        *(SHOW, "--", "a b", ""),
        env={**os.environ, **leaked},
    )
    _, argv, environment = json.loads(result.stdout)
    assert argv == ["-c", "--", "a b", ""]
    assert environment["PYTHONPATH"] == facts["env"]["PYTHONPATH"]
    assert "VIRTUAL_ENV" not in environment
    assert (environment["A"], environment["B"], environment["MAX_ENTRIES"]) == ("1", "1-yes", "yes")


def test_the_status_is_the_commands(demo: Path) -> None:
    assert on(demo, "py-libensemble", "--", "sh", "-c", "exit 7").returncode == 7
    killed = on(demo, "py-libensemble", "--", "sh", "-c", "kill -TERM $$")
    assert killed.returncode == -signal.SIGTERM


def test_standard_input_is_the_commands(demo: Path) -> None:
    assert on(demo, "py-libensemble", "--", "cat", input="through\n").stdout == "through\n"


def test_it_is_the_same_process_so_signals_reach_it(demo: Path) -> None:
    script = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(42))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    argv = ["exec", "--store", str(demo), "py-libensemble", "--", "python", "-c", script]
    with subprocess.Popen(
        [sys.executable, "-m", "spack_kernel", *argv],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 42


def test_what_python_ignores_the_command_does_not(demo: Path) -> None:
    result = on(demo, "py-libensemble", "--", "bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")
    assert result.stdout.split() == ["y", "141"]


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("no-such-command", 127, "there is no command 'no-such-command' on the PATH of this"),
        ("/no/such/file", 127, "there is no file /no/such/file"),
        ("/tmp", 126, "/tmp is a directory"),
        ("FILE", 126, "cannot be executed: Permission denied"),
        ("SCRIPT", 126, "cannot be executed: No such file or directory"),
        ("TEXT", 126, "cannot be executed: Exec format error"),
    ],
)
def test_what_cannot_be_run_ends_as_in_a_shell(
    demo: Path, tmp_path: Path, name: str, status: int, text: str
) -> None:
    for file, mode, content in (
        ("FILE", 0o644, "#!/bin/sh\n"),
        ("SCRIPT", 0o755, "#!/no/such/interpreter\n"),
        ("TEXT", 0o755, "neither a script nor a program\n"),
    ):
        path = tmp_path / file
        path.write_text(content)
        path.chmod(mode)
    wanted = str(tmp_path / name) if name.isupper() else name
    result = on(demo, "py-libensemble", "--", wanted)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr.startswith("error: ")
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_a_command_that_may_not_be_executed_is_passed_over(demo: Path, tmp_path: Path) -> None:
    for name, mode, says in (("one", 0o644, "wrong"), ("two", 0o755, "right")):
        (tmp_path / name).mkdir()
        script = tmp_path / name / "tool-of-mine"
        script.write_text(f"#!/bin/sh\necho {says}\n")
        script.chmod(mode)
    path = f"{tmp_path / 'one'}:{tmp_path / 'two'}:{os.environ['PATH']}"
    result = on(demo, "py-libensemble", "--", "tool-of-mine", env={**os.environ, "PATH": path})
    assert result.stdout == "right\n"


def test_the_working_directory_is_not_searched(demo: Path, tmp_path: Path) -> None:
    script = tmp_path / "tool-of-mine"
    script.write_text("#!/bin/sh\necho trusted\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = f":{os.environ['PATH']}:"
    result = on(
        demo,
        *("py-libensemble", "--", "tool-of-mine"),
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
    )
    assert result.returncode == 127


def test_without_a_command_it_says_how(run: Runner, demo: Path) -> None:
    for argv in (["py-libensemble"], ["py-libensemble", "--"]):
        result = run("exec", "--store", demo, *argv)
        assert result.status == 2
        assert "error: no command; write it after two dashes: QUERY -- COMMAND\n" in result.err
    assert run("exec", "--", "ls").status == 2


def test_errors_come_before_the_command(run: Runner, demo: Path) -> None:
    result = run("exec", "--store", demo, "py-numpy", "--", "true")
    assert result.status == 1
    assert result.err.startswith("error: 'py-numpy' matches 2 installed specs\n")


def test_a_variable_that_is_none(run: Runner, demo: Path) -> None:
    for word in ("1x=3", "=3", "x y=3"):
        name = word.partition("=")[0]
        told = f"{name!r} is not a valid variable name" if name else f"{word!r} is not NAME=VALUE"
        result = run("exec", "--store", demo, "--env", word, "py-libensemble", "--", "true")
        assert result.status == 2
        assert f"error: argument --env: {told}\n" in result.err


def test_what_has_no_python_runs_commands_but_not_python(tmp_path: Path) -> None:
    from tests.small_store import SmallStore

    store = SmallStore(tmp_path / "store")
    key = store.add("zlib", "1.3")
    (Path(store.records[key]["path"]) / "bin").mkdir()
    root = store.write()
    shown = on(root, "zlib", "--", "sh", "-c", "echo $PATH").stdout
    assert shown.startswith(f"{store.records[key]['path']}/bin:")
    refused = on(root, "zlib", "--", "python")
    assert refused.returncode == 1
    assert "does not depend on Python, so no kernel can run in it" in refused.stderr


def test_only_the_command_of_a_kernel_needs_ipykernel(run: Runner, demo: Path) -> None:
    argv = ["exec", "--store", demo, "--companion", "none", "py-libensemble", "--"]
    kernel = run(*argv, "python", "-m", "ipykernel_launcher", "-f", "connection.json")
    assert kernel.status == 1
    assert "has no ipykernel" in kernel.err
    assert command(*argv, "python", "-c", "print('fine')").stdout == "fine\n"


def test_nothing_of_jupyter_is_imported_on_the_way(demo: Path) -> None:
    argv = ["-X", "importtime", "-m", "spack_kernel", "exec", "--store", str(demo)]
    result = subprocess.run(
        [sys.executable, *argv, "py-libensemble", "--", "true"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "spack_kernel.kernels.plan.plan" in modules
    unwanted = ("jupyter", "traitlets", "zmq", "tornado", "asyncio", "spack_kernel.jupyter")
    assert not [name for name in modules if name.startswith(unwanted)]
