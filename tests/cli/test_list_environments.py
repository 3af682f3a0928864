"""`spack-kernel list --environments`: a Spack instance's environments in the demo store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spack_kernel.spack import Spec, Store
from tests.cli.conftest import Runner
from tests.made_environment import make_environment

pytestmark = pytest.mark.unit


@pytest.fixture
def specs(demo: Path) -> dict[str, Spec]:
    return {spec.name: spec for spec in Store.open(demo).explicit()}


@pytest.fixture
def instance(tmp_path: Path, demo: Path) -> Path:
    """Return the root of a Spack instance that installs in the demo store."""
    root = tmp_path / "instance"
    (root / "etc" / "spack" / "defaults").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "spack").touch()
    (root / "etc" / "spack" / "config.yaml").write_text(
        f"config: {{install_tree: {{root: {demo}}}}}\n"
    )
    return root


@pytest.fixture
def environments(instance: Path, specs: dict[str, Spec]) -> Path:
    """Create five environments, two of which can be kernels, and return their directory."""
    root = instance / "var" / "spack" / "environments"
    make_environment(root / "plots", [specs["py-matplotlib"], specs["py-libensemble"]])
    (root / "plots" / ".spack-env" / "view").mkdir(parents=True)
    make_environment(root / "group" / "plain", [specs["py-libensemble"]], view=False)
    make_environment(root / "planned", [])
    (root / "planned" / "spack.lock").unlink()
    make_environment(root / "empty", [])
    lock = json.loads((root / "plots" / "spack.lock").read_text())
    lock["roots"].append({"hash": "z" * 32, "spec": "py-absent"})
    half = make_environment(root / "half", [])
    (half / "spack.lock").write_text(json.dumps(lock))
    return root


def test_the_table(
    run: Runner, instance: Path, environments: Path, demo: Path, specs: dict[str, Spec]
) -> None:
    result = run("list", "--store", instance, "--environments")
    assert (result.status, result.err) == (0, "")
    store = Store.open(demo)
    (python,) = (s.version for s in store.closure(specs["py-libensemble"]) if s.name == "python")
    ipykernel = specs["py-ipykernel"]
    companion = f"{python}  {ipykernel.version}, companion /{ipykernel.hash[:7]}"
    none = f"{'-':{len(str(python))}}  none:"
    assert [line for line in result.out.splitlines() if not line.startswith("ENV")] == [
        f"empty        0      -          default  {none} the environment empty has no specs",
        f"group/plain  1      yes        -        {companion}",
        f"half         3      2 of 3     default  {none} 1 of the 3 roots of the environment "
        "half is not installed",
        f"planned      -      -          -        {none} the environment planned was never "
        "concretized: it has no spack.lock",
        f"plots        2      yes        default  {companion}",
    ]


def test_json_says_what_is_missing(
    run: Runner, instance: Path, environments: Path, specs: dict[str, Spec]
) -> None:
    listed = {
        each["name"]: each
        for each in run("list", "--store", instance, "--environments", "--json").json
    }
    assert sorted(listed) == ["empty", "group/plain", "half", "planned", "plots"]
    plots = listed["plots"]
    assert plots["directory"] == str(environments / "plots")
    assert plots["views"] == {"default": f"{environments}/plots/.spack-env/view"}
    assert plots["ipykernel"]["hash"] == specs["py-ipykernel"].hash
    assert plots["why_not"] is None
    half = listed["half"]
    assert [root["installed"] for root in half["roots"]] == [True, True, False]
    assert half["why_not"] == "1 of the 3 roots of the environment half is not installed"
    assert listed["planned"]["directory"] == str(environments / "planned")
    assert listed["planned"]["why_not"] == (
        "the environment planned was never concretized: it has no spack.lock"
    )


@pytest.mark.kernel
def test_what_is_listed_is_what_is_offered(run: Runner, instance: Path, environments: Path) -> None:
    able = [
        f"spack-env-{Path(each['name']).name}"
        for each in run("list", "--store", instance, "--environments", "--json").json
        if each["why_not"] is None
    ]
    options = ("--user", "--no-config", "--store", instance, "--limit", "0", "--json")
    changes = run("sync", *options).json["changes"]
    assert [c["name"] for c in changes if c["name"].startswith("spack-env-")] == able


def test_there_are_none(run: Runner, instance: Path) -> None:
    result = run("list", "--store", instance, "--environments")
    assert (result.status, result.out) == (0, "")
    assert result.err == (
        f"0 of 0 Spack environments in {instance}/var/spack/environments can be kernels\n"
        "`spack env create NAME` creates one.\n"
    )


def test_an_install_tree_knows_none(run: Runner, demo: Path) -> None:
    result = run("list", "--store", demo, "--environments")
    assert result.status == 1
    assert result.err == (
        f"error: {demo} is an install tree, which has no Spack environments\n"
        "hint: Name the root of the Spack instance that manages them, with --store or SPACK_ROOT.\n"
        "      For an environment in any other directory, use --environment ./DIRECTORY with "
        "`install` or `show`.\n"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [(["py-numpy"], "QUERY"), (["-x"], "--explicit"), (["--loaded-by", "x"], "--loaded-by")],
)
def test_what_selects_specs_selects_no_environments(
    run: Runner, words: list[str], text: str
) -> None:
    result = run("list", "--environments", *words)
    assert result.status == 2
    assert f"error: --environments does not list specs: leave out {text}\n" in result.err
