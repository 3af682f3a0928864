"""The commands ``image`` and ``cache``, and programs that `exec` starts with an image."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.demo import DemoStore

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

#: Without one that has only an empty image.
FINDERS = "[type(f).__name__ for f in sys.meta_path if not hasattr(f, 'image') or f.image.modules]"


class User:
    """A user with directories of their own, at the demo store."""

    def __init__(self, home: Path, demo: DemoStore) -> None:
        self.home, self.store = home, str(demo.root)
        self.runtime = home / "runtime"
        self.runtime.mkdir(mode=0o700)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPACK_"))}
        self.environment = {
            **kept,
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SPACK_KERNEL_CACHE": str(home / "cache"),
            "JUPYTER_DATA_DIR": str(home / "data"),
        }

    def run(self, *words: str, status: int = 0, **variables: str) -> str:
        done = self.attempt(*words, **variables)
        assert done.returncode == status, done.stderr
        return done.stdout

    def attempt(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spack_kernel", *words],
            env={**self.environment, **variables},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def exec(self, *command: str, **variables: str) -> str:
        return self.run(
            "exec", "--store", self.store, "py-libensemble", "--", *command, **variables
        )

    def images(self) -> list[Path]:
        return sorted((self.runtime / "spack-kernel").glob("start-*.img"))

    def shown(self, *words: str, **variables: str) -> dict[str, Any]:
        words = ("show", "--json", "--store", self.store, *words, "py-libensemble")
        image: dict[str, Any] = json.loads(self.run(*words, **variables))["start_image"]
        return image

    def wait_for_image(self) -> Path:
        deadline = time.monotonic() + 60
        while not self.images() or list(self.images()[0].parent.glob("*.claim")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.images()[0]


@pytest.fixture
def user(tmp_path: Path, demo_store: DemoStore) -> User:
    return User(tmp_path, demo_store)


def test_an_image_for_this_user(user: User) -> None:
    nothing = {"path": user.shown()["path"], "modules": 0, "reason": "", "refused": []}
    assert user.shown() == nothing
    assert not (user.runtime / "spack-kernel").exists()  # to look makes nothing
    said = user.run("image", "--store", user.store, "py-libensemble", "--import", "wave")
    (image,) = user.images()
    assert stat.S_IMODE(image.stat().st_mode) == 0o600
    assert f"{image}: " in said.splitlines()[-1]
    shown = user.shown()
    assert shown["path"] == str(image)
    assert shown["modules"] > 500
    assert f"{shown['modules']:,} modules" in user.run(
        "show", "--store", user.store, "py-libensemble"
    )
    # What is in it stays in it.
    again = json.loads(user.run("image", "--json", "--store", user.store, "py-libensemble"))
    assert again["modules"] == shown["modules"]
    listed = user.run("cache")
    assert "start images of kernels" in listed
    assert str(image.parent) in listed
    # The user may have others in /tmp, from sessions without XDG_RUNTIME_DIR.
    (own,) = (
        each
        for each in json.loads(user.run("cache", "--json"))
        if each["directory"] == str(image.parent)
    )
    assert own["kind"] == "start images of kernels"
    assert (own["files"], own["size"]) == (1, image.stat().st_size)
    assert "Removed " in user.run("cache", "--clear")
    assert not user.images()
    assert str(image.parent) not in user.run("cache")


def test_an_image_for_everybody(user: User) -> None:
    site = user.home / "site" / "images"
    before = os.umask(0o077)
    try:
        words = ("image", "--store", user.store, "--output", str(site), "py-libensemble")
        user.run(*words)
    finally:
        os.umask(before)
    (image,) = site.iterdir()
    assert stat.S_IMODE(image.stat().st_mode) == 0o644
    assert not user.images()
    assert user.shown()["path"] != str(image)
    there = {"SPACK_KERNEL_IMAGES": str(site)}
    assert user.shown(**there)["path"] == str(image)
    code = f"import libensemble, sys; print({FINDERS})"
    assert "ImageFinder" in user.exec("python", "-c", code, **there)
    # One that others could have written does not count.
    site.chmod(0o777)
    shown = user.shown(**there)
    assert shown["path"] != str(image)
    assert shown["refused"] == [f"{image}: others could have written {site}"]
    text = user.run("show", "--store", user.store, "py-libensemble", **there)
    assert f"not used: {shown['refused'][0]}" in text
    site.chmod(0o755)
    image.chmod(0o664)
    assert user.shown(**there)["path"] != str(image)
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[:-1])
    assert user.shown(**there)["refused"] == [f"{image}: it cannot be read, or is damaged"]
    relative = user.shown(SPACK_KERNEL_IMAGES="site/images")["refused"]
    assert relative[0].endswith("it is no absolute path")
    missing = user.shown(SPACK_KERNEL_IMAGES="/no/such/directory")["refused"]
    assert missing[0].startswith("/no/such/directory/")
    assert missing[0].endswith("its directory does not exist")


def test_what_is_wrong_is_told(user: User) -> None:
    where = ("image", "--store", user.store, "py-libensemble")
    done = user.attempt(*where, "--import", "no_such_module")
    assert done.returncode == 1
    assert "`import no_such_module` fails: ModuleNotFoundError" in done.stderr
    assert not user.images()
    for wrong in ("a b", "os; print(1)", "a..b", ""):
        done = user.attempt(*where, "--import", wrong)
        assert done.returncode == 2
        assert "is not the name of a module" in done.stderr
    done = user.attempt(*where, SPACK_KERNEL_CACHE="")
    assert done.returncode == 1
    assert "caching is switched off (SPACK_KERNEL_CACHE)" in done.stderr
    assert "--output DIR" in done.stderr
    assert user.shown(SPACK_KERNEL_CACHE="")["reason"].startswith("caching is switched off")
    file = user.home / "file"
    file.touch()
    for output in (file, file / "below"):
        done = user.attempt(*where, "--output", str(output))
        assert done.returncode == 1
        assert f"{output} " in done.stderr
        assert "Name another directory: --output DIR" in done.stderr


PROGRAMS = {
    "code": ["-c", "import sys, os, json, libensemble; {report}", "x", "-y"],
    "module": ["-m", "prog_ram", "x"],
    "script": ["prog_ram.py", "x"],
    "script elsewhere": ["{home}/sub/prog_ram.py"],
    "options": ["-u", "-W", "ignore", "-c", "import sys, os, json, libensemble; {report}"],
}

REPORT = (
    "print(json.dumps([sys.argv, sys.path, libensemble.__file__, __name__, "
    "globals().get('__file__'), str(__spec__ and __spec__.name), sys.modules['__main__'].__doc__, "
    "os.environ['PYTHONPATH'], [k for k in os.environ if k.startswith('SPACK_KERNEL_S')], "
    "[k for k in os.environ if k.startswith(('SPACK_KERNEL_P', 'SPACK_KERNEL_I'))], "
    "__import__('subprocess').getoutput('env | grep -o ^SPACK_KERNEL_[PIS][^=]*'), "
    "'sitecustomize' in sys.modules, sys.flags.no_user_site, getattr(sys, 'orig_argv', 0)[1:]]))"
)


@pytest.mark.parametrize("how", PROGRAMS)
def test_a_program_cannot_tell(user: User, how: str) -> None:
    text = f"import sys, os, json, libensemble\n{REPORT}\n"
    (user.home / "prog_ram.py").write_text(text)
    (user.home / "sub").mkdir()
    (user.home / "sub" / "prog_ram.py").write_text(text)
    command = [word.format(report=REPORT, home=user.home) for word in PROGRAMS[how]]
    where = ("exec", "--store", user.store)
    plain = user.run(*where, "--no-import-index", "py-libensemble", "--", "python", *command)
    first = user.exec("python", *command)
    user.wait_for_image()
    assert first == plain
    assert user.exec("python", *command) == plain
    # `exec` keeps how it has started a pinned spec, with the image.
    pinned = json.loads(user.run("list", "--store", user.store, "--json", "py-libensemble"))
    pinned_where = (*where, f"/{pinned[0]['hash']}", "--", "python")
    for _ in range(2):
        assert user.run(*pinned_where, *command) == plain


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_a_python_without_pythonpath_has_neither(user: User, option: str) -> None:
    code = "import sys; print([p for p in sys.path if 'startup' in p], sys.flags.no_site)"
    assert user.exec("python", option, "-c", code).startswith("[] ")


def test_an_exception_is_shown_as_without(user: User) -> None:
    words = ("exec", "--store", user.store, "py-libensemble", "--", "python", "-c", "1/0")
    done = user.attempt(*words)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        '  File "<string>", line 1, in <module>',
        "ZeroDivisionError: division by zero",
    ]


def test_a_program_has_one_thread_and_gets_its_signals(user: User) -> None:
    code = (
        "import os, signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "time.sleep(0.2); os.kill(os.getpid(), signal.SIGTERM)\n"
        "print(signal.sigwait({signal.SIGTERM}).name, len(os.listdir('/proc/self/task')))"
    )
    for _ in range(2):
        assert user.exec("python", "-c", code) == "SIGTERM 1\n"
        user.wait_for_image()


def test_ranks_of_one_node_make_one_image(user: User) -> None:
    command = (
        *("exec", "--store", user.store, "py-libensemble", "--", "python", "-c"),
        f"import libensemble, sys; print({FINDERS})",
    )
    for _ in range(2):
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "spack_kernel", *command],
                env=user.environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(8)
        ]
        said = [process.communicate(timeout=120)[0] for process in running]
        assert [process.returncode for process in running] == [0] * 8
        user.wait_for_image()
    assert all("ImageFinder" in each for each in said)
    assert len(user.images()) == 1


def test_it_can_be_switched_off(user: User) -> None:
    code = f"import sys; print({FINDERS})"
    where = ("exec", "--store", user.store, "--no-start-image", "py-libensemble", "--", "python")
    said = user.run(*where, "-c", code)
    assert "IndexedFinder" in said
    assert "ImageFinder" not in said
    time.sleep(1)
    assert not user.images()
