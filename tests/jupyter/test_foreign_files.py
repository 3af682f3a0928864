"""Untrusted files: a bad package affects only itself, and none of its files is published."""

from __future__ import annotations

import json
import os
import resource
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.files import remove_directory, write_kernelspec
from spack_kernel.jupyter.kernelspecs.names import MAX_NAME_LENGTH, check_name
from spack_kernel.kernels.candidates import logos
from spack_kernel.spack.system.ownership import run_as
from tests.cloned_store import ClonedStore
from tests.grown_store import add_record

SECRET = b"only the caller may read this"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root privileges")


def png(width: int = 8, height: int = 8, *, extra: bytes = b"", data: bytes | None = None) -> bytes:
    """Return a grey PNG image."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(body, zlib.crc32(kind))
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(rows) if data is None else data
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + parts[0] + extra + b"".join(parts[1:])


@pytest.fixture
def site(demo_store: DemoStore, tmp_path: Path) -> ClonedStore:
    """Return the demo store with a package that ships a kernel; each test fills its prefix."""
    store = ClonedStore(demo_store, tmp_path / "store")
    prefix = store.root / "xeus-other-1.0"
    kernel = prefix / "share" / "jupyter" / "kernels" / "other"
    kernel.mkdir(parents=True)
    content = {
        "argv": ["/bin/true", "{connection_file}"],
        "display_name": "Other",
        "language": "x",
    }
    (kernel / "kernel.json").write_text(json.dumps(content))
    key = add_record(store, "xeus-other", "1.0", prefix=prefix)
    store.records[key]["spec"]["dependencies"] = []
    store.save()
    return store


def kernel_of(site: ClonedStore) -> Path:
    return site.root / "xeus-other-1.0" / "share" / "jupyter" / "kernels" / "other"


def sync(site: ClonedStore, target: Path) -> subprocess.CompletedProcess[str]:
    """Run `sync` in a separate process, with limits on time and memory."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    words = ["--no-config", "--store", str(site.root), "--prefix", str(target)]
    return subprocess.run(
        [sys.executable, "-m", "spack_kernel", "sync", *words],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=bounded,
    )


def written(target: Path) -> dict[str, set[str]]:
    """Return the files of each kernelspec by name."""
    kernels = target / "share" / "jupyter" / "kernels"
    return {path.name: {each.name for each in path.iterdir()} for path in kernels.iterdir()}


OURS = {"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}


def a_link(kernel: Path, secret: Path) -> None:
    (kernel / "logo-64x64.png").symlink_to(secret)


def a_link_above(kernel: Path, secret: Path) -> None:
    (secret.parent / "logos").mkdir()
    (secret.parent / "logos" / "kernel.json").write_text((kernel / "kernel.json").read_text())
    (secret.parent / "logos" / "logo-64x64.png").write_bytes(png())
    (kernel / "kernel.json").unlink()
    kernel.rmdir()
    kernel.symlink_to(secret.parent / "logos")


def a_fifo(kernel: Path, _: Path) -> None:
    os.mkfifo(kernel / "logo-64x64.png")


def an_endless_device(kernel: Path, _: Path) -> None:
    (kernel / "logo-64x64.png").symlink_to("/dev/zero")


def a_giant(kernel: Path, _: Path) -> None:
    with (kernel / "logo-64x64.png").open("wb") as file:
        file.truncate(1 << 40)


def no_image(kernel: Path, _: Path) -> None:
    (kernel / "logo-64x64.png").write_bytes(SECRET)


def a_bomb(kernel: Path, _: Path) -> None:
    zeros = zlib.compress(b"\0" * 100_000_000)
    (kernel / "logo-64x64.png").write_bytes(png(data=zeros))


def scripts(kernel: Path, _: Path) -> None:
    (kernel / "kernel.js").write_text("alert(1)")
    (kernel / "kernel.css").write_text("* {display: none}")
    (kernel / "logo-svg.svg.html").write_text("<script>alert(1)</script>")


@pytest.mark.parametrize(
    "bad", [a_link, a_link_above, a_fifo, an_endless_device, a_giant, no_image, a_bomb, scripts]
)
def test_nothing_of_a_bad_logo_is_published(
    bad: Callable[[Path, Path], None], site: ClonedStore, tmp_path: Path
) -> None:
    secret = tmp_path / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(SECRET)
    bad(kernel_of(site), secret)
    done = sync(site, tmp_path / "target")
    assert "Traceback" not in done.stderr, done.stderr
    kernels = written(tmp_path / "target")
    assert any("py-libensemble" in name for name in kernels), done.stderr
    for name, files in kernels.items():
        assert files == {"kernel.json", *OURS}, name
    copies = (p for p in (tmp_path / "target").rglob("*") if p.is_file())
    assert not any(SECRET in path.read_bytes() for path in copies)
    if bad is not scripts:
        assert "xeus-other" in done.stderr
        assert "left out" in done.stderr


def test_a_good_logo_is_taken_without_what_it_carries(site: ClonedStore, tmp_path: Path) -> None:
    text = b"tEXtComment\0" + SECRET
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (kernel_of(site) / "logo-64x64.png").write_bytes(png(extra=chunk) + SECRET)
    (kernel_of(site) / "logo-svg.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" '
        'onload="alert(1)" width="8"><script>alert(2)</script><a href="javascript:alert(3)"/>'
        '<rect width="8" onclick="alert(4)" style="fill: url(https://example.org/x)"/>'
        '<use x:href="#a"/><use x:href="data:image/svg+xml,alert(5)"/>'
        '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"/></foreignObject></svg>'
    )
    assert sync(site, tmp_path / "target").returncode == 0
    kernels = tmp_path / "target" / "share" / "jupyter" / "kernels"
    (kernel,) = kernels.glob("spack-xeus-other-*")
    assert {path.name for path in kernel.iterdir()} == {
        *("kernel.json", "logo-64x64.png", "logo-svg.svg"),
    }
    assert (kernel / "logo-64x64.png").read_bytes() == png()
    drawing = (kernel / "logo-svg.svg").read_text()
    assert 'width="8"' in drawing
    assert "#a" in drawing
    for word in ("alert", "script", "onload", "onclick", "example.org", "foreign", "data:", "<a"):
        assert word not in drawing.replace('"#a"', "")


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 6])
def test_images_of_every_kind_decode(kind: int, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    mode = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}[kind]
    file = tmp_path / "x.png"
    image.new(mode, (33, 17)).save(file)
    cleaned = logos.image(file.read_bytes())
    file.write_bytes(cleaned)
    assert image.open(file).convert("RGBA").size == (33, 17)


def _deep(kernel: Path) -> None:
    (kernel / "kernel.json").write_text("[" * 200_000)


def _not_text(kernel: Path) -> None:
    (kernel / "kernel.json").write_bytes(b"\xff\xfe")


def _nul(kernel: Path) -> None:
    content = {"argv": ["/bin/\0true"], "display_name": "x", "language": "x"}
    (kernel / "kernel.json").write_text(json.dumps(content))


def _types(kernel: Path) -> None:
    content = {"argv": ["x"], "env": {"A": 1}, "metadata": [], "display_name": 3}
    (kernel / "kernel.json").write_text(json.dumps(content))


def _fifo(kernel: Path) -> None:
    (kernel / "kernel.json").unlink()
    os.mkfifo(kernel / "kernel.json")


def _linked(kernel: Path) -> None:
    (kernel / "kernel.json").unlink()
    (kernel / "kernel.json").symlink_to("/etc/passwd")


@pytest.mark.parametrize("bad", [_deep, _not_text, _nul, _types, _fifo, _linked])
def test_a_bad_kernel_json_costs_its_own_kernel(
    bad: Callable[[Path], None], site: ClonedStore, tmp_path: Path
) -> None:
    bad(kernel_of(site))
    done = sync(site, tmp_path / "target")
    assert "Traceback" not in done.stderr
    kernels = written(tmp_path / "target")
    assert any("py-libensemble" in name for name in kernels)
    assert not any("xeus-other" in name for name in kernels)
    assert "xeus-other" in done.stderr
    assert "left out" in done.stderr


def change(site: ClonedStore, **record_fields: Any) -> None:
    key = site.hash("xeus-other")
    node = record_fields.pop("node", {})
    site.records[key].update(record_fields)
    site.records[key]["spec"].update(node)
    site.save()


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/sw/with\0nul"},
        {"node": {"version": "1." * 200}},
        {"path": "/" + "x" * 5000},
        {"node": {"name": "xeus-" + "o" * 400}},
        {"path": ["no", "text"]},
        {"node": {"arch": None}},
        {"node": {"dependencies": [{"name": "python", "hash": 3}]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["list", "list --all", "sync"])
def test_a_bad_record_costs_itself(
    fields: dict[str, Any], command: str, site: ClonedStore, tmp_path: Path
) -> None:
    change(site, **fields)
    words = command.split()
    if command == "sync":
        done = sync(site, tmp_path / "target")
        assert any("py-libensemble" in name for name in written(tmp_path / "target"))
    else:
        done = subprocess.run(
            [sys.executable, "-m", "spack_kernel", *words, "--store", str(site.root)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "py-libensemble" in done.stdout
    assert "defect" not in done.stderr
    assert "Traceback" not in done.stderr


def test_control_characters_never_reach_a_terminal(
    site: ClonedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "1.0\x1b]0;owned\x07\x1b[31m\x9b2J\u202e\rx"
    change(site, node={"version": evil}, path=str(site.root / "xeus-other-1.0"))
    store = str(site.root)
    for argv in (
        ["list", "--all"],
        ["list", "--all", "--json"],
        ["list", "--all", "--format", "{name}{@version}"],
        ["show", "xeus-other"],
        ["show", "--tree", "xeus-other"],
        ["--color", "always", "list", "--all"],
        ["check", "--kernel", "none", "xeus-other"],
        ["install", "--user", "--dry-run", "xeus-other"],
    ):
        main([*argv, "--store", store])
        out, err = capsys.readouterr()
        assert "owned" in out + err, argv
        for character in "\x07\x9b\u202e\r":
            assert character not in out + err, argv
        ours = "\x1b[" if "always" in argv else "\x1b"
        allowed = {"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[3", "\x1b[9"}
        for position in (i for i, c in enumerate(out + err) if c == "\x1b"):
            assert "always" in argv, (argv, ours)
            assert any((out + err)[position:].startswith(each) for each in allowed)
        assert "\x1b[31m\x1b" not in out
        assert "\x1b]0;" not in out + err


def test_a_newline_makes_no_row_of_its_own(
    site: ClonedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = "1.0\naaaaaaa  py-forged@1.0"
    change(site, node={"version": forged}, path=str(site.root / "xeus-other-1.0"))
    main(["list", "--all", "--store", str(site.root)])
    rows = capsys.readouterr().out.splitlines()
    assert any("py-forged" in row for row in rows)
    assert not any(row.startswith("aaaaaaa") for row in rows)


class TestNames:
    """A kernel's name becomes a directory, so all writers use the same check for it."""

    BAD = (".", "..", "", "a/b", "/etc", "../x", ".hidden", "a b", "a\0b", "é", "x" * 201, "a\n")

    @pytest.mark.parametrize("name", BAD)
    def test_one_that_cannot_be(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        for act in (
            lambda: check_name(name),
            lambda: write_kernelspec(tmp_path, name, {"argv": []}, replace=True),
            lambda: remove_directory(tmp_path, name),
        ):
            with pytest.raises(KernelSpecError, match="is not a valid kernel name"):
                act()
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]

    def test_one_that_can_be(self) -> None:
        for name in ("a", "A-1.2_3", "spack-py-numpy-2.2.6-abc1234.ir", "x" * MAX_NAME_LENGTH):
            assert check_name(name) == name

    @pytest.mark.parametrize("name", [".", "..", "x/../.."])
    def test_install_replaces_no_directory(
        self,
        name: str,
        demo_store: DemoStore,
        jupyter_home: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        kernels = jupyter_home / "data" / "kernels"
        (kernels / "other").mkdir(parents=True)
        argv = ["install", "--user", "--store", str(demo_store.root), "--no-spack", "--replace"]
        assert main([*argv, "--name", name, "py-libensemble"]) == 1
        assert "is not a valid kernel name" in capsys.readouterr().err
        assert (kernels / "other").is_dir()


class TestPermissions:
    def install(self, demo_store: DemoStore, prefix: Path, umask: int) -> Any:
        before = os.umask(umask)
        try:
            words = ["--store", str(demo_store.root), "--prefix", str(prefix), "--no-spack"]
            assert main(["install", *words, "--name", "pub", "py-libensemble"]) == 0
        finally:
            os.umask(before)
        return [prefix / "share", *(prefix / "share").rglob("*")]

    def test_what_is_published_can_be_read(
        self, demo_store: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for path in self.install(demo_store, tmp_path, 0o022):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o755 if path.is_dir() else 0o644)
        assert "cannot read" not in capsys.readouterr().err

    def test_a_umask_that_keeps_others_out_is_told_with_what_mends_it(
        self, demo_store: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paths = self.install(demo_store, tmp_path, 0o077)
        assert stat.S_IMODE(paths[0].stat().st_mode) == 0o700
        told = capsys.readouterr().err
        assert f"warning: other users cannot read {tmp_path}/share" in told
        command = told.split("`")[1]
        subprocess.run(command, shell=True, check=True)
        for path in paths:
            needed = 0o005 if path.is_dir() else 0o004
            assert path.stat().st_mode & needed == needed

    def test_nobody_else_can_ever_write(self, demo_store: DemoStore, tmp_path: Path) -> None:
        for path in self.install(demo_store, tmp_path, 0o000):
            assert not path.stat().st_mode & 0o022, path


@needs_root
class TestAsRoot:
    """Root runs a store's Python or spack with the privileges of the user who can change it."""

    def public(self, tmp_path: Path) -> Path:
        for path in (tmp_path, *tmp_path.parents):
            if path != Path("/tmp") and path.stat().st_uid == 0 and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o755)
        return tmp_path

    def test_who_can_change_a_program(self, tmp_path: Path) -> None:
        program = tmp_path / "bin" / "python"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        assert run_as(program) is None
        os.chown(program, 12345, 12345)
        user = run_as(program)
        assert user is not None
        assert user.uid == 12345
        os.chown(program, 0, 0)
        os.chown(program.parent, 12345, 12345)
        user = run_as(program)
        assert user is not None
        assert user.uid == 12345
        os.chown(program.parent, 0, 0)
        program.parent.chmod(0o777)
        user = run_as(program)
        assert user is not None
        assert user.uid not in (0, 12345), "nobody"
        program.parent.chmod(0o1777)
        assert run_as(program) is None, "in a sticky directory nobody replaces root's files"
        link = tmp_path / "link"
        link.symlink_to(program)
        os.lchown(link, 12345, 12345)
        user = run_as(link)
        assert user is not None
        assert user.uid == 12345, "whoever owns the link chooses the program"

    def test_a_python_of_somebody_else_does_not_run_as_root(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from spack_kernel.kernels.interpreters.probe import probe

        self.public(tmp_path)
        monkeypatch.setenv("SECRET_TOKEN", "of root")
        seen = tmp_path / "seen"
        seen.mkdir()
        seen.chmod(0o777)
        python = tmp_path / "python"
        python.write_text(
            f'#!/bin/sh\nid -u > {seen}/uid\nenv > {seen}/env\nexec /usr/bin/python3 "$@"\n'
        )
        python.chmod(0o755)
        os.chown(python, 12345, 12345)
        assert probe(str(python)).version
        assert (seen / "uid").read_text() == "12345\n"
        assert "of root" not in (seen / "env").read_text()

    def test_check_refuses_and_says_as_whom_to_check(
        self,
        demo_store: DemoStore,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        store = ClonedStore(demo_store, tmp_path / "store")
        prefix = Path(store.records[store.hash("python-venv")]["path"])
        os.lchown(prefix, 12345, 12345)
        self.public(tmp_path)
        words = ["check", "--store", str(store.root), "py-libensemble"]
        assert main(words) == 1
        told = capsys.readouterr().err
        assert "root must not start the Python of py-libensemble@1.5.0/" in told or "run" in told
        assert "12345" in told
