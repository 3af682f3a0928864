"""A kernel's imports with and without import index and start image: the same, fewer lookups."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spack_kernel.kernels import import_index, launcher
from spack_kernel.kernels.interpreters.probe import probe

LAUNCHER = Path(launcher.__file__)

KEY = "0123abcd"


#: The Python of which this one is a virtual environment.
BASE_PYTHON = "{}/bin/python{}.{}".format(sys.base_prefix, *sys.version_info)


class Site:
    """Directories for PYTHONPATH, and programs run with and without an index of them."""

    def __init__(self, root: Path, count: int = 4) -> None:
        self.root = root
        self.path = [root / f"prefix{i}" / "site-packages" for i in range(count)]
        for directory in self.path:
            directory.mkdir(parents=True)
        self.programs = root / "programs"
        self.programs.mkdir()
        self.python = sys.executable
        #: Whether programs run with a start image as well.
        self.with_image = False
        #: Whether such programs are also started as `exec` starts any program of a Python.
        self.with_startup = True
        self.images = root / "images"

    def write(self, number: int, name: str, text: str = "") -> Path:
        file = self.path[number] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def entries(self) -> list[str]:
        return [str(directory) for directory in self.path]

    def index(self, program: str) -> str:
        """Write `program` where `run` finds it and return the index."""
        (self.programs / "prog_ram.py").write_text(textwrap.dedent(program))
        path = [*self.entries(), str(self.programs)]
        index = import_index.build(path, fixed=path)
        assert index is not None
        return index

    def run(
        self,
        *,
        index: str | None,
        env: dict[str, str] | None = None,
        image: Path | None = None,
        records: bool = False,
        startup: bool = False,
    ) -> str:
        """Run the program as ``-m`` runs a module and return its output."""
        # Python must find the module to run without adding it to the path under test.
        site = [*self.entries(), str(self.programs)]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environ.update(env or {})
        if index is None:
            argv = [self.python, "-m", "prog_ram"]
            environ["PYTHONPATH"] = os.pathsep.join(site)
        else:
            argv = [self.python, str(LAUNCHER), "prog_ram"]
            environ[launcher.PATH_VARIABLE] = os.pathsep.join(site)
            environ[launcher.INDEX_VARIABLE] = index
            if startup:
                argv = [self.python, "-m", "prog_ram"]
                environ["PYTHONPATH"] = import_index.STARTUP_DIRECTORY
            if image is not None:
                flags = f"{int(records)}:1"
                environ[launcher.IMAGE_VARIABLE] = f"{os.geteuid()}:{flags}:{KEY}:{image}"
        done = subprocess.run(
            argv, env=environ, cwd=self.root, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "import index" not in done.stderr
        return done.stdout

    def both(self, program: str, **kwargs: dict[str, str] | None) -> str:
        """Run `program` both ways, assert that the outputs are equal, and return the output."""
        index = self.index(program)
        plain = self.run(index=None, **kwargs)
        assert self.run(index=index, **kwargs) == plain
        if self.with_image:
            index = self.index(program)  # a run may have changed the directories
            image = self.recorded(index, **kwargs)
            assert self.run(index=index, image=image, **kwargs) == plain
            if self.with_startup:
                index = self.index(program)
                assert self.run(index=index, image=image, startup=True, **kwargs) == plain
        return plain

    def recorded(self, index: str, **kwargs: Any) -> Path:
        """Run the program so that it makes an image, and return that."""
        time.sleep(2.1)  # what has just changed is in no image
        image = self.images / f"{len(list(self.images.glob('*')))}.img"
        self.run(index=index, image=image, records=True, **kwargs)
        deadline = time.monotonic() + 60
        while not image.exists() or image.with_name(f"{image.name}.claim").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return image


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(params=["index", "image"])
def compared(site: Site, request: pytest.FixtureRequest) -> Site:
    """Return a site whose programs run plainly, with an index, and maybe with an image as well."""
    site.with_image = request.param == "image"
    return site


def test_the_path_and_the_environment_are_those_of_a_plain_pythonpath(compared: Site) -> None:
    printed = compared.both(
        """
        import os, sys, json
        if sys.path[0] in ("", os.getcwd()):  # -m adds it, ipykernel removes it
            del sys.path[0]
        print(json.dumps([sys.path, os.environ["PYTHONPATH"], sys.argv[1:]]))
        print([k for k in os.environ if k.startswith("SPACK_KERNEL")])
        """
    )
    path = json.loads(printed.splitlines()[0])[0]
    assert path[:4] == compared.entries()


def test_the_first_entry_of_the_path_wins_and_missing_names_are_missing(compared: Site) -> None:
    compared.write(2, "twice.py", "WHERE = 2")
    compared.write(1, "twice/__init__.py", "WHERE = 1")
    compared.write(3, "once.py")
    printed = compared.both(
        """
        import twice, once, json
        print(twice.WHERE, twice.__file__, once.__file__, json.__file__)
        try:
            import nowhere_to_be_found
        except ModuleNotFoundError as error:
            print(error)
        """
    )
    assert printed.startswith("1 ")


@pytest.mark.parametrize("entry", ["{}/", "{}/../site-packages", "", ".", "relative"])
def test_an_oddly_written_entry_is_the_one_that_python_makes_of_it(
    compared: Site, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    compared.write(1, "here.py")
    for place in ("relative", "server/relative"):
        (compared.root / place).mkdir(parents=True)
    (compared.root / "relative" / "there.py").touch()
    monkeypatch.chdir(compared.root / "server")  # the index is built in another working directory
    if entry in (".", "relative"):
        compared.with_image = False  # it needs an index, which needs absolute paths
    odd = entry.format(compared.path[1])
    monkeypatch.setattr(
        compared, "entries", lambda: [str(compared.path[0]), odd, str(compared.path[1])]
    )
    printed = compared.both(
        """
        import importlib.util, os, sys
        if sys.path[0] in ("", os.getcwd()):
            del sys.path[0]
        for spec in map(importlib.util.find_spec, ("here", "there")):
            print(sys.path, spec and spec.origin)
        """
    )
    assert ("there.py" in printed) == (entry == "relative")


def test_what_is_imported_at_the_start_of_python_comes_from_the_path(compared: Site) -> None:
    compared.python = BASE_PYTHON  # a virtual environment ignores the user's packages
    base = str(compared.root / "user")
    scheme = "osx_framework_user" if sys.platform == "darwin" else "posix_user"
    user = Path(sysconfig.get_path("purelib", scheme, {"userbase": base}))
    user.mkdir(parents=True)
    (user / "start.pth").write_text("import shared, users_own\n")
    (user / "shared.py").touch()
    (user / "users_own.py").touch()
    ours = compared.write(2, "shared.py")
    report = """
        import sys, os, shared, users_own
        print(shared.__file__, users_own.__file__)
        print([name for name in os.environ if name.startswith("SPACK_KERNEL")])
        """
    env = {"PYTHONUSERBASE": base}
    assert str(ours) in compared.both(report, env=env)
    index = compared.index("import sys; print([type(f).__name__ for f in sys.meta_path])")
    assert "IndexedFinder" in compared.run(index=index, env=env)


@pytest.mark.parametrize(
    "line",
    [
        "import of_a_prefix; of_a_prefix.start()",
        "import sys, os; exec('import of_a_prefix') or of_a_prefix.start()",
        "import sys;__import__('of_a_prefix').start()",
    ],
)
def test_a_pth_line_that_imports_from_a_prefix(compared: Site, line: str) -> None:
    """As in the .pth files of coverage and of namespace packages, before any of our code runs."""
    compared.python = BASE_PYTHON  # a virtual environment ignores the user's packages
    base = str(compared.root / "user")
    scheme = "osx_framework_user" if sys.platform == "darwin" else "posix_user"
    packages = Path(sysconfig.get_path("purelib", scheme, {"userbase": base}))
    packages.mkdir(parents=True)
    (packages / "start.pth").write_text(f"# a comment\n{line}\n")
    compared.write(2, "of_a_prefix.py", "import sys\ndef start():\n    sys.was_started = True\n")
    report = "import sys, os; print(sys.was_started, os.environ['PYTHONPATH'])"
    assert compared.both(report, env={"PYTHONUSERBASE": base}).startswith("True ")
    index = compared.index("import sys; print([type(f).__name__ for f in sys.meta_path])")
    assert "IndexedFinder" in compared.run(index=index, env={"PYTHONUSERBASE": base})


def test_a_package_is_run_as_python_runs_it(site: Site) -> None:
    site.write(0, "package/__init__.py", "print('imported')")
    site.write(0, "package/other.py", "WHERE = 'beside'")
    text = (
        "import sys; from .other import WHERE; print(WHERE, sys.argv, __package__, __spec__.name)"
    )
    site.write(0, "package/__main__.py", text)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(site.entries())}
    plain, ours = (
        subprocess.check_output([*command, "package", "x"], env=env, cwd=site.root, text=True)
        for command in ([sys.executable, "-m"], [sys.executable, str(LAUNCHER)])
    )
    assert ours == plain
    assert ours.startswith("imported\nbeside")


def test_namespace_packages_of_all_three_kinds_spread_over_prefixes(compared: Site) -> None:
    for i in range(3):
        compared.write(i, f"native/part{i}.py")
        compared.write(
            i,
            "pkgutil_style/__init__.py",
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
        )
        compared.write(i, f"pkgutil_style/part{i}.py")
    compared.write(3, "native/deep/inner.py")
    compared.write(1, "native/deep/other.py")
    compared.both(
        """
        import native.part0, native.part2, native.deep.inner, native.deep.other
        import pkgutil_style.part0, pkgutil_style.part2
        print(list(native.__path__), list(native.deep.__path__), pkgutil_style.__path__)
        """
    )


def test_extension_modules_and_bytecode_alone_are_found(compared: Site) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for tail in (suffix, ".abi3.so", ".so"):
        compared.write(1, f"compiled_{len(tail)}{tail}")
    compared.write(2, "bare.py", "X = 5")
    compared.both(
        """
        import importlib.util, sysconfig, py_compile, os
        for tail in (sysconfig.get_config_var("EXT_SUFFIX"), ".abi3.so", ".so"):
            print(importlib.util.find_spec("compiled_%d" % len(tail)).origin)
        source = importlib.util.find_spec("bare").origin
        py_compile.compile(source, source + "c")
        os.rename(source, source + ".away")
        importlib.invalidate_caches()
        import bare
        print(bare.X, bare.__file__)
        os.rename(source + ".away", source)
        os.remove(source + "c")
        """
    )


def test_a_program_that_changes_the_path_gets_what_it_asks_for(compared: Site) -> None:
    compared.write(1, "shadowed.py", "WHERE = 'prefix'")
    extra = compared.root / "extra"
    extra.mkdir()
    (extra / "shadowed.py").write_text("WHERE = 'extra'")
    (extra / "only_extra.py").write_text("")
    compared.both(
        f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(extra)!r})
        import shadowed, only_extra
        print(shadowed.WHERE)
        del sys.path[0], sys.modules["shadowed"]
        sys.path.append(Path("not a string"))
        import shadowed
        print(shadowed.WHERE)
        sys.path.remove({str(compared.path[1])!r})
        del sys.modules["shadowed"]
        try:
            import shadowed
        except ImportError as error:
            print(error)
        sys.path.reverse()
        sys.path.insert(2, {str(compared.path[1])!r})
        import shadowed
        print(shadowed.WHERE)
        """
    )


def test_files_added_later_are_found_by_the_next_cell(compared: Site) -> None:
    compared.with_startup = False  # a program has no cells
    compared.write(3, "moved.py", "WHERE = 3")
    printed = compared.both(
        f"""
        import sys, types, os, time
        # As ipykernel does: cells run in a module of their own, which is __main__.
        cells = types.ModuleType("__main__")
        sys.modules["__main__"] = cells
        def cell(text):
            exec(compile(text, "<cell>", "exec"), cells.__dict__)
        def add(directory, name, text):
            with open(os.path.join(directory, name), "w") as file:
                file.write(text)
            os.utime(directory, (time.time() + add.tick, time.time() + add.tick))
            add.tick += 5
        add.tick = 5
        cell("try:\\n    import added\\nexcept ImportError as e:\\n    print(e)")
        add({str(compared.path[2])!r}, "added.py", "WHERE = 'added'")
        cell("import added; print(added.WHERE)")
        add({str(compared.path[0])!r}, "moved.py", "WHERE = 0")
        cell("import moved; print(moved.WHERE)")
        os.remove(os.path.join({str(compared.path[0])!r}, "moved.py"))
        add({str(compared.path[0])!r}, "unrelated.py", "")
        del sys.modules["moved"]
        cell("import importlib; importlib.invalidate_caches()")
        cell("moved = importlib.import_module('moved'); print(moved.WHERE)")
        cell("importlib.reload(moved); print(moved.__file__)")
        for name in ("added.py", "unrelated.py"):
            for directory in ({str(compared.path[2])!r}, {str(compared.path[0])!r}):
                if os.path.exists(os.path.join(directory, name)):
                    os.remove(os.path.join(directory, name))
        """
    )
    assert printed.splitlines()[1:4] == ["added", "0", "3"]


def test_metadata_entry_points_resources_and_iteration(compared: Site) -> None:
    compared.write(1, "thing/__init__.py")
    compared.write(1, "thing/data.txt", "data")
    compared.write(
        1, "thing-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.5\n"
    )
    compared.write(1, "thing-1.5.dist-info/entry_points.txt", "[group]\nname = thing:attribute\n")
    compared.both(
        """
        import importlib.metadata, importlib.resources, pkgutil, inspect
        print(importlib.metadata.version("thing"))
        print([e for d in importlib.metadata.distributions() for e in d.entry_points
               if e.group == "group"])
        print(importlib.resources.files("thing").joinpath("data.txt").read_text())
        print(sorted(m.name for m in pkgutil.iter_modules() if m.name in ("thing", "prog_ram")))
        import thing
        print(inspect.getsourcefile(thing), thing.__spec__.origin, thing.__loader__.name)
        """
    )


def test_child_processes_get_the_plain_pythonpath(compared: Site) -> None:
    compared.write(2, "in_child.py", "def where(_):\n    return __file__")
    compared.both(
        """
        import subprocess, sys, multiprocessing, concurrent.futures, in_child
        if __name__ == "__main__":
            code = "import in_child; print(in_child.where(0))"
            print(subprocess.check_output([sys.executable, "-c", code]))
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                print(list(pool.map(in_child.where, [1])))
        """
    )


def test_threads_may_import_while_the_table_is_renewed(compared: Site) -> None:
    for i in range(200):
        compared.write(i % 4, f"many{i}.py", f"N = {i}")
    compared.both(
        """
        import importlib, threading
        found = []
        def work(start):
            for i in range(start, 200, 8):
                found.append(importlib.import_module("many%d" % i).N)
                importlib.invalidate_caches()
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(sorted(found) == list(range(200)))
        """
    )


def test_an_archive_on_the_path_is_searched_as_ever(compared: Site) -> None:
    archive = compared.root / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("packed.py", "WHERE = 'zip'")
    compared.path.insert(1, archive)
    compared.write(2, "after.py")
    compared.both("import packed, after; print(packed.WHERE, after.__file__)")


def test_directories_without_the_name_are_not_asked(site: Site) -> None:
    site.write(3, "wanted.py")
    index = site.index(
        """
        from importlib.machinery import FileFinder
        asked, find_spec = [], FileFinder.find_spec
        def counting(self, name, target=None):
            asked.append(self.path)
            return find_spec(self, name, target)
        FileFinder.find_spec = counting
        import wanted, wave, mailbox
        try:
            import absent
        except ImportError:
            print(sum("prefix" in directory for directory in asked))
        """
    )
    asked_plainly, asked = int(site.run(index=None)), int(site.run(index=index))
    assert asked == 1
    assert asked_plainly >= 4 * 4


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py"])
def test_what_must_be_there_at_the_start_of_python_has_no_index(site: Site, name: str) -> None:
    site.write(1, name)
    assert import_index.build(site.entries()) is None


def test_a_directory_that_shadows_the_standard_library_has_no_index(site: Site) -> None:
    site.write(1, "typing.py")
    assert import_index.build(site.entries(), ["os", "typing"]) is None
    assert import_index.build(site.entries(), ["os"]) is not None


def test_an_unreadable_table_leaves_the_plain_path(site: Site) -> None:
    site.write(1, "still_there.py")
    environ = {
        **os.environ,
        launcher.PATH_VARIABLE: os.pathsep.join(site.entries()),
        launcher.INDEX_VARIABLE: "no such table",
    }
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), "still_there"], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "no import index" in done.stderr


def test_a_program_searches_as_usual_what_can_change(site: Site) -> None:
    site.write(0, "installed.py")
    first, second, *_ = site.entries()
    plain = {"PYTHONPATH": os.pathsep.join([first, second])}
    environment = import_index.through_startup(
        {**os.environ, **plain}, probe(sys.executable), [first]
    )
    code = f"""
import installed
open({str(site.path[1])!r} + "/generated.py", "w").close()
import generated
print(generated.__file__)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{site.path[1]}/generated.py\n"
    nothing = import_index.through_startup(plain, probe(sys.executable), [])
    assert nothing == plain


def test_a_table_too_large_for_a_variable_is_not_made(site: Site, monkeypatch) -> None:
    monkeypatch.setattr(import_index, "_MAX_LENGTH", 10)
    assert import_index.build(site.entries()) is None


def test_a_listing_is_made_again_when_the_directory_changed(site: Site) -> None:
    before = import_index.build(site.entries())
    assert import_index.build(site.entries()) == before
    site.write(0, "later.py")
    os.utime(site.path[0], ns=(1, 10**18))
    assert import_index.build(site.entries()) != before


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("entries", [1, 4])
@pytest.mark.parametrize("also", [{}, {"PYTHONSAFEPATH": "1"}])
def test_a_file_in_the_working_directory_is_not_taken_for_the_kernel(
    site: Site, index: bool, entries: int, also: dict[str, str]
) -> None:
    site.write(0, "ipykernel_launcher.py", "import json, sys; print('ours', json.__file__)")
    trap = site.root / "somebody"
    trap.mkdir()
    for name in ("ipykernel_launcher.py", "json.py", "zlib.py", "time.py"):
        (trap / name).write_text("raise SystemExit('not ours')")
    plain = {**os.environ, **also, "PYTHONPATH": os.pathsep.join(site.entries()[:entries])}
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "x"]
    argv, env = import_index.through_launcher(command, plain, probe(sys.executable), index=index)
    assert (launcher.INDEX_VARIABLE in env) == (index and entries > 1)
    done = subprocess.run(argv, env=env, cwd=trap, capture_output=True, text=True)
    assert done.stdout == f"ours {json.__file__}\n", done.stderr


def test_a_python_too_old_for_the_launcher_is_started_without() -> None:
    info = msgspec.structs.replace(probe(sys.executable), version="2.7.18")
    command = ["python", "-m", "ipykernel_launcher"]
    env = {"PYTHONPATH": "/a:/b"}
    assert import_index.through_launcher(command, env, info) == (command, env)


def test_the_launcher_is_python_3_6() -> None:
    ast.parse(LAUNCHER.read_text(), feature_version=(3, 6))


def test_other_pythons_run_the_launcher(site: Site) -> None:
    site.write(1, "elsewhere.py", "import sys; print(sys.version_info[:2], __name__)")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        launcher.PATH_VARIABLE: os.pathsep.join(site.entries()),
        launcher.INDEX_VARIABLE: import_index.build(site.entries()) or "",
    }
    for python in [sys.executable, *(f"python3.{minor}" for minor in range(6, 15))]:
        if shutil.which(python) and not subprocess.run([python, "-V"], stdout=-3).returncode:
            done = subprocess.run(
                [python, str(LAUNCHER), "elsewhere"], env=environ, capture_output=True, text=True
            )
            assert "__main__" in done.stdout, done.stderr
            assert done.stderr == ""
