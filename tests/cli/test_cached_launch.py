"""A second ``exec``: starts as with a new plan, and never uses an outdated one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import spack_kernel
from spack_kernel.cli import cached_launch
from spack_kernel.demo import DemoStore
from tests.cloned_store import ClonedStore

from .conftest import command

#: Prints how the process was started; variables that a shell sets for each process differ.
ASK = (
    "import json, os, sys; "
    "print(json.dumps([sys.executable, sys.path, sys.orig_argv, sorted(os.environ.items())]))"
)


class Site:
    """A modifiable store, and commands started from it."""

    def __init__(self, demo: DemoStore, root: Path, cache: Path) -> None:
        self.store = ClonedStore(demo, root)
        self.cache = cache
        self.query = f"py-libensemble/{self.store.hash('py-libensemble')}"

    def argv(self, *words: str) -> list[str]:
        return ["exec", "--store", str(self.store.root), self.query, "--", *words]

    def start(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return command(*self.argv(*words), env={**os.environ, **env})

    def asked(self) -> str:
        done = self.start("python", "-c", ASK)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kept(self) -> list[Path]:
        return sorted(self.cache.glob("exec-*.json"))

    def is_replayed(self, *words: str) -> bool:
        """Return whether the next start would use a cached plan."""
        words = words or ("python", "-c", "")
        code = (
            "import sys; from spack_kernel.cli import cached_launch\n"
            "def replaced(*_): print('replayed'); sys.exit()\n"
            "cached_launch.replace_process = replaced\n"
            "cached_launch.run_cached(sys.argv[1:])"
        )
        argv = [sys.executable, "-c", code, *self.argv(*words)]
        return "replayed" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def site(
    demo_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surroundings: Path
) -> Site:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path / "cache"))
    return Site(demo_store, tmp_path / "store", tmp_path / "cache")


def test_the_second_start_is_the_first(site: Site) -> None:
    assert not site.is_replayed()
    first = site.asked()
    assert site.is_replayed()
    assert site.asked() == first
    assert len(site.kept()) == 1


def test_a_kernel_is_started_through_the_launcher_again(site: Site) -> None:
    kernel = ("python", "-m", "ipykernel_launcher", "--version")
    first = site.start(*kernel)
    assert first.returncode == 0, first.stderr
    assert site.is_replayed(*kernel)
    assert not site.is_replayed(), "without a kernel nothing is known of ipykernel"
    assert site.start(*kernel).stdout == first.stdout
    (kept,) = site.kept()
    launch = json.loads(kept.read_text())["value"]["launch"]
    assert launch["launcher"].endswith("launcher.py")
    assert set(launch["variables"]) == {
        "SPACK_KERNEL_PYTHONPATH",
        "SPACK_KERNEL_IMPORT_INDEX",
        "SPACK_KERNEL_START_IMAGE",
    }


def test_each_kind_of_command_is_planned_by_itself(site: Site) -> None:
    """A Python is started with an index; another program, or python -E, gets PYTHONPATH."""
    code = "import os; print(os.environ['PYTHONPATH'])"
    plain = site.start("python", "-S", "-c", code).stdout
    for _ in range(2):
        assert site.start("python", "-c", code).stdout == plain
        assert site.start("sh", "-c", "echo $PYTHONPATH").stdout == plain
        assert site.start("python", "-S", "-c", code).stdout == plain


def test_the_environment_is_of_the_moment(site: Site) -> None:
    site.asked()
    code = "import os; print(os.environ.get('A'), os.environ.get('VIRTUAL_ENV'))"
    assert site.is_replayed()
    done = site.start("python", "-c", code, A="now", VIRTUAL_ENV="/leaked")
    assert done.stdout == "now None\n"


def test_what_the_user_sets_is_set_again(site: Site) -> None:
    argv = site.argv("python", "-c", "import os; print(os.environ['X'])")
    argv[1:1] = ["--env", "X=${HOME}/x"]
    home = os.environ["HOME"]
    assert [command(*argv).stdout for _ in range(2)] == [f"{home}/x\n"] * 2
    assert len(site.kept()) == 1


def database_is_replaced(site: Site) -> None:
    site.store.save()


def prefix_is_removed(site: Site) -> None:
    shutil.rmtree(site.store.records[site.store.hash("py-pyyaml")]["path"])


def prefix_gets_a_directory(site: Site) -> None:
    Path(site.store.records[site.store.hash("py-libensemble")]["path"], "share", "man").mkdir(
        parents=True
    )


def interpreter_is_replaced(site: Site) -> None:
    path = Path(site.store.records[site.store.hash("python-venv")]["path"], "pyvenv.cfg")
    text = path.read_text()
    path.unlink()  # it is a hard link to the demo store's
    path.write_text(text + "\n")


@pytest.mark.parametrize(
    "change",
    [
        database_is_replaced,
        prefix_is_removed,
        prefix_gets_a_directory,
        interpreter_is_replaced,
    ],
)
def test_a_change_is_seen(site: Site, change: Callable[[Site], None]) -> None:
    site.start("true")
    assert site.is_replayed("true")
    change(site)
    assert not site.is_replayed("true")


def test_a_module_that_is_added_is_seen(site: Site) -> None:
    kernel = ("python", "-m", "ipykernel_launcher", "--version")
    site.start(*kernel)
    assert site.is_replayed(*kernel)
    (site.store.site_packages("py-libensemble") / "added.py").touch()
    assert not site.is_replayed(*kernel)


def test_a_new_version_of_ours_plans_anew(site: Site, tmp_path: Path) -> None:
    package = Path(spack_kernel.__file__).parent
    copy = tmp_path / "lib" / "spack_kernel"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from spack_kernel.cli import main; "
    program += "sys.exit(main())"
    ask = ("python", "-c", "print(1)")
    argv = [sys.executable, "-c", program, str(copy.parent), *site.argv(*ask)]
    for _ in range(2):
        subprocess.run(argv, check=True, capture_output=True)
    (kept,) = site.kept()
    before = kept.stat().st_mtime_ns
    source = copy / "spack" / "load" / "load.py"
    source.write_text(source.read_text() + "\n# changed\n")
    subprocess.run(argv, check=True, capture_output=True)
    assert kept.stat().st_mtime_ns > before


def test_a_prefix_that_is_gone_is_told(site: Site) -> None:
    site.start("true")
    prefix_is_removed(site)
    shutil.rmtree(site.store.records[site.store.hash("py-libensemble")]["path"])
    done = site.start("python", "-c", "")
    assert done.returncode == 1
    assert "is recorded, but its prefix does not exist" in done.stderr


def test_a_command_that_is_not_there_is_told_as_ever(site: Site) -> None:
    site.start("true")
    done = site.start("no-such-command")
    assert done.returncode == 127
    assert "there is no command 'no-such-command'" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": 5}', "[" * 100_000])
def test_a_broken_file_is_made_anew(site: Site, text: str) -> None:
    first = site.asked()
    (kept,) = site.kept()
    kept.write_text(text)
    assert site.asked() == first
    assert json.loads(kept.read_text())["key"]


@pytest.mark.parametrize("lost", ["checks", "composition", "launch", "env", "python"])
def test_a_record_of_another_version_is_made_anew(site: Site, lost: str) -> None:
    first = site.asked()
    (kept,) = site.kept()
    content = json.loads(kept.read_text())
    del content["value"][lost]
    kept.write_text(json.dumps(content))
    assert site.asked() == first
    assert lost in json.loads(kept.read_text())["value"]


def test_only_the_owner_reads_and_writes(site: Site) -> None:
    site.start("true")
    (kept,) = site.kept()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert site.cache.stat().st_mode & 0o777 == 0o700
    kept.chmod(0o620)
    assert not site.is_replayed()


def test_what_another_user_wrote_is_not_trusted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start("true")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(cached_launch, "replace_process", lambda *_: pytest.fail("it was trusted"))
    cached_launch.run_cached(site.argv("true"))


def test_a_link_is_not_followed(site: Site, tmp_path: Path) -> None:
    site.start("true")
    (kept,) = site.kept()
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert not site.is_replayed()


@pytest.mark.parametrize("cache", ["", "relative", "/proc/no/such"])
def test_without_a_directory_it_works_as_well(
    site: Site, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACK_KERNEL_CACHE", cache)
    assert site.asked() == site.asked()
    assert not site.kept()
    assert not Path("relative").exists()


def test_old_starts_are_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        old = site.cache / f"exec-{number}.json"
        old.parent.mkdir(exist_ok=True)
        old.touch()
        os.utime(old, ns=(number, number))
    site.start("true")
    assert len(site.kept()) == 100
    assert site.is_replayed("true")


@pytest.mark.parametrize(
    "words",
    [
        ["py-libensemble"],
        ["py-libensemble ^python"],
        ["--companion", "py-ipykernel@7:", "@QUERY@"],
        ["--store", "."],
    ],
    ids=str,
)
def test_what_may_mean_something_else_tomorrow_is_not_kept(site: Site, words: list[str]) -> None:
    words = [site.query if word == "@QUERY@" else word for word in words]
    store = [] if "--store" in words else ["--store", str(site.store.root)]
    query = [site.query] if "--store" in words else []
    done = command("exec", *store, *words, *query, "--", "true", cwd=site.store.root)
    assert done.returncode == 0, done.stderr
    assert not site.kept()


_PATH = re.compile(r'^\d+ +(\w+)\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"(.*)')


@pytest.mark.parametrize(
    "words", [("python", "-m", "ipykernel_launcher", "--version"), ("/bin/true",)]
)
def test_every_look_at_the_disk_is_kept(site: Site, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A path that was checked but not recorded could change unnoticed."""
    if shutil.which("strace") is None:
        pytest.skip("missing component: strace (Debian: apt-get install strace)")
    log = tmp_path / "calls"
    argv = ["strace", "-f", "-e", "trace=%file", "-s", "4096", "-o", str(log), sys.executable]
    argv += ["-m", "spack_kernel", *site.argv(*words)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    subprocess.run(argv, cwd="/", env=env, check=True, capture_output=True)
    lines = log.read_text().splitlines()
    ours = lines[0].split()[0]  # checks by the interpreter's subprocess are covered by the stamp
    looked: dict[str, None] = {}
    for line in lines[1:]:
        found = _PATH.match(line) if line.split()[0] == ours else None
        if found is None:
            continue
        if found[1] == "execve":
            break
        # Before the first of them, Python itself is starting.
        if looked or found[2].startswith(str(site.store.root)):
            looked[found[2]] = None
    (kept,) = site.kept()
    known = {path for _, path, _ in json.loads(kept.read_text())["value"]["checks"]}
    assert len([path for path in looked if path.startswith(str(site.store.root))]) > 50
    # The root and its parents are checked only for the database, which is stamped; the rest are
    # our own imports.
    imports = list(
        filter(None, (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path))
    )
    above = {
        str(up) for each in (site.store.root / "x", *map(Path, imports)) for up in each.parents
    }
    # Root checks who owns a Python's files before running it; the plan does not depend on this.
    owned = {str(up) for path in known for up in (Path(path), *Path(path).parents)}
    owned |= {str(path) for path in site.store.root.glob("*/python-venv-*/lib/python3*")}
    # The program itself checks its start image.
    images = f"/tmp/spack-kernel-{os.getuid()}"
    unkept = {
        path
        for path in looked.keys() - known - above - owned - {*words, "/dev/null"}
        if not path.startswith((*imports, str(site.cache), "/proc/", "/etc/", images))
    }
    assert unkept == set()
