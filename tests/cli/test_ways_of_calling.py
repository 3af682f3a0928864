"""Every command gives the same result for every documented way of specifying the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.cli.parser import COMMANDS, build_parser
from spack_kernel.demo import DemoStore
from tests.spack_instance import make_instance

from .conftest import Runner

#: The ways of specifying a store in docs/cli.md.
WAYS = ("after", "before", "variable", "root", "path")

#: Commands without and with their optional arguments. QUERY and HASH are replaced; {home} is a
#: scratch directory. None of them runs spack: the instance in these tests has no executable.
LINES = {
    "list": [
        "list --json",
        "list --json py-numpy",
        "list --json --all --no-groups QUERY",
        "list --format {name}{@version}{/hash}",
        "list --json --loaded-by QUERY",
        "list --hashes --explicit",
    ],
    "show": [
        "show --json QUERY",
        "show QUERY",
        "show --paths QUERY",
        "show --variables --companion none QUERY",
        "show --tree --types --deptypes link,run QUERY",
        "show --json QUERY py-matplotlib",
    ],
    "install": [
        "install --no-spack --dry-run QUERY",
        "install --no-spack --dry-run --place slurm QUERY",
        "install --no-spack --json --prefix {home}/x --slurm time=5 --slurm exclusive HASH",
        "install --no-spack --json --prefix {home}/x --job-id 7 --queue-timeout 60 QUERY",
        "install --no-spack --json --prefix {home}/x --name one --env A=1 HASH",
        "install --no-spack --json --prefix {home}/x --display-name Two --no-modules QUERY HASH",
    ],
    "check": ["check --json HASH", "check --json --timeout 50 --companion auto --env A=1 QUERY"],
    "sync": [
        "sync --json --no-config --dry-run --prefix {home}/y",
        "sync --json --no-config --limit 2 --query QUERY --prefix {home}/y",
    ],
    "pin": [
        "pin --json {home}/n.ipynb QUERY",
        "pin --json --check {home}/n.ipynb",
        "pin --no-hash --keep-kernel {home}/n.ipynb QUERY",
        "pin --json --install-kernel --prefix {home}/z",
    ],
    "workers": [
        "workers dask QUERY",
        "workers dask --no-modules --slurm partition=gpu --slurm exclusive HASH",
        "workers ipyparallel --slurm time=5 --output {home}/workers/config.py QUERY",
    ],
    "index": ["index --json --output {home}/index", "index --output {home}/index"],
    "image": ["image --json --output {home}/images --import wave QUERY"],
    "exec": [
        "exec QUERY -- python -c PRINT",
        "exec HASH -- python -c PRINT",
        "exec --env A=1 --companion none --no-import-index QUERY -- python -c PRINT",
        "exec --no-modules QUERY py-matplotlib -- python -c PRINT",
    ],
}

PRINT = "import sys, json, os; print(json.dumps([sys.prefix, sys.path, os.environ.get('A')]))"


def test_no_command_is_left_out() -> None:
    _, parsers = build_parser(COMMANDS)
    taking = {name for name, p in parsers.items() if "--store" in p._option_string_actions}
    assert taking == set(LINES)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, demo_store: DemoStore) -> Path:
    """Return a Spack instance that installs into the demo store."""
    return make_instance(tmp_path_factory.mktemp("spack"), demo_store.root)


def words(line: str, home: Path, demo_store: DemoStore) -> list[str]:
    dag_hash = demo_store.hash("py-libensemble")
    values = {"QUERY": "py-libensemble", "HASH": f"py-libensemble/{dag_hash}", "PRINT": PRINT}
    return [values.get(word, word.replace("{home}", str(home))) for word in line.split()]


def named(
    way: str, argv: list[str], store: Path, instance: Path, patch: pytest.MonkeyPatch
) -> list[str]:
    """Return the arguments that specify the store in one way; set up the environment for it."""
    if way == "before":
        return ["--store", str(store), *argv]
    if way == "after":
        return [argv[0], "--store", str(store), *argv[1:]]
    if way == "variable":
        patch.setenv("SPACK_KERNEL_STORE", str(store))
    elif way == "root":
        patch.setenv("SPACK_ROOT", str(instance))
    else:
        patch.setenv("PATH", f"{instance / 'bin'}:{os.environ['PATH']}")
    return argv


def run_apart(argv: list[str]) -> tuple[int, str]:
    """Run a command in a separate process, which `exec` requires."""
    done = subprocess.run(
        [sys.executable, "-m", "spack_kernel", *argv], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def without_times(text: str, home: Path) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        return text.replace(str(home), "HOME")
    if isinstance(answer, dict):
        for step in answer.get("steps", ()):
            step.pop("seconds")
            if step["name"] == "python":
                step.pop("detail")
    return json.loads(json.dumps(answer).replace(str(home), "HOME"))


@pytest.mark.parametrize("line", [line for lines in LINES.values() for line in lines])
def test_every_way_of_naming_the_store(
    line: str,
    run: Runner,
    instance: Path,
    demo_store: DemoStore,
    tmp_path: Path,
) -> None:
    answers = {}
    for way in WAYS:
        home = tmp_path / way
        home.mkdir()
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
        notebook["metadata"] = {"spack": {"spec": "py-libensemble"}}
        (home / "n.ipynb").write_text(json.dumps(notebook))
        with pytest.MonkeyPatch.context() as patch:
            argv = words(line, home, demo_store)
            argv = named(way, argv, demo_store.root, instance, patch)
            if argv[0] == "exec" or "exec" in argv[2:3]:
                status, out = run_apart(argv)
            else:
                result = run(*argv)
                status, out = result.status, result.out
        assert status == 0, (way, out)
        answers[way] = without_times(out, home)
    # The notebook kernel records how its store was specified: none if the store is searched for.
    for way in WAYS[1:]:
        assert answers[way] == answers[WAYS[0]], way


@pytest.mark.parametrize("name", [name for name in LINES if name != "sync"])
def test_no_way_at_all(name: str, tmp_path: Path, demo_store: DemoStore) -> None:
    line = LINES[name][0]
    (tmp_path / "n.ipynb").write_text('{"nbformat": 4, "metadata": {}, "cells": []}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        status, out = run_apart(words(line, tmp_path, demo_store))
    assert status == 1
    assert "no Spack store found" in out
    assert "SPACK_ROOT is not set" in out
    assert "Traceback" not in out


def test_sync_without_any_store_says_so_and_removes_nothing(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        status, out = run_apart(["sync", "--no-config", "--prefix", str(tmp_path)])
    assert status == 1
    assert "no Spack store found" in out


@pytest.mark.parametrize("way", ["several", "trailing", "relative"])
def test_paths_as_people_write_them(
    way: str, demo_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$SPACK_KERNEL_STORE takes several paths; `exec` does not cache a plan for a relative one."""
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    value = {
        "several": f"{demo_store.root}:{demo_store.root}",
        "trailing": f"{demo_store.root}/:",
        "relative": os.path.relpath(demo_store.root),
    }[way]
    monkeypatch.setenv("SPACK_KERNEL_STORE", value)
    argv = words("exec HASH -- python -c PRINT", tmp_path, demo_store)
    first, second = run_apart(argv), run_apart(argv)
    assert first == second
    assert first[0] == 0, first
    kept = list((tmp_path / "cache").glob("exec-*"))
    assert bool(kept) == (way != "relative")


def test_a_kept_start_is_of_the_store_that_the_variable_names(
    demo_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo_store.root))
    argv = words("exec HASH -- python -c PRINT", tmp_path, demo_store)
    assert run_apart(argv)[0] == 0
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(tmp_path / "elsewhere"))
    status, out = run_apart(argv)
    assert status == 1
    assert "elsewhere" in out
