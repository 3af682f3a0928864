"""Version, range, list: Spack's ordering and its satisfies/intersects rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """One concrete version as a database records it."""

    string: str

    def __str__(self) -> str:
        return self.string
