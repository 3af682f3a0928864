"""Examples in the documentation are valid: commands parse, Python compiles, links resolve."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spack_kernel.cli.app import parse
from tests.places import ROOT

pytestmark = pytest.mark.unit

DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
    if path.is_file()
)


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str):
    """Yield the text of every fenced code block in one of `languages`."""
    text = path.read_text(encoding="utf-8")
    for language, content in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language in languages:
            yield content


def commands(path: Path):
    """Yield the words of every complete ``spack-kernel`` command line."""
    for content in blocks(path, "console", "bash", "sh", ""):
        for line in content.replace("\\\n", " ").splitlines():
            match = re.match(r"(?:\$ )?(?:sudo )?(spack-kernel .*)", line.strip())
            if match and "…" not in line and "..." not in line:
                yield shlex.split(re.split(r"\s[|>&;]", match[1])[0], comments=True)[1:]


def test_there_are_commands_to_check():
    assert len(list(commands(ROOT / "README.md"))) >= 5


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=f"{identify(path)}: {shlex.join(words)}")
        for path in DOCUMENTS
        for words in commands(path)
    ],
)
def test_commands_parse(words, capsys):
    status = None
    try:
        parse(words)
    except SystemExit as stop:  # --help and --version also exit this way
        status = stop.code
    assert not status, capsys.readouterr().err


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_python_compiles(path):
    for content in blocks(path, "python"):
        compile(content, str(path), "exec")


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"\w+:", target):
            assert (path.parent / target).exists(), f"{identify(path)} links to {target}"
