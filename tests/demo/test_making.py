"""Building a store: completely or not at all, once, again, and concurrently."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from spack_kernel.demo import DemoError, build, prefixes, wheels
from spack_kernel.demo.nodes import dag_hash, operating_system
from spack_kernel.spack import Store

from .conftest import write_wheel


def test_packages_and_edges(tmp_path, selection):
    steps = []
    made = build(tmp_path / "store", selection=selection, progress=steps.append)
    assert sorted(made.hashes) == [
        "py-lower@1.0",
        "py-lower@2.0",
        "py-pip@1.0",
        "py-setuptools@1.0",
        "py-upper@1.0",
        "py-wheel@1.0",
        "python-venv@1.0",
        f"python@{'.'.join(map(str, sys.version_info[:3]))}",
    ]
    assert not made.reused
    store = Store.open(made.root)
    upper = store.by_hash(made.hash("py-upper"))
    edges = {(d.name, *d.deptypes) for d in upper.dependencies}
    assert edges == {
        ("py-lower", "build", "run"),
        ("py-pip", "build"),
        ("py-setuptools", "build"),
        ("py-wheel", "build"),
        ("python", "build", "run"),
        ("python-venv", "build", "run"),
    }
    (lower,) = (d.hash for d in upper.dependencies if d.name == "py-lower")
    assert lower == made.hash("py-lower@1.0")
    assert upper.explicit
    assert not store.by_hash(lower).explicit
    with pytest.raises(KeyError, match="2 specs are called 'py-lower'"):
        made.hash("py-lower")
    downloads = [step for step in steps if step.phase == "download"]
    assert [step.done for step in downloads] == [1, 2, 3, 4, 5, 6]
    assert {step.total for step in downloads} == {6}
    installs = [step.subject for step in steps if step.phase == "install"]
    assert installs.index("py-lower@1.0") < installs.index("py-upper@1.0")


def test_installed_packages_run_in_the_stores_python(tmp_path, selection):
    made = build(tmp_path / "a store", selection=selection)  # a space in a shebang
    store = Store.open(made.root)
    upper = store.by_hash(made.hash("py-upper"))
    site = prefixes.site_packages(Path(upper.prefix))
    output = subprocess.run(
        [Path(upper.prefix, "bin", "upper")],
        env={"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert output.stdout == "1.0\n"


def test_same_packages_same_hashes(tmp_path, selection):
    one = build(tmp_path / "one", selection=selection)
    two = build(tmp_path / "two", selection=selection)
    assert one.hashes == two.hashes


def test_a_complete_store_is_reused_without_pip(tmp_path, selection, index):
    made = build(tmp_path / "store", selection=selection)
    for path in index.iterdir():
        path.unlink()
    again = build(tmp_path / "store", selection=selection)
    assert again.reused
    assert again.hashes == made.hashes


def test_force_makes_it_anew(tmp_path, selection):
    made = build(tmp_path / "store", selection=selection)
    upper = Path(Store.open(made.root).by_hash(made.hash("py-upper")).prefix)
    (upper / "stray").touch()
    again = build(tmp_path / "store", selection=selection, force=True)
    assert not again.reused
    assert again.hashes == made.hashes
    assert not (upper / "stray").exists()


class _StopError(Exception):
    pass


def test_interrupted_leaves_no_database_and_is_completed(tmp_path, selection):
    root = tmp_path / "store"

    def stop(step):
        if step.phase == "install" and step.subject == "py-upper@1.0":
            raise _StopError

    with pytest.raises(_StopError):
        build(root, selection=selection, progress=stop)
    assert not (root / ".spack-db").exists()
    (root / ".downloads-killed").mkdir()
    (lower,) = root.glob("*/py-lower-1.0-*")
    kept = (lower / ".spack" / "install_manifest.json").stat().st_mtime_ns
    build(root, selection=selection)
    assert (lower / ".spack" / "install_manifest.json").stat().st_mtime_ns == kept
    assert len(Store.open(root).named("py-upper")) == 1
    assert not list(root.glob(".downloads*"))


def test_a_half_made_prefix_is_replaced(tmp_path, selection):
    root = tmp_path / "store"
    made = build(root, selection=selection)
    (upper,) = root.glob("*/py-upper-*")
    (upper / ".spack" / "install_manifest.json").unlink()
    (upper / "half").touch()
    marker = json.loads((root / ".spack-kernel-demo.json").read_text())
    del marker["specs"]
    (root / ".spack-kernel-demo.json").write_text(json.dumps(marker))
    assert build(root, selection=selection).hashes == made.hashes
    assert not (upper / "half").exists()


def _build_in_process(root, selection, queue):
    queue.put(build(root, selection=selection).reused)


def test_two_at_a_time_make_one(tmp_path, selection):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_build_in_process, args=(tmp_path / "store", selection, queue))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    assert sorted([queue.get(timeout=120), queue.get(timeout=120)]) == [False, True]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_other_packages_in_the_same_place(tmp_path, selection):
    build(tmp_path / "store", selection=selection)
    other = selection._replace(roots=("py-lower",))
    with pytest.raises(DemoError) as caught:
        build(tmp_path / "store", selection=other)
    assert caught.value.summary == (
        f"{tmp_path / 'store'} contains a demo store with other packages, or for another Python"
    )
    assert "--force" in caught.value.hint


def test_a_broken_marker_counts_as_unfinished(tmp_path, selection):
    root = tmp_path / "store"
    root.mkdir()
    (root / ".spack-kernel-demo.json").write_text("{")
    assert not build(root, selection=selection).reused


def test_directory_that_is_something_else(tmp_path, selection):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DemoError) as caught:
        build(tmp_path, selection=selection)
    assert caught.value.summary == (
        f"{tmp_path} contains something else; a demo store needs a new or an empty directory"
    )
    assert "thesis.tex" in caught.value.details[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "thesis.tex"]


def test_directory_that_is_a_store_of_spack(tmp_path, selection):
    (tmp_path / ".spack-db").mkdir()
    with pytest.raises(DemoError, match="contains another Spack store"):
        build(tmp_path, selection=selection, force=True)
    assert (tmp_path / ".spack-db").is_dir()


def test_a_file(tmp_path, selection):
    (tmp_path / "store").touch()
    with pytest.raises(DemoError, match="store is a file, not a directory"):
        build(tmp_path / "store", selection=selection)


def test_a_directory_of_somebody_else(tmp_path, selection, monkeypatch):
    (tmp_path / "store").mkdir()
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)  # instead of a second user
    with pytest.raises(DemoError, match="store belongs to another user"):
        build(tmp_path / "store", selection=selection)


def test_a_colon_in_the_path(tmp_path, selection):
    with pytest.raises(DemoError, match="separates paths in PYTHONPATH"):
        build(tmp_path / "a:b", selection=selection)


def test_below_a_file(tmp_path, selection):
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match=r"cannot create a demo store in .*: Not a directory"):
        build(tmp_path / "file" / "store", selection=selection)


def test_a_package_the_index_does_not_have(tmp_path, selection, index):
    (index / "upper-1.0-py3-none-any.whl").unlink()
    with pytest.raises(DemoError) as caught:
        build(tmp_path / "store", selection=selection)
    assert caught.value.summary == "pip could not download the packages of the demo store"
    assert "No matching distribution found for upper==1.0" in "\n".join(caught.value.details)
    assert "HTTPS_PROXY" in caught.value.hint
    assert not (tmp_path / "store" / ".spack-db").exists()


def test_no_network(tmp_path, selection, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # no server listens there
    with pytest.raises(DemoError) as caught:
        build(tmp_path / "store", selection=selection)
    words = "\n".join(caught.value.details)
    assert "Connection refused" in words
    assert len(caught.value.details) <= 6


def test_a_requirement_that_is_not_pinned(tmp_path, selection, index):
    write_wheel(index, "upper", "1.0", "stranger")
    with pytest.raises(DemoError, match="py-upper needs py-stranger, which is not in the pinned"):
        build(tmp_path / "store", selection=selection)


def test_a_circle(tmp_path, selection, index):
    write_wheel(index, "lower", "1.0", "upper")
    with pytest.raises(DemoError, match="needs py-lower, which indirectly needs itself"):
        build(tmp_path / "store", selection=selection)


def test_too_little_room(tmp_path, selection, monkeypatch):
    # A test cannot fill the file system, so only the reported free space is faked.
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage)
    with pytest.raises(DemoError, match=r"not enough space in .*: 12 MB are free"):
        build(tmp_path / "store", selection=selection)


class _Usage:
    free = 12_345_678


def test_no_pip(tmp_path, selection, monkeypatch):
    # The test needs its own packages, so it hides pip instead of using a Python without pip.
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DemoError) as caught:
        build(tmp_path / "store", selection=selection)
    assert caught.value.summary.startswith(f"{sys.executable} has no pip")
    assert caught.value.hint == (
        f"Run: {sys.executable} -m ensurepip\nOn Debian and Ubuntu: apt-get install python3-pip"
    )


def test_a_python_without_wheels(tmp_path, selection, monkeypatch):
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "20", "0"))
    with pytest.raises(DemoError, match=r"exist for Python 3\.10 to 3\.15; this is Python"):
        build(tmp_path / "store", selection=selection)


def test_no_virtual_environments(tmp_path, selection, monkeypatch):
    def fail(*_args):
        raise subprocess.CalledProcessError(1, ["python"])

    monkeypatch.setattr("venv.EnvBuilder.create", fail)
    with pytest.raises(DemoError, match="cannot create a virtual environment") as caught:
        build(tmp_path / "store", selection=selection)
    assert "python3-venv" in caught.value.hint


def test_building_from_source_with_the_stores_tools(tmp_path, demo_store, monkeypatch):
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'
        'build-backend = "setuptools.build_meta"\n'
        '[project]\nname = "tiny"\nversion = "1.0"\n',
        "tiny.py": "value = 42\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    }
    with tarfile.open(tmp_path / "tiny-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"tiny-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, BytesIO(text.encode()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    store = Store.open(demo_store.root)
    prefix = {name: Path(store.named(name)[0].prefix) for name in store.names()}
    tools = [
        prefixes.site_packages(prefix[name]) for name in ("py-pip", "py-setuptools", "py-wheel")
    ]
    python = prefix["python-venv"] / "bin" / "python"
    built = tmp_path / "built"
    built.mkdir()
    wheels.build(Requirement("tiny==1.0"), built, python, tools)
    assert [path.name for path in built.glob("*.whl")] == ["tiny-1.0-py3-none-any.whl"]


def test_dag_hash_is_of_the_content():
    content = {"name": "py-six", "version": "1.17.0", "dependencies": [{"hash": "a"}]}
    assert len(dag_hash(content)) == 32
    assert dag_hash(content) == dag_hash({**content, "hash": "x", "annotations": {}})
    assert dag_hash(content) == dag_hash(dict(reversed(content.items())))
    assert dag_hash(content) != dag_hash({**content, "dependencies": [{"hash": "b"}]})


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "debian12"),
        ({"ID": "rocky", "VERSION_ID": "9.4"}, "rocky9"),
        ({"ID": "ubuntu", "VERSION_ID": "22.04"}, "ubuntu22.04"),
        ({"ID": "arch"}, "arch"),
        ({}, sys.platform),
    ],
)
def test_operating_system(release, name):
    assert operating_system(release) == name
