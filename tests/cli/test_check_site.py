"""`check --site`: what a server of a site needs, as its configuration files describe it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spack_kernel.demo import DemoStore
from tests.accounts import Account, need_accounts, remove_account
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
        *("config", "discovery", "options", "store", "kernels", "companion", "kernel"),
        *("start", "answer", "shutdown"),
    ]
    assert details["config"] == str(file)
    assert details["store"].startswith(f"{demo_store.root}: ")
    assert "py-ipykernel@" in details["companion"]
    assert found["kernel"] == details["kernel"]
    assert found["ok"]


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
        "c.SpackProvisioner.start_timeout: 'soon' is not valid",
        "c.SpackProvisioner.keep_env: [3] is not valid",
        "c.SpackProvisioner.userSite: there is no such option; did you mean `user_site`?",
        "c.SpackProvisioner.prefix_inspections: {'./bin': 'PATH'} is not valid",
    ):
        assert f"  {file}: {text}" in result.err
    assert "cull_idle_timeout" not in result.err
    assert "KernelTraits" not in result.err


def test_json_configuration_is_checked_as_well(run: Runner, configure: Configure) -> None:
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
    assert steps[3:8] == [
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
    with tempfile.TemporaryDirectory(prefix="spack-kernel-site-") as homes:
        Path(homes).chmod(0o755)
        yield Account("sk-dave", Path(homes))
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


def test_who_cannot_be_checked(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "there is no user nobdy" in run("check", "--site", "--as-user=nobdy").err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root can check what the user root gets" in (
        run("check", "--site", "--as-user", "root").err
    )
