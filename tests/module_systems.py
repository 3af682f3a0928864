"""The module systems from Debian's packages, for tests that load real modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spack_kernel.spack.load.modules import ModuleSystem
from tests import shared

PLACES = {
    "lmod": [
        "/usr/share/lmod/lmod/libexec/lmod",
        *map(str, Path("/usr/share/lmod").glob("*/libexec/lmod")),
    ],
    "environment-modules": ["/usr/lib/x86_64-linux-gnu/modulecmd.tcl"],
}


def debian_module_system(name: str) -> ModuleSystem:
    """Return one of the two; Debian cannot install both, so one is unpacked into a directory."""
    for place in PLACES[name]:
        if os.access(place, os.X_OK):
            return ModuleSystem(name, Path(place))
    unpacked = shared.directory(f"debian-{name}")
    place = unpacked / PLACES[name][0].lstrip("/")
    with shared.locked(unpacked):
        if not place.exists():
            _unpack(name, unpacked)
    if not place.exists():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"{name} is neither installed nor to be had from apt-get")
    return ModuleSystem(name, place)


def _unpack(name: str, directory: Path) -> None:
    """Unpack a Debian package into a directory; leave that empty if it cannot be had."""
    try:
        subprocess.run(["apt-get", "download", name], cwd=directory, check=True, timeout=120)
        (package,) = directory.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError, ValueError):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()


def module_settings(system: ModuleSystem, modules: Path) -> dict[str, str]:
    """Return the variables that a login shell sets at a site with these modules."""
    program = "LMOD_CMD" if system.kind == "lmod" else "MODULES_CMD"
    return {"MODULEPATH": str(modules), program: str(system.command)}


def write_module(directory: Path, name: str, *lines: str) -> None:
    """Write a Tcl module, as Spack generates it, that both systems can read."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#%Module1.0", *lines, ""]), encoding="utf-8")
