"""Measure things side by side, so that a noisy machine affects all of them equally."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Total seconds that one measure may take, apart from its first run; see `in_turns`.
BUDGET = 2.0


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes
    ----------
    section, ours, other : str
        The group of rows, what was measured, and what it is compared with.
    ours_values, other_values : tuple of float
        One value per round, in `unit`; slow measures may have fewer.
    unit : str
        ``s``, ``MB``, ``calls`` or ``1/s``.
    """

    section: str
    ours: str
    other: str
    ours_values: tuple[float, ...]
    other_values: tuple[float, ...]
    unit: str = "s"

    @property
    def ratios(self) -> list[float]:
        """Ours divided by the other, sorted: per round, or by the median if there are fewer."""
        ours, others = self.ours_values, self.other_values
        if len(ours) != len(others):
            middle = statistics.median(others)
            if len(ours) < len(others):
                return sorted(value / middle for value in ours)
            others = (middle,) * len(ours)
        return sorted(value / other for value, other in zip(ours, others, strict=True))

    def as_dict(self) -> dict[str, object]:
        """Return the row as JSON types."""
        ratios = self.ratios
        return {
            "section": self.section,
            "ours": self.ours,
            "other": self.other,
            "unit": self.unit,
            "ours_median": statistics.median(self.ours_values),
            "other_median": statistics.median(self.other_values),
            "ours_values": self.ours_values,
            "other_values": self.other_values,
            "ratio_median": statistics.median(ratios),
            "ratio_min": ratios[0],
            "ratio_max": ratios[-1],
            "rounds": len(ratios),
        }


def in_turns(
    measures: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    budget: float = BUDGET,
    warm: bool = False,
) -> dict[str, tuple[float, ...]]:
    """Measure each once per round, after a first run of each that does not count.

    Parameters
    ----------
    measures : mapping of str to callable
        The name of each, and a callable that measures it once and returns the value.
    rounds : int
        The maximum number of rounds, 1 or more.
    budget : float
        The maximum total seconds for each: slow measures are left out of later rounds. If even one
        run takes longer, the first run is the result.
    warm : bool
        Whether everything has run before, so that the first run counts as the first round.

    Returns
    -------
    dict of str to tuple of float
        The values of each.
    """
    values: dict[str, list[float]] = {}
    wanted: dict[str, int] = {}
    for name, measure in measures.items():
        started = time.perf_counter()
        first = measure()
        wanted[name] = min(rounds, int(budget / (time.perf_counter() - started + 1e-9)))
        values[name] = [first] if warm or not wanted[name] else []
    for number in range(1 if warm else 0, rounds):
        # Reverse the order in every second round, so that no measure always has warmer caches.
        for name in reversed(list(measures)) if number % 2 else measures:
            if number < wanted[name]:
                values[name].append(measures[name]())
    return {name: tuple(found) for name, found in values.items()}


def beside(
    section: str,
    ours: Mapping[str, Callable[[], float]],
    other: str,
    measure_other: Callable[[], float],
    *,
    rounds: int,
    unit: str = "s",
    budget: float = BUDGET,
) -> list[Comparison]:
    """Measure several implementations against the same other one, as `in_turns` does."""
    values = in_turns({**ours, other: measure_other}, rounds=rounds, budget=budget)
    return [
        Comparison(section, name, other, values[name], values[other], unit=unit) for name in ours
    ]


def seconds(function: Callable[[], object], *, at_least: float = 0.0) -> Callable[[], float]:
    """Return a measure of the wall time of one call, over calls that take `at_least` seconds."""

    def measure() -> float:
        times, elapsed = 0, 0.0
        started = time.perf_counter()
        while not times or elapsed < at_least:
            function()
            times += 1
            elapsed = time.perf_counter() - started
        return elapsed / times

    return measure


def command(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Return a measure of the wall time of a whole command."""

    def measure() -> float:
        started = time.perf_counter()
        subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    return measure


class Cost(NamedTuple):
    """The cost of a command: wall time in seconds, and peak resident memory in MB."""

    seconds: float
    peak: float


def cost(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command and return its cost.

    Raises
    ------
    RuntimeError
        When it fails; contains what it wrote to standard error.
    """
    # Use a small intermediate process: a child's peak includes its parent's memory at the fork.
    code = (
        "import json, resource, subprocess, sys, time; "
        "started = time.perf_counter(); "
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "seconds = time.perf_counter() - started; "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024; "
        "print(json.dumps([seconds, peak])); "
        "sys.exit(done.returncode)"
    )
    return Cost(*_answer([sys.executable, "-c", code, *argv], env))


def in_new_process(code: str, *arguments: str) -> Any:
    """Run Python code in a separate process and return its output, parsed as JSON."""
    return _answer([sys.executable, "-c", code, *arguments], None)


def _answer(argv: Sequence[str], env: Mapping[str, str] | None) -> Any:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[3:])} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def machine() -> dict[str, object]:
    """Return what a reader must know about the machine: cores, load, and variation of a loop."""

    def loop() -> float:
        started = time.process_time()
        sum(range(2_000_000))
        return time.process_time() - started

    loops = sorted(loop() for _ in range(9))
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "noise": loops[-1] / loops[0],
    }
