"""The REST interface of the picker, in a real server, as a browser and as a script use it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.spack import Store
from tests.demo_versions import NUMPY, OTHER_NUMPY
from tests.hanging_store import HangingStore
from tests.jupyter.conftest import use_directories
from tests.jupyter.http import send
from tests.jupyter.server import TOKEN, Server
from tests.made_environment import make_environment
from tests.small_store import SmallStore


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = use_directories(tmp_path_factory.mktemp("picker") / "jupyter", patch)
        patch.delenv("JUPYTER_NO_CONFIG")
        yield place


def configured(home: Path, *lines: str) -> Server:
    (home / "config" / "jupyter_server_config.py").write_text("\n".join(lines))
    return Server(home)


@pytest.fixture(scope="module")
def server(home: Path, demo_store: DemoStore) -> Iterator[Server]:
    running = configured(home, f"c.SpackPicker.stores = [{str(demo_store.root)!r}]")
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server with lines of configuration."""
    monkeypatch.delenv("JUPYTER_NO_CONFIG", raising=False)
    running: list[Server] = []

    def start(*lines: str) -> Server:
        place = use_directories(tmp_path / f"server{len(running)}", monkeypatch)
        monkeypatch.delenv("JUPYTER_NO_CONFIG")
        running.append(configured(place, *lines))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def ask(server: Server, path: str, **query: Any) -> tuple[int, Any]:
    return server.request("GET", f"spack-kernel/{path}?{urlencode(query, doseq=True)}")


def found(answer: Any) -> dict[str, list[str]]:
    return {g["package"]: [row["version"] for row in g["rows"]] for g in answer["groups"]}


def test_installing_the_package_enables_the_extension(server: Server) -> None:
    status, health = ask(server, "health")
    assert status == 200
    assert health["why_not"] == ""
    assert len(health["stores"]) == 1


def test_search_and_pages(server: Server) -> None:
    status, answer = ask(server, "search", text="numpy")
    assert status == 200
    assert found(answer) == {"py-numpy": [NUMPY, OTHER_NUMPY]}
    seen, cursor = [], ""
    for _ in range(20):
        _, page = ask(server, "search", text="^python", cursor=cursor, limit=7)
        seen += [row["hash"] for group in page["groups"] for row in group["rows"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == page["total"] > 30


def test_complete(server: Server) -> None:
    status, answer = ask(server, "complete", text="py-numpy@")
    assert status == 200
    assert [item["text"] for item in answer["items"]] == [NUMPY, OTHER_NUMPY]
    assert (answer["start"], answer["end"]) == (9, 9)


def test_plan_says_what_would_start_and_how_to_do_it_in_a_shell(
    server: Server, demo_store: DemoStore
) -> None:
    status, answer = ask(server, "plan", query=f"py-numpy@{NUMPY}")
    assert status == 200
    assert answer["error"] is None
    assert answer["plan"]["ipykernel"]["from"] == "companion"
    names = {node["name"] for node in answer["nodes"]}
    assert {"py-numpy", "python"} <= names
    (root,) = answer["roots"]
    assert root in {node["hash"] for node in answer["nodes"]}
    assert answer["commands"]["load"] == f"spack load py-numpy/{root[:7]}"
    # The command runs as it is shown.
    words = answer["commands"]["exec"].split()
    command = [sys.executable, "-m", "spack_kernel", *words[1:], "-c", "import numpy; print(numpy)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert str(demo_store.root) in done.stdout, done.stderr


def test_several_specs_are_planned_together(server: Server) -> None:
    status, answer = ask(server, "plan", query=["py-matplotlib", "py-libensemble"])
    assert status == 200
    assert len(answer["roots"]) == 2
    assert answer["commands"]["load"].count("/") == 2


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("plan", {"query": "py-numpy"}, 409, "ambiguous"),
        ("plan", {"query": "py-nothing"}, 404, "no-match"),
        ("plan", {"query": "py-numpy@@"}, 400, "query-syntax"),
        ("plan", {}, 400, "kernelspec"),
        ("plan", {"environment": "./here"}, 400, "kernelspec"),
        ("plan", {"environment": "/no/such"}, 404, "environment-not-found"),
        ("search", {"limit": "many"}, 400, "kernelspec"),
        ("search", {"store": 7}, 400, "kernelspec"),
        ("search", {"text": "x" * 20_000}, 400, "kernelspec"),
        ("complete", {"text": "a", "position": -1}, 400, "kernelspec"),
        ("search", {"cursor": "abc"}, 400, "kernelspec"),
        ("search", {"text": "^python" * 50}, 400, "kernelspec"),
        ("plan", {"environment": "/" + "a" * 300}, 409, "unreadable"),
    ],
)
def test_errors_are_those_of_the_commands(
    server: Server, path: str, query: dict[str, Any], status: int, code: str
) -> None:
    got, answer = ask(server, path, **query)
    assert (got, answer["error"]["code"]) == (status, code)
    assert answer["message"].startswith(answer["error"]["summary"])
    assert "defect" not in answer["message"]


def test_a_kernel_is_chosen_kept_and_removed(server: Server, home: Path) -> None:
    body = {"queries": [f"py-numpy@{NUMPY}"]}
    status, chosen = server.request("POST", "spack-kernel/kernels", body)
    assert (status, chosen["kept"]) == (201, False)
    name = chosen["name"]
    # The recent ones are listed by this server alone, not by every program.
    assert name in server.request("GET", "api/kernelspecs")[1]["kernelspecs"]
    assert not (home / "data" / "kernels" / name).exists()
    started, kernel = server.request("POST", "api/kernels", {"name": name})
    assert started == 201, kernel
    server.request("DELETE", f"api/kernels/{kernel['id']}")

    status, kept = server.request("POST", "spack-kernel/kernels", {**body, "keep": True})
    assert (status, kept["kept"], kept["name"]) == (201, True, name)
    assert (home / "data" / "kernels" / name / "kernel.json").is_file()
    assert [kernel["name"] for kernel in ask(server, "kernels")[1]] == [name]
    again = server.request("POST", "spack-kernel/kernels", body)[1]
    assert again["kept"], "a kept kernel does not become a recent one as well"

    assert server.request("DELETE", f"spack-kernel/kernels/{name}")[0] == 200
    assert ask(server, "kernels")[1] == []
    status, answer = server.request("DELETE", f"spack-kernel/kernels/{name}")
    assert (status, answer["error"]["code"]) == (404, "no-such-kernel")


def test_a_kernel_in_a_job_is_one_of_its_own(
    own_server: Callable[..., Server],
    demo_store: DemoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "scontrol", "scancel"):  # looked for, and not run
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    server = own_server(
        f"c.SpackPicker.stores = [{str(demo_store.root)!r}]",
        'c.SpackSlurmProvisioner.slurm_limits = {"time": "8:00:00", "partition": ["cpu", "gpu"]}',
        'c.SpackSlurmProvisioner.slurm_locked = {"account": "physics"}',
    )
    fields = {field["name"]: field for field in ask(server, "health")[1]["slurm"]}
    assert fields["partition"]["choices"] == ["cpu", "gpu"]
    assert fields["time"]["most"] == "8:00:00"
    assert fields["account"] == {
        "name": "account",
        "value": "physics",
        "choices": [],
        "most": "",
        "locked": True,
    }
    body = {"queries": [f"py-numpy@{NUMPY}"]}
    here = server.request("POST", "spack-kernel/kernels", body)[1]
    slurm = {"partition": "gpu", "exclusive": True}
    status, there = server.request("POST", "spack-kernel/kernels", {**body, "slurm": slurm})
    assert status == 201
    assert there["name"] == f"{here['name']}-slurm"
    assert there["display_name"].endswith(" [Slurm: partition=gpu exclusive]")
    assert there["config"]["slurm"] == slurm
    again = {"kernel": there["name"], "keep": True}
    kept = server.request("POST", "spack-kernel/kernels", again)[1]
    assert (kept["kept"], kept["config"]["slurm"]) == (True, slurm)
    for wrong, told in (
        ({"time": "9:00:00"}, "at most 8:00:00 as `time`"),
        ({"account": "me"}, "sets the option `account`"),
        ({"tiem": "1"}, "Did you mean `time`?"),
    ):
        status, answer = server.request("POST", "spack-kernel/kernels", {**body, "slurm": wrong})
        assert (status, answer["error"]["code"]) == (400, "job-refused")
        assert told in answer["message"]


def test_without_slurm_no_kernel_runs_in_a_job(
    own_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = own_server()
    assert ask(server, "health")[1]["slurm"] is None
    body = {"queries": [f"py-numpy@{NUMPY}"], "slurm": {}}
    status, answer = server.request("POST", "spack-kernel/kernels", body)
    assert (status, answer["error"]["code"]) == (400, "job-refused")


def test_a_kernel_of_that_name_for_another_store_is_left_alone(
    server: Server, home: Path, demo_store: DemoStore
) -> None:
    """The name has the beginning of the hash, which specs of several stores can share."""
    body = {"queries": [f"py-numpy@{NUMPY}"], "keep": True}
    kept = server.request("POST", "spack-kernel/kernels", body)[1]
    file = home / "data" / "kernels" / kept["name"] / "kernel.json"
    theirs = json.loads(file.read_text())
    theirs["metadata"]["kernel_provisioner"]["config"]["store"] = "/another/store"
    file.write_text(json.dumps(theirs))
    for keep in (False, True):
        chosen = server.request("POST", "spack-kernel/kernels", {**body, "keep": keep})[1]
        assert chosen["name"].startswith(f"{kept['name']}-")
        assert chosen["config"]["store"] == str(demo_store.root)
    assert json.loads(file.read_text()) == theirs
    for name in (kept["name"], chosen["name"]):
        assert server.request("DELETE", f"spack-kernel/kernels/{name}")[0] == 200


def test_environments_of_one_name_are_two_kernels(
    server: Server, demo_store: DemoStore, tmp_path: Path
) -> None:
    store = Store.open(demo_store.root)
    names = []
    for version in (NUMPY, OTHER_NUMPY):
        roots = store.find(f"py-numpy@{version}")
        directory = make_environment(tmp_path / version / "project", roots, view=False)
        body = {"environment": str(directory)}
        status, chosen = server.request("POST", "spack-kernel/kernels", body)
        assert status == 201, chosen
        assert chosen["config"]["environment"] == str(directory)
        names.append(chosen["name"])
    assert len(set(names)) == 2
    for name in names:
        server.request("DELETE", f"spack-kernel/kernels/{name}")


def test_a_kernel_is_planned_and_chosen_again_as_it_is_recorded(
    server: Server, home: Path, demo_store: DemoStore
) -> None:
    chosen = server.request(
        "POST", "spack-kernel/kernels", {"queries": [f"py-numpy@{NUMPY}"], "name": "mine"}
    )[1]
    status, preview = ask(server, "plan", kernel="mine")
    assert (status, preview["error"]) == (200, None)
    assert preview["plan"]["hash"] == chosen["config"]["hash"]
    status, kept = server.request("POST", "spack-kernel/kernels", {"kernel": "mine", "keep": True})
    assert (status, kept["config"]) == (201, chosen["config"])
    server.request("DELETE", f"spack-kernel/kernels/{kept['name']}")
    server.request("DELETE", "spack-kernel/kernels/mine")
    status, answer = ask(server, "plan", kernel="mine")
    assert (status, answer["error"]["code"]) == (404, "no-such-kernel")


def test_many_specs_together_have_a_name_that_is_not_too_long(server: Server) -> None:
    _, found = ask(server, "search", text="^python", limit=14)
    rows = [row for group in found["groups"] for row in group["rows"]]
    body = {"queries": [f"{row['name']}/{row['hash']}" for row in rows]}
    status, chosen = server.request("POST", "spack-kernel/kernels", body)
    assert status == 201, chosen
    assert len(chosen["name"]) <= 200
    server.request("DELETE", f"spack-kernel/kernels/{chosen['name']}")


def test_twenty_choices_at_once(server: Server) -> None:
    """Of one kernel, and while the oldest recent ones are removed."""
    bodies = [{"queries": [f"py-numpy@{NUMPY}"], "name": f"n{number % 7}"} for number in range(60)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda body: server.request("POST", "spack-kernel/kernels", body), bodies)
        )
    assert {status for status, _ in answers} == {201}, [a for s, a in answers if s != 201][:1]
    for number in range(7):
        server.request("DELETE", f"spack-kernel/kernels/n{number}")
    assert ask(server, "kernels")[1] == []


def test_searches_at_once(own_server: Callable[..., Server], demo_store: DemoStore) -> None:
    """Also those that read the modules in the prefixes, for the first time."""
    server = own_server(f"c.SpackPicker.stores = [{str(demo_store.root)!r}]")
    texts = [f"nothing{number % 10}" for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda text: ask(server, "search", text=text), texts))
    assert {status for status, _ in answers} == {200}
    assert {answer["error"]["code"] for _, answer in answers} == {"no-match"}


def test_a_request_that_nobody_waits_for_leaves_no_traceback(
    own_server: Callable[..., Server], demo_store: DemoStore, tmp_path: Path
) -> None:
    server = own_server(f"c.SpackPicker.stores = [{str(demo_store.root)!r}]")
    place = urlsplit(server.url)
    for number in range(20):
        with socket.create_connection((place.hostname, place.port)) as connection:
            path = f"{place.path}spack-kernel/search?text=nothing{number}"
            head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n"
            connection.sendall(f"{head}Authorization: token {TOKEN}\r\n\r\n".encode())
            time.sleep(0.01)
    assert ask(server, "search", text="numpy")[0] == 200
    assert "Traceback" not in server.log.read_text()


def test_a_configuration_that_is_not_valid_switches_it_off(
    own_server: Callable[..., Server],
) -> None:
    server = own_server("c.SpackPicker.timeout = 0")
    assert "timeout" in ask(server, "health")[1]["why_not"]
    assert ask(server, "search")[0] == 403
    assert "the picker is off" in server.log.read_text()


def test_several_specs_make_one_kernel(server: Server) -> None:
    body = {"queries": ["py-matplotlib", "py-libensemble"], "display_name": "Both"}
    status, chosen = server.request("POST", "spack-kernel/kernels", body)
    assert (status, chosen["display_name"]) == (201, "Both")
    assert len(chosen["config"]["specs"]) == 2
    server.request("DELETE", f"spack-kernel/kernels/{chosen['name']}")


def test_the_notebooks_own_kernel_can_be_added(server: Server) -> None:
    body = {"from_notebook": True}
    status, chosen = server.request("POST", "spack-kernel/kernels", body)
    assert (status, chosen["name"]) == (201, "spack-notebook")
    assert "spack-notebook" in server.request("GET", "api/kernelspecs")[1]["kernelspecs"]
    server.request("DELETE", "spack-kernel/kernels/spack-notebook")


@pytest.mark.parametrize(
    "body",
    [
        {"queries": "py-numpy"},
        {"query": ["py-numpy"]},
        {"queries": []},
        {"queries": [f"py-numpy@{NUMPY}"], "name": "../../evil"},
        {"queries": [f"py-numpy@{NUMPY}"], "name": ".hidden"},
        {"view": "relative"},
        {"store": -1, "queries": ["py-numpy"]},
        {"queries": [f"py-numpy@{NUMPY}"], "display_name": "x" * 300},
        {"queries": [f"py-numpy@{NUMPY}"], "display_name": "two\nlines"},
        {"queries": [f"py-numpy@{NUMPY}"], "name": "python3"},
        {"queries": ["py-numpy"] * 50_000},
        {"from_notebook": True, "queries": ["py-numpy"]},
        [],
    ],
)
def test_what_is_not_a_choice_writes_nothing(server: Server, home: Path, body: Any) -> None:
    before = sorted((home / "data").rglob("*"))
    status, answer = server.request("POST", "spack-kernel/kernels", body)
    assert status == 400, answer
    assert sorted((home / "data").rglob("*")) == before


def test_a_kernelspec_of_somebody_else_is_not_replaced(server: Server, home: Path) -> None:
    theirs = home / "data" / "kernels" / "mine" / "kernel.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"argv": ["x"], "display_name": "mine"}')
    body = {"queries": [f"py-numpy@{NUMPY}"], "keep": True, "name": "mine"}
    status, answer = server.request("POST", "spack-kernel/kernels", body)
    assert (status, answer["error"]["code"]) == (400, "kernelspec")
    assert "mine" in theirs.read_text()
    assert server.request("DELETE", "spack-kernel/kernels/mine")[0] == 404
    assert theirs.is_file()


def test_only_authenticated_requests_are_answered(server: Server) -> None:
    for path in ("health", "search", "kernels", "openapi.json", "deaths", "starts"):
        assert send(f"{server.url}spack-kernel/{path}", "GET", "wrong")[0] == 403
    assert send(f"{server.url}spack-kernel/kernels", "POST", "wrong", {})[0] == 403


def test_a_page_of_another_site_cannot_write(server: Server) -> None:
    """A browser sends its cookie along, but not the token that a form lacks."""
    jar = urllib.request.HTTPCookieProcessor()
    opener = urllib.request.build_opener(jar)
    opener.open(f"{server.url}api/status?token={TOKEN}", timeout=30).read()
    request = urllib.request.Request(
        f"{server.url}spack-kernel/kernels",
        data=json.dumps({"queries": [f"py-numpy@{NUMPY}"]}).encode(),
        headers={"Origin": "http://evil.example", "Referer": "http://evil.example/"},
    )
    assert opener.open(f"{server.url}spack-kernel/health", timeout=30).status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=30)
    assert refused.value.code in (403, 404)


def test_a_death_is_told_with_its_signal(server: Server) -> None:
    body = {"queries": [f"py-numpy@{NUMPY}"]}
    chosen = server.request("POST", "spack-kernel/kernels", body)[1]
    _, kernel = server.request("POST", "api/kernels", {"name": chosen["name"]})
    client = server.client(kernel["id"])
    client.execute("import os; os.kill(os.getpid(), 9)")
    deadline = time.monotonic() + 60
    deaths: list[Any] = []
    while not deaths and time.monotonic() < deadline:
        time.sleep(0.2)
        deaths = ask(server, "deaths", kernel_id=kernel["id"])[1]
    client.stop_channels()
    server.request("DELETE", f"api/kernels/{kernel['id']}")
    server.request("DELETE", f"spack-kernel/kernels/{chosen['name']}")
    (death,) = deaths
    assert (death["action"], death["signal"], death["exit_status"]) == ("die", "SIGKILL", -9)
    assert death["spec"][0].startswith("py-numpy@")
    assert ask(server, "deaths", after=death["number"])[1] == []


def test_a_start_that_fails_is_told_of(server: Server, home: Path) -> None:
    body = {"queries": [f"py-numpy@{NUMPY}"]}
    chosen = server.request("POST", "spack-kernel/kernels", body)[1]
    file = home / "data" / "spack-kernel" / "kernels" / chosen["name"] / "kernel.json"
    content = json.loads(file.read_text())
    content["metadata"]["kernel_provisioner"]["config"] = {"hash": "a" * 32}
    file.write_text(json.dumps(content))
    status, _ = server.request("POST", "api/kernels", {"name": chosen["name"]})
    assert status == 500
    assert ask(server, "deaths")[1][0]["action"] == "refuse"
    deadline = time.monotonic() + 30
    while ask(server, "starts")[1] != []:  # a kernel of another test may be restarting
        assert time.monotonic() < deadline
    server.request("DELETE", f"spack-kernel/kernels/{chosen['name']}")


def test_an_administrator_can_switch_it_off(own_server: Callable[..., Server]) -> None:
    server = own_server("c.SpackPicker.enabled = False")
    assert ask(server, "health")[1]["why_not"]
    status, answer = ask(server, "search", text="numpy")
    assert (status, answer["error"]["code"]) == (403, "picker-off")


def test_a_list_of_allowed_kernels_is_respected(own_server: Callable[..., Server]) -> None:
    server = own_server('c.KernelSpecManager.allowed_kernelspecs = {"python3"}')
    status, answer = server.request("POST", "spack-kernel/kernels", {"queries": ["py-numpy"]})
    assert (status, answer["error"]["code"]) == (403, "picker-off")


def test_the_stores_of_discovery_are_searched(
    own_server: Callable[..., Server], tmp_path: Path, demo_store: DemoStore
) -> None:
    small = SmallStore(tmp_path / "other")
    small.add("py-only-here", "1.0")
    small.write()
    stores = [str(demo_store.root), str(small.root)]
    server = own_server(
        f"c.SpackKernelSpecManager.stores = {stores!r}",
        'c.SpackPicker.favourites = ["py-only-here"]',
    )
    assert ask(server, "health")[1]["stores"] == stores
    assert "py-only-here" not in found(ask(server, "search", text="only-here")[1])
    answer = ask(server, "search", store=1)[1]
    assert [(group["package"], group["found_by"]) for group in answer["groups"]] == [
        ("py-only-here", "favourite")
    ]


def test_without_a_store_the_error_says_where_it_was_looked_for(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    server = own_server("")
    status, answer = ask(server, "search", text="numpy")
    assert (status, answer["error"]["code"]) == (404, "store-not-found")
    assert answer["error"]["hint"]


def test_a_store_that_hangs_holds_up_nothing_else(
    own_server: Callable[..., Server], tmp_path: Path, demo_store: DemoStore
) -> None:
    hanging = HangingStore(demo_store, tmp_path / "sw")
    try:
        server = own_server(
            f"c.SpackPicker.stores = [{str(hanging.root)!r}, {str(demo_store.root)!r}]",
            "c.SpackPicker.timeout = 2.0",
        )
        assert ask(server, "search", text="numpy")[0] == 200
        hanging.hang()
        status, answer = ask(server, "search", text="scipy")
        assert (status, answer["error"]["code"]) == (504, "store-slow")
        assert str(hanging.root) in answer["message"]
        began = time.monotonic()
        assert ask(server, "search", text="numpy", store=1)[0] == 200
        assert ask(server, "health")[0] == 200
        assert time.monotonic() - began < 2
        hanging.recover()
        deadline = time.monotonic() + 30
        while ask(server, "search", text="scipy")[0] != 200:
            assert time.monotonic() < deadline
    finally:
        hanging.unmount()


def test_a_store_that_changes_is_searched_as_it_is(
    own_server: Callable[..., Server], tmp_path: Path
) -> None:
    small = SmallStore(tmp_path / "sw")
    small.add("py-first", "1.0")
    small.write()
    server = own_server(f"c.SpackPicker.stores = [{str(small.root)!r}]")
    assert list(found(ask(server, "search", text="")[1])) == ["py-first"]
    small.add("py-second", "1.0")
    small.write()
    assert list(found(ask(server, "search", text="")[1])) == ["py-first", "py-second"]
    (small.root / ".spack-db").rename(small.root / "away")
    assert ask(server, "search", text="")[0] == 404
    (small.root / "away").rename(small.root / ".spack-db")
    assert ask(server, "search", text="")[0] == 200


def test_what_is_found_is_what_the_store_finds(server: Server, demo_store: DemoStore) -> None:
    specs = Store.open(demo_store.root).find("^python")
    _, answer = ask(server, "search", text="^python", limit=200)
    rows = [row["hash"] for group in answer["groups"] for row in group["rows"]]
    assert set(rows) == {spec.hash for spec in specs}
