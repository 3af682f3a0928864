"""Start images: namespaces, modules that fail, extension modules, and what is not modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from spack_kernel.kernels.image import start_image

from .test_import_index import KEY, Site
from .test_start_image import Imaged, poison

NAMESPACE = """
    import sys
    import space.part
    print(space.part.WHERE, list(space.__path__), type(space.__path__).__name__)
    print(space.__spec__.origin, space.__spec__.loader is space.__loader__)
    print(type(space.__loader__).__name__, space.__file__ if hasattr(space, "__file__") else None)
    """


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def namespace(site: Site) -> Imaged:
    site.write(1, "space/part.py", "WHERE = 'part'")
    return Imaged(site, NAMESPACE)


def test_a_namespace_comes_from_the_image(namespace: Imaged) -> None:
    assert {"space", "space.part"} <= namespace.modules()
    assert namespace.run() == namespace.plain()
    poison(namespace.site.path[1] / "space" / "part.py")
    assert namespace.run().split()[0] == "part"
    assert namespace.plain().split()[0] == "poison"


@pytest.mark.parametrize(
    "change", ["another portion", "a module", "a package", "an __init__", "an earlier package"]
)
def test_a_namespace_that_changes_is_found_as_python_finds_it(
    namespace: Imaged, change: str
) -> None:
    site = namespace.site
    if change == "another portion":
        site.write(0, "space/part.py", "WHERE = 'first portion'")
    elif change == "a module":
        site.write(3, "space.py", "__path__ = ['/nowhere']")
        site.write(3, "elsewhere/part.py")
        shutil.rmtree(site.path[1] / "space")
        site.write(3, "space.py", "import elsewhere, sys; __path__ = elsewhere.__path__")
        site.write(3, "elsewhere/part.py", "WHERE = 'behind'")
    elif change == "a package":
        site.write(2, "space/__init__.py", "__path__.append('nowhere')")
        site.write(2, "space/part.py", "WHERE = 'a later package'")
    elif change == "an __init__":
        site.write(1, "space/__init__.py", "")
    else:
        site.write(0, "space/__init__.py", "")
        site.write(0, "space/part.py", "WHERE = 'earlier'")
    assert namespace.run() == namespace.plain()


def test_a_namespace_of_two_directories_is_in_no_image(site: Site) -> None:
    site.write(1, "space/part.py", "WHERE = 'part'")
    site.write(2, "space/other.py", "")
    imaged = Imaged(site, NAMESPACE)
    assert "space" not in imaged.modules()
    assert imaged.run() == imaged.plain()


def test_a_directory_twice_on_the_path_is_twice_in_a_namespace(site: Site) -> None:
    added = site.write(1, "package/inner/space/part.py", "WHERE = 'part'").parent.parent
    site.write(1, "package/__init__.py", f"import sys; sys.path += [{str(added)!r}] * 2")
    imaged = Imaged(site, "import package" + NAMESPACE.replace("\n    ", "\n"))
    assert "space" in imaged.modules()
    assert imaged.run() == imaged.plain()
    assert imaged.run().count(str(added)) == 2


def test_a_module_that_fails_comes_from_the_image(site: Site) -> None:
    site.write(1, "package/__init__.py", "")
    file = site.write(1, "package/failing.py", "raise ImportError('not here')")
    imaged = Imaged(
        site,
        """
        import traceback
        import package
        try:
            import package.failing
        except ImportError:
            print(traceback.format_exc().splitlines()[-3:])
        try:
            import package.absent
        except ImportError as error:
            print(error, error.name)
        """,
    )
    assert "package.failing" in imaged.modules()
    assert "package.absent" not in imaged.modules()
    assert imaged.run() == imaged.plain()
    file.write_text("raise ImportError('changed')")
    assert imaged.run() == imaged.plain()
    assert "changed" in imaged.run()


def test_a_package_that_is_an_extension_module(site: Site) -> None:
    _compile(site.path[1] / "compiled", "__init__", "compiled")
    site.write(1, "compiled/part.py", "WHERE = 'part'")
    program = """
        import compiled, compiled.part
        print(compiled.__file__, compiled.__path__, type(compiled.__loader__).__name__)
        print(compiled.__spec__.origin, compiled.part.__file__, compiled.__spec__.parent)
        """
    imaged = Imaged(site, program)
    assert {"compiled", "compiled.part"} <= imaged.modules()
    assert imaged.run() == imaged.plain()


def _compile(directory: Path, file: str, name: str) -> None:
    """Compile an extension module that does nothing."""
    import sysconfig

    directory.mkdir()
    source = directory / "source.c"
    source.write_text(
        "#include <Python.h>\n"
        f'static PyModuleDef definition = {{PyModuleDef_HEAD_INIT, "{name}"}};\n'
        f"PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModuleDef_Init(&definition); }}\n"
    )
    include = sysconfig.get_path("include")
    if not shutil.which("gcc") or not Path(include, "Python.h").exists():
        pytest.skip("missing component: gcc, and the headers of Python")
    target = directory / f"{file}{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", "-o", target, source], check=True)
    source.unlink()


def test_a_distribution_gets_entry_points(site: Site) -> None:
    site.write(1, "package/__init__.py", "")
    with_some = site.write(1, "some-1.0.dist-info/entry_points.txt", "[group]\nname = package\n")
    site.write(1, "some-1.0.dist-info/METADATA", "Name: some\nVersion: 1.0\n")
    site.write(2, "none-1.0.dist-info/METADATA", "Name: none\nVersion: 1.0\n")
    imaged = Imaged(
        site,
        """
        import importlib.metadata, package
        for each in importlib.metadata.distributions():
            if each.metadata["Name"] in ("some", "none"):
                print(each.metadata["Name"], each.version, each.entry_points)
        """,
    )
    assert imaged.run() == imaged.plain()
    with_some.write_text("[group]\nname = edited_in_place\n")
    assert imaged.run() == imaged.plain()
    # As installers do: the distribution is another directory.
    shutil.rmtree(site.path[2] / "none-1.0.dist-info")
    site.write(2, "none-2.0.dist-info/METADATA", "Name: none\nVersion: 2.0\n")
    site.write(2, "none-2.0.dist-info/entry_points.txt", "[group]\nother = package\n")
    assert imaged.run() == imaged.plain()
    assert "other" in imaged.run()


def test_translations_are_looked_for_as_without_image(site: Site, tmp_path: Path) -> None:
    site.write(1, "package/__init__.py", "")
    imaged = Imaged(
        site,
        """
        import gettext, inspect, os, package
        print(gettext.find("messages"), gettext.find("messages", all=True))
        print(list(inspect.signature(gettext.find).parameters.values()))
        place = os.path.join("locale", "xx", "LC_MESSAGES")
        print(gettext.find("messages", "locale", ["xx"]))
        os.makedirs(place, exist_ok=True)
        open(os.path.join(place, "messages.mo"), "wb").write(
            __import__("struct").pack("<7I", 0x950412DE, 0, 0, 28, 28, 0, 28)
        )
        print(gettext.find("messages", "locale", ["xx"]))
        gettext.bindtextdomain("messages", "locale")
        os.environ["LANGUAGE"] = "xx"
        print(gettext.translation("messages", "locale"), gettext.gettext("a word"))
        """,
    )
    shutil.rmtree(site.root / "locale")
    with_image = imaged.run()
    shutil.rmtree(site.root / "locale")
    without = imaged.plain()
    assert _without_addresses(with_image) == _without_addresses(without)


def _without_addresses(text: str) -> str:
    import re

    return re.sub(r"0x[0-9a-f]+", "0x", text)


def test_extended_packages_are_where_python_finds_them(site: Site) -> None:
    extend = "from pkgutil import extend_path; __path__ = extend_path(__path__, __name__)\n"
    site.write(1, "plugins/__init__.py", extend)
    site.write(1, "plugins/inner/__init__.py", extend)
    site.write(1, "plugins/inner/part.py", "WHERE = 'part'")
    imaged = Imaged(
        site,
        """
        import plugins.inner.part
        print(plugins.__path__, plugins.inner.__path__, plugins.inner.part.WHERE)
        """,
    )
    assert imaged.run() == imaged.plain()
    also = site.write(3, "also/part.py", "WHERE = 'also'").parent
    (site.path[1] / "plugins" / "plugins.inner.pkg").write_text(f"{also}\n")
    assert imaged.run() == imaged.plain()
    assert str(also) in imaged.run()
    site.write(2, "plugins/inner/__init__.py", extend)
    site.write(2, "plugins/__init__.py", extend)
    assert imaged.run() == imaged.plain()
    assert imaged.run().count("inner") == 2


def test_a_directory_that_a_package_adds_to_the_path(site: Site) -> None:
    """It is read once, and again when something in it changes."""
    added = site.write(1, "package/vendored/single.py", "WHERE = 'single'").parent
    site.write(1, "package/__init__.py", f"import sys; sys.path.insert(0, {str(added)!r})")
    imaged = Imaged(
        site,
        """
        import importlib.util, package, single
        found = [importlib.util.find_spec(name) for name in ("not_there", "later")]
        print(single.WHERE, [spec and spec.origin for spec in found])
        """,
    )
    assert imaged.run() == imaged.plain()
    (added / "later.py").write_text("")
    assert imaged.run() == imaged.plain()
    assert "later.py" in imaged.run()


@pytest.mark.parametrize("change", ["gone", "shadowed"])
def test_a_directory_that_changed_and_got_its_former_time(site: Site, change: str) -> None:
    site.write(1, "package/__init__.py", "")
    file = site.write(1, "package/part.py", "WHERE = 'part'")
    imaged = Imaged(
        site,
        """
        import package
        try:
            import package.part
            print(package.part.WHERE)
        except ImportError as error:
            print(error)
        """,
    )
    before = file.parent.stat()
    if change == "gone":
        file.unlink()
    else:
        site.write(1, "package/part/__init__.py", "WHERE = 'shadow'")
    os.utime(file.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    expected = "No module named 'package.part'" if change == "gone" else "shadow"
    assert imaged.run() == imaged.plain() == expected


def test_one_changed_module_of_many_is_in_the_next_image(site: Site) -> None:
    for number in range(60):
        site.write(1, f"package/part{number}.py", f"WHERE = {number}")
    site.write(1, "package/__init__.py", "\n".join(f"from . import part{n}" for n in range(60)))
    imaged = Imaged(site, "import package; print(package.part7.WHERE)")
    (site.path[1] / "package" / "part7.py").write_text("WHERE = 'changed'")
    time.sleep(2.1)
    before = imaged.image.stat().st_ino
    assert imaged.run(records=True) == "changed"
    deadline = time.monotonic() + 30
    while imaged.image.stat().st_ino == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    poison(site.path[1] / "package" / "part7.py")
    assert imaged.run() == "changed"


STATUS = SimpleNamespace(st_mode=0o100644, st_mtime_ns=1, st_size=2, st_ino=3, st_ctime_ns=4)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"st_ctime_ns": 5}, True),  # a hard link, or another mode
        ({"st_ino": 5}, True),  # mounted again
        ({"st_ino": 5, "st_ctime_ns": 5}, False),  # another file
        ({"st_mtime_ns": 5}, False),
        ({"st_size": 5}, False),
        ({"st_mode": 0o40755}, True),
        ({"st_mode": 0o40755, "st_ino": 5}, True),
        ({"st_mode": 0o40755, "st_ctime_ns": 5}, False),  # no link leads to a directory
    ],
)
def test_what_counts_as_unchanged(
    change: dict[str, int], same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = start_image.stamp(STATUS)  # type: ignore[arg-type]
    now = SimpleNamespace(**{**vars(STATUS), **change})
    monkeypatch.setattr(start_image.posix, "stat", lambda _path: now)  # type: ignore[attr-defined]
    assert start_image.has_stamp("file", former) is same


def test_the_module_that_is_run_comes_from_the_image(site: Site) -> None:
    site.write(1, "program/__init__.py", "")
    site.write(1, "program/__main__.py", "print(__spec__.name)")
    imaged = Imaged(site, "import program, runpy")
    from spack_kernel.kernels import launcher

    index = site.index("import program")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        launcher.PATH_VARIABLE: os.pathsep.join([*site.entries(), str(site.programs)]),
        launcher.INDEX_VARIABLE: index,
        launcher.IMAGE_VARIABLE: f"{os.geteuid()}:1:1:{KEY}:{imaged.image}",
    }
    command = [sys.executable, str(Path(launcher.__file__)), "program"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "program.__main__\n"
    deadline = time.monotonic() + 30
    while "program.__main__" not in imaged.modules():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_setting_that_cannot_be_read_is_told(site: Site) -> None:
    from spack_kernel.kernels import launcher

    site.write(1, "package/__init__.py", "")
    index = site.index("import package; print(package.__file__)")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        launcher.PATH_VARIABLE: os.pathsep.join([*site.entries(), str(site.programs)]),
        launcher.INDEX_VARIABLE: index,
        launcher.IMAGE_VARIABLE: "nonsense",
    }
    command = [sys.executable, str(Path(launcher.__file__)), "prog_ram"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{site.path[1] / 'package' / '__init__.py'}\n"
    assert "spack-kernel: no start image: ValueError" in done.stderr


def test_a_python_whose_namespaces_are_not_known(
    namespace: Imaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others find them."""
    image = start_image.StartImage(str(namespace.image), KEY, os.geteuid())
    monkeypatch.setattr(sys, "path", [str(namespace.site.path[1])])
    monkeypatch.setattr(start_image, "_hooks", sys.path_hooks)
    found = start_image.ImageFinder(image).find_spec("space")
    assert found is not None
    assert list(found.submodule_search_locations or ()) == [str(namespace.site.path[1] / "space")]
    monkeypatch.setattr(start_image, "_NamespacePath", None)
    assert start_image.ImageFinder(image).find_spec("space") is None
