"""Read the requirements of installed packages from their metadata.

A companion's packages are used alongside the spec's own. If both have a package of the same name,
the spec's is used. The companion's packages might not work with it, which their metadata shows.

https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .search_path import Override, PathEntry

#: The largest METADATA that is read, in bytes.
MAX_METADATA_SIZE = 1024 * 1024

_REQUIRES = re.compile(rb"^Requires-Dist:[ \t]*(.+?)\r?$", re.MULTILINE)
_NAME = re.compile(r"[\w.-]+")


def conflicts(entries: Sequence[PathEntry], overrides: Sequence[Override]) -> list[str]:
    """Return a line for each requirement of a companion that the specs' packages do not meet.

    Parameters
    ----------
    entries : sequence of PathEntry
        The directories of PYTHONPATH.
    overrides : sequence of Override
        The packages that both have.
    """
    used = {
        _normal(override.used.name.removeprefix("py-")): override.used
        for override in overrides
        if override.used.version != override.unused.version
    }
    if not used:
        return []
    found: list[str] = []
    for entry in entries:
        if entry.origin != "companion":
            continue
        for requirement in _requirements(entry.path):
            match = _NAME.match(requirement)
            spec = used.get(_normal(match[0])) if match else None
            if spec is not None and not _admits(requirement, str(spec.version)):
                found.append(
                    f"{entry.spec.label} needs {requirement}, but the spec has {spec.label}"
                )
    return list(dict.fromkeys(found))


def _requirements(directory: str) -> Iterator[str]:
    """Yield the requirements of the packages in a directory, as their metadata states them."""
    for name in file_checks.names_in(directory) or ():
        if not name.endswith(".dist-info"):
            continue
        try:
            metadata = file_checks.read_regular(f"{directory}/{name}/METADATA", MAX_METADATA_SIZE)
        except OSError:
            continue
        for line in _REQUIRES.findall(metadata.partition(b"\n\n")[0] + b"\n"):
            yield line.decode("utf-8", "replace")


def _admits(requirement: str, version: str) -> bool:
    """Return whether a requirement allows a version; True also if that is unclear."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    try:
        needed = Requirement(requirement)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            return True
        return needed.specifier.contains(Version(version), prereleases=True)
    except (InvalidRequirement, InvalidVersion, KeyError, ValueError):
        return True


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
