"""Which packages a demo store contains, and what each of them needs.

Names are Spack's: ``py-`` before the normalised PyPI name, as in Spack's own recipes.
The versions are in ``pins.txt``; the edges come from the wheels' own metadata.
"""

from __future__ import annotations

import email.parser
import platform
import sys
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from .errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

#: The Python versions for which the pinned wheels exist, oldest and newest.
PYTHONS = ((3, 10), (3, 15))

#: The tools that build every package, in the order in which they can be installed.
BUILD_TOOLS = ("py-pip", "py-setuptools", "py-wheel")


class PinnedRequirements(NamedTuple):
    """The packages that a store contains.

    Attributes
    ----------
    text : str
        Pinned requirements, one per line; the build tools must be among them.
    roots : tuple of str
        The explicitly installed packages, by Spack name; the others are dependencies.
    second_build : Requirement
        Another version of one of them, pinned, so that its bare name is ambiguous.
    from_source : tuple of str
        The packages for which PyPI has no wheel: the store's own tools build them.
    """

    text: str
    roots: tuple[str, ...]
    second_build: Requirement
    from_source: tuple[str, ...] = ()

    @classmethod
    def default(cls) -> PinnedRequirements:
        """Return the packages of ``pins.txt``."""
        return cls(
            (resources.files(__package__) / "pins.txt").read_text(encoding="utf-8"),
            roots=("py-numpy", "py-matplotlib", "py-ipykernel", "py-libensemble"),
            second_build=Requirement(
                "numpy==2.1.3" if sys.version_info < (3, 14) else "numpy==2.5.4"
            ),
            from_source=("py-libensemble",),
        )

    def requirements(self) -> dict[str, Requirement]:
        """Return Spack name → pinned requirement, for the running Python, in order."""
        found = {}
        for line in self.text.splitlines():
            if text := line.partition("#")[0].strip():
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate():
                    found[spack_name(requirement.name)] = requirement
        return found


class Wheel(NamedTuple):
    """A wheel on disk: Spack `name`, `version`, `path`, and the Spack names it `needs`, sorted."""

    name: str
    version: str
    path: Path
    needs: tuple[str, ...]


def spack_name(distribution: str) -> str:
    """Return Spack's name for a PyPI `distribution`: ``"Py_YAML"`` becomes ``"py-py-yaml"``."""
    return "py-" + canonicalize_name(distribution)


def check_python() -> None:
    """Raise `DemoError` when there are no pinned wheels for the running Python."""
    oldest, newest = PYTHONS
    version = platform.python_version_tuple()[:2]
    if not oldest <= (int(version[0]), int(version[1])) <= newest:
        raise DemoError(
            f"the packages of the demo store exist for Python {_dotted(oldest)} to "
            f"{_dotted(newest)}; this is Python {platform.python_version()}",
            hint="Install spack-kernel in a virtual environment of one of these and run it there.",
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
    """Return `wheels` (by Spack name) in an order in which each follows everything it needs.

    The build tools come first; otherwise the order is alphabetical, so it is always the same.

    Raises
    ------
    DemoError
        When a wheel needs a package that is not pinned, or wheels depend on each other in a cycle.
    """
    order: list[Wheel] = []
    state: dict[str, bool] = {}

    def visit(name: str, wanted_by: str) -> None:
        if state.get(name):
            return
        if name in state or name not in wheels:
            why = "indirectly needs itself" if name in state else "is not in the pinned set"
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
