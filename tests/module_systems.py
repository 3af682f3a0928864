"""The module systems from Debian's packages, for tests that load real modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spack_kernel.spack.load.modules import ModuleSystem

PLACES = {
    "lmod": [
        "/usr/share/lmod/lmod/libexec/lmod",
        *map(str, Path("/usr/share/lmod").glob("*/libexec/lmod")),
    ],
    "environment-modules": ["/usr/lib/x86_64-linux-gnu/modulecmd.tcl"],
}


def debian_module_system(name: str, cache: pytest.Cache) -> ModuleSystem:
    """Return one of the two; Debian cannot install both, so one is unpacked into the cache."""
    for place in PLACES[name]:
        if os.access(place, os.X_OK):
            return ModuleSystem(name, Path(place))
    unpacked = cache.mkdir(f"debian-{name}")
    place = unpacked / PLACES[name][0].lstrip("/")
    if not place.exists():
        try:
            subprocess.run(["apt-get", "download", name], cwd=unpacked, check=True, timeout=120)
            (package,) = unpacked.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True, timeout=60)
        except (OSError, subprocess.SubprocessError, ValueError):
            shutil.rmtree(unpacked, ignore_errors=True)
    if not place.exists():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"{name} is neither installed nor to be had from apt-get")
    return ModuleSystem(name, place)


def module_settings(system: ModuleSystem, modules: Path) -> dict[str, str]:
    """Return the variables that a login shell sets at a site with these modules."""
    program = "LMOD_CMD" if system.kind == "lmod" else "MODULES_CMD"
    return {"MODULEPATH": str(modules), program: str(system.command)}


def write_module(directory: Path, name: str, *lines: str) -> None:
    """Write a Tcl module, as Spack generates it, that both systems can read."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#%Module1.0", *lines, ""]), encoding="utf-8")
