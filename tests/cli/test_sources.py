"""Environments, views, modules and recipes on the command line.

Most tests run the fake Spack from tests/spack/fake_spack.py; the last one runs the real Spack in
SPACK_ROOT.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack import Spec, Store
from tests.made_environment import link_view, make_environment
from tests.module_systems import debian_module_system, module_settings, write_module
from tests.spack_instance import fake_spack

from .conftest import Runner, command

SPACK_ROOT = os.environ.get("SPACK_ROOT", "")
REPOSITORY = os.environ.get("SPACK_KERNEL_TEST_REPOSITORY", "")


@pytest.fixture
def spec(demo: Path) -> Spec:
    return Store.open(demo).get("py-libensemble")


@pytest.fixture
def on(run: Runner, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("SPACK_KERNEL_STORE", str(demo))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return run


@pytest.fixture
def science(tmp_path: Path, demo: Path, spec: Spec) -> Path:
    """Return a Spack environment with py-libensemble and a view."""
    directory = make_environment(tmp_path / "science", [spec])
    link_view(directory / ".spack-env" / "view", Store.open(demo), [spec])
    return directory


def kernel_json(home: Path, name: str) -> Any:
    return json.loads((home / "jupyter" / "kernels" / name / "kernel.json").read_text())


def config_of(home: Path, name: str) -> Any:
    return kernel_json(home, name)["metadata"]["kernel_provisioner"]["config"]


# -- environments and views ----------------------------------------------------------------------


def test_a_kernel_for_an_environment(
    on: Runner, demo: Path, spec: Spec, science: Path, surroundings: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = on("install", "--user", "--environment", "./science")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "The kernel spack-env-science is installed."
    assert lines[1] == "  shown as     science (Spack environment)"
    assert lines[2] == f"  source       the environment {science}, through the view default"
    assert lines[3] == f"  spec         {spec.label}"
    config = config_of(surroundings, "spack-env-science")
    frozen = config.pop("frozen")
    assert config == {"environment": str(science), "view": "default", "store": str(demo)}
    assert frozen["path"] == frozen["name"] == str(science)
    assert [root["hash"] for root in frozen["roots"]] == [spec.hash]
    assert frozen["view"]["root"] == str(science / ".spack-env" / "view")
    checked = on("check", "spack-env-science")
    assert checked.status == 0, checked.err
    assert f"{science}/.spack-env/view/bin/python" in checked.out
    assert "/libensemble/__init__.py" in checked.out
    assert "The kernel works: 1 module imported" in checked.out


def test_show_tells_the_source_and_the_view(on: Runner, spec: Spec, science: Path) -> None:
    view = science / ".spack-env" / "view"
    lines = on("show", "--environment", science).out.splitlines()
    assert lines[0] == f"the environment {science}, through the view default"
    assert f"  environment  {science}" in lines
    assert f"  view         {view}" in lines
    assert "the view contains the closure's python-venv" in " ".join(lines)
    assert f"SPACK_ENV={science}" in lines
    facts = on("show", "--environment", science, "--view", "none", "--json").json
    assert facts["source"]["view"] is None
    assert facts["pythonpath"][0].startswith(str(spec.prefix))


def test_a_kernel_for_a_view(
    on: Runner, demo: Path, spec: Spec, surroundings: Path, tmp_path: Path
) -> None:
    view = link_view(tmp_path / "tools", Store.open(demo), [spec])
    assert on("install", "--user", "--view", view).status == 0
    assert config_of(surroundings, "spack-view-tools") == {"view": str(view), "store": str(demo)}
    assert kernel_json(surroundings, "spack-view-tools")["display_name"] == "tools (Spack view)"
    shown = on("show", "--view", view, "--json").json
    assert shown["specs"][0]["name"] == "py-libensemble"


def test_exec_in_an_environment(on: Runner, science: Path, demo: Path) -> None:
    code = "import sys; print(sys.prefix)"
    argv = ["exec", "--store", demo, "--environment", science, "--", "python", "-c", code]
    result = command(*argv)
    assert (result.stdout, result.stderr) == (f"{science}/.spack-env/view\n", "")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--environment", "e", "py-numpy"], "give a QUERY or --environment, not both"),
        (["--view", "/v", "py-numpy"], "give a QUERY or --view, not both"),
        ([], "nothing to load: give a QUERY, --environment, --view or --module"),
    ],
)
def test_what_cannot_go_together(on: Runner, words: list[str], text: str) -> None:
    for name in ("install", "show", "check"):
        result = on(name, *words)
        assert result.status == 2
        assert text in result.err


def test_environments_that_are_none(on: Runner, tmp_path: Path) -> None:
    result = on("install", "--user", "--environment", tmp_path)
    assert result.status == 1
    assert f"error: {tmp_path} has no spack.yaml: it is not a Spack environment\n" in result.err
    result = on("show", "--view", "science")
    assert "needs an absolute path, which 'science' is not" in result.err
    assert "specify the environment as well" in result.err


# -- modules -------------------------------------------------------------------------------------


@pytest.fixture(params=["lmod", "environment-modules"])
def modules(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Path
) -> Path:
    """Return a site's module directory: one module generated by Spack, one from the vendor."""
    spec = Store.open(demo).get("py-pyyaml")
    directory = tmp_path / "modules"
    (site_packages,) = Path(str(spec.prefix)).glob("lib/python3*/site-packages")
    write_module(directory, "py-pyyaml/6", f"prepend-path PYTHONPATH {site_packages}")
    write_module(directory, "site/1", "setenv SITE_HOME /opt/site", "prepend-path PATH /opt/bin")
    system = debian_module_system(request.param)
    for name, value in module_settings(system, directory).items():
        monkeypatch.setenv(name, value)
    return directory


def test_a_kernel_for_a_module(on: Runner, modules: Path, demo: Path, surroundings: Path) -> None:
    result = on("install", "--user", "--module", "py-pyyaml")
    assert (result.status, result.err) == (0, "")
    assert "  source       the module py-pyyaml" in result.out.splitlines()
    config = config_of(surroundings, "spack-module-py-pyyaml")
    assert config == {"modules": ["py-pyyaml"], "store": str(demo)}
    checked = on("check", "spack-module-py-pyyaml")
    assert checked.status == 0, checked.err
    assert "/yaml/__init__.py" in checked.out


def test_modules_beside_a_spec(on: Runner, modules: Path, surroundings: Path) -> None:
    argv = ("py-libensemble", "--module", "site")
    assert on("install", "--user", "--name", "both", *argv).status == 0
    assert config_of(surroundings, "both")["modules"] == ["site"]
    words = kernel_json(surroundings, "both")["argv"]
    code = "import os; print(os.environ['SITE_HOME'])"
    output = subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == "/opt/site\n"
    shown = on("show", *argv).out
    assert "  modules      site\n" in shown
    part = shown.partition("Set by the modules site\n")[2]
    assert "  SITE_HOME=/opt/site\n" in part
    assert "  PATH+=/opt/bin\n" in part
    assert "SITE_HOME" not in on("show", *argv, "--variables").out


def test_modules_that_cannot_be_loaded(
    on: Runner, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = on("install", "--user", "--module", "nope")
    assert result.status == 1
    assert "error: the module system cannot load nope\n" in result.err
    result = on("install", "--user", "--module", "site")
    assert "error: nothing that site loads is installed in this store\n" in result.err
    monkeypatch.delenv("MODULEPATH")
    shown = on("show", "py-libensemble", "--module", "site")
    assert shown.status == 0
    assert "MODULEPATH is not set" in shown.out
    assert "a kernel started from this shell would fail" in shown.err


# -- recipes -------------------------------------------------------------------------------------


def spack_for(directory: Path, spec: Spec, **behaviour: Any) -> Path:
    """Return a fake Spack for which loading `spec` sets ENSEMBLE_HOME and extends PATH."""
    answer = [
        ["SetEnv", "ENSEMBLE_HOME", f"{spec.prefix}/share", ":"],
        ["PrependPath", "ENSEMBLE_PATH", f"{spec.prefix}/plugins", ":"],
    ]
    answers = [{"hashes": [spec.hash], "modifications": answer}]
    behaviour = {"version": "1.1.0", "age": "new", **behaviour}
    return fake_spack(directory, answers=answers, **behaviour)


def test_what_recipes_set_is_asked_once_and_recorded(
    on: Runner, spec: Spec, surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spack = spack_for(tmp_path / "site", spec)
    monkeypatch.setenv("PATH", f"{spack.parent}:/usr/bin:/bin")
    result = on("install", "--user", "--name", "made", "py-libensemble")
    assert result.status == 0
    assert result.err == (
        f"Running {spack} to get the variables that recipes set; this takes a few seconds; use "
        "--no-spack to skip it.\n"
    )
    told = "  recorded     ENSEMBLE_HOME, ENSEMBLE_PATH, as Spack 1.1.0 sets them"
    assert told in result.out.splitlines()
    recipes = config_of(surroundings, "made")["recipes"]
    assert recipes["specs"] == [spec.hash]
    assert {m["variable"] for m in recipes["modifications"]} == {"ENSEMBLE_HOME", "ENSEMBLE_PATH"}

    (spack.parent / "seen.json").unlink()
    shown = on("show", "made").out
    reason = "recorded, reported by Spack 1.1.0"
    assert shown.startswith("The kernel made\n")
    assert f"ENSEMBLE_HOME={spec.prefix}/share  ({reason}: {spec.label})\n" in shown
    assert f"  {spec.label}  {spec.prefix}/plugins  ({reason}: {spec.label})\n" in shown
    words = kernel_json(surroundings, "made")["argv"]
    code = "import os; print(os.environ['ENSEMBLE_HOME'], os.environ['ENSEMBLE_PATH'])"
    output = subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ENSEMBLE_PATH": "/mine"},
    ).stdout
    assert output == f"{spec.prefix}/share {spec.prefix}/plugins:/mine\n"
    assert on("check", "made").status == 0
    assert not (spack.parent / "seen.json").exists(), "only install asks"


def test_show_tells_what_the_kernelspec_sets(on: Runner) -> None:
    on("install", "--user", "--name", "made", "--env", "OMP_NUM_THREADS=4", "py-libensemble")
    assert "OMP_NUM_THREADS=4  (the kernelspec)\n" in on("show", "made").out
    assert on("show", "made", "--json").json["env"]["OMP_NUM_THREADS"] == "4"


def test_nobody_is_asked_with_no_spack(
    on: Runner, spec: Spec, surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spack = spack_for(tmp_path / "site", spec)
    monkeypatch.setenv("PATH", f"{spack.parent}:/usr/bin:/bin")
    result = on("install", "--user", "--name", "made", "--no-spack", "py-libensemble")
    assert (result.status, result.err) == (0, "")
    assert "recipes" not in config_of(surroundings, "made")
    assert not (spack.parent / "seen.json").exists()


def test_a_spack_that_cannot_say_is_a_warning_unless_it_was_named(
    on: Runner, spec: Spec, surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spack = spack_for(tmp_path / "site", spec, status=3, stderr="==> Error: no such compiler")
    monkeypatch.setenv("PATH", f"{spack.parent}:/usr/bin:/bin")
    result = on("install", "--user", "--name", "made", "py-libensemble")
    assert result.status == 0
    assert result.err.splitlines()[1] == (
        f"warning: {spack} could not report what these specs load (exit status 3): "
        "==> Error: no such compiler; the kernel lacks the variables that only recipes set"
    )
    assert "recipes" not in config_of(surroundings, "made")
    result = on("install", "--user", "--name", "other", "--spack", spack, "py-libensemble")
    assert result.status == 1
    assert f"error: {spack} could not report what these specs load (exit status 3)\n" in result.err
    assert "--no-spack" in result.err
    assert not (surroundings / "jupyter" / "kernels" / "other").exists()
    result = on("install", "--user", "--spack", tmp_path / "gone", "py-libensemble")
    assert f"cannot run {tmp_path}/gone: No such file or directory" in result.err


def test_an_environments_recipes_are_recorded_too(
    on: Runner, spec: Spec, science: Path, surroundings: Path, tmp_path: Path
) -> None:
    spack = spack_for(tmp_path / "site", spec)
    result = on("install", "--user", "--spack", spack, "--environment", science)
    assert result.status == 0
    code = "import os; print(os.environ['ENSEMBLE_HOME'])"
    words = kernel_json(surroundings, "spack-env-science")["argv"]
    output = subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == f"{science}/.spack-env/view/share\n"


@pytest.fixture
def instance(demo: Path, tmp_path: Path) -> Path:
    """Return the root of a Spack instance with custom prefix inspections."""
    instance = tmp_path / "instance"
    (instance / "etc" / "spack" / "defaults").mkdir(parents=True)
    (instance / "bin").mkdir()
    (instance / "bin" / "spack").touch()  # not executable
    (instance / "etc" / "spack" / "config.yaml").write_text(
        f"config: {{install_tree: {{root: {demo}}}}}\n"
    )
    (instance / "etc" / "spack" / "modules.yaml").write_text(
        "modules: {prefix_inspections: {./bin: [PATH], ./lib: [LD_LIBRARY_PATH]}}\n"
    )
    return instance


#: Variables that Spack's default prefix inspections set, and those of this site do not.
UNUSED = ("CMAKE_PREFIX_PATH", "PKG_CONFIG_PATH", "MANPATH", "ACLOCAL_PATH")


def test_what_a_site_inspects_is_recorded(
    on: Runner, demo: Path, spec: Spec, surroundings: Path, instance: Path
) -> None:
    """The kernelspec names the install tree, which does not know the site's prefix inspections."""
    argv = ("--name", "made", "--store", instance, "py-libensemble")
    result = on("install", "--user", *argv)
    assert (result.status, result.err) == (0, "")
    told = "  inspected    ./bin on PATH, ./lib on LD_LIBRARY_PATH, from the site's modules.yaml"
    assert told in result.out.splitlines()
    config = config_of(surroundings, "made")
    assert config["store"] == str(demo)
    assert config["prefix_inspections"] == {"./bin": ["PATH"], "./lib": ["LD_LIBRARY_PATH"]}
    assert "recipes" not in config
    words = kernel_json(surroundings, "made")["argv"]
    code = "import os; print(os.environ['LD_LIBRARY_PATH'], 'CMAKE_PREFIX_PATH' in os.environ)"
    output = subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(surroundings)},
    ).stdout
    libraries, inspected = output.split()
    assert libraries.split(":")[0] == f"{spec.prefix}/lib"
    assert inspected == "False"
    facts = on("show", "--store", instance, "py-libensemble", "--json").json
    assert facts["env"]["LD_LIBRARY_PATH"] == libraries


def test_the_environment_is_the_same_whichever_way_a_kernel_is_made(
    on: Runner, demo: Path, spec: Spec, surroundings: Path, instance: Path
) -> None:
    science = make_environment(
        instance / "var" / "spack" / "environments" / "science", [spec], view=False
    )
    manifest = json.loads((science / "spack.yaml").read_text())
    manifest["spack"]["modules"] = {"prefix_inspections": {"./share": ["XDG_DATA_DIRS"]}}
    (science / "spack.yaml").write_text(json.dumps(manifest))
    at = ("--store", instance)
    assert on("install", "--user", "--name", "made", *at, "py-libensemble").status == 0
    assert on("install", "--user", "--name", "env", *at, "--environment", "science").status == 0
    queries = ("--query", "py-libensemble", "--environment", "science")
    assert on("sync", "--user", "--no-config", *at, *queries).status == 0
    synced = f"spack-py-libensemble-1.5.0-{spec.hash[:7]}"
    wanted = on("show", *at, "py-libensemble", "--json").json["env"]
    assert wanted["LD_LIBRARY_PATH"].split(":")[0] == f"{spec.prefix}/lib"
    assert not set(UNUSED) & set(wanted)
    for name in ("made", synced):
        assert on("show", name, "--json").json["env"] == wanted, name
    wanted = on("show", *at, "--environment", "science", "--json").json["env"]
    assert wanted["LD_LIBRARY_PATH"].split(":")[0] == f"{spec.prefix}/lib"
    assert "/share" in wanted["XDG_DATA_DIRS"], "the manifest adds to what the site says"
    for name in ("env", "spack-env-science"):
        assert on("show", name, "--json").json["env"] == wanted, name
    notebook = config_of(surroundings, "spack-notebook")
    assert notebook["prefix_inspections"] == config_of(surroundings, synced)["prefix_inspections"]
    # Without the provisioner, the environment is the same.
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    for name in ("made", synced):
        words = kernel_json(surroundings, name)["argv"]
        started = subprocess.run(
            [*words[: words.index("--") + 1], "python", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(surroundings)},
        )
        found = json.loads(started.stdout)
        assert found["LD_LIBRARY_PATH"].split(":")[0] == f"{spec.prefix}/lib"
        assert not set(UNUSED) & set(found)


@pytest.mark.parametrize("recorded", ["{", "[]", '{"./bin": "PATH"}'])
def test_damaged_inspections_are_refused(on: Runner, recorded: str) -> None:
    result = on("exec", "--prefix-inspections", recorded, "py-libensemble", "--", "true")
    assert result.status == 1
    assert "error: recorded prefix inspections are invalid" in result.err
    assert 'hint: They look like {"./bin": ["PATH"], "./lib": ["LD_LIBRARY_PATH"]}.' in result.err


def test_of_a_view_spack_says_nothing(on: Runner, science: Path) -> None:
    view = science / ".spack-env" / "view"
    result = on("install", "--user", "--view", view, "--spack", "/usr/bin/spack")
    assert result.status == 2
    assert f"argument --spack: not supported for the view {view}" in result.err


@pytest.mark.parametrize("recipes", ["{", "[]", '{"spack_version": 1}'])
def test_damaged_records_are_refused(on: Runner, recipes: str) -> None:
    result = on("exec", "--recipes", recipes, "py-libensemble", "--", "true")
    assert result.status == 1
    assert "record" in result.err
    assert "Install the kernel again" in result.err


@pytest.mark.skipif(not SPACK_ROOT, reason="runs a real Spack: set SPACK_ROOT")
def test_a_real_spack_is_asked(
    on: Runner, demo: Path, surroundings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the Spack in SPACK_ROOT (1.x, with its packages) use the demo store as its own.

    ``SPACK_KERNEL_TEST_REPOSITORY`` can name the builtin package repository to use.
    """
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.yaml").write_text(f"config: {{install_tree: {{root: {demo}}}}}\n")
    if REPOSITORY:
        (config / "repos.yaml").write_text(f"repos: {{builtin: {REPOSITORY}}}\n")
    monkeypatch.setenv("SPACK_USER_CONFIG_PATH", str(config))
    spack = Path(SPACK_ROOT, "bin", "spack")
    result = on("install", "--user", "--name", "made", "--spack", spack, "py-ipykernel")
    assert result.status == 0, result.err
    ipykernel = Store.open(demo).get("py-ipykernel")
    recipes = config_of(surroundings, "made")["recipes"]
    (change,) = [m for m in recipes["modifications"] if m["variable"] == "JUPYTER_PATH"]
    assert change["value"] == f"{ipykernel.prefix}/share/jupyter"
    words = kernel_json(surroundings, "made")["argv"]
    code = "import os, ipykernel; print(os.environ['JUPYTER_PATH'].split(':')[0])"
    output = subprocess.run(
        [*words[: words.index("--") + 1], "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == f"{ipykernel.prefix}/share/jupyter\n"
