"""Start images: what a changed file, a damaged image or another's image leads to."""

from __future__ import annotations

import json
import marshal
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.kernels import launcher
from spack_kernel.kernels.image import start_image

from .test_import_index import KEY, Site

BUILDER = str(Path(start_image.__file__).with_name("builder.py"))

PROGRAM = """
    import sys
    import package.part, single
    print(package.part.WHERE, single.WHERE, sys.modules["package"].WHERE)
    """


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write(1, "package/__init__.py", "WHERE = 'package'")
    site.write(1, "package/part.py", "WHERE = 'part'")
    site.write(2, "single.py", "WHERE = 'single'")
    return site


class Imaged:
    """A site with an image of what its program imports."""

    def __init__(self, site: Site, program: str = PROGRAM) -> None:
        self.site = site
        index = site.index(program)
        site.run(index=index)  # writes the bytecode
        self.image = site.recorded(site.index(program))
        self._program = program

    def run(self, **kwargs: Any) -> str:
        index = self.site.index(self._program)
        return self.site.run(index=index, image=self.image, **kwargs).strip()

    def plain(self) -> str:
        return self.site.run(index=None).strip()

    def modules(self) -> set[str]:
        return set(start_image.StartImage(str(self.image), KEY, os.geteuid()).modules)


@pytest.fixture
def imaged(site: Site) -> Imaged:
    return Imaged(site)


def poison(file: Path) -> None:
    """Let the bytecode of a source, as Python takes it for valid, say something else."""
    status = file.stat()
    cached = Path(__import__("importlib.util").util.cache_from_source(str(file)))
    code = compile("WHERE = 'poison'", str(file), "exec")
    head = cached.read_bytes()[:16]
    kept = cached.stat()
    cached.write_bytes(head + marshal.dumps(code))
    os.utime(cached, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert file.stat() == status


def test_modules_come_from_the_image(imaged: Imaged) -> None:
    assert {"package", "package.part", "single", "prog_ram"} <= imaged.modules()
    poison(imaged.site.path[2] / "single.py")
    assert imaged.plain() == "part poison package"
    assert imaged.run() == "part single package"


def test_the_interpreters_own_modules_come_from_it_as_well(site: Site) -> None:
    imaged = Imaged(site, "import json.tool as t, single; print(t.__file__, t.__loader__.name)")
    assert "json.tool" in imaged.modules()
    assert imaged.run() == imaged.plain()


@pytest.mark.parametrize(
    "how", ["edited in place", "edited anew", "removed", "shadowed", "installed again", "older"]
)
def test_a_package_that_changes_is_found_as_python_finds_it(imaged: Imaged, how: str) -> None:
    file = imaged.site.path[1] / "package" / "part.py"
    if how == "edited in place":
        with file.open("r+") as writer:
            writer.write("WHERE = 'patt'")  # as long as before
    elif how == "edited anew":
        file.with_suffix(".new").write_text("WHERE = 'other'")
        file.with_suffix(".new").replace(file)
    elif how == "removed":
        shutil.rmtree(file.parent)
        imaged.site.write(3, "package/__init__.py", "WHERE = 'third'")
        imaged.site.write(3, "package/part.py", "WHERE = 'third part'")
    elif how == "shadowed":
        imaged.site.write(1, "package/part/__init__.py", "WHERE = 'a package now'")
    elif how == "installed again":
        kept = imaged.site.root / "kept"
        shutil.copytree(imaged.site.path[1], kept)
        shutil.rmtree(imaged.site.path[1])
        (kept / "package" / "part.py").write_text("WHERE = 'again'")
        shutil.move(kept, imaged.site.path[1])
    else:
        file.write_text("WHERE = 'older'")
        os.utime(file, (1e9, 1e9))
    assert imaged.run() == imaged.plain()
    assert imaged.run().split()[0] != "part"


def test_what_has_changed_is_in_the_image_after_the_next_start(imaged: Imaged) -> None:
    file = imaged.site.path[2] / "single.py"
    file.write_text("WHERE = 'changed'")
    time.sleep(2.1)
    before = imaged.image.stat()
    assert imaged.run(records=True) == imaged.plain()
    deadline = time.monotonic() + 30
    while imaged.image.stat().st_ino == before.st_ino:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    poison(file)
    assert imaged.run() == "part changed package"


def test_a_hard_link_changes_nothing(imaged: Imaged) -> None:
    file = imaged.site.path[2] / "single.py"
    poison(file)
    (imaged.site.root / "backup").hardlink_to(file)
    assert imaged.run() == "part single package"


def test_an_edit_that_keeps_size_and_time_is_as_without_image(imaged: Imaged) -> None:
    """Python itself goes on with its bytecode."""
    file = imaged.site.path[2] / "single.py"
    kept = file.stat()
    file.write_text("WHERE = 'sungle'")
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert imaged.run() == imaged.plain()


def test_what_comes_first_on_the_path_shadows_the_image(site: Site) -> None:
    program = """
        import os, sys
        sys.path.insert(0, os.environ["OWN"])
        import single, package.part
        print(single.WHERE, package.part.WHERE)
        """
    own = site.root / "own"
    own.mkdir()
    imaged = Imaged.__new__(Imaged)
    imaged.site, imaged._program = site, program
    imaged.image = site.recorded(site.index(program), env={"OWN": str(own)})
    assert imaged.run(env={"OWN": str(own)}) == "single part"
    (own / "single.py").write_text("WHERE = 'own'")
    assert imaged.run(env={"OWN": str(own)}) == "own part"
    (own / "package").mkdir()  # a namespace only: the package counts
    assert imaged.run(env={"OWN": str(own)}) == "own part"


def test_a_reload_reads_the_file_again(site: Site) -> None:
    imaged = Imaged(
        site,
        """
        import importlib, inspect, single
        with open(single.__file__, "a") as file:
            file.write("\\nMORE = 1\\n")
        importlib.reload(single)
        print(single.MORE, vars(single.__loader__), inspect.getsource(single).splitlines()[:2])
        with open(single.__file__, "w") as file:
            file.write("WHERE = 'single'")
        """,
    )
    time.sleep(2.1)
    imaged.image = site.recorded(site.index(imaged._program))
    assert imaged.run() == imaged.plain()


def test_a_reload_reads_the_file_even_if_sources_are_not_checked(site: Site) -> None:
    imaged = Imaged(
        site,
        """
        import importlib, single
        with open(single.__file__, "r+") as file:
            file.write("WHERE = 'sungle'")
        print(importlib.reload(single).WHERE)
        """,
    )
    environment = {launcher.PATH_VARIABLE: os.pathsep.join([*site.entries(), str(site.programs)])}
    environment[launcher.INDEX_VARIABLE] = site.index(imaged._program)
    environment[launcher.IMAGE_VARIABLE] = f"{os.geteuid()}:0:0:{KEY}:{imaged.image}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [sys.executable, launcher.__file__, "prog_ram"]
    done = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True)
    assert done.stdout == "sungle\n", done.stderr


def content(imaged: Imaged) -> bytes:
    return imaged.image.read_bytes()


def damaged(imaged: Imaged) -> Iterator[bytes]:
    whole = content(imaged)
    yield b""
    yield whole[:10]
    yield whole[: len(whole) // 2]
    yield whole[:-1]
    yield whole.replace(b"image 2", b"image 1", 1)
    yield b"\0" * len(whole)
    yield whole[:30] + b"\xff" * 8 + whole[38:]


def test_a_damaged_image_leaves_the_ordinary_way(imaged: Imaged) -> None:
    plain = imaged.plain()
    for data in damaged(imaged):
        imaged.image.write_bytes(data)
        assert imaged.run() == plain


def test_mutated_images_answer_rightly_or_not_at_all(imaged: Imaged) -> None:
    whole = content(imaged)
    true = start_image.StartImage(str(imaged.image), KEY, os.geteuid())
    codes = {e[4:]: true.code(*e[4:]) for e in true.modules.values() if len(e) > 3}
    chance = random.Random(17)
    places = list(range(200)) + [chance.randrange(len(whole)) for _ in range(3000)]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        imaged.image.write_bytes(data)
        try:
            image = start_image.StartImage(str(imaged.image), KEY, os.geteuid())
        except (ValueError, OSError):
            continue
        assert image.modules == true.modules
        for entry, code in codes.items():
            assert image.code(*entry) in (code, None)
        os.close(image._file)


def test_a_damaged_image_is_made_anew(imaged: Imaged) -> None:
    whole = content(imaged)
    place = whole.rindex(b"single")
    imaged.image.write_bytes(whole[:place] + b"SINGLE" + whole[place + 6 :])
    assert imaged.run(records=True) == imaged.plain()
    deadline = time.monotonic() + 30
    while b"SINGLE" in content(imaged):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert imaged.run() == imaged.plain()


def test_an_image_that_others_could_have_written_is_not_used(imaged: Imaged) -> None:
    poison(imaged.site.path[2] / "single.py")
    assert imaged.run() == "part single package"
    imaged.image.chmod(0o620)
    assert imaged.run() == "part poison package"
    imaged.image.chmod(0o600)
    real = imaged.image.rename(imaged.image.with_suffix(".real"))
    imaged.image.symlink_to(real)
    assert imaged.run() == "part poison package"
    imaged.image.unlink()
    os.mkfifo(imaged.image)
    assert imaged.run() == "part poison package"
    imaged.image.unlink()
    real.rename(imaged.image)
    assert imaged.run() == "part single package"
    with pytest.raises(ValueError, match="others"):
        start_image.StartImage(str(imaged.image), KEY, os.geteuid() + 1)
    with pytest.raises(ValueError, match="something else"):
        start_image.StartImage(str(imaged.image), "another", os.geteuid())


@pytest.mark.parametrize("options", [["-O"], ["-X", "importtime"], ["-B"]])
def test_options_of_python(imaged: Imaged, options: list[str]) -> None:
    site = imaged.site
    index = site.index(PROGRAM)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        launcher.PATH_VARIABLE: os.pathsep.join([*site.entries(), str(site.programs)]),
        launcher.INDEX_VARIABLE: index,
        launcher.IMAGE_VARIABLE: f"{os.geteuid()}:0:1:{KEY}:{imaged.image}",
    }
    command = [sys.executable, *options, launcher.__file__, "prog_ram"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "part single package\n"
    if "importtime" in options:
        assert "package.part" in done.stderr


def task(imaged: Imaged, **also: Any) -> dict[str, Any]:
    site = imaged.site
    modules = {"single": str(site.path[2]), "package": str(site.path[1])}
    return {
        "file": str(imaged.image),
        "key": KEY,
        "roots": site.entries(),
        "modules": modules,
        **also,
    }


def build(told: dict[str, Any], **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", BUILDER]
    text = json.dumps(told)
    return subprocess.run(command, input=text, capture_output=True, text=True, **options)


def test_the_builder_alone(imaged: Imaged) -> None:
    imaged.image.unlink()
    done = build(task(imaged))
    assert json.loads(done.stdout) == {"modules": 2}, done.stderr
    assert imaged.modules() == {"single", "package"}
    assert [each.name for each in imaged.image.parent.iterdir()] == [imaged.image.name]
    # What was in the image before stays in it.
    told = task(imaged, modules={"package.part": str(imaged.site.path[1] / "package")})
    assert json.loads(build(told).stdout) == {"modules": 3}


def test_no_half_image_is_left(imaged: Imaged) -> None:
    before = content(imaged)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    library = str(Path(json.__file__).parents[1])
    told = task(imaged, modules={"turtle": library})
    told["roots"] = [*told["roots"], library]
    done = build(told, preexec_fn=limit)
    assert done.returncode != 0
    assert content(imaged) == before
    assert [each.name for each in imaged.image.parent.iterdir()] == [imaged.image.name]


def test_two_builders_at_once(imaged: Imaged) -> None:
    imaged.image.unlink()
    command = [sys.executable, "-I", "-S", BUILDER]
    told = json.dumps(task(imaged)).encode()
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(8)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(told)
        process.stdin.close()
    assert [process.wait(60) for process in running] == [0] * 8
    assert imaged.modules() == {"single", "package"}
    assert [each.name for each in imaged.image.parent.iterdir()] == [imaged.image.name]


def test_a_claim_that_was_left_behind(imaged: Imaged) -> None:
    imaged.image.unlink()
    claim = imaged.image.with_name(f"{imaged.image.name}.claim")
    claim.touch()
    os.utime(claim, (1e9, 1e9))
    build(task(imaged))
    assert imaged.image.exists()


def test_nothing_is_written_where_others_could(imaged: Imaged) -> None:
    imaged.image.unlink()
    imaged.image.parent.chmod(0o777)
    build(task(imaged))
    assert not list(imaged.image.parent.iterdir())


def test_what_users_install_is_in_no_image(imaged: Imaged) -> None:
    own = imaged.site.root / "own" / "site-packages"
    own.mkdir(parents=True)
    (own / "users.py").touch()
    time.sleep(2.1)
    imaged.image.unlink()
    modules = {"users": str(own), "single": str(imaged.site.path[2])}
    # As an interpreter's own packages are below its standard library.
    build(task(imaged, modules=modules, roots=[str(own.parent), *imaged.site.entries()]))
    assert imaged.modules() == {"single"}
