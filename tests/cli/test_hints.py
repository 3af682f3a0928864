"""The commands that errors and help suggest are valid."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import spack_kernel
from spack_kernel.cli.app import parse

from .conftest import Runner

pytestmark = pytest.mark.unit

PACKAGE = Path(spack_kernel.__file__).parent

#: Replaces the placeholders in a hint.
FILLED_IN = "py-x"


def texts(path: Path) -> Iterator[str]:
    """Yield every user-facing text of a module, with its placeholders replaced."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
              for part in node.values}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else FILLED_IN
                for part in node.values
            )
        elif id(node) not in inside and isinstance(value := getattr(node, "value", None), str):
            yield value


def hints() -> Iterator[tuple[str, str]]:
    """Yield the module and the command line of every command that our texts suggest."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in texts(path):
            found = re.findall(r"`((?:sudo \S+ \S+ )?spack-kernel [^`\n]+)`", text)
            found += re.findall(r"^ +(spack-kernel [^\n]+)$", text, re.MULTILINE)
            for line in found:
                yield str(path.relative_to(PACKAGE)), re.split(r" {2,}| \| ", line)[0]


LINES = sorted(set(hints()))


def test_there_are_hints() -> None:
    assert len(LINES) > 40


@pytest.mark.parametrize(("module", "line"), LINES, ids=lambda value: str(value)[:60])
def test_every_command_that_is_told_is_one(
    module: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line.split(" > ")[0].replace("${HOME}", "x").removesuffix(" for everyone")
    words = [word for word in shlex.split(line) if word not in ("...", "…")]
    words = words[words.index("spack-kernel") + 1 :]
    if words == ["COMMAND", "--help"]:
        words[0] = "list"
    if words == ["demo"]:  # the name of the command alone
        return
    status: object = 0
    try:
        parse(words)
    except SystemExit as stop:
        status = stop.code
    assert not status, f"{module}: {line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("line", ["list", "list --all", "remove --list"])
def test_those_that_are_whole_work(
    line: str, run: Runner, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"spack-kernel {line}" in {told for _, told in LINES}
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo))
    assert run(*line.split()).status == 0
