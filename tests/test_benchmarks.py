"""The benchmarks run, and their arithmetic is correct; no test asserts the measured values."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.generate import generate
from benchmarks.measure import Comparison, beside, cost, in_turns, seconds
from spack_kernel.spack import Store
from tests.places import ROOT


def test_a_ratio_is_taken_round_by_round():
    row = Comparison("s", "ours", "other", (1.0, 6.0, 4.0), (2.0, 3.0, 4.0))
    assert row.ratios == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("ours", "other", "ratios"),
    [
        ((1.0, 2.0, 4.0), (2.0,), [0.5, 1.0, 2.0]),
        ((4.0,), (1.0, 2.0, 3.0), [2.0]),
        ((2.0, 4.0), (1.0, 2.0, 3.0), [1.0, 2.0]),
    ],
)
def test_of_fewer_rounds_the_median_counts(ours, other, ratios):
    assert Comparison("s", "ours", "other", ours, other).ratios == ratios


def test_rounds_alternate_and_the_first_run_does_not_count():
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = in_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, rounds=3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert values == {"a": (3.0, 6.0, 7.0), "b": (4.0, 5.0, 8.0)}


def test_what_was_warm_counts_from_the_first_run_on():
    numbers = iter(range(10))
    values = in_turns({"a": lambda: float(next(numbers))}, rounds=3, warm=True)
    assert values == {"a": (0.0, 1.0, 2.0)}


def test_what_is_slow_is_measured_once_and_never_dropped():
    calls = []

    def slow() -> float:
        calls.append("slow")
        return 7.0

    values = in_turns({"slow": slow}, rounds=5, budget=0.0)
    assert values == {"slow": (7.0,)}
    assert calls == ["slow"]


def test_several_share_one_other():
    first, second = beside(
        "s", {"a": lambda: 1.0, "b": lambda: 2.0}, "other", lambda: 4.0, rounds=2
    )
    assert (first.ratios, second.ratios) == ([0.25, 0.25], [0.5, 0.5])
    assert first.other_values == second.other_values


def test_a_short_call_is_repeated():
    calls = []
    assert 0 < seconds(lambda: calls.append(1), at_least=0.01)() < 0.01
    assert len(calls) > 1


def test_the_peak_is_that_of_the_command_alone():
    mine = bytearray(150_000_000)
    mine[::4096] = b"x" * len(mine[::4096])
    assert cost([sys.executable, "-c", ""]).peak < 100
    assert 180 < cost([sys.executable, "-c", "b'x' * 200_000_000"]).peak < 300


def test_a_command_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="no such thing"):
        cost([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_store_is_filled_up(tmp_path):
    generate(tmp_path / "small", 20)
    there = [spec.hash for spec in Store.open(tmp_path / "small")]
    generate(tmp_path / "filled", 1400, before=tmp_path / "small")
    filled = Store.open(tmp_path / "filled")
    assert [spec.hash for spec in filled][:20] == there
    assert filled.by_hash(there[-1]).prefix.startswith(str(tmp_path / "small"))
    generate(tmp_path / "copy", 10, before=tmp_path / "small")
    assert [spec.hash for spec in Store.open(tmp_path / "copy")] == there


def test_rows_as_printed(capsys):
    once = Comparison("s", "ours", "other", (0.001,), (0.5,))
    thrice = Comparison("s", "ours", "other", (3.0, 1.0, 2.0), (2.0, 2.0, 2.0), "calls")
    assert benchmarks._line(once).splitlines() == [
        "   0.002 (once)                    1.00 ms ours",
        "                                 500.00 ms other",
    ]
    assert benchmarks._line(thrice).splitlines() == [
        "   1.000 (0.500 to 1.500)             2 calls ours",
        "                                      2 calls other",
    ]


def test_resolving_runs():
    command = [sys.executable, "-m", "benchmarks", "--only", "resolving", "--json"]
    done = subprocess.run(
        [*command, "--records", "1400", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["seconds"]) == {"resolving"}
    rows = result["rows"]
    assert {row["section"].partition(" (")[2] for row in rows} == {
        "1,302 records, 2.1 MB)",
        "1,400 records, 2.3 MB)",
    }
    assert {row["section"].partition(" (")[0] for row in rows} == {
        "environment",
        "cold queries",
        "memory",
        "warm queries",
    }
    for kind in ("a hash", "a name", "a name and ^", "anonymous", "anonymous, many answers"):
        # Cold, warm and repeated, warm and not repeated, in both stores; and the memory.
        assert len([row for row in rows if row["ours"].startswith(f"{kind}: ")]) == 6, kind
        assert len([row for row in rows if row["ours"].endswith(f"query: {kind}")]) == 2, kind
    assert {row["unit"] for row in rows} == {"s", "MB", "1/s"}
    assert all(value > 0 for row in rows for value in (*row["ours_values"], row["other_median"]))
