"""A kernel for a Spack environment starts from what `install` recorded, and from nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack import Spec, Store
from tests.made_environment import link_view, make_environment
from tests.spack_instance import make_instance

from .conftest import Runner

pytestmark = pytest.mark.kernel


@pytest.fixture
def spec(demo: Path) -> Spec:
    return Store.open(demo).get("py-libensemble")


@pytest.fixture
def instance(tmp_path: Path, demo: Path) -> Path:
    """Return a Spack instance whose managed environments can use its install tree."""
    return make_instance(tmp_path / "spack", demo)


def change(environment: Path, **sections: Any) -> None:
    manifest = json.loads((environment / "spack.yaml").read_text())
    manifest["spack"].update(sections)
    (environment / "spack.yaml").write_text(json.dumps(manifest))


def install(run: Runner, instance: Path, *options: str | Path) -> None:
    result = run("install", "--user", "--no-spack", "--name", "env", "--store", instance, *options)
    assert result.status == 0, result.err


def value_in_kernel(home: Path, name: str) -> str:
    """Return a variable as `exec` of the installed kernel sets it, in a poor environment."""
    content = json.loads((home / "jupyter" / "kernels" / "env" / "kernel.json").read_text())
    words = content["argv"]
    code = f"import os; print(os.environ.get({name!r}, ''))"
    return subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
    ).stdout.strip()


FORMS = {
    "no root": {"projections": {"all": "{name}/{hash:4}"}},
    "$spack": {"root": "$spack/tree"},
    "$MYSW": {"root": "$MYSW"},
    "${MYSW}": {"root": "${MYSW}/."},
    "old": "$MYSW",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_start_needs_no_variable_of_the_shell(
    form: str, run: Runner, demo: Path, spec: Spec, instance: Path, surroundings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MYSW", str(demo))
    (instance / "tree").symlink_to(demo)
    science = make_environment(instance.parent / "science", [spec], view=False)
    change(science, config={"install_tree": FORMS[form]},
           env_vars={"set": {"DATA": "$MYSW/data"}})  # fmt: skip
    install(run, instance, "--environment", science)
    monkeypatch.delenv("MYSW")
    shutil.rmtree(instance / "etc")
    (science / "spack.yaml").write_text("not YAML: [")
    checked = run("check", "env")
    assert checked.status == 0, checked.err
    assert "/libensemble/__init__.py" in checked.out
    assert str(spec.prefix) in value_in_kernel(surroundings, "PYTHONPATH")
    assert value_in_kernel(surroundings, "DATA") in (f"{demo}/data", "$MYSW/data")


@pytest.mark.parametrize("root", ["$spack/opt", "$MYSW/opt", "${MYSW}"])
def test_a_tree_that_cannot_be_located_is_the_named_store(
    root: str, run: Runner, demo: Path, spec: Spec, tmp_path: Path
) -> None:
    science = make_environment(tmp_path / "science", [spec], view=False)
    change(science, config={"install_tree": {"root": root}})
    result = run("show", "--store", demo, "--environment", science, "--json")
    assert result.status == 0, result.err
    assert result.json["store"] == str(demo)


def test_a_view_is_recorded(
    run: Runner, demo: Path, spec: Spec, instance: Path, tmp_path: Path
) -> None:
    science = make_environment(tmp_path / "science", [spec], view=str(tmp_path / "view"))
    link_view(tmp_path / "view", Store.open(demo), [spec])
    install(run, instance, "--environment", science)
    (science / "spack.yaml").unlink()
    (science / "spack.lock").unlink()
    facts = run("show", "env", "--json").json
    assert facts["source"]["view"] == str(tmp_path / "view")
    assert run("check", "env").status == 0
    shutil.rmtree(tmp_path / "view")
    result = run("check", "env")
    assert result.status == 1
    assert "the view default of the environment" in result.err + result.out


def test_changed_roots_are_told_and_not_loaded(
    run: Runner, demo: Path, spec: Spec, instance: Path, tmp_path: Path
) -> None:
    science = make_environment(tmp_path / "science", [spec], view=False)
    install(run, instance, "--environment", science)
    assert "has changed" not in run("show", "env").err
    other = Store.open(demo).get("py-matplotlib")
    shutil.rmtree(science)
    make_environment(science, [other], view=False)
    result = run("show", "env")
    assert result.out.splitlines()[2].startswith(spec.label)
    assert f"the environment {science} has changed since this kernel was installed" in result.err
    install(run, instance, "--environment", science)
    assert other.label in run("show", "env").out


def test_a_record_of_another_environment_is_refused(
    run: Runner, spec: Spec, instance: Path, tmp_path: Path, surroundings: Path
) -> None:
    science = make_environment(tmp_path / "science", [spec], view=False)
    install(run, instance, "--environment", science)
    path = surroundings / "jupyter" / "kernels" / "env" / "kernel.json"
    content = json.loads(path.read_text())
    content["metadata"]["kernel_provisioner"]["config"]["environment"] = "/other"
    path.write_text(json.dumps(content))
    result = run("show", "env")
    assert result.status == 1
    assert f"it records the Spack environment {science}, but `environment` is /other" in result.err
    content["metadata"]["kernel_provisioner"]["config"]["frozen"] = {"name": 3}
    path.write_text(json.dumps(content))
    assert "the configuration has an invalid value" in run("show", "env").err


def test_install_writes_nothing_if_what_it_records_is_not_enough(
    run: Runner, spec: Spec, instance: Path, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spack_kernel.jupyter.kernelspecs import content

    real = content.kernel_dict

    def without_hash(*words: Any, **options: Any) -> dict[str, Any]:
        made = real(*words, **options)
        made["metadata"]["kernel_provisioner"]["config"]["store"] = "/gone"
        return made

    monkeypatch.setattr("spack_kernel.jupyter.kernelspecs.kernel_dict", without_hash)
    result = run("install", "--user", "--no-spack", "--store", instance, "py-libensemble")
    assert result.status == 1
    assert "planned from what the kernel.json would record; nothing is written" in result.err
    assert not (surroundings / "jupyter" / "kernels").exists()
