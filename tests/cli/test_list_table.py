"""``list``: what the options of `spack find` show and select, and tables that fit the terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from spack_kernel.cli.dates import date
from spack_kernel.cli.foreign import OF_FIND, OF_LOAD
from spack_kernel.cli.tables import column_widths, fold
from spack_kernel.spack import Store
from tests.records import make_store, node
from tests.spack.trees import unpack

from .conftest import Runner


def in_terminal(columns: int, *argv: str | Path) -> list[str]:
    """Return the lines that the command prints on a terminal of a width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environ = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
    environ.pop("COLUMNS", None)
    command = [sys.executable, "-m", "spack_kernel", *map(str, argv)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environ):
        os.close(theirs)
        read = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the end of a terminal
                break
            if not chunk:
                break
            read += chunk
    os.close(ours)
    return read.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.kernel
@pytest.mark.skipif(sys.version_info < (3, 11), reason="termios.tcsetwinsize is of 3.11")
@pytest.mark.parametrize(
    "argv",
    [
        ["list"],
        ["list", "-a"],
        ["list", "-av", "py-numpy", "hdf5"],
        ["list", "-ad", "py-scipy"],
        ["list", "-aI", "--no-groups", "py-libensemble"],
        ["show", "py-numpy"],
        ["show", "py-libensemble@1.4: ^python"],
        ["show", "--tree", "py-libensemble/hg67jgc"],
        ["show", "--tree", "-t", "hdf5/cshz2k2"],
    ],
    ids=" ".join,
)
def test_nothing_is_wider_than_80_columns(argv: list[str], golden: Path) -> None:
    lines = in_terminal(80, argv[0], "--store", golden, *argv[1:])
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80] == []


def test_two_builds_of_a_version_are_told_apart(run: Runner, golden: Path) -> None:
    lines = run("list", "--store", golden, "-a", "--no-groups", "py-numpy").out.splitlines()
    start = lines[0].index("DIFFERENCE")
    cells = [(re.split(r"\s+", line)[1], line[start:]) for line in lines[1:]]
    alike = [cell for cell in cells if [each for each, _ in cells].count(cell[0]) > 1]
    assert len(alike) > 10
    assert len(set(alike)) == len(alike)
    assert all(difference for _, difference in alike)
    assert any("^python@3.12.13" in difference for _, difference in cells)


def test_one_build_of_a_version_needs_no_column(run: Runner, tmp_path: Path) -> None:
    store = make_store(tmp_path, node("zlib", version="1.2"), node("zlib", version="1.3"))
    assert "DIFFERENCE" not in run("list", "--store", store.root, "-a").out


def test_the_tree_in_which_a_build_is_installed(run: Runner, tmp_path: Path) -> None:
    first = make_store(tmp_path / "a", node("zlib", hash="a" * 32))
    second = make_store(tmp_path / "b", node("zlib", hash="b" * 32))
    result = run("list", "--store", first.root, "--store", second.root, "-a")
    assert f"in {first.root}" in result.out
    assert f"in {second.root}" in result.out
    local = run("list", "--store", first.root, "--store", second.root, "-a", "-H",
                "--install-tree", "local")  # fmt: skip
    assert local.out.split() == ["/" + "a" * 32]
    upstream = run("list", "--store", first.root, "--store", second.root, "-a", "-H",
                   "--install-tree", second.root)  # fmt: skip
    assert upstream.out.split() == ["/" + "b" * 32]


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("-l", "hydrfdd  zlib@1.2.11  "),
        ("-L", r"hydrfdd\w{25}  zlib@1.2.11 "),
        ("-v", r"zlib@1.2.11\+optimize\+pic\+shared"),
        ("-N", r"builtin.zlib@1.2.11"),
        ("-p", r"hydrfdd .*zlib-1.2.11-hydrfdd\w+"),
        ("-I", r"\[\+\]  hydrfdd  zlib@1.2.11"),
    ],
)
def test_what_the_options_of_find_show(
    option: str, shown: str, run: Runner, tmp_path: Path
) -> None:
    result = run("list", "--store", unpack("0.17", tmp_path), "-a", option, "zlib/hydrfdd")
    assert re.search(shown, result.out), result.out


def test_dependencies_are_shown_below(run: Runner, golden: Path) -> None:
    out = run("list", "--store", golden, "-ad", "--no-groups", "py-scikit-learn").out
    lines = out.splitlines()
    assert re.match(r"\w{7}  py-scikit-learn@", lines[1])
    assert any(re.match(r"\w{7}      py-joblib@", line) for line in lines[2:])
    (found,) = run("list", "--store", golden, "-ad", "--json", "py-scikit-learn").json
    assert {"py-joblib", "python"} <= {edge["name"] for edge in found["dependencies"]}


def test_what_the_options_of_find_select(run: Runner, tmp_path: Path) -> None:
    golden = unpack("0.17", tmp_path)
    specs = list(Store.open(golden))

    def hashes(*argv: str) -> set[str]:
        return {word[1:] for word in run("list", "--store", golden, "-H", *argv).out.split()}

    assert hashes("-ae") == {s.hash for s in specs if s.external and s.installed}
    missing = {s.hash for s in specs if not s.installed and not s.deprecated_for}
    deprecated = {s.hash for s in specs if s.deprecated_for}
    installed = {s.hash for s in specs if s.installed}
    assert missing
    assert hashes("-M") == missing
    assert hashes("-m") == missing | installed
    assert hashes("--only-deprecated") == deprecated
    assert hashes("--deprecated") == deprecated | installed
    times = sorted(s.installation_time for s in specs if s.installed)
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(times[len(times) // 2]))
    late, early = hashes("-a", "--start-date", day), hashes("-a", "--end-date", day)
    assert late
    assert early
    assert late | early == installed
    assert not late & early


def test_groups_stand_in_the_order_of_spack(run: Runner, golden: Path) -> None:
    """Specs without a compiler come last within an architecture."""
    out = run("list", "--store", golden, "-a").out
    rules = [line.strip("- ") for line in out.splitlines() if line.startswith("-- ")]
    for arch in {rule.split(" / ")[0] for rule in rules}:
        compilers = [rule.split(" / ")[1] for rule in rules if rule.startswith(f"{arch} /")]
        assert "no compilers" not in compilers[:-1]


@pytest.mark.parametrize("option", OF_FIND)
def test_an_option_of_find_that_list_lacks(option: str, run: Runner, golden: Path) -> None:
    result = run("list", "--store", golden, option, "zlib")
    assert result.status == 2
    assert OF_FIND[option].splitlines()[0] in result.err


@pytest.mark.parametrize("option", OF_LOAD)
def test_an_option_of_load(option: str, run: Runner, golden: Path) -> None:
    for command in (["show"], ["install", "--user"], ["exec"]):
        result = run(*command, "--store", golden, option, "zlib", "--", "true")
        assert result.status == 2
        assert OF_LOAD[option].splitlines()[0] in result.err, command


@pytest.mark.parametrize("word", ["-mpi", "-shared", "-openmp"])
def test_a_disabled_variant_is_not_taken_for_options(word: str, run: Runner, golden: Path) -> None:
    result = run("list", "--store", golden, "hdf5", word)
    assert result.status == 2
    assert f"To disable a variant, write ~{word[1:]} instead of {word}." in result.err


def test_dates() -> None:
    now = time.time()
    assert date("2 weeks ago") == pytest.approx(now - 14 * 86400, abs=10)
    assert date("a year ago") == pytest.approx(now - 365 * 86400, abs=10)
    assert date("yesterday") == pytest.approx(now - 86400, abs=10)
    assert date("2024-02") == date("2024-02-01") == date("2024-02-01 00:00:00")
    for wrong in ("", "tomorrow", "2024-13", "99999999999 years ago", "01.02.2024"):
        with pytest.raises(Exception, match=r"is not a date|is too long ago"):
            date(wrong)


def test_a_word_that_is_longer_than_its_column_stays_whole() -> None:
    assert fold("a bcdef gh", 4) == ["a", "bcdef", "gh"]
    assert fold("x@1+abc~def", 7) == ["x@1+abc", "~def"]
    assert column_widths([["aaaa bb cc"], ["d"]], 5, [0]) == [5]
    assert column_widths([["aaaaaaaa bb"], ["d"]], 5, [0]) == [8]
