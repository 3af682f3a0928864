"""A selection of tiny packages that a real pip installs from a directory, without a network."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from spack_kernel.demo.pins import PinnedRequirements


def write_wheel(directory: Path, name: str, version: str, *needs: str, script: bool = False):
    """Write a valid wheel with one module, and return its path."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    files = {
        f"{module}/__init__.py": f"version = {version!r}\n\ndef main():\n    print(version)\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {module}:main\n"
    path = directory / f"{module}-{version}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{member},sha256={digest.decode().rstrip('=')},{len(text)}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """Return a directory that is pip's only package source."""
    directory = tmp_path / "index"
    directory.mkdir()
    write_wheel(directory, "pip", "1.0")
    write_wheel(directory, "setuptools", "1.0")
    write_wheel(directory, "wheel", "1.0")
    write_wheel(directory, "upper", "1.0", "lower>=1", 'never; python_version<"3"', script=True)
    write_wheel(directory, "lower", "1.0", 'extra-only; extra == "x"')
    write_wheel(directory, "lower", "2.0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return directory


@pytest.fixture
def selection(index) -> PinnedRequirements:
    """Return `upper`, which needs `lower`, and a second `lower`."""
    return PinnedRequirements(
        "pip==1.0\nsetuptools==1.0\nwheel==1.0\nupper==1.0  # a comment\nlower==1.0\n",
        roots=("py-upper",),
        second_build=Requirement("lower==2.0"),
    )
