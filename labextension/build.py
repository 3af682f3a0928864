"""Build the extension for JupyterLab into ``built/``: ``python labextension/build.py``.

Needs Node.js with npm, and no Python package. Nothing is done if the built files are current.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE / "built"

#: Its name among the extensions of JupyterLab.
NAME = "spack-kernel"

_VERSION_FILE = HERE.parent / "spack_kernel" / "__init__.py"
_DIGEST = BUILT / "sources.sha256"
_MODULES = HERE / "node_modules"

#: What the built files are made from.
_SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "src", "style", "schema")


class BuildError(Exception):
    """An extension that cannot be built."""


def digest() -> str:
    """Return the SHA-256 of the sources and of the version."""
    found = hashlib.sha256(version().encode())
    for source in _SOURCES:
        path = HERE / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                found.update(f"{file.relative_to(HERE)}\0".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def version() -> str:
    """Return the version of the Python package, which the extension shares."""
    match = re.search(r'^__version__ = "(.+)"$', _VERSION_FILE.read_text("utf-8"), re.MULTILINE)
    assert match is not None
    return match[1]


def is_current() -> bool:
    """Return whether the built files are those of the present sources."""
    return _DIGEST.is_file() and _DIGEST.read_text("ascii").strip() == digest()


def build() -> None:
    """Build the extension, unless the built files are current.

    Raises
    ------
    BuildError
        When Node.js is missing, or a command fails.
    """
    if is_current():
        return
    install()
    shutil.rmtree(BUILT, ignore_errors=True)
    _npm("run", "build")
    package = BUILT / "package.json"
    content = json.loads(package.read_text("utf-8"))
    content["version"] = version()
    content.pop("devDependencies", None)
    content.pop("scripts", None)
    package.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _DIGEST.write_text(digest() + "\n", encoding="ascii")


def install() -> None:
    """Install what building and checking need into ``node_modules``, if that is not done yet."""
    done = _MODULES / ".package-lock.json"
    if not done.is_file() or done.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        _npm("ci", "--no-audit", "--no-fund")
        done.touch()


def link(prefix: Path) -> None:
    """Make the JupyterLab of a virtual environment use the built files where they are."""
    place = prefix / "share" / "jupyter" / "labextensions" / NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    place.symlink_to(BUILT)


def _npm(*words: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(
            "the JupyterLab extension is built with npm, which is not installed\n"
            "Install Node.js 20 or newer. Or set SPACK_KERNEL_WITHOUT_LABEXTENSION=1 to install "
            "spack-kernel without the picker."
        )
    done = subprocess.run(
        [npm, *words], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildError(f"{done.stdout}\n`npm {' '.join(words)}` in {HERE} failed")


def main() -> int:
    """Build the extension, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--into", metavar="PREFIX", type=Path, help="a virtual environment that is to use it"
    )
    arguments = parser.parse_args()
    try:
        build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.into:
        link(arguments.into.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
