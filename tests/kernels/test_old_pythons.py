"""The launcher and the probe run under the Python of any store: here, on each of this machine.

Pythons are searched on PATH and among those of pyenv. Set PYTHONS to paths for others, such as a
free-threaded build.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel.kernels import image_choice, import_index, launcher
from spack_kernel.kernels.interpreters.probe import probe

OLDEST, NEWEST = (3, 6), (3, 15)


def pythons() -> Iterator[str]:
    """Yield the executables of different versions."""
    seen = set()
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = [*os.environ.get("PYTHONS", "").split(os.pathsep), sys.executable]
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        found += map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/python")))
        found += [shutil.which(f"python3.{minor}{suffix}") or "" for suffix in ("", "t")]
    code = "import sys, sysconfig; print(sys.version, sysconfig.get_config_var('Py_GIL_DISABLED'))"
    for python in filter(None, found):
        try:
            version = subprocess.run(
                [python, "-c", code], capture_output=True, text=True, check=True, timeout=60
            ).stdout
        except (OSError, subprocess.SubprocessError):  # a shim of pyenv for a version that is off
            continue
        if version not in seen:
            seen.add(version)
            yield python


FOUND = list(pythons())


@pytest.mark.parametrize("python", FOUND)
def test_the_probe(python: str) -> None:
    info = probe(python)
    code = "import json, sys; print(json.dumps([list(sys.version_info[:3]), sys.prefix]))"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    version, prefix = json.loads(answer)
    assert info.version == ".".join(map(str, version))
    assert info.prefix == prefix
    assert Path(info.purelib).name in ("site-packages", "dist-packages")
    assert {"json", "sys", "asyncio"} <= info.modules
    assert "numpy" not in info.modules


@pytest.mark.parametrize("python", FOUND)
def test_the_launcher(python: str, tmp_path: Path) -> None:
    """It finds through the index what Python finds by searching, and keeps the order."""
    entries = [tmp_path / f"prefix{number}" for number in range(3)]
    for number, entry in enumerate(entries):
        (entry / "package").mkdir(parents=True)
        (entry / f"only{number}.py").write_text(f"WHERE = {number}\n")
        (entry / "both.py").write_text(f"WHERE = {number}\n")
        (entry / "package" / "__init__.py").write_text(f"WHERE = {number}\n")
        (entry / "package" / f"sub{number}.py").write_text("")
    program = tmp_path / "program"
    program.mkdir()
    (program / "prog_ram.py").write_text(
        "import sys, os, json, both, only0, only2, package, package.sub0\n"
        "try:\n    import no_such_module\nexcept ImportError as error:\n    missing = str(error)\n"
        "print(json.dumps([both.WHERE, only0.WHERE, only2.WHERE, package.WHERE, missing,\n"
        "                  os.environ['PYTHONPATH'].split(os.pathsep)[0]]))\n"
    )
    path = [*map(str, entries), str(program)]
    index = import_index.build(path)
    assert index is not None
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    plain = subprocess.run(
        [python, "-m", "prog_ram"],
        env={**clean, "PYTHONPATH": os.pathsep.join(path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    indexed = subprocess.run(
        [python, launcher.__file__, "prog_ram"],
        env={
            **clean,
            launcher.PATH_VARIABLE: os.pathsep.join(path),
            launcher.INDEX_VARIABLE: index,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert indexed.returncode == 0, indexed.stderr
    assert indexed.stderr == ""
    assert json.loads(indexed.stdout) == json.loads(plain.stdout)


@pytest.mark.parametrize("python", FOUND)
def test_a_start_image(python: str, tmp_path: Path) -> None:
    """With it, a program finds what it finds without, whether launched or started as any other."""
    entries = [tmp_path / f"prefix{number}" / "site-packages" for number in range(3)]
    for number, entry in enumerate(entries):
        package = entry / f"package{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"WHERE = {number}\n")
        (package / "part.py").write_text("import sys\nWHERE = __file__, __name__, __cached__\n")
        information = entry / f"package{number}-1.{number}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Name: package{number}\nVersion: 1.{number}\n")
        (information / "entry_points.txt").write_text(f"[group]\nname{number} = package{number}\n")
    program = tmp_path / "program"
    program.mkdir()
    (program / "prog_ram.py").write_text(
        "import sys, os, json, email.message, package0.part, package2.part, pkgutil, inspect\n"
        "said = [package0.part.WHERE, package2.part.WHERE, inspect.getsource(package0.part),\n"
        "        repr(package2.part.__spec__.loader.name), package2.__path__,\n"
        "        [p for p in sys.path if 'startup' in p], os.environ['PYTHONPATH']]\n"
        "try:\n"
        "    import importlib.metadata as metadata\n"
        "    said += [[(d.metadata['Name'], d.version, [e.name for e in d.entry_points])\n"
        "              for d in metadata.distributions() if 'package' in d.metadata['Name']]]\n"
        "except ImportError:\n    pass\n"
        "print(json.dumps(said), any("
        "hasattr(f, 'image') and f.image.modules for f in sys.meta_path))\n"
    )
    path = [*map(str, entries), str(program)]
    index = import_index.build(path, fixed=path)
    assert index is not None
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    image = tmp_path / "images" / "start.img"
    told = {
        launcher.PATH_VARIABLE: os.pathsep.join(path),
        launcher.INDEX_VARIABLE: index,
        launcher.IMAGE_VARIABLE: f"{os.geteuid()}:1:1:key:{image}",
    }

    def run(command: list[str], environment: dict[str, str]) -> str:
        words = [python, *command]
        env = {**clean, **environment}
        done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    plain = run(["-m", "prog_ram"], {"PYTHONPATH": told[launcher.PATH_VARIABLE]}).split("] ")[0]
    time.sleep(2.1)
    launched = [launcher.__file__, "prog_ram"]
    assert run(launched, told).startswith(plain)
    has_image = tuple(map(int, probe(python).version.split(".")[:2])) >= image_choice.OLDEST
    deadline = time.monotonic() + 60
    while has_image and not image.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    as_any_other = {**told, "PYTHONPATH": import_index.STARTUP_DIRECTORY}
    for said in (run(launched, told), run(["-m", "prog_ram"], as_any_other)):
        assert said.startswith(plain)
        assert said.endswith(f"{has_image}\n")


def test_the_layout_of_a_free_threaded_python(tmp_path: Path) -> None:
    """Its packages are in lib/python3.14t: the probe says what that Python says, not a guess."""
    packages = tmp_path / "lib" / "python3.14t" / "site-packages"
    (packages / "ipykernel").mkdir(parents=True)
    (packages / "ipykernel" / "__init__.py").touch()
    (packages / "ipykernel-7.3.0.dist-info").mkdir()
    reported = {name: str(packages) for name in ("purelib", "platlib")}
    code = (
        "import sys, sysconfig\n"
        "paths = sysconfig.get_paths()\n"
        f"sysconfig.get_paths = lambda *_: {{**paths, **{reported!r}}}\n"
        f"sys.path.insert(0, {str(packages)!r})\n"
        "exec(sys.argv[-1])\n"
    )
    python = tmp_path / "bin" / "python3.14t"
    python.parent.mkdir()
    (tmp_path / "bin" / "code.py").write_text(code)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "{tmp_path}/bin/code.py" "$@"\n')
    python.chmod(0o755)
    info = probe(str(python))
    assert info.purelib == info.platlib == str(packages)
    assert info.ipykernel is not None
    assert (info.ipykernel.version, info.ipykernel.location) == ("7.3.0", str(packages))
