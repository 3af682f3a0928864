"""`check --site`: what a server of a site needs, as its configuration files describe it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from spack_kernel.spack.database import Database, column_cache, keep
from tests.accounts import Account, need_accounts, public_directory, remove_account
from tests.cloned_store import ClonedStore

from .conftest import Runner, command

DISCOVERY = (
    "c = get_config()\n"
    "c.ServerApp.kernel_spec_manager_class = "
    "'spack_kernel.jupyter.discovery.SpackKernelSpecManager'\n"
)

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that writes the configuration of a site's servers."""

    def write(*lines: str, name: str = "jupyter_server_config.py") -> Path:
        directory = tmp_path / "etc"
        directory.mkdir(exist_ok=True)
        monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(directory))
        file = directory / name
        file.write_text("\n".join([*lines, ""]))
        return file

    return write


def test_a_site_that_works(run: Runner, configure: Configure, demo_store: DemoStore) -> None:
    stores = f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]"
    file = configure(DISCOVERY, stores, "c.KernelManager.transport = 'ipc'")
    result = run("check", "--site", "--json")
    assert result.status == 0, result.err
    found = result.json
    details = {step["name"]: step["detail"] for step in found["steps"]}
    assert list(details) == [
        *("home", "config", "paths", "discovery", "options", "store", "kernels", "companion"),
        *("kernel", "start", "answer", "shutdown"),
    ]
    assert details["config"] == str(file)
    assert details["store"].startswith(f"{demo_store.root}: ")
    assert "py-ipykernel@" in details["companion"]
    assert found["kernel"] == details["kernel"]
    assert found["ok"]


def test_it_says_where_the_columns_of_a_large_store_are(
    run: Runner,
    configure: Configure,
    demo_store: DemoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(DISCOVERY, f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]")
    monkeypatch.setattr(column_cache, "MIN_SIZE", 0)
    monkeypatch.setenv("SPACK_KERNEL_CACHE", str(tmp_path))

    def columns() -> str:
        steps = run("check", "--site", "--json").json["steps"]
        return str(next(step["detail"] for step in steps if step["name"] == "columns"))

    assert columns().startswith(f"{demo_store.root}: none; ")
    file = keep(Database.read(demo_store.root, use_kept=False))
    assert columns() == f"{demo_store.root}: {file}"


def test_as_it_is_documented(configure: Configure, demo_store: DemoStore) -> None:
    configure(DISCOVERY, f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]")
    result = command("check", "--site")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("Users' servers can start kernels.\n")


def test_a_kernel_by_name(run: Runner, configure: Configure, demo_store: DemoStore) -> None:
    configure(DISCOVERY, f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]")
    name = f"spack-py-libensemble-1.5.0-{demo_store.hash('py-libensemble')[:7]}"
    assert run("check", "--site", name, "--json").json["kernel"] == name
    result = run("check", "--site", "nonesuch")
    assert result.status == 1
    assert "error: No such kernel named nonesuch: no kernelspec has that name" in result.err


def test_every_mistake_is_named_with_its_file(run: Runner, configure: Configure) -> None:
    file = configure(
        DISCOVERY,
        "c.SpackKernelSpecManager.store = ['/sw']",
        "c.SpackKernelSpecManager.limit = 'many'",
        "c.SpackKernelSpecManger.queries = []",
        "c.SpackPicker.timeout = 'soon'",
        "c.SpackPicker.favorites = ['py-numpy']",
        "c.SpackProvisioner.start_timeout = 'soon'",
        "c.SpackProvisioner.keep_env.append(3)",
        "c.SpackProvisioner.userSite = True",
        "c.SpackProvisioner.prefix_inspections = {'./bin': 'PATH'}",
        "c.MappingKernelManager.cull_idle_timeout = 3600",
    )
    result = run("check", "--site")
    assert result.status == 1
    for text in (
        "c.SpackKernelSpecManager.store: there is no such option; did you mean `stores`?",
        "c.SpackKernelSpecManager.limit: 'many' is not valid",
        "c.SpackKernelSpecManger: there is no such class; did you mean `SpackKernelSpecManager`?",
        "c.SpackPicker.timeout: 'soon' is not valid",
        "c.SpackPicker.favorites: there is no such option; did you mean `favourites`?",
        "c.SpackProvisioner.start_timeout: 'soon' is not valid",
        "c.SpackProvisioner.keep_env: [3] is not valid",
        "c.SpackProvisioner.userSite: there is no such option; did you mean `user_site`?",
        "c.SpackProvisioner.prefix_inspections: {'./bin': 'PATH'} is not valid",
    ):
        assert f"  {file}: {text}" in result.err
    assert "cull_idle_timeout" not in result.err
    assert "KernelTraits" not in result.err


def test_json_configuration_is_checked_as_well(run: Runner, configure: Configure) -> None:
    configure('{"SpackProvisioner": 3}', name="jupyter_server_config.json")
    assert "c.SpackProvisioner: it must have options, and is 3" in run("check", "--site").err
    file = configure(
        '{"SpackProvisioner": {"plan_timeout": []}}', name="jupyter_server_config.json"
    )
    assert f"{file}: c.SpackProvisioner.plan_timeout: [] is not valid" in run("check", "--site").err


def test_a_file_that_cannot_be_read(run: Runner, configure: Configure) -> None:
    file = configure(DISCOVERY, "c.x = undefined")
    result = run("check", "--site")
    assert result.status == 1
    assert "Jupyter's configuration cannot be read: NameError: name 'undefined'" in result.err
    assert f"  {file}, line 4" in result.err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("jupyter_server_config.py", "import sys\nsys.exit(3)", "SystemExit: 3\n  {}, line 2"),
        ("jupyter_server_config.py", "def f(:", "SyntaxError"),
        (
            "jupyter_server_config.py",
            "import os\nos.environ['NOPE']",
            "KeyError: 'NOPE'\n  {}, line 2",
        ),
        ("jupyter_server_config.json", "", "  {}, line 2"),
        ("jupyter_server_config.json", '{\n"a": }', "  {}, line 2"),
        ("jupyter_config.json", "[1]", "  {}"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    run: Runner, configure: Configure, name: str, text: str, told: str
) -> None:
    file = configure(text, name=name)
    result = run("check", "--site", "--json")
    assert result.status == 1
    assert str(file) in result.err
    assert told.format(file) in result.err
    assert not result.json["ok"]


def test_what_a_file_prints_is_not_our_output(run: Runner, configure: Configure) -> None:
    configure("print('hello')", "c = get_config()")
    result = run("check", "--site", "--json")
    assert not result.json["ok"]
    assert "hello" in result.err


def test_a_directory_that_is_not_there(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "nowhere"))
    result = run("check", "--site")
    assert "directories of Jupyter's configuration cannot be read" in result.err
    assert f"  {tmp_path / 'nowhere'}: No such file or directory" in result.err


def test_a_mistake_leaves_the_rest_to_be_checked(
    run: Runner, configure: Configure, demo_store: DemoStore
) -> None:
    configure(
        DISCOVERY,
        f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]",
        "c.SpackKernelSpecManager.querys = ['py-numpy']",
    )
    result = run("check", "--site", "--json")
    assert result.status == 1
    failed = [step["name"] for step in result.json["steps"] if not step["ok"]]
    assert failed == ["options"]
    assert result.json["steps"][-1]["name"] == "shutdown"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("c.SpackProvisioner.companion = 'py-ipykernel@99'", "is not one py-ipykernel"),
        ("c.SpackKernelSpecManager.companion = 'py-numpy@2.1.3'", "is not one py-ipykernel"),
        ("c.KernelManager.transport = 'icp'", "no kernel can be started with this configuration"),
        ("c.KernelManager.transport_encryption = 'required'", "encrypt"),
        ("c.SpackProvisioner.plan_timeout = float('inf')", "not a number of seconds"),
        ("c.SpackProvisioner.start_timeout = float('nan')", "not a number of seconds"),
        ("c.SpackProvisioner.plan_timeout = 0", "not a number of seconds"),
        ("c.SpackKernelSpecManager.upstreams = ['sw']", "'sw' is relative to wherever"),
    ],
)
def test_mistakes_that_only_a_start_would_show(
    run: Runner, configure: Configure, demo_store: DemoStore, line: str, told: str
) -> None:
    configure(DISCOVERY, f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]", line)
    result = run("check", "--site")
    assert result.status == 1
    assert told in result.err
    assert "defect" not in result.err


def test_without_companions_nothing_that_needs_one_is_offered(
    run: Runner, configure: Configure, demo_store: DemoStore
) -> None:
    configure(
        DISCOVERY,
        f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]",
        "c.SpackKernelSpecManager.companion = 'none'",
    )
    found = {step["name"]: step for step in run("check", "--site", "--json").json["steps"]}
    assert found["kernels"]["detail"].startswith("spack-py-ipykernel-")
    assert "," not in found["kernels"]["detail"]
    assert found["companion"]["detail"].startswith("switched off")


def test_discovery_that_is_configured_but_off(
    run: Runner, configure: Configure, demo_store: DemoStore
) -> None:
    configure("c = get_config()", f"c.SpackKernelSpecManager.stores = [{str(demo_store.root)!r}]")
    result = run("check", "--site")
    assert result.status == 1
    assert "c.SpackKernelSpecManager is configured, but servers do not use it" in result.err
    assert "hint: Set c.ServerApp.kernel_spec_manager_class = " in result.err


def test_a_class_that_cannot_be_imported(run: Runner, configure: Configure) -> None:
    configure("c = get_config()", "c.ServerApp.kernel_spec_manager_class = 'spack_kernel.Nope'")
    result = run("check", "--site")
    assert "c.ServerApp.kernel_spec_manager_class cannot be imported" in result.err


def test_a_store_that_fails_leaves_the_others_alone(
    run: Runner, configure: Configure, demo_store: DemoStore, tmp_path: Path
) -> None:
    stores = [str(tmp_path / "gone"), str(demo_store.root)]
    configure(
        DISCOVERY,
        f"c.SpackKernelSpecManager.stores = {stores!r}",
        "c.SpackKernelSpecManager.queries = ['py-numpy', 'py-nunpy']",
    )
    result = run("check", "--site", "--json")
    assert result.status == 1
    steps = [(step["name"], step["ok"]) for step in result.json["steps"]]
    assert steps[5:10] == [
        *(("store", False), ("store", True), ("kernels", False), ("companion", True)),
        ("kernel", True),
    ]
    assert f"there is no Spack store at {tmp_path / 'gone'}" in result.err or "gone" in result.err
    assert "the query `py-nunpy` matches nothing" in result.err
    assert len(result.json["errors"]) == 2


def test_nothing_to_start(run: Runner, configure: Configure) -> None:
    configure("c = get_config()")
    result = run("check", "--site")
    assert result.status == 1
    assert "there is no kernel to start" in result.err


def test_options_that_do_not_go_with_it(run: Runner) -> None:
    for words in (["--env", "A=b"], ["--store", "/x"], ["a", "b"], ["--user-site"]):
        result = run("check", "--site", *words)
        assert result.status == 2, words
    assert run("check", "--as-user", "me", "py-numpy").status == 2


@pytest.fixture
def user() -> Iterator[Account]:
    need_accounts()
    with public_directory("spack-kernel-site-") as homes:
        yield Account("sk-dave", homes)
        remove_account("sk-dave")


def test_as_another_user(run: Runner, user: Account, demo_store: DemoStore) -> None:
    etc = user.home.parent / "etc"
    etc.mkdir()
    store = ClonedStore(demo_store, user.home.parent / "sw").root
    (etc / "jupyter_server_config.py").write_text(
        f"{DISCOVERY}c.SpackKernelSpecManager.stores = [{str(store)!r}]\n"
    )
    environment = {"JUPYTER_CONFIG_PATH": str(etc), "PATH": os.environ["PATH"]}
    words = ("check", "--site", "--as-user", user.name, "--json")
    result = command(*words, env=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["ok"]
    store.chmod(0o700)
    result = command(*words, env=environment)
    assert result.returncode == 1
    assert f"you cannot access the store {store}: permission denied" in result.stderr
    store.chmod(0o755)


def test_a_home_that_is_missing(
    run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "file" / "runtime"))
    assert "a server cannot write its runtime files" in run("check", "--site").err


def test_who_cannot_be_checked(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "there is no user nobdy" in run("check", "--site", "--as-user=nobdy").err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--as-user names no user" in run("check", "--site", "--as-user", "").err
    assert "only root can check what the user root gets" in (
        run("check", "--site", "--as-user", "root").err
    )
