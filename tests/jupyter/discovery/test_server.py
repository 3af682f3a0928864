"""A real Jupyter Server with the kernels of a store, queried as JupyterLab queries it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.demo import DemoStore
from tests.demo_versions import NUMPY, OTHER_NUMPY
from tests.jupyter.conftest import execute, use_directories
from tests.jupyter.server import TOKEN, Server

CONFIG = """
c.ServerApp.kernel_spec_manager_class = "spack_kernel.jupyter.discovery.SpackKernelSpecManager"
c.SpackKernelSpecManager.stores = [{store!r}]
c.SpackKernelSpecManager.queries = ["py-numpy", "py-libensemble"]
c.SpackKernelSpecManager.refresh_interval = 0.0
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = use_directories(tmp_path_factory.mktemp("server") / "jupyter", patch)
        patch.delenv("JUPYTER_NO_CONFIG")
        yield place


@pytest.fixture(scope="module")
def server(home: Path, demo_store: DemoStore) -> Iterator[Server]:
    config = CONFIG.format(store=str(demo_store.root))
    (home / "config" / "jupyter_server_config.py").write_text(config)
    running = Server(home)
    yield running
    running.stop()


def fetch(server: Server, path: str) -> tuple[str, bytes]:
    """Fetch a path as a browser does and return the content type and the content."""
    root = server.url.split("/", 3)
    request = urllib.request.Request(
        "/".join(root[:3]) + path, headers={"Authorization": f"token {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers["Content-Type"], response.read()


def session(server: Server, home: Path, notebook: str, kernel: str) -> tuple[int, Any]:
    body = {
        "path": notebook,
        "name": Path(notebook).name,
        "type": "notebook",
        "kernel": {"name": kernel},
    }
    return server.request("POST", "api/sessions", body)


def write_notebook(home: Path, name: str, **metadata: Any) -> Path:
    path = home / "home" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    return path


def test_the_list_has_the_selection_with_logos(server: Server, demo_store: DemoStore) -> None:
    status, answer = server.request("GET", "api/kernelspecs")
    assert status == 200
    numpy = f"spack-py-numpy-{NUMPY}-{demo_store.hash(f'py-numpy@{NUMPY}')[:7]}"
    kernels = answer["kernelspecs"]
    offered = {name for name in kernels if name.startswith("spack-py-")}
    assert len(offered) == 3
    assert numpy in offered
    assert {"python3", "spack-notebook"} < set(kernels)
    assert kernels[numpy]["spec"]["language"] == "python"
    for logo in kernels[numpy]["resources"].values():
        kind, content = fetch(server, logo)
        assert kind.startswith("image/")
        assert content
    status, one = server.request("GET", f"api/kernelspecs/{numpy}")
    assert (status, one["spec"]) == (200, kernels[numpy]["spec"])
    assert one["resources"] == kernels[numpy]["resources"]


def test_one_that_is_not_listed_computes_by_its_name(
    server: Server, home: Path, demo_store: DemoStore
) -> None:
    name = f"spack-py-pydantic-{demo_store.hash('py-pydantic')[:7]}"
    assert name not in server.request("GET", "api/kernelspecs")[1]["kernelspecs"]
    status, answer = session(server, home, "any.ipynb", name)
    assert status == 201, answer
    client = server.client(answer["kernel"]["id"])
    assert execute(client, "import pydantic; print(1 + 1)") == "2"
    client.stop_channels()
    server.request("DELETE", f"api/sessions/{answer['id']}")


def test_one_that_no_store_has_is_not_there(server: Server, home: Path) -> None:
    status, answer = server.request("GET", f"api/kernelspecs/spack-py-numpy-{NUMPY}-aaaaaaa")
    assert status == 404
    status, answer = session(server, home, "any.ipynb", f"spack-py-numpy-{NUMPY}-aaaaaaa")
    assert status == 501
    assert f"spack-py-numpy-{NUMPY}-aaaaaaa" in answer["message"]


class TestChosenByTheNotebook:
    @pytest.mark.parametrize("name", ["analysis.ipynb", "deep/er/with blank.ipynb"])
    def test_it_starts_what_the_notebook_says(
        self, server: Server, home: Path, demo_store: DemoStore, name: str
    ) -> None:
        old = demo_store.hash(f"py-numpy@{OTHER_NUMPY}")
        write_notebook(home, name, spack={"spec": f"py-numpy@{OTHER_NUMPY}", "hash": old})
        status, answer = session(server, home, name, "spack-notebook")
        assert status == 201, answer
        client = server.client(answer["kernel"]["id"])
        assert execute(client, "import numpy; print(numpy.__version__)") == OTHER_NUMPY
        client.stop_channels()
        server.request("DELETE", f"api/sessions/{answer['id']}")

    def test_one_that_says_nothing_is_told_what_to_type(self, server: Server, home: Path) -> None:
        path = write_notebook(home, "silent.ipynb")
        status, answer = session(server, home, "silent.ipynb", "spack-notebook")
        assert status == 500
        assert answer["message"] == (
            "silent.ipynb does not name the spec it needs\n"
            "Save the notebook, and write the spec into it:\n"
            f"  spack-kernel pin {path} QUERY\n"
            "`spack-kernel list` shows what is installed. Then reload the notebook."
        )

    def test_one_from_another_site_says_what_is_missing_and_what_is_here(
        self, server: Server, home: Path
    ) -> None:
        path = write_notebook(home, "far.ipynb", spack={"spec": "py-numpy", "hash": "a" * 32})
        status, answer = session(server, home, "far.ipynb", "spack-notebook")
        assert status == 500
        first, *rest = answer["message"].splitlines()
        assert first.startswith("far.ipynb needs py-numpy /aaaaaaa: ")
        assert any(f"py-numpy@{OTHER_NUMPY}/" in line for line in rest)
        assert rest[-2:] == [
            "Install the spec it needs, or choose an installed one (`spack-kernel list`):",
            f"  spack-kernel pin {path} QUERY",
        ]

    def test_a_notebook_names_no_store_and_no_command(
        self, server: Server, home: Path, tmp_path: Path
    ) -> None:
        write_notebook(
            home,
            "evil.ipynb",
            spack={"spec": f"py-numpy@{OTHER_NUMPY}", "store": str(tmp_path), "env": {"X": "1"}},
        )
        status, answer = session(server, home, "evil.ipynb", "spack-notebook")
        assert status == 201, answer
        client = server.client(answer["kernel"]["id"])
        assert execute(client, "import os; print(os.environ.get('X'))") == "None"
        client.stop_channels()
        server.request("DELETE", f"api/sessions/{answer['id']}")

    def test_a_console_has_no_notebook(self, server: Server) -> None:
        status, answer = server.request(
            "POST",
            "api/sessions",
            {
                "path": "console-1",
                "name": "console",
                "type": "console",
                "kernel": {"name": "spack-notebook"},
            },
        )
        assert status == 500
        assert "is not a notebook\nPick the kernel of a spec." in answer["message"]


@pytest.mark.parametrize(
    "name", ["spack-py-nothing-1.0-abcdefg", "no-such-kernel", "spack-py-numpy-9.9-zzzzzzz"]
)
def test_a_name_of_no_kernel_is_told_in_words(server: Server, name: str) -> None:
    status, answer = server.request("POST", "api/kernels", {"name": name})
    assert status == 404
    assert answer["message"].startswith(f"No such kernel named {name}: ")
    assert "`" in answer["message"].splitlines()[-1], "what to type"
