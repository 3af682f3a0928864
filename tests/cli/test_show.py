"""``show``: the plan, its parts, and the tree."""

from __future__ import annotations

import json
import lzma
import re
import subprocess
from pathlib import Path

import pytest

from spack_kernel.spack import Store
from tests.demo_versions import NUMPY
from tests.small_store import SmallStore

from .conftest import DATA, Runner


def section(out: str, title: str) -> list[str]:
    """Return the lines below the heading that begins with `title`."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    block = lines[start + 1 :]
    return block[: block.index("")] if "" in block else block


def test_everything_of_a_plan(run: Runner, demo: Path) -> None:
    store = Store.open(demo)
    spec = store.get("py-libensemble")
    facts = run("show", "--store", demo, "--json", "py-libensemble").json
    result = run("show", "--store", demo, "py-libensemble")
    assert (result.status, result.err) == (0, "")
    out = result.out
    assert out.startswith(f"{spec.label}\n  prefix       {spec.prefix}\n  store        {demo}\n")
    assert f"\n  interpreter  {facts['interpreter']}\n" in out
    version = facts["ipykernel"]["version"]
    kernel = store.get("py-ipykernel")
    assert f"\n  ipykernel    {version}, companion\n" in out
    assert f"{kernel.label} is built for the same python\n" in out
    assert "-m ipykernel_launcher -f {connection_file}\n" in out

    paths = section(out, f"PYTHONPATH, {len(facts['pythonpath'])} entries in order")
    behind = paths.index("  after them, for the companion:")
    assert [line.split()[1] for line in paths[:behind] + paths[behind + 1 :]] == facts["pythonpath"]
    assert paths[0].split()[0] == spec.label
    assert paths[behind + 1].split()[0] == kernel.label

    path = section(out, "PATH, ")
    assert [line.split()[-1] for line in path] == facts["env"]["PATH"].split(":")
    assert all(line.split()[0].count("@") == 1 for line in path)
    tree = section(out, "Dependency tree")
    assert tree[0].startswith(f"[+]  {spec.hash[:7]}  py-libensemble@")
    assert any(re.match(r"\[e\]  \w{7}      \^python@", line) for line in tree)


def test_json_is_what_a_process_gets(run: Runner, demo: Path) -> None:
    spec = Store.open(demo).get("py-libensemble")
    facts = run("show", "--store", demo, "--json", f"/{spec.hash[:7]}").json
    assert facts["spec"] == f"py-libensemble@{spec.version}"
    assert facts["hash"] == spec.hash
    assert facts["ipykernel"]["from"] == "companion"
    assert facts["ipykernel"]["hash"] == Store.open(demo).get("py-ipykernel").hash
    assert facts["argv"][0] == facts["interpreter"]
    assert facts["env"]["PYTHONPATH"].split(":") == facts["pythonpath"]
    assert facts["tree"][0]["hash"] == spec.hash
    code = "import ipykernel, libensemble, sys; print(libensemble.__file__)"
    ran = subprocess.run(
        [facts["interpreter"], "-c", code],
        env=facts["env"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.startswith(spec.prefix or "-")


def test_paths_and_variables_alone(run: Runner, demo: Path) -> None:
    facts = run("show", "--store", demo, "--json", "py-matplotlib").json
    paths = run("show", "--store", demo, "--paths", "py-matplotlib").out
    assert paths.splitlines() == facts["pythonpath"]
    variables = run("show", "--store", demo, "--variables", "py-matplotlib").out
    assert dict(line.split("=", 1) for line in variables.splitlines()) == facts["env"]
    assert (
        run("show", "--store", demo, "--variables", "--json", "py-matplotlib").json == facts["env"]
    )
    entries = run("show", "--store", demo, "--paths", "--json", "py-matplotlib").json
    assert [entry["path"] for entry in entries] == facts["pythonpath"]


def test_parts_need_no_kernel(run: Runner, tmp_path: Path) -> None:
    store = SmallStore(tmp_path / "store")
    key = store.add("zlib", "1.3")
    (Path(store.records[key]["path"]) / "bin").mkdir()
    root = store.write()
    assert (
        f"PATH={store.records[key]['path']}/bin"
        in run("show", "--store", root, "--variables", "zlib").out
    )
    assert run("show", "--store", root, "--paths", "zlib").out == ""
    assert run("show", "--store", root, "--tree", "zlib").out == (
        f"[+]  {key[:7]}  zlib@1.3 platform=linux os=debian12 target=x86_64_v3\n"
    )
    result = run("show", "--store", root, "zlib")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"error: zlib@1.3/{key[:7]} does not depend on Python")


def test_two_specs_make_one_plan(run: Runner, demo: Path) -> None:
    facts = run("show", "--store", demo, "--json", "py-libensemble", "py-matplotlib").json
    assert [spec["name"] for spec in facts["specs"]] == ["py-libensemble", "py-matplotlib"]
    out = run("show", "--store", demo, "py-libensemble", "py-matplotlib").out
    assert out.splitlines()[0].startswith("py-libensemble@")
    assert out.splitlines()[2].startswith("py-matplotlib@")
    roots = [node["name"] for node in facts["tree"] if node["depth"] == 0]
    assert roots == ["py-libensemble", "py-matplotlib"]


def test_the_companion_can_be_chosen_or_forbidden(run: Runner, demo: Path) -> None:
    argv = ["show", "--store", demo, "--json", "py-libensemble", "--companion"]
    assert run(*argv, "py-ipykernel").json["ipykernel"]["reason"].startswith("requested")
    forbidden = run(*argv, "none")
    assert forbidden.status == 1
    assert "has no ipykernel, and companions are switched off" in forbidden.err
    wrong = run(*argv, f"py-numpy@{NUMPY}")
    assert "which is not py-ipykernel" in wrong.err


@pytest.mark.parametrize("types", [False, True])
def test_the_tree_is_that_of_spack_spec(run: Runner, golden: Path, types: bool) -> None:
    text = lzma.decompress((DATA / "1.3" / "trees.txt.xz").read_bytes()).decode()
    blocks = text.split("### tree with status")[1:]
    assert len(blocks) == 12
    for block in blocks:
        theirs = [line for line in block.partition("###")[0].splitlines()[1:] if line.strip()]
        root = theirs[0].split()[1]
        argv = ["show", "--store", golden, "--tree", f"/{root}", *(["--types"] if types else [])]
        ours = run(*argv).out.splitlines()
        assert len(ours) == len(theirs)
        for our_line, their_line in zip(ours, theirs, strict=True):
            # A recorded spec has the exact version and does not name compilers.
            expected = their_line.replace("@=", "@", 1)
            if not types:
                expected = re.sub(r"  \[.{4}\]  ", "  ", expected, count=1)
            assert re.sub(r" %.*", "", our_line) == expected


def test_deptypes_narrow_the_tree(run: Runner, golden: Path) -> None:
    argv = ["show", "--store", golden, "--tree", "--json", "/y7ml7zt"]
    every = run(*argv).json
    link_run = run(*argv, "--deptypes", "link,run").json
    assert {node["name"] for node in every} > {node["name"] for node in link_run}
    assert "py-pip" not in {node["name"] for node in link_run}
    assert set(every[0]) == {"depth", "name", "version", "hash", "prefix", "status", "deptypes"}
    wrong = run(*argv, "--deptypes", "link,rum")
    assert wrong.status == 2
    told = "error: argument --deptypes: 'rum' is not one of build, link, run, test, all\n"
    assert told in wrong.err


def test_what_no_database_records_stands_in_the_tree(run: Runner, tmp_path: Path) -> None:
    store = SmallStore(tmp_path / "store")
    lost = store.add("lost", "1.0")
    app = store.add("app", "1.0", lost)
    del store.records[lost]
    out = run("show", "--store", store.write(), "--tree", f"/{app}").out
    assert out.splitlines()[1] == f" -   {lost[:7]}      ^lost  (no record)"


def test_ambiguous_lists_what_tells_them_apart(run: Runner, demo: Path) -> None:
    result = run("show", "--store", demo, "py-numpy")
    assert (result.status, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0] == "error: 'py-numpy' matches 2 installed specs"
    shown = {line.split()[0] for line in lines[1:3]}
    assert shown == {spec.hash[:7] for spec in Store.open(demo).find("py-numpy")}
    assert lines[-1].startswith("hint: ")
    assert "py-numpy/" in lines[-1]


def test_an_unknown_hash_and_an_uninstalled_spec(run: Runner, golden: Path) -> None:
    assert run("show", "--store", golden, "/zzzzzzz").err.startswith("error: no installed spec")
    gone = next(spec for spec in Store.open(golden) if not spec.installed)
    result = run("show", "--store", golden, f"{gone.name}/{gone.hash}")
    assert result.status == 1
    assert gone.hash[:7] in result.err


def test_a_prefix_that_is_gone(run: Runner, golden: Path) -> None:
    spec = Store.open(golden).find("py-scipy")[0]
    result = run("show", "--store", golden, f"/{spec.hash}")
    assert (result.status, result.out) == (1, "")
    assert "is recorded, but its prefix does not exist" in result.err
    assert spec.prefix is not None
    assert spec.prefix in result.err
    assert "hint: " in result.err


def test_errors_of_a_plan_are_objects_with_json(run: Runner, golden: Path) -> None:
    spec = Store.open(golden).find("py-scipy")[0]
    result = run("show", "--json", "--store", golden, f"/{spec.hash}")
    assert json.loads(result.out)["error"]["code"] == "prefix-gone"


def test_what_is_not_installed_is_shown_and_refused(run: Runner, tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "store")
    lost = small.add("py-lost", "1.0")
    tool = small.add("py-tool", "1.0", lost)
    small.records[lost]["installed"] = False
    store = small.write()
    reason = f"py-lost@1.0/{lost[:7]} is not installed; needed by py-tool@1.0/{tool[:7]}"
    result = run("show", "--store", store, "py-tool")
    assert result.status == 0
    assert f"  incomplete   {reason}\n" in result.out
    (missing,) = run("show", "--store", store, "--json", "py-tool").json["missing"]
    assert (missing["hash"], missing["recorded"]) == (lost, True)
    listed = run("list", "--store", store, "--all", "py-tool").out
    assert f"incomplete: py-lost@1.0/{lost[:7]} is not installed" in listed
    for words in (["exec"], ["check"], ["install", "--user", "--no-spack"]):
        end = ["--", "true"] if words == ["exec"] else []
        result = run(words[0], "--store", store, *words[1:], "py-tool", *end)
        assert result.status == 1, words
        assert f"is incomplete: py-lost@1.0/{lost[:7]} is not installed" in result.err
        assert f"`spack install /{lost[:7]}`" in result.err
