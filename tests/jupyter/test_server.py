"""A real Jupyter Server: its REST responses when a kernel cannot start or restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.jupyter.conftest import WriteKernel, execute, use_directories
from tests.jupyter.server import Server


@pytest.fixture(scope="module")
def jupyter_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the directories of this module's server."""
    with pytest.MonkeyPatch.context() as patch:
        yield use_directories(tmp_path_factory.mktemp("server") / "jupyter", patch)


@pytest.fixture(scope="module")
def server(jupyter_home: Path) -> Iterator[Server]:
    running = Server(jupyter_home)
    yield running
    running.stop()


@pytest.fixture
def kernel(write_kernel: WriteKernel, demo_store: DemoStore, tmp_path: Path) -> Path:
    """Return a link to the demo store; the kernel `good` starts through it, `bad` does not."""
    link = tmp_path / "store"
    link.symlink_to(demo_store.root)
    write_kernel("good", hash=demo_store.hash("py-libensemble"), store=str(link))
    write_kernel("bad", specs=["py-numpy %gcc@1:", "py-a"], spec="100%", store=str(link))
    return link


EXPECTED = (
    "the kernelspec has `specs` and also `spec` or `hash`\n"
    "  requested by {home}/data/kernels/bad/kernel.json\n"
    "Keep `specs` for several, or `spec` and `hash` for one."
)


def test_a_first_start_that_fails_answers_with_our_text(
    server: Server, kernel: Path, jupyter_home: Path
) -> None:
    text = EXPECTED.format(home=jupyter_home)
    status, answer = server.request("POST", "api/kernels", {"name": "bad"})
    assert (status, answer["message"]) == (500, text)
    session = {"name": "n", "path": "n.ipynb", "type": "notebook", "kernel": {"name": "bad"}}
    status, answer = server.request("POST", "api/sessions", session)
    assert (status, answer["message"]) == (500, text)
    assert server.request("GET", "api/kernels") == (200, [])
    assert server.request("GET", "api/sessions") == (200, [])
    assert list((jupyter_home / "runtime").glob("kernel-*.json")) == []


def test_percent_signs_reach_the_browser_as_they_are(
    server: Server, write_kernel: WriteKernel, kernel: Path
) -> None:
    write_kernel("percent", spec="py-x", stroe="%gcc@12 100%")
    write_kernel("percent", **{"spec": "py-x", "a%b%s": 1})
    for path, body in (
        ("api/kernels", {"name": "percent"}),
        (
            "api/sessions",
            {"name": "n", "path": "p.ipynb", "type": "notebook", "kernel": {"name": "percent"}},
        ),
    ):
        _, answer = server.request("POST", path, body)
        assert answer["message"].startswith("the kernelspec has an unknown key `a%b%s` in kernel_")
    assert "Traceback" not in server.log.read_text().partition("--- Logging error ---")[2]
    assert "--- Logging error ---" not in server.log.read_text()


def test_a_change_of_kernel_that_fails_answers_with_our_text(
    server: Server, kernel: Path, jupyter_home: Path
) -> None:
    body = {"name": "n", "path": "n.ipynb", "type": "notebook", "kernel": {"name": "good"}}
    status, session = server.request("POST", "api/sessions", body)
    assert status == 201
    status, answer = server.request(
        "PATCH", f"api/sessions/{session['id']}", {"kernel": {"name": "bad"}}
    )
    assert status == 501
    assert answer["message"].endswith(EXPECTED.format(home=jupyter_home))
    _, kernels = server.request("GET", "api/kernels")
    assert [entry["name"] for entry in kernels] == ["good"]
    assert server.request("DELETE", f"api/sessions/{session['id']}") == (204, None)


def test_a_restart_that_fails_is_told_in_the_notebook(
    server: Server, kernel: Path, demo_store: DemoStore
) -> None:
    status, model = server.request("POST", "api/kernels", {"name": "good"})
    assert status == 201
    client = server.client(model["id"])
    assert execute(client, "import libensemble; print('ok')").endswith("ok")
    kernel.unlink()
    status, answer = server.request("POST", f"api/kernels/{model['id']}/restart")
    assert (status, answer["id"]) == (200, model["id"])
    client.wait_for_ready(timeout=60)
    text = execute(client, "1 + 1")
    assert str(kernel) in text.splitlines()[0]
    assert "  requested by " in text

    kernel.symlink_to(demo_store.root)
    status, _ = server.request("POST", f"api/kernels/{model['id']}/restart")
    assert status == 200
    client.wait_for_ready(timeout=60)
    assert execute(client, "print(1 + 1)") == "2"
    client.stop_channels()
    assert server.request("DELETE", f"api/kernels/{model['id']}") == (204, None)


def test_with_pending_kernels_the_log_carries_the_text(jupyter_home: Path, kernel: Path) -> None:
    """With use_pending_kernels, a request does not raise an error; the text is in the log."""
    server = Server(jupyter_home, "--MappingKernelManager.use_pending_kernels=True")
    try:
        status, model = server.request("POST", "api/kernels", {"name": "bad"})
        assert status == 201
        text = server.log.read_text()
        deadline = time.monotonic() + 20
        while "KernelStartError" not in text and time.monotonic() < deadline:
            time.sleep(0.1)
            text = server.log.read_text()
        assert EXPECTED.format(home=jupyter_home).splitlines()[0] in text
        assert server.request("DELETE", f"api/kernels/{model['id']}")[0] in (204, 404)
    finally:
        server.stop()


def test_a_server_that_ends_takes_its_kernels_along(kernel: Path, jupyter_home: Path) -> None:
    server = Server(jupyter_home)
    _, model = server.request("POST", "api/kernels", {"name": "good"})
    client = server.client(model["id"])
    pid = int(execute(client, "import os; print(os.getpid())"))
    client.stop_channels()
    server.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert list((jupyter_home / "runtime").glob("kernel-*")) == []


def test_a_server_ends_after_a_start_that_failed(kernel: Path, jupyter_home: Path) -> None:
    running = Server(jupyter_home)
    status, _ = running.request("POST", "api/kernels", {"name": "good"})
    assert status == 201
    status, _ = running.request("POST", "api/kernels", {"name": "bad"})
    assert status == 500
    kernel.unlink()
    status, _ = running.request("POST", "api/kernels", {"name": "good"})
    assert status == 500
    running.stop()


@pytest.mark.parametrize(
    ("argv", "env", "said"),
    [
        ([], {}, "the kernelspec has no command: its `argv` is empty"),
        (["python", "-c", "a\0b"], {}, "the kernel cannot be started: embedded null byte"),
        (None, {"A=B": "x"}, "the kernelspec has a variable in `env` that no process can have"),
    ],
)
def test_what_no_system_can_start_is_told(
    server: Server,
    write_kernel: WriteKernel,
    kernel: Path,
    jupyter_home: Path,
    argv: list[str] | None,
    env: dict[str, str],
    said: str,
) -> None:
    write_kernel("odd", argv, kernel_env=env, spec="py-libensemble", store=str(kernel))
    status, answer = server.request("POST", "api/kernels", {"name": "odd"})
    assert (status, answer["message"].partition("\n")[0]) == (500, said)
    assert list((jupyter_home / "runtime").glob("kernel-*.json")) == []
