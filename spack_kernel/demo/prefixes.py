"""Install prefixes that contain a wheel or a virtual environment, with Spack's metadata."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import sys
import sysconfig
import venv
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import installer
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from .errors import DemoError

if TYPE_CHECKING:
    from .nodes import Node

#: The directory in a prefix for Spack's metadata.
METADATA = ".spack"


def site_packages(prefix: Path) -> Path:
    """Return the purelib directory of `prefix`, as the store's Python sees it."""
    return Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(prefix)}))


def is_complete(node: Node) -> bool:
    """Return whether `node` is already installed in its prefix: the manifest is written last."""
    metadata = node.prefix / METADATA
    try:
        specfile = json.loads((metadata / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(specfile == node.specfile()) and (metadata / "install_manifest.json").exists()


def install(node: Node, python: Path, *, bytecode: bool = True) -> None:
    """Install `node` into its prefix, replacing what an interrupted attempt left there.

    Parameters
    ----------
    node : Node
        A ``python-venv``, or a node with a wheel.
    python : Path
        The interpreter for the console scripts.
    bytecode : bool, optional
        Whether to compile the modules, as pip does.
    """
    if node.prefix.exists():
        shutil.rmtree(node.prefix)
    metadata = node.prefix / METADATA
    metadata.mkdir(parents=True)
    _write_json(metadata / "spec.json", node.specfile())
    if node.wheel is None:
        _make_venv(node.prefix)
    else:
        _install_wheel(node.wheel.path, node.prefix, python, bytecode)
    _write_json(metadata / "install_manifest.json", _manifest(node.prefix))


def _make_venv(prefix: Path) -> None:
    try:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    except Exception as error:
        raise DemoError(
            f"{sys.executable} cannot create a virtual environment: {error}",
            hint="On Debian and Ubuntu: apt-get install python3-venv",
        ) from error


def _install_wheel(path: Path, prefix: Path, python: Path, bytecode: bool) -> None:
    scheme = {
        key: sysconfig.get_path(
            key, "posix_prefix", vars={"base": str(prefix), "platbase": str(prefix)}
        )
        for key in ("purelib", "platlib", "scripts", "data")
    }
    with WheelFile.open(path) as source:
        scheme["headers"] = str(
            prefix / "include" / site_packages(prefix).parent.name / source.distribution
        )
        destination = SchemeDictionaryDestination(
            scheme,
            interpreter=str(python),
            script_kind="posix",
            bytecode_optimization_levels=[0] if bytecode else [],
        )
        with warnings.catch_warnings():
            # numpy's wheel contains a stray __pycache__, which installer skips and reports.
            warnings.filterwarnings("ignore", "Skip installing .*__pycache__", RuntimeWarning)
            installer.install(source, destination, {"INSTALLER": b"spack-kernel\n"})


def _manifest(prefix: Path) -> dict[str, dict[str, Any]]:
    """Return what `spack verify` compares, by path: mode, owner, the content's SHA-1."""
    entries = {str(prefix): _manifest_entry(prefix)}
    for directory, directories, files in os.walk(prefix):
        for name in [*directories, *files]:
            path = Path(directory, name)
            entries[str(path)] = _manifest_entry(path)
    return entries


def _manifest_entry(path: Path) -> dict[str, Any]:
    status = path.lstat()
    entry: dict[str, Any] = {
        "mode": status.st_mode,
        "owner": status.st_uid,
        "group": status.st_gid,
    }
    if stat.S_ISLNK(status.st_mode):
        entry["dest"] = str(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        digest = hashlib.sha1(path.read_bytes(), usedforsecurity=False).digest()
        entry["hash"] = base64.b32encode(digest).decode("ascii")
        entry["time"] = status.st_mtime
        entry["size"] = status.st_size
    return entry


def _write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` completely or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.replace(path)
