"""``show --tree`` of what is not installed: Spack environments, and what Spack would install."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack import Store
from tests.records import make_store, node, readable_hash
from tests.spack_instance import fake_spack

from .conftest import Runner

pytestmark = pytest.mark.kernel

APP, LIB, TOOL, SYSTEM = map(readable_hash, ("py-app", "lib", "tool", "system"))


def nodes() -> dict[str, Any]:
    """Return what an app, a library, a build tool and an external look like in a lock file."""
    records = [
        node("py-app", ("lib", "build link"), ("tool", "build"), ("system", "link"), version="2.0"),
        node("lib", version="1.1"),
        node("tool"),
        node("system", external={"path": "/usr", "module": None, "extra_attributes": {}}),
    ]
    return {record["spec"]["hash"]: record["spec"] for record in records}


def environment(directory: Path, version: int = 7, **content: Any) -> Path:
    directory.mkdir()
    (directory / "spack.yaml").write_text("spack: {specs: [py-app]}\n")
    lock = {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": version},
        "roots": [{"hash": APP, "spec": "py-app"}],
        "concrete_specs": nodes(),
        **content,
    }
    (directory / "spack.lock").write_text(json.dumps(lock))
    return directory


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which only the library is installed."""
    return make_store(tmp_path / "tree", node("lib", version="1.1"))


def marks(out: str) -> dict[str, str]:
    """Return package → mark."""
    return {
        match[2]: match[1].strip()
        for line in out.splitlines()
        if (match := re.match(r"(\[.\]| - )  \w{7}  .*?([a-z-]+)@", line))
    }


EXPECTED = {"py-app": "-", "lib": "[+]", "tool": "-", "system": "[e]"}


def test_an_environment_that_is_not_installed(run: Runner, store: Store, tmp_path: Path) -> None:
    place = environment(tmp_path / "env")
    result = run("show", "--tree", "--store", store.root, "--environment", place)
    assert result.status == 0
    assert marks(result.out) == EXPECTED
    assert result.err == (
        f"2 of the 4 specs of the environment {place} are not installed\n"
        f"hint: Install them with `spack -D {place} install`.\n"
    )
    found = run("show", "--tree", "--store", store.root, "--environment", place, "--json").json
    assert {item["name"]: item["status"] for item in found} == {
        "py-app": "absent",
        "lib": "installed",
        "tool": "absent",
        "system": "external",
    }


def test_a_lock_file_whose_keys_are_no_dag_hashes(
    run: Runner, store: Store, tmp_path: Path
) -> None:
    """Up to format 3, specs and edges are named by another hash."""
    old = {
        f"build{key[:20]}": {
            **spec,
            "dependencies": [{**e, "hash": f"build{e['hash'][:20]}"} for e in spec["dependencies"]],
        }
        for key, spec in nodes().items()
    }
    place = environment(
        tmp_path / "env",
        version=3,
        concrete_specs=old,
        roots=[{"hash": f"build{APP[:20]}", "spec": "py-app"}],
    )
    result = run("show", "--tree", "--store", store.root, "--environment", place)
    assert marks(result.out) == EXPECTED


def test_included_environments_at_any_depth(run: Runner, store: Store, tmp_path: Path) -> None:
    every = nodes()
    inner = {"roots": [{"hash": LIB, "spec": "lib"}], "concrete_specs": {LIB: every[LIB]}}
    outer = {
        "roots": [{"hash": TOOL, "spec": "tool"}],
        "concrete_specs": {TOOL: every[TOOL]},
        "include_concrete": {"/inner": inner},
    }
    own = {key: every[key] for key in (APP, SYSTEM)}
    place = environment(tmp_path / "env", concrete_specs=own, include_concrete={"/outer": outer})
    result = run("show", "--tree", "--store", store.root, "--environment", place)
    assert marks(result.out) == EXPECTED


def test_an_environment_that_is_installed(run: Runner, tmp_path: Path) -> None:
    every = [{"spec": spec} for spec in nodes().values()]
    tree = make_store(
        tmp_path / "tree",
        *(node(each["spec"]["name"], version=each["spec"]["version"]) for each in every),
    )
    place = environment(tmp_path / "env")
    result = run("show", "--tree", "--store", tree.root, "--environment", place)
    assert f"specs of the environment {place} are installed\n" in result.err
    assert "hint" not in result.err


def spack(tmp_path: Path, **behaviour: Any) -> Path:
    concretized = {"py-app": nodes()}
    behaviour = {"concretized": concretized, **behaviour}
    return fake_spack(tmp_path / "site", version="1.3.0", age="new", answers=[], **behaviour)


def test_what_spack_would_install(run: Runner, store: Store, tmp_path: Path) -> None:
    site = spack(tmp_path)
    result = run("show", "--tree", "--store", store.root, "--spack", site, "py-app")
    assert result.status == 0
    assert marks(result.out) == EXPECTED
    first, took, count, hint = result.err.splitlines()
    assert first == (
        f"no installed spec matches 'py-app'; asking {site} what it would install, which takes "
        "seconds to minutes (--no-spack: do not ask)"
    )
    assert re.fullmatch(r"Spack 1.3.0 took \d+\.\d s", took)
    assert count == "2 of the 4 specs that `py-app` needs are not installed"
    assert hint == "hint: Install them with `spack install py-app`."
    seen = json.loads((tmp_path / "site" / "seen.json").read_text())
    assert store.root in seen["scope"]["upstreams.yaml"]
    assert seen["scope"]["bootstrap.yaml"] == "bootstrap:\n  enable: false\n"


def test_spack_is_not_asked_for_slips(run: Runner, store: Store, tmp_path: Path) -> None:
    site = spack(tmp_path)
    for words, hint in ((["LIB"], "Did you mean lib?"), (["--no-spack", "py-app"], "spack list")):
        words += [] if "--no-spack" in words else ["--spack", str(site)]
        result = run("show", "--tree", "--store", store.root, *words)
        assert result.status == 1
        assert hint in result.err
    assert not (tmp_path / "site" / "seen.json").exists()


def test_spack_finds_no_solution(run: Runner, store: Store, tmp_path: Path) -> None:
    site = spack(tmp_path)
    result = run("show", "--tree", "--store", store.root, "--spack", site, "nope-nope")
    assert result.status == 1
    assert f"error: {site} could not concretize `nope-nope` (exit status 1)" in result.err
    assert "==> Error: Package 'nope-nope' not found." in result.err
    assert "hint: `spack spec nope-nope` shows what Spack itself says." in result.err


def test_an_answer_that_makes_no_sense(run: Runner, store: Store, tmp_path: Path) -> None:
    site = spack(tmp_path, concretized={"py-app": {APP: {"name": 3}}})
    result = run("show", "--tree", "--store", store.root, "--spack", site, "py-app")
    assert result.status == 1
    assert "printed an answer that cannot be understood" in result.err


def test_the_seconds_are_shown_on_a_terminal(store: Store, tmp_path: Path) -> None:
    site = spack(tmp_path, sleep=2.5)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "spack_kernel", "show", "--tree", "--store", store.root]
    with subprocess.Popen(
        [*command, "--spack", str(site), "py-app"], stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        assert process.wait(60) == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "spack concretizes py-app: 1 s" in shown
    assert "spack concretizes py-app: 2 s\r\x1b[K" in shown
