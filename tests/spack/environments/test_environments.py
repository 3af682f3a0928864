"""Spack environments: found, read, and activated as real Spacks activate them."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.config.config import Config
from spack_kernel.spack.environments.activation import (
    ViewNotFound,
    activate,
    load_view,
    specs_in_view,
)
from spack_kernel.spack.environments.errors import EnvironmentNotFound, EnvironmentNotReady
from spack_kernel.spack.environments.frozen import View
from spack_kernel.spack.environments.manifest import environment_names, open_environment
from spack_kernel.spack.environments.views import Projection
from spack_kernel.spack.errors import ConfigError, ConfigWarning, SpackKernelError, StoreNotFound
from spack_kernel.spack.load.directories import Directories
from spack_kernel.spack.store.store import Store
from tests.records import make, make_store, node, readable_hash
from tests.spack.golden_environments import Golden, open_golden, read

# Variables that only recipes set, by environment; everything else must match Spack exactly.
MPI = {"LD_LIBRARY_PATH", "MPICC", "MPICXX", "MPIF77", "MPIF90"}
PETSC = {"MPIFC", "PETSC_ARCH", "PETSC_DIR"}
SITETOOL = {"SITETOOL_FLAGS", "SITETOOL_HOME", "SITETOOL_MSG", "SITETOOL_OLD", "SITETOOL_PATH"}
ZMQ = {"C_INCLUDE_PATH", "LIBRARY_PATH"}
R = {"LD_LIBRARY_PATH", "R_HOME", "R_LIBS"}
JUPYTER = {"JUPYTER_PATH"}
RECIPE_VARIABLES = {
    ("0.23", "jupyter"): JUPYTER | ZMQ,
    ("0.23", "jupyter-proj"): JUPYTER | ZMQ,
    ("0.23", "ext"): JUPYTER | ZMQ,
    ("0.23", "gcc11"): JUPYTER | ZMQ,
    ("0.23", "mpi"): MPI,
    ("0.23", "mpi2"): MPI | PETSC,
    ("0.23", "r"): R | ZMQ,
    ("0.23", "site"): SITETOOL,
    ("1.3", "jupyter"): JUPYTER,
    ("1.3", "jupyter-proj"): JUPYTER,
    ("1.3", "ext"): JUPYTER,
    ("1.3", "mpi"): MPI,
    ("1.3", "mpi2"): MPI | PETSC | {"PRTE_PREFIX"},
    ("1.3", "r"): R,
    ("1.3", "site"): SITETOOL,
}

# Directories that only recipes add to variables that we otherwise know.
RECIPE_DIRECTORIES = ("/rlib/pkgconfig", "/view/plugins")


@pytest.fixture(scope="module", params=["0.23", "1.3"])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(request.param, tmp_path_factory.mktemp("golden"))


def told(value: str, existing: frozenset[str], own: Path) -> list[str]:
    """Return the entries that exist or are in a view, without those that a recipe adds."""
    return [
        entry
        for entry in value.split(":")
        if (entry in existing or entry.startswith(str(own)))
        and not entry.endswith(RECIPE_DIRECTORIES)
    ]


def test_activation_is_spacks(golden: Golden, tmp_path: Path) -> None:
    answers = read(f"{golden.version}/activate.json.xz")
    for name, files in answers["environments"].items():
        (tmp_path / name).mkdir()
        manifest = files["spack.yaml"].replace(answers["root"], str(tmp_path))
        (tmp_path / name / "spack.yaml").write_text(manifest)
        (tmp_path / name / "spack.lock").write_text(json.dumps(files["spack.lock"]))
    compared = set()
    for answer in answers["activations"]:
        name = answer["environment"]
        environment = open_environment(str(tmp_path / name))
        assert [spec.hash for spec in environment.specs(golden.store)] == answer["roots"]
        if answer["view"] is None:
            assert answer["env"] == {}, "without a view Spack changes nothing"
            continue
        view = environment.view()
        assert view is not None
        assert view.name == answer["view"]
        activation = activate(
            environment,
            golden.store,
            view,
            directories=Directories(
                lambda path: path in golden.existing or path.startswith(str(tmp_path))
            ),
        )
        made = activation.apply({})
        assert made.pop("SPACK_ENV") == str(tmp_path / name)
        assert made.pop("SPACK_ENV_VIEW") == view.root
        spacks = {
            variable: value.replace(answers["root"], str(tmp_path))
            for variable, value in answer["env"].items()
        }
        assert set(spacks) - set(made) == RECIPE_VARIABLES[golden.version, name]
        assert set(made) <= set(spacks)
        ours = {entry.path for entry in activation.pythonpath if entry.added_by_us}
        for variable, value in made.items():
            own = [path for path in told(value, golden.existing, tmp_path) if path not in ours]
            theirs = told(spacks[variable], golden.existing, tmp_path)
            if variable == "PYTHONPATH":  # the order of lib and lib64 is random in Spack
                assert sorted(own) == sorted(theirs), name
            else:
                assert own == theirs, (name, variable)
        compared.add(name)
    assert compared == {name for version, name in RECIPE_VARIABLES if version == golden.version}


# Our own small environments.


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of py-a, its run dependency py-b, and tool, with their directories."""
    root = tmp_path / "sw"
    store = make_store(
        root,
        node("python", version="3.11.9"),
        node("python-venv", ("python", "build run")),
        node("py-b", ("python-venv", "build run"), ("python", "build run")),
        node("py-a", ("py-b", "run"), ("python-venv", "build run"), ("python", "build run")),
        node("tool"),
    )
    for name in ("py-a", "py-b"):
        make(root, f"{name}/lib/python3.11/site-packages", f"{name}/bin")
    make(root, "tool/bin", "tool/share/man")
    return store


def lock(*names: str, version: int = 6, **more: Any) -> str:
    return json.dumps(
        {
            "_meta": {"file-type": "spack-lockfile", "lockfile-version": version},
            "roots": [{"hash": readable_hash(name), "spec": name} for name in names],
            "concrete_specs": {
                readable_hash(name): {"name": name, "version": "1.0", "hash": readable_hash(name)}
                for name in names
            },
            **more,
        }
    )


def make_environment(directory: Path, manifest: str = "", locked: str | None = None) -> Path:
    directory.mkdir(parents=True)
    (directory / "spack.yaml").write_text(f"spack:\n  specs: []\n{manifest}")
    if locked is not None:
        (directory / "spack.lock").write_text(locked)
    return directory


def make_instance(root: Path, config: str = "") -> Config:
    (root / "etc/spack/defaults").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/spack").touch()
    (root / "etc/spack/config.yaml").write_text(f"config: {{{config}}}\n")
    return Config.open(root, {"HOME": str(root), "SPACK_DISABLE_LOCAL_CONFIG": "1"})


def failure(error: pytest.ExceptionInfo[SpackKernelError]) -> str:
    return str(error.value)


def test_without_a_view_the_roots_are_loaded(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "  view: false\n", lock("py-a", "tool"))
    environment = open_environment(str(path))
    assert environment.views == {}
    assert environment.view() is None
    activation = activate(environment, store, environment.view())
    assert [spec.name for spec in activation.specs] == ["py-a", "tool"]
    made = activation.apply({})
    assert made["SPACK_ENV"] == str(path)
    assert "SPACK_ENV_VIEW" not in made
    assert "SPACK_LOADED_HASHES" not in made
    assert made["PYTHONPATH"] == ":".join(entry.path for entry in activation.pythonpath)
    assert [entry.spec.name for entry in activation.pythonpath] == ["py-a", "py-b"]
    assert str(tmp_path / "sw/tool/bin") in made["PATH"].split(":")


def test_through_the_default_view(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "  view: true\n", lock("py-a", "tool"))
    view_root = path / ".spack-env/view"
    make(view_root, "lib/python3.11/site-packages")
    environment = open_environment(str(path))
    activation = activate(environment, store, environment.view())
    made = activation.apply({"PATH": "/usr/bin", "PYTHONPATH": "/mine"})
    assert made["PYTHONPATH"] == f"{view_root}/lib/python3.11/site-packages:/mine"
    assert made["PATH"] == f"{view_root}/bin:/usr/bin"
    assert made["MANPATH"] == f"{view_root}/share/man:{view_root}/man:"
    assert made["SPACK_ENV_VIEW"] == str(view_root)


def test_a_view_that_shows_roots_only_leaves_the_rest_behind(store: Store, tmp_path: Path) -> None:
    manifest = f"  view:\n    mine:\n      root: {tmp_path}/view\n      link: roots\n"
    path = make_environment(tmp_path / "env", manifest, lock("py-a"))
    make(tmp_path / "view", "lib/python3.11/site-packages")
    environment = open_environment(str(path))
    activation = activate(environment, store, environment.view())
    assert [(entry.path, entry.added_by_us) for entry in activation.pythonpath] == [
        (f"{tmp_path}/view/lib/python3.11/site-packages", False),
        (f"{tmp_path}/sw/py-b/lib/python3.11/site-packages", True),
    ]
    assert activation.pythonpath[1].reason.endswith("not linked into the view")


def test_projections_place_packages_as_what_they_extend(store: Store, tmp_path: Path) -> None:
    manifest = (
        f"  view:\n    mine:\n      root: {tmp_path}/view\n      projections:\n"
        "        all: '{name}-{version}/{hash:7}'\n"
    )
    path = make_environment(tmp_path / "env", manifest, lock("py-a", "tool"))
    python = f"{tmp_path}/view/python-3.11.9/pythona"
    make(Path(python), "lib/python3.11/site-packages")
    environment = open_environment(str(path))
    made = activate(environment, store, environment.view()).apply({})
    tool = f"{tmp_path}/view/tool-1.0/toolaaa"
    assert made["PATH"].split(":") == [f"{python}/bin", f"{tool}/bin", f"{tmp_path}/view/bin"]
    assert made["PYTHONPATH"] == f"{python}/lib/python3.11/site-packages"


def test_env_vars_of_the_manifest(store: Store, tmp_path: Path) -> None:
    manifest = (
        "  view: false\n  env_vars:\n    set:\n      LEVEL: 3\n    unset: [OLD]\n"
        "    prepend_path:\n      TOOLS: /opt/tools\n"
    )
    path = make_environment(tmp_path / "env", manifest, lock("tool"))
    made = activate(open_environment(str(path)), store, None).apply({"OLD": "1", "TOOLS": "/mine"})
    assert (made["LEVEL"], made["TOOLS"]) == ("3", "/opt/tools:/mine")
    assert "OLD" not in made


def test_an_environment_with_an_install_tree_of_its_own(store: Store, tmp_path: Path) -> None:
    plain = make_environment(tmp_path / "plain", "", lock("tool"))
    assert open_environment(str(plain)).store(store) is store
    manifest = "  config:\n    install_tree:\n      root: ./tree\n"
    path = make_environment(tmp_path / "env", manifest, lock("own"))
    make_store(path / "tree", node("own"))
    environment = open_environment(str(path))
    assert [spec.name for spec in environment.specs(environment.store(store))] == ["own"]
    assert Path(environment.store(store).root) == path / "tree"
    same = f"  config: {{install_tree: {{root: {store.root}}}}}\n"
    path = make_environment(tmp_path / "same", same, lock("tool"))
    assert open_environment(str(path)).store(store) is store
    (path / "spack.yaml").write_text(f"spack:\n  config: {{install_tree: {tmp_path}/gone}}\n")
    with pytest.raises(StoreNotFound, match="gone"):
        open_environment(str(path)).store(store)


@pytest.mark.parametrize(
    "tree", ["{projections: {all: '{name}/{hash:4}'}}", "{padded_length: 128}", "{}"]
)
def test_an_install_tree_without_a_root_is_the_sites(
    store: Store, tmp_path: Path, tree: str
) -> None:
    manifest = f"  config: {{install_tree: {tree}}}\n"
    path = make_environment(tmp_path / "env", manifest, lock("tool"))
    assert open_environment(str(path)).store(store) is store


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("", {"default": ".spack-env/view"}),
        ("  view: true\n", {"default": ".spack-env/view"}),
        ("  view: {}\n", {"default": ".spack-env/view"}),
        ("  view: false\n", {}),
        ("  view: ./mine\n", {"default": "mine"}),
        ("  view:\n    a: x\n    b:\n      root: /opt/../y\n", {"a": "x", "b": "/y"}),
    ],
)
def test_views_of_a_manifest(tmp_path: Path, manifest: str, expected: dict[str, str]) -> None:
    path = make_environment(tmp_path / "env", manifest, lock())
    views = open_environment(str(path)).views
    assert {name: view.root for name, view in views.items()} == {
        name: posixpath.join(str(path), root) for name, root in expected.items()
    }


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ("  view: 3\n", "view needs true, false, a path or a mapping"),
        ("  view:\n    a: 3\n", "the view a needs a root"),
        ("  view:\n    a: {root: x, link: most}\n", "link of the view a is 'most'"),
        (
            "  view:\n    a: {root: x, projections: [y]}\n",
            "projections of the view a need a mapping",
        ),
        ("  view:\n   a: [\n", "not YAML"),
    ],
)
def test_a_manifest_that_makes_no_sense(tmp_path: Path, manifest: str, text: str) -> None:
    path = make_environment(tmp_path / "env", manifest, lock())
    with pytest.raises(ConfigError, match="env") as error:
        open_environment(str(path))
    assert text in failure(error)


def test_which_view(tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "  view: {a: x, b: y}\n", lock())
    environment = open_environment(str(path))
    assert environment.view("b") is environment.views["b"]
    with pytest.raises(EnvironmentNotReady) as error:
        environment.view()
    assert failure(error).splitlines() == [
        f"the environment {path} has 2 views and none is the default",
        f"  a: {path}/x",
        f"  b: {path}/y",
        "Name one of them.",
    ]
    with pytest.raises(EnvironmentNotReady, match="has no view named c"):
        environment.view("c")


def test_a_view_that_was_not_made(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "", lock("tool"))
    environment = open_environment(str(path))
    with pytest.raises(ViewNotFound) as error:
        activate(environment, store, environment.view())
    assert failure(error).splitlines() == [
        f"the view default of the environment {path} does not exist",
        f"  looked for {path}/.spack-env/view",
        f"Create it with `spack -D {path} env view regenerate`.",
    ]


def test_roots_that_are_not_installed(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "", lock("tool", "py-gone"))
    with pytest.raises(EnvironmentNotReady) as error:
        open_environment(str(path)).specs(store)
    assert failure(error).splitlines() == [
        f"1 of the 2 roots of the environment {path} is not installed",
        "  py-gone@1.0/pygonea for 'py-gone'",
        f"  in {store.root}",
        f"Install what is missing with `spack -D {path} install`.",
    ]


def test_an_environment_without_specs(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "", lock())
    with pytest.raises(EnvironmentNotReady, match="has no specs"):
        open_environment(str(path)).specs(store)


def test_an_environment_that_was_never_concretized(tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env")
    with pytest.raises(EnvironmentNotReady) as error:
        open_environment(str(path))
    assert "was never concretized: it has no spack.lock" in failure(error)
    assert f"`spack -D {path} concretize`" in failure(error)


@pytest.mark.parametrize(
    ("locked", "text"),
    [
        ("{", "spack.lock is not JSON"),
        ("[" * 100_000, "spack.lock is not JSON"),
        ("[]", "spack.lock is not a Spack lock file: it has no `_meta`"),
        (
            '{"_meta": {"lockfile-version": 6}}',
            "spack.lock is not a Spack lock file: it has no `roots`",
        ),
        (
            '{"_meta": {"lockfile-version": "x"}, "roots": []}',
            "spack.lock is not a Spack lock file: invalid literal",
        ),
    ],
)
def test_a_damaged_lock_file(tmp_path: Path, locked: str, text: str) -> None:
    path = make_environment(tmp_path / "env", "", locked)
    with pytest.raises(ConfigError) as error:
        open_environment(str(path))
    assert text in failure(error)


def test_a_newer_lock_file_is_read_with_a_warning(store: Store, tmp_path: Path) -> None:
    path = make_environment(tmp_path / "env", "", lock("tool", version=99))
    with pytest.warns(ConfigWarning, match="format 99, newer than any known"):
        environment = open_environment(str(path))
    assert [spec.name for spec in environment.specs(store)] == ["tool"]


def test_old_lock_files_key_specs_by_other_hashes(store: Store, tmp_path: Path) -> None:
    other = "b" * 32
    content = json.loads(lock(version=3))
    content["roots"] = [{"hash": other, "spec": "tool"}]
    content["concrete_specs"] = {
        other: {"name": "tool", "version": "1.0", "hash": readable_hash("tool")}
    }
    path = make_environment(tmp_path / "v3", "", json.dumps(content))
    assert [spec.name for spec in open_environment(str(path)).specs(store)] == ["tool"]
    content["_meta"]["lockfile-version"] = 1
    content["roots"] = [{"hash": readable_hash("tool"), "spec": "tool"}]
    content["concrete_specs"] = {readable_hash("tool"): {"tool": {"version": "1.0"}}}
    path = make_environment(tmp_path / "v1", "", json.dumps(content))
    environment = open_environment(str(path))
    assert environment.roots[0].label == "tool@1.0/toolaaa"
    assert [spec.name for spec in environment.specs(store)] == ["tool"]


def test_included_environments_add_their_roots(store: Store, tmp_path: Path) -> None:
    included = {"/elsewhere": json.loads(lock("py-a", "tool"))}
    path = make_environment(tmp_path / "env", "", lock("tool", include_concrete=included))
    assert [spec.name for spec in open_environment(str(path)).specs(store)] == ["tool", "py-a"]


def test_a_view_of_one_group_of_roots(store: Store, tmp_path: Path) -> None:
    content = json.loads(lock("py-b", "py-a", version=7))
    content["roots"][1]["group"] = "apps"
    path = make_environment(
        tmp_path / "env",
        "  view:\n    v: {root: view, group: apps, link: roots}\n",
        json.dumps(content),
    )
    make(path, "view/lib/python3.11/site-packages")
    environment = open_environment(str(path))
    activation = activate(environment, store, environment.view())
    assert [(entry.spec.name, entry.added_by_us) for entry in activation.pythonpath] == [
        ("py-a", False),
        ("py-b", True),
    ]


def test_managed_environments_by_name(store: Store, tmp_path: Path) -> None:
    config = make_instance(tmp_path / "spack")
    below = tmp_path / "spack/var/spack/environments"
    make_environment(below / "science", "", lock("tool"))
    make_environment(below / "team/shared", "", lock("tool"))
    elsewhere = make_environment(tmp_path / "tracked", "", lock("tool"))
    (below / "tracked").symlink_to(elsewhere)
    make(below, "no-environment")
    assert environment_names(config) == ["science", "team/shared", "tracked"]
    for name in environment_names(config):
        environment = open_environment(name, config)
        assert (environment.name, environment.option) == (name, f"-e {name}")
        assert [spec.name for spec in environment.specs(store)] == ["tool"]
    assert open_environment(str(elsewhere), config).name == "tracked"
    assert open_environment(str(below / "science"), config).name == "science"
    with pytest.raises(EnvironmentNotFound) as error:
        open_environment("sience", config)
    assert failure(error).splitlines() == [
        "no environment named 'sience'",
        f"  looked for {below}/sience/spack.yaml",
        "There is science.",
    ]


def test_the_site_says_where_environments_are(store: Store, tmp_path: Path) -> None:
    config = make_instance(tmp_path / "spack", f"environments_root: {tmp_path}/$user/../envs")
    make_environment(tmp_path / "envs/mine", "", lock("tool"))
    assert open_environment("mine", config).path == tmp_path / "envs/mine"


def test_a_name_is_never_taken_for_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_instance(tmp_path / "spack")
    make_environment(tmp_path / "mine", "", lock())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvironmentNotFound, match=r"is \./mine\."):
        open_environment("mine", config)
    assert open_environment("./mine", config).path == tmp_path / "mine"
    with pytest.raises(EnvironmentNotFound, match=r"write|path: \./mine"):
        open_environment("mine")
    for name in ("../mine/x y", "a b", "-e", "x/../mine"):
        with pytest.raises(EnvironmentNotFound):
            open_environment(name, config)


def test_directories_that_are_no_environments(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    make(tmp_path, "empty", "locked")
    (tmp_path / "locked/spack.lock").write_text(lock())
    for name, text in (
        ("gone", "does not exist"),
        ("file", "is not a directory"),
        ("empty", "has no spack.yaml: it is not a Spack environment"),
        ("locked", "`spack env create -d DIRECTORY"),
    ):
        with pytest.raises(EnvironmentNotFound) as error:
            open_environment(str(tmp_path / name))
        assert text in failure(error)


# Views that the user created.


def link_into(view: Path, spec_name: str, record: Any) -> None:
    target = view / ".spack" / spec_name
    target.mkdir(parents=True)
    (target / "spec.json").write_text(json.dumps(record))


def recorded(name: str) -> Any:
    return {
        "spec": {"_meta": {"version": 5}, "nodes": [{"name": name, "hash": readable_hash(name)}]}
    }


def test_a_view_of_the_users_own_making(store: Store, tmp_path: Path) -> None:
    view = tmp_path / "view"
    for name in ("python", "py-a"):
        link_into(view, name, recorded(name))
    link_into(view, "gone", recorded("gone"))
    link_into(view, "odd", ["not a spec"])
    make(view, "bin", "share/man", "lib/python3.11/site-packages")
    loaded = load_view(store, str(view))
    assert [spec.name for spec in loaded.specs] == ["py-a", "python"]
    assert loaded.apply({}) == {
        "PATH": f"{view}/bin",
        "MANPATH": f"{view}/share/man:",
        "CMAKE_PREFIX_PATH": str(view),
        "PYTHONPATH": f"{view}/lib/python3.11/site-packages",
    }
    assert [entry.spec.name for entry in loaded.pythonpath] == ["python"]


def test_directories_that_are_no_views(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ViewNotFound, match="no such directory"):
        load_view(store, str(tmp_path / "gone"))
    make(tmp_path, "empty")
    assert specs_in_view(store, str(tmp_path / "empty")) == ()
    with pytest.raises(ViewNotFound) as error:
        load_view(store, str(tmp_path / "empty"))
    assert failure(error).splitlines() == [
        f"{tmp_path}/empty is not a view of specs of this store",
        f"  looked in {tmp_path}/empty/.spack for linked specs",
        f"Create one with `spack view symlink {tmp_path}/empty SPEC`.",
    ]


def test_a_view_of_several_pythons(tmp_path: Path) -> None:
    other = readable_hash("other")
    store = make_store(
        tmp_path, node("python", version="3.11.9"), node("python", version="3.12.1", hash=other)
    )
    view = tmp_path / "view"
    link_into(view, "python", recorded("python"))
    link_into(view, "python-other", {"spec": {"nodes": [{"hash": other}]}})
    with pytest.raises(ViewNotFound, match="has several Pythons"):
        load_view(store, str(view))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("glib", {}),
        ("meson", {"parameters": {"build_system": "python_pip"}}),
        ("doxygen", {"parameters": {"build_system": "cmake"}}),
    ],
)
def test_what_extends_python_is_projected_as_python(
    name: str, more: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever its name; a package that only runs with Python has a place of its own."""
    edges = [("python", "build run"), *([("python-venv", "build run")] if name == "glib" else [])]
    store = make_store(
        tmp_path / "sw",
        node("python", version="3.11.9"),
        node("python-venv", ("python", "build run")),
        node(name, *edges, **more),
    )
    spec = store.get(name)
    view = View("all", "/view", projections={"all": "{name}"})
    projection = Projection(view, store.closure(spec), store)
    assert projection.directory(spec) == ("/view/doxygen" if name == "doxygen" else "/view/python")
