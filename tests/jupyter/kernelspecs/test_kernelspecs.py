from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import (
    default_display_name,
    default_name,
    kernel_command,
    kernel_content,
    kernel_dict,
)
from spack_kernel.jupyter.kernelspecs.files import (
    find_kernelspec,
    install_kernelspec,
    kernels_directory,
    list_kernelspecs,
    remove_kernelspec,
    write_kernelspec,
)
from spack_kernel.kernels.plan.plan import KernelPlan, plan_kernel
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack import Store
from spack_kernel.spack.output import SpecFormat
from spack_kernel.spack.system.isolated import command_line, isolated_command
from tests.jupyter.conftest import execute
from tests.places import ROOT
from tests.small_store import SmallStore


@pytest.fixture(scope="module")
def plan(demo_store: DemoStore) -> KernelPlan:
    store = Store.open(demo_store.root)
    spec = store.by_hash(demo_store.hash("py-libensemble"))
    assert spec is not None
    return plan_kernel(store, [spec])


def test_what_a_kernel_json_says(plan: KernelPlan, demo_store: DemoStore) -> None:
    content = kernel_dict(plan, KernelRequest(env={"OMP_NUM_THREADS": "4"}), query="py-libensemble")
    (spec,) = plan.specs
    assert content["display_name"] == f"py-libensemble {spec.version} (Spack /{spec.hash[:7]})"
    assert content["language"] == "python"
    assert content["env"] == {"OMP_NUM_THREADS": "4"}
    facts = {name: v for name, v in content["metadata"].items() if name.startswith("spack_")}
    assert facts == {
        "spack_package": "py-libensemble",
        "spack_version": str(spec.version),
        "spack_hash": spec.hash,
        "spack_variants": SpecFormat("{variants}").format(spec, plan.store),
        "spack_target": spec.arch.target,
        "spack_python": content["metadata"]["spack_python"],
        "spack_store": str(demo_store.root),
    }
    assert content["metadata"] == facts | {
        "debugger": True,
        "kernel_provisioner": {
            "provisioner_name": "spack-provisioner",
            "config": {
                "spec": "py-libensemble",
                "hash": spec.hash,
                "store": str(demo_store.root),
            },
        },
    }
    assert content["argv"] == [
        sys.executable,
        *["-I", "-m", "spack_kernel", "exec", "--store", str(demo_store.root)],
        *["--env", "OMP_NUM_THREADS=4", f"py-libensemble/{spec.hash}", "--"],
        *["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    ]


@pytest.mark.parametrize(
    ("version", "protocol"), [("7.0.1", "5.5"), ("6.29.5", "5.3"), ("10.0", "5.5"), ("", None)]
)
def test_the_protocol_is_that_of_the_ipykernel(version: str, protocol: str | None) -> None:
    spec = SimpleNamespace(name="py-x", version="1.0", hash="a" * 32)
    content = kernel_content(KernelRequest(), [spec], ipykernel=version)
    assert content.get("kernel_protocol_version") == protocol


def test_a_companion_that_was_chosen_is_remembered(plan: KernelPlan) -> None:
    content = kernel_dict(plan, KernelRequest(companion="py-ipykernel@7"))
    config = content["metadata"]["kernel_provisioner"]["config"]
    assert config["companion"] == "py-ipykernel@7"
    position = content["argv"].index("--companion")
    assert content["argv"][position + 1] == "py-ipykernel@7"


def test_several_specs(demo_store: DemoStore) -> None:
    store = Store.open(demo_store.root)
    names = ("py-libensemble", "py-matplotlib")
    specs = [store.by_hash(demo_store.hash(name)) for name in names]
    plan = plan_kernel(store, [spec for spec in specs if spec is not None])
    config = kernel_dict(plan)["metadata"]["kernel_provisioner"]["config"]
    assert config["specs"] == [f"{name}/{demo_store.hash(name)}" for name in names]
    assert "hash" not in config
    first, second = plan.specs
    assert default_name(plan.specs) == (
        f"spack-py-libensemble-{first.version}-{first.hash[:7]}-py-matplotlib-{second.hash[:7]}"
    )
    assert default_display_name(plan.specs) == (
        f"py-libensemble {first.version} + py-matplotlib {second.version} "
        f"(Spack /{first.hash[:7]} /{second.hash[:7]})"
    )


def test_a_chain_of_stores_is_named_as_a_whole(demo_store: DemoStore, tmp_path: Path) -> None:
    demo = Store.open(demo_store.root)
    venv = demo.by_hash(demo_store.hash("python-venv"))
    assert venv is not None
    small = SmallStore(tmp_path / "local", upstreams=[demo_store.root])
    key = small.add("py-tool", "1.0", venv)
    store = small.open()
    spec = store.by_hash(key)
    assert spec is not None
    content = kernel_dict(plan_kernel(store, [spec]))
    stores = [str(tmp_path / "local"), str(demo_store.root)]
    assert content["metadata"]["kernel_provisioner"]["config"]["store"] == stores
    assert [content["argv"][i + 1] for i, w in enumerate(content["argv"]) if w == "--store"] == (
        stores
    )


def test_a_version_that_no_kernel_name_may_hold(tmp_path: Path) -> None:
    small = SmallStore(tmp_path)
    key = small.add("Py-X", "git.v1.3=1.3")
    spec = small.open().by_hash(key)
    assert spec is not None
    assert default_name([spec]) == f"spack-py-x-git.v1.3-1.3-{key[:7]}"


def test_the_kernels_own_command_in_an_argv(plan: KernelPlan) -> None:
    own = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert kernel_command(kernel_dict(plan)["argv"]) == own
    assert kernel_command(own) == own
    assert kernel_command(["tool", "--", "x"]) == ["tool", "--", "x"]
    assert kernel_command(["spack-kernel", "exec", "py-x", "--", "R", "--", "y"]) == [
        "R",
        "--",
        "y",
    ]


# -- on disk --------------------------------------------------------------------------------------


@pytest.fixture
def install(jupyter_home: Path, plan: KernelPlan) -> Any:
    def installer(**options: Any) -> Any:
        request = KernelRequest(env=options.pop("env", {}))
        shared = {"user": True, "query": "py-libensemble"}
        return install_kernelspec(plan, request, **{**shared, **options})

    return installer


def test_install_list_find_remove(install: Any, jupyter_home: Path, plan: KernelPlan) -> None:
    installed = install(env={"A": "${HOME}"})
    name = default_name(plan.specs)
    directory = jupyter_home / "data" / "kernels" / name
    assert installed.resource_dir == str(directory)
    assert installed.shadowed_by is None
    assert sorted(path.name for path in directory.iterdir()) == [
        "kernel.json",
        "logo-32x32.png",
        "logo-64x64.png",
        "logo-svg.svg",
    ]
    assert sorted(path.name for path in directory.parent.iterdir()) == [name]
    assert list_kernelspecs() == [installed]
    assert find_kernelspec(name.upper()) == installed
    assert installed.as_dict()["hash"] == plan.specs[0].hash
    assert installed.as_dict()["env"] == {"A": "${HOME}"}
    spec = KernelSpecManager().get_kernel_spec(name)
    assert spec.display_name == installed.display_name
    mode = stat.S_IMODE((directory / "kernel.json").stat().st_mode)
    assert mode == 0o666 & ~_umask()
    assert remove_kernelspec(name) == installed
    assert list(directory.parent.iterdir()) == []


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", ["my kernel", "", "a/b", "ü", "../x"])
def test_names_that_are_none(install: Any, name: str) -> None:
    with pytest.raises(KernelSpecError, match="is not a valid kernel name"):
        install(name=name)


def test_where_it_goes(jupyter_home: Path, tmp_path: Path) -> None:
    assert kernels_directory(user=True) == jupyter_home / "data" / "kernels"
    assert kernels_directory(prefix=tmp_path) == tmp_path / "share" / "jupyter" / "kernels"
    assert kernels_directory() == Path("/usr/local/share/jupyter/kernels")


def test_both_user_and_prefix(install: Any, tmp_path: Path) -> None:
    with pytest.raises(KernelSpecError, match="mutually exclusive"):
        install(prefix=tmp_path)


def test_a_prefix_jupyter_does_not_look_in_is_told(install: Any, tmp_path: Path) -> None:
    installed = install(user=False, prefix=tmp_path / "prefix")
    assert Path(installed.resource_dir, "kernel.json").is_file()
    assert installed.shadowed_by == ""


def test_one_that_jupyter_finds_first_is_told(install: Any, jupyter_home: Path) -> None:
    kernels = jupyter_home / "path" / "kernels"
    content = {"argv": [], "display_name": "twin", "language": "python"}
    path = write_kernelspec(kernels, "twin", content)
    assert path == kernels / "twin"
    assert install(name="twin").shadowed_by == str(path)


def test_one_of_ours_is_replaced(install: Any) -> None:
    install(name="mine", display_name="first")
    assert install(name="mine", display_name="second").display_name == "second"
    assert [spec.display_name for spec in list_kernelspecs()] == ["second"]


@pytest.mark.parametrize("content", ['{"argv": []}', "not JSON", "[]", '{"metadata": 3}'])
def test_one_that_is_not_ours_is_not_touched(
    install: Any, jupyter_home: Path, content: str
) -> None:
    path = jupyter_home / "data" / "kernels" / "theirs" / "kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(KernelSpecError) as caught:
        install(name="theirs")
    assert str(caught.value) == (
        "a kernelspec `theirs` already exists, and spack-kernel did not write it\n"
        f"  {path.parent}\n"
        "Choose another name with --name, or replace it with --replace."
    )
    assert path.read_text() == content
    with pytest.raises(KernelSpecError, match="`theirs` does not belong to spack-kernel"):
        remove_kernelspec("theirs")
    assert install(name="theirs", replace=True).name == "theirs"


def test_written_whole_or_not_at_all(
    install: Any, jupyter_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the second rename fails, as on a full or failing disk, the old kernelspec is restored."""
    install(name="mine", display_name="first")
    rename = Path.rename

    def failing(self: Path, target: Any) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KernelSpecError, match="No space left on device"):
        install(name="mine", display_name="second")
    assert [spec.display_name for spec in list_kernelspecs()] == ["first"]
    assert [p.name for p in (jupyter_home / "data" / "kernels").iterdir()] == ["mine"]


def test_a_directory_that_cannot_be_made(install: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelSpecError) as caught:
        install(user=False, prefix=tmp_path / "file")
    assert str(caught.value).startswith(f"cannot write the kernelspec {tmp_path}/file/share/jup")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_directory_that_may_not_be_written(install: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(KernelSpecError, match="Permission denied") as caught:
        install(user=False, prefix=tmp_path)
    assert caught.value.hint == (
        "Use --user for your own kernels or --sys-prefix for this Python environment."
    )


def test_no_such_kernelspec_lists_ours(install: Any) -> None:
    install(name="mine")
    with pytest.raises(KernelSpecError) as caught:
        remove_kernelspec("yours")
    assert str(caught.value) == (
        "there is no kernelspec `yours`\n"
        "  kernelspecs of spack-kernel: mine\n"
        "`jupyter kernelspec list` shows all kernelspecs."
    )


def test_a_linked_kernelspec_is_unlinked(install: Any, jupyter_home: Path, tmp_path: Path) -> None:
    installed = install(name="mine")
    Path(installed.resource_dir).rename(tmp_path / "elsewhere")
    Path(installed.resource_dir).symlink_to(tmp_path / "elsewhere")
    remove_kernelspec("mine")
    assert not Path(installed.resource_dir).is_symlink()
    assert (tmp_path / "elsewhere" / "kernel.json").is_file()


# -- commands that run in any environment ----------------------------------------------------------


def poisoned(tmp_path: Path) -> dict[str, str]:
    for name in ("json", "spack_kernel", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the wrong place')")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_our_command_line_in_a_poisoned_place(tmp_path: Path) -> None:
    answer = subprocess.run(
        [*command_line(), "--version"],
        cwd=tmp_path,
        env=poisoned(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_module_of_an_installation_that_only_this_process_sees(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; from spack_kernel.spack.system import isolated_command;"
        "sys.exit(subprocess.run(isolated_command('only_here')).returncode)"
    )
    place = tmp_path / "place"
    place.mkdir()
    (place / "only_here.py").write_text("print('here', __name__)")
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "here __main__\n"
    assert isolated_command("x")[:3] == [sys.executable, "-I", "-c"]


# -- the ready directories -------------------------------------------------------------------------

READY = ROOT / "kernelspecs"


@pytest.mark.parametrize("name", ["spack-query", "spack-hash"])
def test_the_ready_directories_work_as_documented(
    name: str,
    jupyter_home: Path,
    demo_store: DemoStore,
    start: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "install", str(READY / name), "--user"],
        check=True,
        capture_output=True,
    )
    kernel_file = Path(KernelSpecManager().get_kernel_spec(name).resource_dir, "kernel.json")
    dag_hash = demo_store.hash("py-libensemble")
    kernel_file.write_text(kernel_file.read_text().replace("j4zmggq", dag_hash[:7]))
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo_store.root))
    _, client = start(name)
    assert dag_hash in execute(client, "import libensemble; print(libensemble.__file__)")


@pytest.mark.parametrize("name", ["spack-query", "spack-hash"])
def test_the_ready_argv_says_the_same_as_the_config(name: str) -> None:
    content = json.loads((READY / name / "kernel.json").read_text())
    config = content["metadata"]["kernel_provisioner"]["config"]
    query = config["spec"] + (f"/{config['hash']}" if "hash" in config else "")
    assert content["argv"][:4] == ["spack-kernel", "exec", query, "--"]
    readme = (READY / name / "README.md").read_text()
    for key in ("spec", "store", *config):
        assert f"`metadata.kernel_provisioner.config.{key}`" in readme


def test_bytes_that_are_not_utf_8_are_kept(install: Any) -> None:
    """A path or a value can have them; JSON holds them as escapes."""
    installed = install(env={"A": "a\udcffb"}, display_name="K\udcff")
    again = find_kernelspec(installed.name)
    assert again.env == {"A": "a\udcffb"}
    assert again.display_name == "K\udcff"
