"""Kernels with a start image, beside an import index, a plain PYTHONPATH and one directory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from spack_kernel.kernels import import_index
from spack_kernel.kernels.image import Image
from spack_kernel.kernels.interpreters.probe import probe

from .kernel_process import can_count_calls, first_reply
from .measure import Comparison, in_turns
from .slow_filesystem import is_possible, slow_mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .imports import Command, Prefixes

#: What a cell imports before the reply that counts.
CODE = "import numpy, matplotlib.pyplot, libensemble"

_SECTION = "start image"

_SLOW = "start image, slow file system (+0.5 ms per metadata call)"

_NAMES = {
    "imaged": "with a start image",
    "trusting": "with a start image, sources not checked",
    "indexed": "with the import index",
}

_RANKS = 16


def compare(python: str, prefixes: Prefixes, directory: Path, rounds: int) -> Iterator[Comparison]:
    """Yield calls, time and CPU of kernels that import `CODE`.

    Parameters
    ----------
    python : str
        The interpreter.
    prefixes : Prefixes
        An ipykernel for it with the packages of `CODE`, compiled.
    directory : Path
        Where to have images.
    rounds : int
        The maximum number of starts of each kernel.
    """
    ways = commands(python, prefixes.path, prefixes.merged, directory / "local.img")
    record(ways["imaged"], directory / "local.img")
    count = len(prefixes.path)
    merged = f"the same packages in one directory ({count})"
    if can_count_calls():
        yield from _calls(ways, prefixes, merged)
    else:
        print("  (strace cannot be used: file-system calls are not counted)", file=sys.stderr)
    replies: dict[str, list[float]] = {way: [] for way in ("merged", *_NAMES)}

    def wall(way: str) -> float:
        reply = first_reply(*ways[way], code=CODE)
        replies[way].append(reply.cpu)
        return reply.wall

    values = in_turns(
        {way: partial(wall, way) for way in replies}, rounds=rounds, budget=1.5 * rounds, warm=False
    )
    for way, name in _NAMES.items():
        what = f"{count} prefixes, {name}"
        for figure, taken in (("time", values), ("CPU", {w: tuple(c) for w, c in replies.items()})):
            what_of = f"{what}: {figure} to the reply after the imports"
            yield Comparison(_SECTION, what_of, merged, taken[way], taken["merged"])
    first = commands(python, prefixes.path, prefixes.merged, directory / "none.img")["imaged"]

    def making() -> float:
        (directory / "none.img").unlink(missing_ok=True)
        return first_reply(*first, code=CODE).wall

    values = in_turns(
        {"making": making, "indexed": partial(wall, "indexed")},
        rounds=rounds,
        budget=1.5 * rounds,
        warm=False,
    )
    name = f"{count} prefixes, the first start, which makes the image: time to the reply"
    yield Comparison(_SECTION, name, _NAMES["indexed"], values["making"], values["indexed"])


def _calls(ways: Mapping[str, Command], prefixes: Prefixes, merged: str) -> Iterator[Comparison]:
    calls = {
        way: first_reply(*command, code=CODE, count_calls=True, below=prefixes.root)
        for way, command in ways.items()
    }
    base = calls["merged"]
    for way, reply in calls.items():
        if way == "merged":
            continue
        what = f"{len(prefixes.path)} prefixes, {_NAMES.get(way, 'plain PYTHONPATH')}"
        for figure, ours, its in (
            ("file-system calls to the reply after the imports", reply.calls, base.calls),
            ("of these, in the packages' own directories", reply.below, base.below),
        ):
            pair = (float(ours),), (float(its),)
            yield Comparison(_SECTION, f"{what}: {figure}", merged, *pair, "calls")


def compare_slow(python: str, prefixes: Prefixes, directory: Path) -> Iterator[Comparison]:
    """Yield the same on a file system on which every metadata call takes half a millisecond.

    Parameters
    ----------
    python, prefixes, directory
        As for `compare`.
    """
    if not is_possible():
        print("  (left out: FUSE cannot be used)", file=sys.stderr)
        return
    mountpoint, image = directory / "mount", directory / "slow.img"
    walls: dict[str, float] = {}
    ranks: dict[str, float] = {}
    for way in ("merged", "recording", *_NAMES, "plain"):
        with slow_mount(prefixes.root, mountpoint) as mount:
            there = [
                path.replace(str(prefixes.root), str(mount.directory), 1)
                for path in (*prefixes.path, prefixes.merged)
            ]
            ways = commands(python, there[:-1], there[-1], image)
            if way == "recording":
                record(ways["imaged"], image)
                continue
            walls[way] = first_reply(*ways[way], code=CODE).wall
        if way in ("merged", "imaged"):
            with slow_mount(prefixes.root, mountpoint):
                environment = program(python, there[:-1], there[-1], image)[way]
                ranks[way] = _at_once(python, environment)
    count = len(prefixes.path)
    merged = f"the same packages in one directory ({count})"
    for way, name in (*_NAMES.items(), ("plain", "plain PYTHONPATH")):
        what = f"{count} prefixes, {name}: time to the reply after the imports"
        yield Comparison(_SLOW, what, merged, (walls[way],), (walls["merged"],))
    plain = f"{count} prefixes, plain PYTHONPATH"
    for way in ("imaged", "trusting"):
        what = f"{count} prefixes, {_NAMES[way]}: time to the reply after the imports"
        yield Comparison(_SLOW, what, plain, (walls[way],), (walls["plain"],))
    what = f"{_RANKS} programs at once, as `exec` starts them, with a start image"
    yield Comparison(_SLOW, what, merged, (ranks["imaged"],), (ranks["merged"],))


def _at_once(python: str, environment: Mapping[str, str]) -> float:
    """Return the seconds that several programs take that import packages at the same time."""
    command = [python, "-c", "import numpy, matplotlib.pyplot"]
    began = time.perf_counter()
    running = [subprocess.Popen(command, env=environment) for _ in range(_RANKS)]
    assert [process.wait() for process in running] == [0] * _RANKS
    return time.perf_counter() - began


def commands(python: str, path: Sequence[str], merged: str, image: Path) -> dict[str, Command]:
    """Return the command and the environment of a kernel: merged, plain, indexed, imaged."""
    kernel = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    base = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    plain = {**base, "PYTHONPATH": os.pathsep.join(path)}
    facts, kept = probe(python), _image(image, path)
    trusted = kept._replace(checks_sources=False)
    return {
        "merged": (kernel, {**base, "PYTHONPATH": merged}),
        "plain": (kernel, plain),
        "indexed": import_index.through_launcher(kernel, plain, facts),
        "imaged": import_index.through_launcher(kernel, plain, facts, image=kept),
        "trusting": import_index.through_launcher(kernel, plain, facts, image=trusted),
    }


def program(
    python: str, path: Sequence[str], merged: str, image: Path
) -> dict[str, dict[str, str]]:
    """Return the environment of any program of a Python: merged, imaged."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    plain = {**base, "PYTHONPATH": os.pathsep.join(path)}
    imaged = import_index.through_startup(plain, probe(python), path, _image(image, path))
    return {"merged": {**base, "PYTHONPATH": merged}, "imaged": imaged}


def _image(image: Path, path: Sequence[str]) -> Image:
    return Image(str(image), "benchmark", os.geteuid(), can_record=True, fixed=path)


def record(command: Command, image: Path) -> None:
    """Start a kernel that makes its image, and wait until that is there."""
    image.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    first_reply(*command, code=CODE)
    deadline = time.monotonic() + 300
    while not image.exists() or list(image.parent.glob("*.claim")):
        if time.monotonic() > deadline:
            raise RuntimeError("no start image was made")
        time.sleep(0.1)
