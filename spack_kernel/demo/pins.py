"""Which packages a demo store holds, and what each of them needs.

Names are Spack's (``py-`` before the normalised PyPI name, as Spack's own recipes are called).
The versions stand in ``pins.txt``; the edges come from the wheels' own metadata.
"""

from __future__ import annotations

import email.parser
import platform
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from .errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

#: The Python versions for which the pinned wheels exist, oldest and newest.
PYTHONS = ((3, 10), (3, 13))

#: What every package is built with, in the order in which they can be installed.
BUILD_TOOLS = ("py-pip", "py-setuptools", "py-wheel")

#: The packages that are installed because somebody asked for them.
ROOTS = ("py-numpy", "py-matplotlib", "py-ipykernel", "py-libensemble")

#: A second build of one package, so that its bare name is ambiguous.
SECOND_BUILD = Requirement("numpy==2.1.3")

#: PyPI has no wheel of these: they are built from source with the store's own tools.
FROM_SOURCE = ("py-libensemble",)


class Pin(NamedTuple):
    """One pinned package: its Spack `name` and its `requirement` as pip reads it."""

    name: str
    requirement: Requirement

    @property
    def version(self) -> str:
        """The pinned version."""
        (specifier,) = self.requirement.specifier
        return specifier.version


class Wheel(NamedTuple):
    """A wheel on disk: Spack `name`, `version`, `path`, and the Spack names it `needs`, sorted."""

    name: str
    version: str
    path: Path
    needs: tuple[str, ...]


def spack_name(distribution: str) -> str:
    """Return Spack's name for a PyPI `distribution`: ``"Py_YAML"`` becomes ``"py-py-yaml"``."""
    return "py-" + canonicalize_name(distribution)


def pins_text() -> str:
    """Return the text of ``pins.txt``."""
    return (resources.files(__package__) / "pins.txt").read_text(encoding="utf-8")


def pins() -> list[Pin]:
    """Return what is pinned for the running Python, in the order of ``pins.txt``."""
    found = []
    for line in pins_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate():
                found.append(Pin(spack_name(requirement.name), requirement))
    return found


def check_python() -> None:
    """Raise `DemoError` when the running Python is none the pinned wheels exist for."""
    oldest, newest = PYTHONS
    version = platform.python_version_tuple()[:2]
    if not oldest <= (int(version[0]), int(version[1])) <= newest:
        raise DemoError(
            f"the packages of the demo store exist for Python {_dotted(oldest)} to "
            f"{_dotted(newest)}; this is Python {platform.python_version()}",
            hint="Install spack-kernel in a virtual environment of one of those and run it there.",
        )


def read_wheel(path: Path) -> Wheel:
    """Read the name, version and requirements of the wheel at `path`.

    Requirements are evaluated for the running Python without extras, as pip does (the rules are
    those of the core metadata specification, section Requires-Dist).
    """
    distribution, version, _, _ = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        (member,) = (
            name
            for name in archive.namelist()
            if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        metadata = email.parser.BytesParser().parsebytes(archive.read(member), headersonly=True)
    needs = set()
    for line in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needs.add(spack_name(requirement.name))
    return Wheel(spack_name(distribution), str(version), path, tuple(sorted(needs)))


def in_install_order(wheels: dict[str, Wheel]) -> list[Wheel]:
    """Return `wheels` (by Spack name) so that each follows everything it needs.

    The build tools come first; otherwise the order is alphabetical, so it is always the same.

    Raises
    ------
    DemoError
        When a wheel needs what is not pinned, or wheels need one another in a circle.
    """
    order: list[Wheel] = []
    state: dict[str, bool] = {}

    def visit(name: str, wanted_by: str) -> None:
        if state.get(name):
            return
        if name in state or name not in wheels:
            why = "needs itself in a circle" if name in state else "is not in the pinned set"
            raise DemoError(f"{wanted_by} needs {name}, which {why}")
        state[name] = False
        for needed in wheels[name].needs:
            visit(needed, name)
        state[name] = True
        order.append(wheels[name])

    for name in (*BUILD_TOOLS, *sorted(wheels)):
        visit(name, "the demo store")
    return order


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
