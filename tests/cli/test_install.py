"""``install`` and ``remove``: kernelspecs are written and removed completely or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from spack_kernel.cli.options import typed_command
from spack_kernel.spack import Store

from .conftest import Runner

ARGV = ("install", "--user", "py-libensemble")


def written(directory: Path) -> dict:
    return json.loads((directory / "kernel.json").read_text())


@pytest.fixture
def on(run: Runner, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo))
    return run


def test_for_this_user(on: Runner, demo: Path, surroundings: Path) -> None:
    spec = Store.open(demo).get("py-libensemble")
    result = on("install", "--user", f"py-libensemble/{spec.hash[:5]}")
    name = f"spack-py-libensemble-{spec.version}-{spec.hash[:7]}"
    directory = surroundings / "jupyter" / "kernels" / name
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == f"The kernel {name} is installed."
    assert lines[1] == f"  shown as     py-libensemble {spec.version} (Spack /{spec.hash[:7]})"
    assert f"  directory    {directory}" in lines
    assert f"  {typed_command()} check {name}" in lines
    content = written(directory)
    assert content["metadata"]["kernel_provisioner"] == {
        "provisioner_name": "spack-provisioner",
        "config": {
            "spec": f"py-libensemble/{spec.hash[:5]}",
            "hash": spec.hash,
            "store": str(demo),
        },
    }
    assert name in KernelSpecManager().find_kernel_specs()


def test_a_kernel_in_a_job(on: Runner, demo: Path, surroundings: Path) -> None:
    spec = Store.open(demo).get("py-libensemble")
    options = ("--slurm", "partition=gpu", "--slurm", "exclusive", "--queue-timeout", "60")
    result = on("install", "--user", *options, "py-libensemble")
    name = f"spack-py-libensemble-{spec.version}-{spec.hash[:7]}-slurm"
    assert (result.status, result.err) == (0, "")
    assert "  runs in      Slurm: partition=gpu exclusive" in result.out.splitlines()
    content = written(surroundings / "jupyter" / "kernels" / name)
    assert content["display_name"].endswith(" [Slurm: partition=gpu exclusive]")
    stanza = content["metadata"]["kernel_provisioner"]
    assert stanza["provisioner_name"] == "spack-slurm-provisioner"
    assert stanza["config"]["hash"] == spec.hash
    job = {name: stanza["config"][name] for name in ("slurm", "queue_timeout")}
    assert job == {"slurm": {"partition": "gpu", "exclusive": True}, "queue_timeout": 60.0}
    shown = on("show", name)
    assert (shown.status, shown.err) == (0, "")
    assert "  runs in      Slurm: partition=gpu exclusive" in shown.out.splitlines()
    result = on("workers", "dask", name)
    assert "--partition=gpu" in result.out
    assert "--exclusive" in result.out
    result = on("remove", name)
    assert result.status == 0


def test_here_excludes_the_options_of_a_job(on: Runner) -> None:
    result = on("install", "--user", "--place", "here", "--job-id", "5", "py-libensemble")
    assert result.status == 1
    assert "`--place here` excludes the options of a job" in result.err


def test_what_is_written_starts_without_a_provisioner(on: Runner, surroundings: Path) -> None:
    on(*ARGV, "--name", "plain", "--env", "A=1", "--env", "B", "x ${A}")
    argv = written(surroundings / "jupyter" / "kernels" / "plain")["argv"]
    command = argv[: argv.index("--") + 1]
    code = "import ipykernel, libensemble, os; print(os.environ['A'], os.environ['B'])"
    result = subprocess.run(
        [*command, "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "/leaked", "HOME": str(surroundings)},
        cwd=surroundings,
    )
    assert result.stdout == "1 x 1\n"


def test_name_display_name_and_variables(on: Runner, surroundings: Path) -> None:
    result = on(
        *ARGV,
        *(
            "--name",
            "Mine",
            "--display-name",
            "Größer & besser",
            "--env",
            "A=b=c",
            "--env=D=",
            "-x",
        ),
    )
    assert result.status == 2  # -x is an option of `list`
    result = on(
        *ARGV,
        *("--name", "Mine", "--display-name", "Größer & besser", "--env", "A=b=c", "--env=D="),
        *("--env", "E", "--flag=1", "--env=F", "2"),
    )
    assert result.status == 0
    content = written(surroundings / "jupyter" / "kernels" / "mine")
    assert content["display_name"] == "Größer & besser"
    assert content["env"] == {"A": "b=c", "D": "", "E": "--flag=1", "F": "2"}


@pytest.mark.parametrize("words", [["--env", "=x"], ["--env", "1=2"], ["--env", "A-B=1"]])
def test_variables_that_are_none(on: Runner, words: list[str]) -> None:
    result = on(*ARGV, *words)
    assert result.status == 2
    name = words[1].partition("=")[0]
    told = f"{name!r} is not a valid variable name" if name else f"{words[1]!r} is not NAME=VALUE"
    assert f"error: argument --env: {told}\n" in result.err


def test_an_unfinished_variable(on: Runner) -> None:
    assert "argument --env: expected one argument" in on(*ARGV, "--env").err
    assert "argument --env: 'LONELY' is not NAME=VALUE" in on(*ARGV, "--env", "LONELY").err


def test_for_an_environment_and_a_prefix(on: Runner, demo: Path, tmp_path: Path) -> None:
    result = on("install", "--prefix", tmp_path / "venv", "--name", "a", "py-libensemble")
    directory = tmp_path / "venv" / "share" / "jupyter" / "kernels" / "a"
    assert written(directory)["language"] == "python"
    assert result.err == (
        "warning: Jupyter does not search that directory; add "
        f"{tmp_path / 'venv'}/share/jupyter to JUPYTER_PATH\n"
    )
    both = on("install", "--user", "--prefix", tmp_path, "py-libensemble")
    assert both.status == 2
    assert "not allowed with argument" in both.err


def test_sys_prefix_is_where_the_command_runs(
    on: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    on("install", "--sys-prefix", "--name", "a", "py-libensemble")
    assert (tmp_path / "env" / "share" / "jupyter" / "kernels" / "a" / "kernel.json").is_file()


def test_without_a_place_it_is_the_systems(
    on: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spack_kernel.jupyter.kernelspecs import files

    monkeypatch.setattr(files, "SYSTEM_JUPYTER_PATH", [str(tmp_path / "system")])
    on("install", "--name", "a", "py-libensemble")
    assert (tmp_path / "system" / "kernels" / "a" / "kernel.json").is_file()


def test_a_dry_run_writes_nothing(on: Runner, demo: Path, surroundings: Path) -> None:
    result = on(*ARGV, "--name", "a", "--dry-run")
    assert result.json["metadata"]["kernel_provisioner"]["config"]["spec"] == "py-libensemble"
    assert not (surroundings / "jupyter").exists()


def test_json_describes_what_was_written(on: Runner, demo: Path, surroundings: Path) -> None:
    facts = on(*ARGV, "--name", "a", "--json").json
    assert facts["name"] == "a"
    assert Path(facts["resource_dir"], "kernel.json").is_file()
    assert facts["hash"] == Store.open(demo).get("py-libensemble").hash
    assert facts["shadowed_by"] is None


def test_several_specs_and_a_companion(on: Runner, demo: Path, surroundings: Path) -> None:
    store = Store.open(demo)
    result = on(
        *("install", "--user", "--name", "a", "--companion", "py-ipykernel"),
        *("py-libensemble", "py-matplotlib"),
    )
    assert result.status == 0
    config = written(surroundings / "jupyter" / "kernels" / "a")["metadata"]["kernel_provisioner"][
        "config"
    ]
    assert config == {
        "specs": [f"{n}/{store.get(n).hash}" for n in ("py-libensemble", "py-matplotlib")],
        "store": str(demo),
        "companion": "py-ipykernel",
    }


def test_a_foreign_kernelspec_is_not_replaced_unless_asked(on: Runner, surroundings: Path) -> None:
    directory = surroundings / "jupyter" / "kernels" / "a"
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text('{"argv": ["x"], "display_name": "Theirs"}')
    refused = on(*ARGV, "--name", "a")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        "error: a kernelspec `a` already exists, and spack-kernel did not write it\n"
        f"  {directory}\n"
        "hint: Choose another name with --name, or replace it with --replace.\n"
    )
    assert written(directory)["display_name"] == "Theirs"
    assert on(*ARGV, "--name", "a", "--replace").status == 0
    assert on(*ARGV, "--name", "a").status == 0  # our own kernelspec is replaced silently
    assert "Spack" in written(directory)["display_name"]


def test_names_that_cannot_be(on: Runner) -> None:
    result = on(*ARGV, "--name", "a b/c")
    assert result.status == 1
    assert result.err.startswith("error: `a b/c` is not a valid kernel name\n")


def test_a_place_that_cannot_be_written(on: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = on("install", "--prefix", tmp_path / "file", "py-libensemble")
    assert result.status == 1
    assert result.err.startswith("error: cannot write the kernelspec")
    assert "Not a directory" in result.err


@pytest.mark.parametrize("query", ["py-numpy", "nothing-of-the-kind", "py-numpy@@", "/zzzzz"])
def test_nothing_is_written_for_a_query_that_means_nothing(
    on: Runner, surroundings: Path, query: str
) -> None:
    assert on("install", "--user", query).status == 1
    assert not (surroundings / "jupyter").exists()


def test_a_hidden_kernel_is_told(
    on: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "before"
    on("install", "--prefix", before, "--name", "a", "py-libensemble")
    monkeypatch.setenv("JUPYTER_PATH", str(before / "share" / "jupyter"))
    result = on(*ARGV, "--name", "a")
    assert result.status == 0
    assert result.err == (
        "warning: Jupyter finds another kernel of this name first: "
        f"{before}/share/jupyter/kernels/a\n"
    )


def test_removal(on: Runner, surroundings: Path) -> None:
    for name in ("a", "b"):
        on(*ARGV, "--name", name)
    listed = on("remove", "--list")
    assert [line.split()[0] for line in listed.out.splitlines()[::2]] == ["a", "b"]
    kernels = surroundings / "jupyter" / "kernels"
    result = on("remove", "A")
    assert (result.status, result.out) == (0, f"removed a  {kernels / 'a'}\n")
    assert [path.name for path in kernels.iterdir()] == ["b"]
    assert on("remove", "--json", "b").json[0]["name"] == "b"
    assert on("remove", "--list").err == "spack-kernel has installed no kernels\n"
    assert on("remove", "--list", "--json").json == []


def test_all_or_none_are_removed(on: Runner, surroundings: Path) -> None:
    on(*ARGV, "--name", "a")
    result = on("remove", "a", "b")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: there is no kernelspec `b`\n"
        "  kernelspecs of spack-kernel: a\n"
        "hint: `jupyter kernelspec list` shows all kernelspecs.\n"
    )
    assert (surroundings / "jupyter" / "kernels" / "a").is_dir()


def test_others_are_not_removed(on: Runner, surroundings: Path) -> None:
    directory = surroundings / "jupyter" / "kernels" / "theirs"
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text('{"argv": ["x"], "display_name": "Theirs"}')
    result = on("remove", "theirs")
    assert result.status == 1
    assert result.err == (
        "error: the kernelspec `theirs` does not belong to spack-kernel\n"
        f"  {directory}\n"
        "hint: `jupyter kernelspec remove theirs` removes it.\n"
    )
    assert directory.is_dir()


def test_removing_what(on: Runner) -> None:
    nothing = "error: nothing to remove: give a NAME; --list shows the installed kernels\n"
    assert nothing in on("remove").err
    assert "error: --list takes no NAME\n" in on("remove", "--list", "a").err
