"""Check that a release is consistent, build it into dist/, and check what is in it.

Run by ``make release``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What must not be missing in the wheel, besides every module.
DATA = (
    "spack_kernel/spack/repos/known_virtuals.json",
    "spack_kernel/demo/pins.txt",
    "spack_kernel/jupyter/kernelspecs/resources/logo-svg.svg",
    "spack_kernel/jupyter/kernelspecs/resources/logo-64x64.png",
    "spack_kernel/jupyter/server/openapi.json",
    "spack_kernel/py.typed",
)

#: What the wheel installs outside the package: the two extensions of Jupyter.
SHARED = (
    "etc/jupyter/jupyter_server_config.d/spack-kernel.json",
    "share/jupyter/labextensions/spack-kernel/package.json",
)


def main() -> int:
    """Print what is wrong, and return the number of faults."""
    version = _find(r'__version__ = "([^"]+)"', "spack_kernel/__init__.py")
    faults = []
    sections = re.findall(r"^## \[([^\]]+)\]", _text("CHANGELOG.md"), re.MULTILINE)
    if sections[:1] != ["Unreleased"]:
        faults.append("CHANGELOG.md does not begin with a section [Unreleased]")
    if version not in sections:
        faults.append(f"CHANGELOG.md has no section [{version}]")
    cited = _find(r"^version: (\S+)", "CITATION.cff")
    if cited != version:
        faults.append(f"CITATION.cff has version {cited}, and the package {version}")
    changed = _git("status", "--porcelain")
    if changed:
        faults.append(f"there are changes that are not committed:\n{changed}")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", scratch, str(ROOT)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        built = sorted(Path(scratch).iterdir())
        faults += _faults_of(built, version)
        for path in built if not faults else ():
            (ROOT / "dist").mkdir(exist_ok=True)
            (ROOT / "dist" / path.name).write_bytes(path.read_bytes())
            print(f"dist/{path.name}")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if not faults:
        print(f"Version {version} is ready. Next:\n  git tag v{version}")
    return len(faults)


def _faults_of(built: list[Path], version: str) -> list[str]:
    """Return what is wrong with a wheel and a source distribution."""
    names = [f"spack_kernel-{version}-py3-none-any.whl", f"spack_kernel-{version}.tar.gz"]
    if [path.name for path in built] != names:
        return [f"built are {', '.join(path.name for path in built)}, not {', '.join(names)}"]
    wheel, sdist = built
    tracked = set(_git("ls-files").split("\n"))
    modules = {name for name in tracked if name.startswith("spack_kernel/")}
    with zipfile.ZipFile(wheel) as archive:
        everything = {name for name in archive.namelist() if ".dist-info/" not in name}
    shared = {name.partition(".data/data/")[2] for name in everything} - {""}
    inside = {name for name in everything if ".data/" not in name}
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    faults = [f"the wheel lacks {name}" for name in sorted((modules | set(DATA)) - inside)]
    faults += [f"the wheel lacks {name}" for name in SHARED if name not in shared]
    faults += [f"the wheel has {name}, which is not tracked" for name in sorted(inside - modules)]
    wanted = {name for name in tracked if not name.startswith(".")}
    faults += [f"the source distribution lacks {name}" for name in sorted(wanted - sources)]
    made = {name for name in sources if name.startswith("labextension/built/")}
    extra = {name for name in sources - tracked - made if "." in Path(name).name} - {"PKG-INFO"}
    faults += [
        f"the source distribution has {name}" for name in sorted(extra) if name != ".gitignore"
    ]
    return faults


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _find(pattern: str, name: str) -> str:
    match = re.search(pattern, _text(name), re.MULTILINE)
    if match is None:
        sys.exit(f"error: {name} does not name a version")
    return match[1]


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
