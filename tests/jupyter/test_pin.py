"""Notebooks that name the spec they need: writing, reading, checking and starting it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from nbclient import NotebookClient

from spack_kernel.cli import main
from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.errors import NotebookError
from spack_kernel.jupyter.kernelspecs.names import NOTEBOOK_NAME
from spack_kernel.jupyter.notebook import (
    NotebookSpec,
    notebook_path,
    read_notebook_spec,
    write_notebook_spec,
)
from tests.demo_versions import NUMPY, OTHER_NUMPY

pytestmark = pytest.mark.usefixtures("jupyter_home")

HASH = "abcdefghijklmnopqrstuvwxyz234567"
SPEC = NotebookSpec("py-numpy@2:", HASH)


def notebook(path: Path, indent: int | None = 1, **metadata: Any) -> Path:
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": ['print("{} [] ü")\n', '"metadata": {'],
    }
    content = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n")
    return path


class TestWriting:
    @pytest.mark.parametrize("indent", [None, 0, 1, 2, 4])
    def test_every_byte_outside_the_metadata_stays(
        self, tmp_path: Path, indent: int | None
    ) -> None:
        path = notebook(tmp_path / "n.ipynb", indent, language_info={"name": "python"}, zoo=[1, {}])
        before = path.read_bytes()
        write_notebook_spec(path, SPEC)
        written = path.read_bytes()
        assert written != before
        assert read_notebook_spec(path) == SPEC
        assert json.loads(written)["metadata"]["zoo"] == [1, {}]
        assert json.loads(written)["metadata"]["kernelspec"]["name"] == NOTEBOOK_NAME
        write_notebook_spec(path, None)
        assert json.loads(path.read_text()) == json.loads(before)
        # Formatted as Jupyter does, so that a diff of the notebook shows nothing else.
        if indent == 1:
            write_notebook_spec(path, SPEC)
            assert path.read_text() == nbformat.writes(nbformat.read(path, 4)) + "\n"

    def test_windows_lines_stay(self, tmp_path: Path) -> None:
        path = notebook(tmp_path / "n.ipynb")
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        write_notebook_spec(path, SPEC)
        content = path.read_bytes()
        assert content.count(b"\n") == content.count(b"\r\n")
        assert read_notebook_spec(path) == SPEC

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.dictionaries(
            st.text(max_size=5).filter(lambda key: key not in ("spack", "kernelspec")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3)
                ),
                max_leaves=6,
            ),
            max_size=4,
        ),
        st.sampled_from([None, 0, 1, 3]),
        st.booleans(),
    )
    def test_any_metadata_is_kept(
        self, tmp_path: Path, metadata: dict[str, Any], indent: int | None, ascii_only: bool
    ) -> None:
        path = tmp_path / "any.ipynb"
        content = {"nbformat": 4, "metadata": metadata, "cells": [{"metadata": {"spack": 1}}]}
        path.write_text(json.dumps(content, indent=indent, ensure_ascii=ascii_only), "utf-8")
        write_notebook_spec(path, SPEC, set_kernel=False)
        written = json.loads(path.read_text("utf-8"))
        assert written["metadata"].pop("spack") == SPEC.as_dict()
        assert written == content

    def test_one_without_metadata_gets_some(self, tmp_path: Path) -> None:
        path = tmp_path / "n.ipynb"
        for text in ('{"nbformat": 4, "cells": []}', '{\n "nbformat": 4,\n "cells": []\n}'):
            path.write_text(text)
            write_notebook_spec(path, SPEC)
            assert read_notebook_spec(path) == SPEC
            assert json.loads(path.read_text())["cells"] == []

    def test_the_mode_and_a_link_stay(self, tmp_path: Path) -> None:
        path = notebook(tmp_path / "n.ipynb")
        path.chmod(0o640)
        link = tmp_path / "link.ipynb"
        link.symlink_to(path)
        write_notebook_spec(link, SPEC)
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert read_notebook_spec(path) == SPEC
        assert {each.name for each in tmp_path.iterdir()} >= {"n.ipynb", "link.ipynb"}
        assert not list(tmp_path.glob(".n.ipynb*"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
    def test_one_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        path = notebook(tmp_path / "n.ipynb")
        tmp_path.chmod(0o500)
        with pytest.raises(NotebookError, match="cannot be written: Permission denied"):
            write_notebook_spec(path, SPEC)


class TestReading:
    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("py-numpy", "metadata.spack of n.ipynb is not an object"),
            ({}, "metadata.spack of n.ipynb needs either `spec` and `hash`, or `specs`"),
            ({"spec": 7}, "has an invalid value for `spec`: 7"),
            ({"specs": [7]}, "has an invalid value for `specs`: [7]"),
            ({"spec": "a", "specs": ["b"]}, "needs either `spec` and `hash`, or `specs`"),
            ({"hash": "../../etc"}, "has an invalid hash: '../../etc'"),
        ],
    )
    def test_what_it_says_wrongly(self, tmp_path: Path, said: Any, told: str) -> None:
        path = notebook(tmp_path / "n.ipynb", spack=said)
        with pytest.raises(NotebookError) as error:
            read_notebook_spec(path)
        assert told in error.value.summary
        assert error.value.hint == f"`spack-kernel pin {path} QUERY` rewrites it."

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "is not a notebook"),
            ("[]", "is not a notebook"),
            ('{"metadata": {}, "nbformat": 3}', "is a notebook of format 3, which is too old"),
            ('{"metadata": {}, "nbform', "is not a notebook"),
        ],
    )
    def test_what_is_no_notebook(self, tmp_path: Path, text: str, told: str) -> None:
        path = tmp_path / "n.ipynb"
        path.write_text(text)
        with pytest.raises(NotebookError, match=told):
            read_notebook_spec(path)
        with pytest.raises(NotebookError, match=told):
            write_notebook_spec(path, SPEC)
        assert path.read_text() == text

    def test_one_that_is_not_saved(self, tmp_path: Path) -> None:
        with pytest.raises(NotebookError, match="No such file") as told:
            read_notebook_spec(tmp_path / "Untitled.ipynb")
        assert told.value.hint == "Save the notebook first."


class TestWhichNotebook:
    def test_the_session_of_the_front_end(self, tmp_path: Path) -> None:
        at = str(tmp_path / "a.ipynb")
        environ = {"JPY_SESSION_NAME": at, "SPACK_KERNEL_NOTEBOOK": "/other.ipynb"}
        assert notebook_path(environ, told=True) == Path(at)

    def test_a_session_that_was_inherited_is_that_of_another_kernel(self) -> None:
        with pytest.raises(NotebookError, match="did not pass the path of the notebook"):
            notebook_path({"JPY_SESSION_NAME": "/around.ipynb"}, told=False)
        environ = {"JPY_SESSION_NAME": "/around.ipynb", "SPACK_KERNEL_NOTEBOOK": "/mine.ipynb"}
        assert notebook_path(environ, told=False) == Path("/mine.ipynb")

    def test_a_path_of_the_server_lies_in_the_kernels_directory(self, tmp_path: Path) -> None:
        environ = {"JPY_SESSION_NAME": "deep/er/a.ipynb"}
        assert notebook_path(environ, told=True, directory=tmp_path) == tmp_path / "a.ipynb"

    def test_none(self) -> None:
        with pytest.raises(NotebookError) as told:
            notebook_path({}, told=True)
        assert "Set SPACK_KERNEL_NOTEBOOK to the notebook's path" in told.value.hint


class TestCommand:
    @pytest.fixture
    def pin(self, demo_store: DemoStore, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo_store.root))
        return lambda *words: main(["pin", *map(str, words)])

    def test_from_a_query_to_a_result(
        self,
        pin: Any,
        demo_store: DemoStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "with blank.ipynb"
        cells = [nbformat.v4.new_code_cell("import numpy; numpy.__version__")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        assert pin(path, f"py-numpy@{OTHER_NUMPY}") == 0
        key = demo_store.hash(f"py-numpy@{OTHER_NUMPY}")
        assert capsys.readouterr().out == (
            f"{path} now needs py-numpy@{OTHER_NUMPY} /{key[:7]}\n"
            "If it is open, reload it and restart its kernel.\n"
        )
        assert pin("--check", path) == 0
        assert f"found py-numpy@{OTHER_NUMPY}/{key[:7]}" in capsys.readouterr().out
        assert pin("--install-kernel", "--user") == 0
        monkeypatch.setenv("SPACK_KERNEL_NOTEBOOK", str(path))
        content = nbformat.read(path, 4)
        NotebookClient(content, timeout=120).execute()
        assert content.cells[0].outputs[0]["data"]["text/plain"] == f"'{OTHER_NUMPY}'"

    def test_several_specs(
        self, pin: Any, demo_store: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = notebook(tmp_path / "n.ipynb")
        assert pin("--json", path, f"py-numpy@{NUMPY}", "py-libensemble") == 0
        numpy, ensemble = map(demo_store.hash, (f"py-numpy@{NUMPY}", "py-libensemble"))
        expected = [f"py-numpy/{numpy}", f"py-libensemble/{ensemble}"]
        assert json.loads(capsys.readouterr().out) == {"notebook": str(path), "specs": expected}
        assert pin("--json", "--check", path) == 0
        assert len(json.loads(capsys.readouterr().out)["found"]) == 2

    def test_the_query_alone(
        self, pin: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = notebook(tmp_path / "n.ipynb", kernelspec={"name": "python3"})
        assert pin("--no-hash", "--keep-kernel", path, "py-libensemble") == 0
        assert read_notebook_spec(path) == NotebookSpec("py-libensemble")
        assert json.loads(path.read_text())["metadata"]["kernelspec"] == {"name": "python3"}
        capsys.readouterr()
        assert pin(path) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"{path} needs py-libensemble",
            "  spack-kernel show py-libensemble",
        ]
        assert pin("--remove", path) == 0
        assert "spack" not in json.loads(path.read_text())["metadata"]

    def test_what_is_not_here(
        self, pin: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = notebook(tmp_path / "n.ipynb", spack=SPEC.as_dict())
        assert pin("--check", path) == 1
        words = capsys.readouterr().err
        assert words.startswith("error: n.ipynb needs py-numpy@2: /abcdefg: ")
        assert f"  spack-kernel pin {path} QUERY" in words

    @pytest.mark.parametrize(
        ("query", "told"),
        [
            ("py-nothing", "error: "),
            ("py-numpy", "error: "),
            ("py-numpy@@", "error: "),
        ],
    )
    def test_what_cannot_be_pinned_changes_nothing(
        self, pin: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], query: str, told: str
    ) -> None:
        path = notebook(tmp_path / "n.ipynb")
        before = path.read_bytes()
        assert pin(path, query) == 1
        assert capsys.readouterr().err.startswith(told)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ([], "no notebook given: give the path of a NOTEBOOK"),
            (["--check", "n.ipynb", "py-numpy"], "--check takes no QUERY"),
            (["--install-kernel", "n.ipynb"], "--install-kernel takes no NOTEBOOK"),
        ],
    )
    def test_usage(
        self, pin: Any, capsys: pytest.CaptureFixture[str], words: list[str], told: str
    ) -> None:
        assert pin(*words) == 2
        assert told in capsys.readouterr().err

    def test_exec_starts_what_the_notebook_says(
        self, pin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_store: DemoStore
    ) -> None:
        path = notebook(tmp_path / "n.ipynb")
        assert pin(path, f"py-numpy@{OTHER_NUMPY}") == 0
        command = [sys.executable, "-m", "spack_kernel", "exec", "--from-notebook", "--"]
        code = "import numpy; print(numpy.__version__)"
        result = subprocess.run(
            [*command, "python", "-c", code],
            env={**os.environ, "JPY_SESSION_NAME": str(path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stdout) == (0, f"{OTHER_NUMPY}\n"), result.stderr


@pytest.mark.parametrize("kind", ["fifo", "device", "giant", "directory"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "giant":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        path.mkdir()
    with pytest.raises(
        NotebookError, match=r"cannot be read: (it is (not a regular file|larger)|Is a directory)"
    ):
        read_notebook_spec(path)
