"""Real kernels of Spack environments, views and modules, and with recorded variables."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

from spack_kernel.demo import DemoStore
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.jupyter.kernelspecs.content import kernel_dict
from spack_kernel.jupyter.provisioner import KernelTraits
from spack_kernel.kernels.plan.plan import plan_source
from spack_kernel.kernels.sources.kernel_source import environment_source, specs_source
from spack_kernel.spack import Spec, Store
from spack_kernel.spack.load.modifications import Modification
from spack_kernel.spack.load.modules import ModuleSystem
from spack_kernel.spack.load.recipe_variables import RecipeVariables
from tests.cloned_store import ClonedStore
from tests.jupyter.conftest import Running, WriteKernel, execute
from tests.made_environment import link_view, make_environment
from tests.module_systems import debian_module_system, module_settings, write_module

Start = Callable[..., Running]

WHERE = "import sys, os, libensemble, ipykernel; print(sys.prefix, libensemble.__file__)"


def spec_of(demo_store: DemoStore, name: str = "py-libensemble") -> tuple[Store, Spec]:
    store = Store.open(demo_store.root)
    spec = store.by_hash(demo_store.hash(name))
    assert spec is not None
    return store, spec


def test_an_environment_through_its_view(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start, tmp_path: Path
) -> None:
    store, spec = spec_of(demo_store)
    directory = make_environment(tmp_path / "science", [spec])
    view = link_view(directory / ".spack-env" / "view", store, [spec])
    write_kernel("science", environment=str(directory), store=str(demo_store.root))
    _, client = start("science")
    prefix, module = execute(client, WHERE).split()
    assert prefix == str(view)
    assert module.startswith(f"{view}/lib/python")
    code = "print(os.environ['SPACK_ENV_VIEW'], os.environ['PATH'].split(':')[0])"
    assert execute(client, code) == f"{view} {view}/bin"


def test_an_environment_without_a_view_and_after_a_change(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start, tmp_path: Path
) -> None:
    _, spec = spec_of(demo_store)
    _, other = spec_of(demo_store, "py-pyyaml")
    directory = make_environment(tmp_path / "science", [spec], view=False)
    write_kernel("science", environment=str(directory), store=str(demo_store.root))
    manager, client = start("science")
    prefix, module = execute(client, WHERE).split()
    assert "python-venv" in prefix
    assert module.startswith(f"{spec.prefix}/")
    lock = make_environment(tmp_path / "next", [spec, other], view=False) / "spack.lock"
    lock.rename(directory / "spack.lock")
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=60)
    assert str(other.prefix) in execute(client, "import yaml; print(yaml.__file__)")


def test_a_view_of_ones_own(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start, tmp_path: Path
) -> None:
    store, spec = spec_of(demo_store)
    view = link_view(tmp_path / "view", store, [spec])
    write_kernel("mine", view=str(view), store=str(demo_store.root))
    _, client = start("mine")
    assert execute(client, WHERE).split()[0] == str(view)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"environment": "/nowhere"}, "/nowhere does not exist"),
        ({"environment": "science"}, "no environment named science can be found"),
        ({"view": "/nowhere"}, "there is no view at /nowhere: no such directory"),
        ({"view": "tools"}, "needs an absolute path, which 'tools' is not"),
        ({"environment": "/e", "spec": "py-x"}, "has `environment` and also `spec`"),
        ({"view": "/v", "specs": ["py-x"]}, "has `view` and also `specs`"),
        ({"environment": "/e", "from_notebook": True}, "`from_notebook` and also `environment`"),
        ({"environment": 3}, "has an invalid value for `environment`: 3"),
        ({"modules": [3]}, "has an invalid value for `modules`: [3]"),
        ({"recipes": {"a": 1}}, "has an invalid value for `recipes`: {'a': 1}"),
        ({"recipes": [1]}, "has an invalid value for `recipes`: [1]"),
        ({"specs": "py-x"}, "has an invalid value for `specs`: 'py-x'"),
        ({"start_timeout": -1}, "has an invalid value for `start_timeout`: -1"),
        (
            {"prefix_inspections": {"bin": ["A=B"]}},
            "has an invalid value for `prefix_inspections`: {'bin': ['A=B']}",
        ),
    ],
)
def test_what_a_kernelspec_may_say_wrong(
    write_kernel: WriteKernel, demo_store: DemoStore, start: Start, config: Any, text: str
) -> None:
    path = write_kernel("wrong", store=str(demo_store.root), **config)
    with pytest.raises(Exception, match=re.escape(text)) as caught:
        start("wrong")
    assert str(path) in str(caught.value)


# -- recipes -------------------------------------------------------------------------------------


def recorded(spec: Spec) -> RecipeVariables:
    changes = (
        Modification("set", "ENSEMBLE_HOME", f"{spec.prefix}/share", spec=spec.hash),
        Modification("prepend", "PATH", f"{spec.prefix}/tools", spec=spec.hash),
        Modification("append", "SITE_FLAGS", "{quoted} 'text'", separator=" "),
    )
    return RecipeVariables(
        spack_version="1.0", specs=(spec.hash,), replaces=(), modifications=changes
    )


def installed(jupyter_home: Path, content: dict[str, Any]) -> list[str]:
    """Write the same kernelspec as `install` and return its argv."""
    from spack_kernel.jupyter.kernelspecs.files import write_kernelspec

    write_kernelspec(jupyter_home / "data" / "kernels", "made", content)
    argv: list[str] = content["argv"]
    return argv


SHOW = "import os; print(os.environ['ENSEMBLE_HOME'], os.environ['PATH'], os.environ['SITE_FLAGS'])"


def test_recorded_variables_by_provisioner_and_by_argv(
    jupyter_home: Path, demo_store: DemoStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, spec = spec_of(demo_store)
    plan = plan_source(specs_source(store, [spec], recipes=recorded(spec)))
    argv = installed(jupyter_home, kernel_dict(plan))
    witness = jupyter_home / "spack-was-started"
    spack = jupyter_home / "bin" / "spack"
    spack.parent.mkdir()
    spack.write_text(f"#!/bin/sh\ntouch {witness}\nexit 1\n")
    spack.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spack.parent}:{os.environ['PATH']}")
    _, client = start("made")
    by_provisioner = execute(client, SHOW)
    command = [*argv[: argv.index("--") + 1], "python", "-c", SHOW]
    by_argv = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for shown in (by_provisioner, by_argv):
        home, path, *flags = shown.split()
        assert home == f"{spec.prefix}/share"
        assert path.split(":")[0] == f"{spec.prefix}/tools"
        assert " ".join(flags) == "{quoted} 'text'"
    assert str(spack.parent) in by_provisioner
    assert not witness.exists(), "starting a kernel never starts Spack"


def test_an_environment_is_started_by_its_argv_too(
    jupyter_home: Path, demo_store: DemoStore, start: Start, tmp_path: Path
) -> None:
    store, spec = spec_of(demo_store)
    directory = make_environment(tmp_path / "science", [spec])
    view = link_view(directory / ".spack-env" / "view", store, [spec])
    source = environment_source(store, str(directory), recipes=recorded(spec))
    content = kernel_dict(plan_source(source))
    config = content["metadata"]["kernel_provisioner"]["config"]
    assert (config["environment"], config["view"]) == (str(directory), "default")
    assert not {"spec", "hash", "specs"} & set(config)
    argv = installed(jupyter_home, content)
    code = "import sys, os; print(sys.prefix, os.environ['ENSEMBLE_HOME'])"
    command = [*argv[: argv.index("--") + 1], "python", "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.split() == [str(view), f"{view}/share"]
    _, client = start("made")
    assert execute(client, code).split() == output.split()


# -- modules -------------------------------------------------------------------------------------


@pytest.fixture(params=["lmod", "environment-modules"])
def system(request: pytest.FixtureRequest) -> ModuleSystem:
    return debian_module_system(request.param)


@pytest.fixture
def clone(demo_store: DemoStore, tmp_path: Path) -> ClonedStore:
    """Return a store whose external python names a module."""
    store = ClonedStore(demo_store, tmp_path / "sw")
    python = store.records[store.hash("python")]["spec"]
    python["external"]["module"] = ["site-python/3"]
    store.save()
    return store


def set_up_modules(directory: Path) -> Path:
    write_module(
        directory,
        "site-python/3",
        "setenv SITE_LICENSE 27000@licenses",
        "prepend-path PATH /opt/site/bin",
        "module load site-base",
    )
    write_module(directory, "site-base/1", "prepend-path LD_LIBRARY_PATH /opt/site/lib")
    write_module(directory, "extra/2", "setenv EXTRA $::env(SITE_LICENSE)-extra")
    return directory


MODULES = (
    "import os, libensemble\n"
    "print(*map(os.environ.get, ('SITE_LICENSE', 'LD_LIBRARY_PATH', 'EXTRA')),"
    " os.environ['PATH'].split(':').count('/opt/site/bin'))"
)


def test_modules_of_externals_are_loaded_before_the_kernel(
    system: ModuleSystem,
    clone: ClonedStore,
    write_kernel: WriteKernel,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for name, value in module_settings(system, set_up_modules(tmp_path / "modules")).items():
        monkeypatch.setenv(name, value)
    pin = {"hash": clone.hash("py-libensemble"), "store": str(clone.root)}
    write_kernel("modules", **pin, modules=["extra"])
    manager, client = start("modules")
    expected = "27000@licenses /opt/site/lib 27000@licenses-extra 1"
    assert execute(client, MODULES) == expected
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=60)
    assert execute(client, MODULES) == expected, "loaded anew, and not on top of each other"
    write_kernel("without", **pin, load_modules=False)
    _, client = start("without")
    assert execute(client, MODULES) == "None None None 0"


def test_a_server_without_a_login_shell_is_told_where_modules_are(
    system: ModuleSystem,
    clone: ClonedStore,
    write_kernel: WriteKernel,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    settings = module_settings(system, set_up_modules(tmp_path / "modules"))
    for name in ("MODULEPATH", "LMOD_CMD", "MODULES_CMD", "LMOD_PKG", "MODULESHOME"):
        monkeypatch.delenv(name, raising=False)
    pin = {"hash": clone.hash("py-libensemble"), "store": str(clone.root)}
    write_kernel("lost", **pin)
    with pytest.raises(Exception, match="MODULEPATH is not set") as caught:
        start("lost")
    text = str(caught.value)
    assert "python@" in text
    assert "is an external that names site-python/3" in text
    assert "`load_modules` to false (--no-modules)" in text
    write_kernel("trait", **pin, env=settings)
    _, client = start("trait")
    assert execute(client, MODULES).startswith("27000@licenses")
    write_kernel("kernelspec", **pin, kernel_env=settings)
    _, client = start("kernelspec")
    assert execute(client, MODULES).startswith("27000@licenses")


def test_a_module_that_is_not_there(
    system: ModuleSystem,
    clone: ClonedStore,
    write_kernel: WriteKernel,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    for name, value in module_settings(system, tmp_path / "empty").items():
        monkeypatch.setenv(name, value)
    write_kernel("gone", hash=clone.hash("py-libensemble"), store=str(clone.root))
    with pytest.raises(Exception, match="the module system cannot load site-python/3") as caught:
        start("gone")
    assert "site-python" in str(caught.value)
    assert "`module avail` in a shell" in str(caught.value)


def test_a_module_that_spack_generated_is_a_kernel(
    system: ModuleSystem,
    demo_store: DemoStore,
    write_kernel: WriteKernel,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A module from Spack's template with `autoload: direct`: its own paths, then dependencies."""
    _, spec = spec_of(demo_store, "py-pyyaml")
    modules = tmp_path / "modules"
    site_packages = next(Path(str(spec.prefix)).glob("lib/python3*/site-packages"))
    write_module(
        modules,
        "py-pyyaml/6",
        f"prepend-path PYTHONPATH {site_packages}",
        f"prepend-path CMAKE_PREFIX_PATH {spec.prefix}/.",
        "setenv PY_PYYAML_ROOT " + str(spec.prefix),
    )
    for name, value in module_settings(system, modules).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", "/leaked")
    write_kernel("module", modules=["py-pyyaml/6"], store=str(demo_store.root))
    _, client = start("module")
    code = (
        "import os, yaml, ipykernel\n"
        "print(yaml.__file__, ipykernel.__file__, os.environ['PY_PYYAML_ROOT'])\n"
        "try:\n    import libensemble\nexcept ImportError as error:\n    print(error)"
    )
    own, companion, *rest = execute(client, code).split(maxsplit=2)
    assert own.startswith(str(site_packages))
    assert demo_store.hash("py-ipykernel") in companion
    assert rest == [f"{spec.prefix}\nNo module named 'libensemble'"]
    assert "/leaked" not in execute(client, "import sys; print(sys.path)")


def test_a_module_of_something_else_is_no_kernel(
    system: ModuleSystem,
    demo_store: DemoStore,
    write_kernel: WriteKernel,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write_module(tmp_path / "modules", "vendor/1", "prepend-path PATH /opt/vendor/bin")
    for name, value in module_settings(system, tmp_path / "modules").items():
        monkeypatch.setenv(name, value)
    write_kernel("vendor", modules=["vendor"], store=str(demo_store.root))
    with pytest.raises(Exception, match="nothing that vendor loads is installed") as told:
        start("vendor")
    assert f"the store is {demo_store.root}" in str(told.value)
    assert "PATH=/opt/vendor/bin" in str(told.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"argv": ["spack-kernel", "exec", "py-x", "--"]}, "no command after the two dashes"),
        ({"argv": ["python"], "env": {"A": "\ud800"}}, "a variable in `env` that no process"),
        ({"argv": ["python"], "env": {"A=B": "1"}}, "a variable in `env` that no process"),
        ({"argv": ["python"], "env": {"A": "\0"}}, "a variable in `env` that no process"),
    ],
)
def test_what_no_process_can_have(content: dict[str, Any], text: str) -> None:
    traits = KernelTraits(kernel_spec=KernelSpec(**content))

    def start() -> None:
        traits.configure({})
        traits.request()

    with pytest.raises(KernelSpecError, match=text):
        start()
