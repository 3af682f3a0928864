"""docs/cli.md matches the command line: nothing obsolete, nothing missing."""

from __future__ import annotations

import re

import pytest

from spack_kernel.cli.parser import COMMANDS, build_parser
from tests.places import DOCS

pytestmark = pytest.mark.unit

TEXT = (DOCS / "cli.md").read_text()

#: Documented once for all commands, or on separate pages.
SHARED = {"--help", "--store", "--color", "--verbose", "--json"}
ELSEWHERE = {"sync", "pin"}


def section(name: str) -> str:
    return re.split(r"^## ", TEXT.partition(f"\n## {name}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def options(name: str) -> set[str]:
    _, parsers = build_parser([name])
    actions = parsers[name]._actions
    return {o for action in actions for o in action.option_strings if o.startswith("--")}


def test_every_command_is_in_the_table() -> None:
    shown = re.findall(r"^\| \[`(\w+)`\]", TEXT, flags=re.MULTILINE)
    assert sorted(shown) == sorted(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ELSEWHERE])
def test_every_option_is_told_of(name: str) -> None:
    missing = {o for o in options(name) - SHARED if f"{o}`" not in section(name).replace(" ", "` ")}
    assert missing == set()


def test_no_option_is_made_up() -> None:
    of_slurm = {"--export", "--overlap", "--pty"}
    known = set().union(*(options(name) for name in COMMANDS)) | SHARED | {"--version"} | of_slurm
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= known


def test_the_fields_of_formats_are_all_told_of() -> None:
    from spack_kernel.spack.output.fields import FIELDS

    told = section("list")
    missing = {f for f in FIELDS if f"`{f.rpartition('.')[2]}" not in told.replace(".", "`")}
    assert missing <= {"spack_install"}
