"""The command line in general: help, usage, errors, colours, and avoided imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import spack_kernel
from spack_kernel.cli.parser import COMMANDS
from spack_kernel.spack.store.store import Store

from .conftest import Runner, command

BIN = Path(sys.executable).parent


def test_without_arguments_it_shows_help_and_fails(run: Runner) -> None:
    result = run()
    assert (result.status, result.out) == (2, "")
    assert "typical use:" in result.err


def test_help_names_every_command(run: Runner) -> None:
    result = run("--help")
    assert (result.status, result.err) == (0, "")
    for name, summary in COMMANDS.items():
        assert f"    {name:<20}{summary}\n" in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_shows_examples(run: Runner, name: str) -> None:
    result = run(name, "--help")
    assert (result.status, result.err) == (0, "")
    _, _, examples = result.out.partition("\nexamples:\n")
    assert f"spack-kernel {name}" in examples or "spack-kernel --store" in examples


def test_version(run: Runner) -> None:
    assert run("--version").out == f"spack-kernel {spack_kernel.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["lst"], "error: there is no command 'lst'; did you mean 'list'?"),
        (["frobnicate"], "error: there is no command 'frobnicate'; the commands are list, show,"),
        (["show"], "error: nothing to load: give a QUERY, --environment, --view or --module"),
        (["--nonsense", "list"], "error: unrecognized arguments: --nonsense"),
        (["list", "--explicit", "--implicit"], "not allowed with argument"),
        (["--color", "pink", "list"], "invalid choice: 'pink'"),
    ],
)
def test_wrong_usage(run: Runner, argv: list[str], text: str) -> None:
    result = run(*argv)
    assert (result.status, result.out) == (2, "")
    assert text in result.err
    assert result.err.startswith("usage: ")
    assert "--help` shows examples." in result.err


def test_a_variant_with_a_dash_is_explained(run: Runner) -> None:
    result = run("show", "py-numpy", "-mpi")
    assert result.status == 2
    assert result.err.endswith(
        "error: unrecognized arguments: -mpi\n"
        "hint: To disable a variant, write ~mpi instead of -mpi.\n"
    )


def test_options_may_stand_before_behind_and_between(run: Runner, golden: Path) -> None:
    wanted = run("list", "--all", "--format", "{name}", "--store", golden, "py-six", "zlib")
    assert wanted.status == 0
    assert set(wanted.out.split()) == {"py-six", "zlib"}
    for argv in (
        ["--store", golden, "list", "--all", "py-six", "--format", "{name}", "zlib"],
        [
            f"--store={golden}",
            "--color",
            "never",
            "list",
            "py-six",
            "zlib",
            "-a",
            "--format={name}",
        ],
    ):
        assert run(*argv) == wanted


def test_stores_given_before_and_behind_are_chained(
    run: Runner, golden: Path, tmp_path: Path
) -> None:
    (tmp_path / "local" / ".spack-db").mkdir(parents=True)
    (tmp_path / "local" / ".spack-db" / "index.json").write_text(
        '{"database": {"version": "8", "installs": {}}}'
    )
    chained = ["--store", tmp_path / "local", "list", "--store", golden]
    assert run(*chained, "--all", "--format", "{name}", "py-mpi4py").out.startswith("py-mpi4py\n")


def test_the_store_may_come_from_the_environment(
    run: Runner, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(golden))
    assert run("list", "--all", "--format", "{name}", "py-mpi4py").status == 0
    monkeypatch.setenv("SPACK_KERNEL_STORE", "/nonexistent")
    assert run("list", "--store", golden, "-a", "py-mpi4py").status == 0
    assert "error: there is no directory /nonexistent\n" in run("list").err


def test_without_any_store_it_says_where_it_looked(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = run("list")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: no Spack store found\n"
        "  checked:\n"
        "  SPACK_KERNEL_STORE is not set\n"
        "  SPACK_ROOT is not set\n"
        "  there is no spack on PATH\n"
        "hint: Name an install tree (the directory that holds .spack-db) or the root of a Spack\n"
        "      instance, or set SPACK_KERNEL_STORE to one of them.\n"
    )


def test_with_json_an_error_is_an_object_and_a_text(run: Runner, golden: Path) -> None:
    result = run("list", "--json", "--store", golden, "py-nump")
    assert result.status == 1
    assert set(result.json["error"]) == {"code", "summary", "details", "hint"}
    assert result.json["error"]["code"] == "no-match"
    assert result.err.startswith("error: no installed spec matches 'py-nump'\n")


def test_a_query_that_does_not_parse_points_at_the_character(run: Runner, golden: Path) -> None:
    result = run("show", "--store", golden, "py-numpy@@1.2")
    assert result.status == 1
    lines = result.err.splitlines()
    assert lines[1] == "  py-numpy@@1.2"
    assert lines[2] == "          ^"
    assert lines[-1].startswith("hint: ")


def test_an_interrupt_ends_it_quietly(
    run: Runner, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "open_all", interrupted)
    result = run("list", "--store", golden)
    assert (result.status, result.out, result.err) == (130, "", "interrupted\n")


def test_a_defect_is_told_without_a_traceback(
    run: Runner, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> None:
        raise TypeError("nonsense")

    monkeypatch.setattr(Store, "open_all", defect)
    result = run("list", "--store", golden)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: this is a defect in spack-kernel: TypeError: nonsense\n"
        "hint: Run it again with --verbose and report what it prints.\n"
    )
    verbose = run("list", "--store", golden, "--verbose")
    assert "Traceback (most recent call last)" in verbose.err
    assert verbose.err.endswith(result.err)


def test_an_error_of_the_system_names_the_file(
    run: Runner, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr(Store, "open_all", full)
    assert run("list", "--store", golden).err == "error: /some/file: No space left on device\n"


def test_a_warning_is_a_line(run: Runner, golden: Path, tmp_path: Path) -> None:
    content = (golden / ".spack-db" / "index.json").read_text()
    newer = tmp_path / ".spack-db" / "index.json"
    newer.parent.mkdir()
    newer.write_text(content.replace('"version":"8"', '"version":"99"', 1))
    result = run("list", "--store", tmp_path, "-a", "--format", "{name}", "py-mpi4py")
    assert result.status == 0
    assert result.err.startswith("warning: ")
    assert "99" in result.err
    assert "UserWarning" not in result.err
    assert "\n" not in result.err.rstrip("\n")


def test_colours_are_for_terminals_and_whoever_asks(
    run: Runner, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["list", "--store", golden, "-a", "py-mpi4py"]
    plain = run(*argv)
    assert "\033" not in plain.out
    monkeypatch.setenv("NO_COLOR", "1")
    always = run(*argv, "--color", "always")
    assert "\033[1mpy-mpi4py\033[0m" in always.out or "py-mpi4py\033[36m@" in always.out
    assert run(*argv, "--color", "never") == plain
    error = run("--color", "always", "show", "--store", golden, "nothing-of-the-kind")
    assert error.err.startswith("\033[31merror:\033[0m no installed spec")


def test_a_terminal_gets_colours_unless_it_is_told_not_to(golden: Path) -> None:
    import os
    import pty

    def on_a_terminal(**variables: str) -> str:
        leader, follower = pty.openpty()
        argv = ["list", "--store", str(golden), "-a", "py-mpi4py"]
        with subprocess.Popen(
            [sys.executable, "-m", "spack_kernel", *argv],
            stdout=follower,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm", **variables},
        ):
            os.close(follower)
            shown = b""
            try:
                while chunk := os.read(leader, 65536):
                    shown += chunk
            except OSError:  # Linux raises this when the other end is closed
                pass
        os.close(leader)
        return shown.decode()

    assert "\033[" in on_a_terminal()
    assert "\033[" not in on_a_terminal(NO_COLOR="1")
    assert "\033[" not in on_a_terminal(TERM="dumb")


def test_a_reader_that_goes_away_is_no_error(golden: Path) -> None:
    listing = f"{sys.executable} -m spack_kernel list -a --store {golden}"
    line = f"{listing} | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr == ""
    first, status = result.stdout.splitlines()
    assert first.startswith("-- linux-")
    assert status == "141"


def test_it_is_three_commands(golden: Path) -> None:
    expected = f"spack-kernel {spack_kernel.__version__}\n"
    assert command("--version").stdout == expected
    for argv in ([BIN / "spack-kernel"], [BIN / "jupyter", "spack-kernel"]):
        if not Path(argv[0]).exists():
            pytest.skip(f"missing component: {argv[0]}")
        result = subprocess.run(
            [*argv, "--version"], capture_output=True, text=True, check=True, timeout=60
        )
        assert result.stdout == expected


def test_the_usage_names_the_command_as_it_was_called(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for called, shown in (
        ("/x/bin/spack-kernel", "spack-kernel"),
        ("/x/bin/jupyter-spack-kernel", "jupyter spack-kernel"),
        ("/x/spack_kernel/__main__.py", "python -m spack_kernel"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        assert run("show").err.startswith(f"usage: {shown} show [-h]")


def imported(code: str) -> set[str]:
    """Return the modules that a new Python process has imported after running `code`."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(result.stderr.splitlines()[-1]))


def test_importing_the_command_imports_nearly_nothing() -> None:
    extra = imported("import spack_kernel.cli") - imported("pass")
    usual = imported("import __future__, typing, json")
    assert {name for name in extra - usual if "." not in name} == {"spack_kernel"}
    assert {name for name in extra if name.startswith("spack_kernel.")} == {"spack_kernel.cli"}


@pytest.mark.parametrize(
    "argv",
    [["list", "-a", "zlib"], ["show", "--tree", "/y7ml7zt"], ["list", "--json", "-a", "zlib"]],
)
def test_list_and_show_do_not_import_jupyter(argv: list[str], golden: Path) -> None:
    call = [*argv, "--store", str(golden)]
    modules = imported(f"from spack_kernel.cli import main; assert main({call!r}) == 0")
    assert "spack_kernel.spack.store.store" in modules
    unwanted = ("jupyter", "traitlets", "zmq", "tornado", "asyncio", "argcomplete")
    assert not [name for name in modules if name.partition(".")[0].startswith(unwanted)]
