"""``list``: the selection and the output."""

from __future__ import annotations

from pathlib import Path

import pytest

from spack_kernel.spack import Store
from tests.small_store import SmallStore

from .conftest import Runner

pytestmark = pytest.mark.unit

KEYS = {
    *("name", "version", "hash", "prefix", "explicit", "external", "arch", "compilers"),
    *("python", "python_hash", "ipykernel", "why_not"),
}


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """Return a store of a Python, an ipykernel and an app, and a library without a Python."""
    store = SmallStore(tmp_path / "store")
    python = store.add("python", "3.11.9")
    store.add("py-ipykernel", "6.29.5", python)
    store.add("py-app", "1.0", store.add("zlib", "1.3"), python)
    return store


def test_the_table(run: Runner, small: SmallStore) -> None:
    root = small.write()
    keys = {record["spec"]["name"]: key for key, record in small.records.items()}
    hashes = {name: key[:7] for name, key in keys.items()}
    result = run("list", "--store", root)
    assert (result.status, result.err) == (0, "")
    companion = f"6.29.5, companion /{hashes['py-ipykernel']}"
    rows = [
        ("HASH", "SPEC", "PYTHON", "IPYKERNEL"),
        (hashes["py-app"], "py-app@1.0", "3.11.9", companion),
        (hashes["py-ipykernel"], "py-ipykernel@6.29.5", "3.11.9", "6.29.5, closure"),
        (hashes["python"], "python@3.11.9", "3.11.9", companion),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    rule = "-- linux-debian12-x86_64_v3 / no compilers ----------------------"
    assert result.out.splitlines() == [rule, *lines]
    assert run("list", "--store", root, "--no-groups").out.splitlines() == lines


def test_all_says_what_the_others_lack(run: Runner, small: SmallStore) -> None:
    result = run("list", "--store", small.write(), "--all", "zlib")
    assert "zlib@1.3  -       none: no python in its closure\n" in result.out


def test_json_has_what_programs_need(run: Runner, small: SmallStore) -> None:
    result = run("list", "--store", small.write(), "--json")
    assert [item["name"] for item in result.json] == ["py-app", "py-ipykernel", "python"]
    app, kernel, python = result.json
    assert set(app) == KEYS
    assert app["python"] == "3.11.9"
    assert app["python_hash"] == python["hash"]
    assert app["ipykernel"] == {"from": "companion", "version": "6.29.5", "hash": kernel["hash"]}
    assert kernel["ipykernel"]["from"] == "closure"
    assert Path(app["prefix"]).is_dir()
    (zlib,) = run("list", "--store", small.write(), "--json", "--all", "zlib").json
    assert (zlib["python"], zlib["ipykernel"]) == (None, None)
    assert zlib["why_not"] == "no python in its closure"


def test_what_matches_but_cannot_be_a_kernel_is_an_error(run: Runner, small: SmallStore) -> None:
    result = run("list", "--store", small.write(), "zlib")
    (key,) = (k for k, record in small.records.items() if record["spec"]["name"] == "zlib")
    assert result.status == 1
    assert result.err == (
        "error: no spec that matches `zlib` can be a kernel\n"
        f"  zlib@1.3/{key[:7]}: no python in its closure\n"
        "hint: --all lists them anyway.\n"
    )


def test_a_long_list_of_what_cannot_be_a_kernel_is_cut(run: Runner, golden: Path) -> None:
    result = run("list", "--store", golden, "^zlib ~shared", "zlib")
    assert result.status == 1
    lines = result.err.splitlines()
    assert len(lines) <= 23
    assert lines[-1] == "hint: --all lists them anyway."


def test_a_store_without_kernels_says_why(run: Runner, tmp_path: Path) -> None:
    store = SmallStore(tmp_path / "store")
    store.add("zlib", "1.3")
    store.add("py-app", "1.0", store.add("python", "3.11.9"))
    result = run("list", "--store", store.write())
    assert (result.status, result.out) == (0, "")
    assert result.err == (
        "0 of 3 installed specs can be kernels\n"
        "  2: no py-ipykernel for its python\n"
        "  1: no python in its closure\n"
        "--all also lists the others\n"
    )


def test_nothing_matches(run: Runner, golden: Path) -> None:
    result = run("list", "--store", golden, "py-nump")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("error: no installed spec matches 'py-nump'\n")
    assert "Did you mean py-numpy" in result.err


def test_all_lists_every_installed_spec(run: Runner, golden: Path) -> None:
    printed = run("list", "--store", golden, "--all", "--hashes").out.split()
    installed = {f"/{spec.hash}" for spec in Store.open(golden) if spec.installed}
    assert len(printed) == len(installed) > 1000
    assert set(printed) == installed


def test_several_queries_select_what_any_of_them_matches(run: Runner, golden: Path) -> None:
    argv = ["list", "--store", golden, "-a", "--format", "{name}@{version}"]
    found = run(*argv, "zlib", "py-six@1.16", "zlib@1.3.1:").out.split()
    assert {line.partition("@")[0] for line in found} == {"zlib", "py-six"}
    assert {line for line in found if line.startswith("py-six")} == {"py-six@1.16.0"}
    assert [line.partition("@")[0] for line in found] == sorted(
        line.partition("@")[0] for line in found
    )
    store = Store.open(golden)
    assert len(found) == len(store.find("zlib")) + len(store.find("py-six@1.16"))


def test_words_of_one_query_belong_together(run: Runner, golden: Path) -> None:
    argv = ["list", "--store", golden, "-a", "-H"]
    assert run(*argv, "py-numpy", "^python@3.11").out == run(*argv, "py-numpy ^python@3.11").out
    assert run(*argv, "py-numpy", "^python@3.11").out != run(*argv, "py-numpy").out


def test_a_value_with_blanks_needs_no_second_pair_of_quotes_and_must_have_none(
    run: Runner, tmp_path: Path
) -> None:
    store = SmallStore(tmp_path / "store")
    key = store.add("zlib", "1.3", variants={"cflags": ["-O2", "-g"]})
    store.add("zlib", "1.2")
    argv = ["list", "--store", store.write(), "-a", "--hashes", "zlib"]
    assert run(*argv, "cflags=-O2 -g").out == f"/{key}\n"
    # As in Spack, where these quotes belong to the value.
    assert run(*argv, "cflags='-O2 -g'").status == 1


def test_explicit_and_implicit_share_what_there_is(run: Runner, golden: Path) -> None:
    argv = ["list", "--store", golden, "-a", "-H"]
    every = set(run(*argv).out.split())
    explicit = set(run(*argv, "--explicit").out.split())
    implicit = set(run(*argv, "-X").out.split())
    assert explicit | implicit == every
    assert not explicit & implicit
    assert {f"/{s.hash}" for s in Store.open(golden) if s.installed and s.explicit} == explicit


def test_options_that_leave_nothing(run: Runner, small: SmallStore) -> None:
    result = run("list", "--store", small.write(), "-X", "py-app")
    assert result.status == 1
    assert result.err == (
        "error: the other options exclude all specs that match `py-app`\n"
        "hint: Leave out --implicit.\n"
    )


def test_loaded_asks_the_shell(
    run: Runner, small: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small.write()
    assert run("list", "--store", root, "--loaded", "-H").out == ""
    keys = [k for k, record in small.records.items() if record["spec"]["name"] == "py-app"]
    monkeypatch.setenv("SPACK_LOADED_HASHES", ":".join([*keys, "unknown"]))
    assert run("list", "--store", root, "--loaded", "-H").out == f"/{keys[0]}\n"


def test_loaded_by_is_the_closure(run: Runner, golden: Path) -> None:
    store = Store.open(golden)
    spec = next(s for s in store.find("py-scipy"))
    argv = ["list", "--store", golden, "--loaded-by", f"/{spec.hash}", "-H"]
    assert set(run(*argv).out.split()) == {f"/{s.hash}" for s in store.closure(spec)}
    only = run(*argv, "py-numpy").out.split()
    assert len(only) == 1
    ambiguous = run("list", "--store", golden, "--loaded-by", "py-numpy")
    assert ambiguous.err.startswith("error: 'py-numpy' matches ")


def test_groups_are_spacks(run: Runner, golden: Path) -> None:
    result = run("list", "--store", golden, "-a", "hdf5")
    rules = [line for line in result.out.splitlines() if line.startswith("-- ")]
    assert len(rules) > 2
    assert rules == sorted(rules)
    assert all(len(rule) == 65 or "fortran=" in rule for rule in rules)
    assert any("/ %c,cxx=gcc@" in rule for rule in rules)
    assert result.out.count("\n\n-- ") == len(rules) - 1
    assert result.out.count("HASH ") == 1


def test_a_format_is_printed_for_each(run: Runner, golden: Path) -> None:
    result = run(
        "list", "--store", golden, "-a", "--format", "{fullname}{@version}{/hash:4}", "zlib"
    )
    for line in result.out.splitlines():
        assert line.startswith(("builtin.zlib@", "site.zlib@"))
        assert len(line.rpartition("/")[2]) == 4


def test_a_wrong_format_is_told_before_the_store_is_read(run: Runner) -> None:
    result = run("list", "--store", "/nonexistent", "--format", "{name} {versoin}")
    assert result.status == 1
    assert result.err == (
        "error: unknown field 'versoin'\n"
        "  {name} {versoin}\n"
        "         ^^^^^^^^^\n"
        "hint: Did you mean {version} or {versions}?\n"
    )


def test_what_the_database_cannot_know_is_said(run: Runner, tmp_path: Path) -> None:
    store = SmallStore(tmp_path / "store")
    app = store.add("app", "1.0", store.add("provider", "1.0"))
    (edge,) = store.records[app]["spec"]["dependencies"]
    edge["parameters"]["virtuals"] = ["house-api"]
    argv = ["list", "--store", store.write(), "-a", "--format", "{name}"]
    result = run(*argv, "house-api@3:", "app")
    assert (result.status, result.out) == (0, "app\n")
    assert result.err == (
        "warning: there may be more: the database does not record "
        "which versions of house-api its providers provide\n"
    )
    assert run(*argv, "house-api").out == "provider\n"


def test_a_database_that_is_not_one(run: Runner, tmp_path: Path) -> None:
    index = tmp_path / ".spack-db" / "index.json"
    index.parent.mkdir()
    for content in (b"", b"{", b'{"database": 1}', b"\x00\xff"):
        index.write_bytes(content)
        result = run("list", "--store", tmp_path)
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith("error: ")
        assert str(index) in result.err
        assert "Traceback" not in result.err


def test_the_demo_store_lists_its_kernels(run: Runner, demo: Path) -> None:
    result = run("list", "--store", demo, "--json", "--explicit")
    by_name = {item["name"]: item["ipykernel"]["from"] for item in result.json}
    assert by_name["py-libensemble"] == "companion"
    assert by_name["py-ipykernel"] == "closure"
    assert {item["python"] for item in result.json} == {result.json[0]["python"]}
