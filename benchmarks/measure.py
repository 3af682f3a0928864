"""Two things measured side by side, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes
    ----------
    section, ours, other : str
        What belongs together, what was measured, and what it is held against.
    ours_values, other_values : tuple of float
        One value a round, in `unit`; equally many.
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
        """Ours divided by the other, round by round, sorted."""
        pairs = zip(self.ours_values, self.other_values, strict=True)
        return sorted(ours / other for ours, other in pairs)

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
            "ratio_median": statistics.median(ratios),
            "ratio_min": ratios[0],
            "ratio_max": ratios[-1],
            "rounds": len(ratios),
        }


def side_by_side(
    section: str,
    ours: str,
    measure_ours: Callable[[], float],
    other: str,
    measure_other: Callable[[], float],
    *,
    rounds: int,
    unit: str = "s",
) -> Comparison:
    """Measure one after the other, `rounds` times, after one round that does not count."""
    measure_ours()
    measure_other()
    ours_values, other_values = [], []
    for number in range(rounds):
        # Every second round the other way round: neither always finds the caches warmer.
        if number % 2:
            other_values.append(measure_other())
            ours_values.append(measure_ours())
        else:
            ours_values.append(measure_ours())
            other_values.append(measure_other())
    return Comparison(section, ours, other, tuple(ours_values), tuple(other_values), unit)


def seconds(function: Callable[[], object], *, times: int = 1) -> Callable[[], float]:
    """Return a measure of the wall time of one call, taken over `times` calls."""

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(times):
            function()
        return (time.perf_counter() - started) / times

    return measure


def command(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Return a measure of the wall time of a whole command."""

    def measure() -> float:
        started = time.perf_counter()
        subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    return measure


def peak_memory(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Return a measure of the peak resident memory of a command, in MB."""

    def measure() -> float:
        # By way of a small process: a child's peak counts what its parent had when it forked.
        code = (
            "import resource, subprocess, sys; "
            "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], env=env, capture_output=True, text=True, check=True
        )
        return int(done.stdout) / 1024

    return measure


def machine() -> dict[str, object]:
    """Return what a reader must know of the machine: cores, load, and how noisy a loop is."""

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
