"""Load environments compared with those of real Spacks, and each rule on its own."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.load.directories import Directories
from spack_kernel.spack.load.inspections import DEFAULT_INSPECTIONS
from spack_kernel.spack.load.load import LoadEnvironment, load_environment
from spack_kernel.spack.store.store import Store
from tests.records import make, make_store, node, readable_hash
from tests.spack.golden_environments import ORDERED, VERSIONS, Environment, Golden, open_golden

# Differences from Spack's answers, by name. The answers were recorded while packages were still
# being installed, so some prefixes existed when Spack checked them but not when the directories
# were listed, or the other way round.
GONE = "the prefix of this uninstalled spec existed when Spack ran"
LATER = "the directory was created after Spack ran"
RECIPE = "the package's recipe adds it"
DIFFERENCES: dict[tuple[str, str, str], str] = {
    ("0.16", "3u4bx7l", "PATH"): GONE,
    ("0.16", "3u4bx7l", "MANPATH"): GONE,
    ("0.16", "3u4bx7l", "CMAKE_PREFIX_PATH"): GONE,
    ("0.16", "bhdajx6", "CMAKE_PREFIX_PATH"): LATER,
    ("0.16", "wwqakcy", "CMAKE_PREFIX_PATH"): LATER,
    ("0.16", "cf2cxyt", "PKG_CONFIG_PATH"): RECIPE,
    ("0.16", "l42n2aw", "PKG_CONFIG_PATH"): RECIPE,
    ("0.16", "plapk4i", "PKG_CONFIG_PATH"): RECIPE,
    ("0.17", "mbdnsus", "PATH"): GONE,
    ("0.17", "mbdnsus", "MANPATH"): GONE,
    ("0.17", "mbdnsus", "CMAKE_PREFIX_PATH"): GONE,
    ("0.17", "n3pabjd", "PKG_CONFIG_PATH"): RECIPE,
    ("0.17", "qvh4y4o", "PKG_CONFIG_PATH"): RECIPE,
    ("0.17", "znyq4hm", "PKG_CONFIG_PATH"): RECIPE,
    ("0.20", "744k4li", "CMAKE_PREFIX_PATH"): LATER,
    ("0.20", "xa7bfpw", "CMAKE_PREFIX_PATH"): GONE,
    ("0.20", "pvzsjwk", "CMAKE_PREFIX_PATH"): GONE,
    ("0.20", "g42egha", "CMAKE_PREFIX_PATH"): GONE,
    ("0.20", "g42egha", "PKG_CONFIG_PATH"): GONE,
    ("0.20", "g42egha", "PATH"): GONE,
    ("0.20", "utq4bkl", "PKG_CONFIG_PATH"): RECIPE,
    ("0.20", "ibs4igr", "PKG_CONFIG_PATH"): RECIPE,
    ("0.20", "dl3my2r", "PKG_CONFIG_PATH"): RECIPE,
    ("0.23", "4kapbpt", "PATH"): GONE,
    ("0.23", "4kapbpt", "MANPATH"): GONE,
    ("0.23", "4kapbpt", "CMAKE_PREFIX_PATH"): GONE,
    ("0.23", "wwef53s", "PATH"): RECIPE,
    ("0.23", "mr3zstx", "PKG_CONFIG_PATH"): RECIPE,
    ("0.23", "drdokh3", "PKG_CONFIG_PATH"): RECIPE,
    ("0.23", "xeqwhg4", "PKG_CONFIG_PATH"): RECIPE,
    ("1.3", "2nrbpco", "CMAKE_PREFIX_PATH"): GONE,
    ("1.3", "3i74mrn", "CMAKE_PREFIX_PATH"): LATER,
    ("1.3", "c4mk6sb", "CMAKE_PREFIX_PATH"): LATER,
    ("1.3", "c4mk6sb+gpjftde", "CMAKE_PREFIX_PATH"): LATER,
    ("1.3", "ubfuzaq+3i74mrn", "CMAKE_PREFIX_PATH"): LATER,
    ("1.3", "pcj7i4r", "PKG_CONFIG_PATH"): RECIPE,
    ("1.3", "j3rm6tf", "PKG_CONFIG_PATH"): RECIPE,
    ("0.23/chain", "vom6fkr", "PKG_CONFIG_PATH"): RECIPE,
}

# Variables that only recipes set: compilers and MPI wrappers, site tools, R, Jupyter, ROOT, Lua.
RECIPE_VARIABLES = {
    "0.16": "CPATH C_INCLUDE_PATH LIBRARY_PATH JUPYTERLAB_DIR JUPYTER_PATH MPICC MPICXX MPIF77 "
    "MPIF90 PETSC_DIR SITETOOL_FLAGS SITETOOL_HOME SITETOOL_MSG SITETOOL_PATH R_LIBS",
    "0.17": "CPATH C_INCLUDE_PATH LIBRARY_PATH JUPYTERLAB_DIR JUPYTER_PATH MPICC MPICXX MPIF77 "
    "MPIF90 PETSC_DIR SITETOOL_FLAGS SITETOOL_HOME SITETOOL_MSG SITETOOL_PATH R_LIBS",
    "0.20": "C_INCLUDE_PATH LIBRARY_PATH JUPYTERLAB_DIR JUPYTER_PATH M4 MPICC MPICXX MPIF77 MPIF90 "
    "PETSC_DIR SITETOOL_FLAGS SITETOOL_HOME SITETOOL_MSG SITETOOL_PATH LD_LIBRARY_PATH R_HOME "
    "R_LIBS HDF5_PLUGIN_PATH",
    "0.23": "C_INCLUDE_PATH JUPYTER_PATH LIBRARY_PATH JUPYTERLAB_DIR JUPYTER_CONFIG_PATH MPICC "
    "MPICXX MPIF77 MPIF90 MPIFC LD_LIBRARY_PATH PETSC_DIR SITETOOL_FLAGS SITETOOL_HOME "
    "SITETOOL_MSG SITETOOL_PATH R_HOME R_LIBS BOOST_ROOT",
    "1.3": "JUPYTER_PATH JUPYTERLAB_DIR JUPYTER_CONFIG_PATH LD_LIBRARY_PATH MPICC MPICXX MPIF77 "
    "MPIF90 MPIFC PRTE_PREFIX PETSC_DIR SITETOOL_FLAGS SITETOOL_HOME SITETOOL_MSG SITETOOL_PATH "
    "R_HOME R_LIBS HDF5_PLUGIN_PATH LUA_CPATH LUA_PATH BOOST_ROOT CLING_STANDARD_PCH "
    "CPPYY_API_PATH CPPYY_BACKEND_LIBRARY ROOTSYS ROOT_LIBRARY_PATH ROOT_VERSION CC CXX F77 FC",
    "0.23/chain": "MPICC MPICXX MPIF77 MPIF90 MPIFC LD_LIBRARY_PATH R_HOME R_LIBS",
    "1.3/chain": "LD_LIBRARY_PATH MPICC MPICXX MPIF77 MPIF90 SITETOOL_FLAGS SITETOOL_HOME "
    "SITETOOL_MSG SITETOOL_PATH CC CXX F77 FC HDF5_PLUGIN_PATH MPIFC PRTE_PREFIX",
}

# Every variable that follows from the database and the prefixes, except PYTHONPATH.
TOLD = ("PATH", "MANPATH", "ACLOCAL_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH")


@pytest.fixture(scope="module", params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(request.param, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def loaded(golden: Golden) -> list[tuple[Environment, LoadEnvironment]]:
    return [
        (
            answer,
            load_environment(
                golden.store, answer.specs, golden.inspections, directories=golden.directories
            ),
        )
        for answer in golden.environments
    ]


def entries(value: str | None) -> list[str]:
    return [posixpath.normpath(entry) for entry in (value or "").split(":") if entry]


def pairs(paths: list[str]) -> list[set[str]]:
    """Join adjacent entries that differ only in lib and lib64: Spack's order is random."""
    groups: list[set[str]] = []
    for path in paths:
        if groups and path.replace("/lib64/", "/lib/") in {
            other.replace("/lib64/", "/lib/") for other in groups[-1]
        }:
            groups[-1].add(path)
        else:
            groups.append({path})
    return groups


def test_pythonpath_is_spacks(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    compared = 0
    for answer, environment in loaded:
        spacks = [
            path
            for path in dict.fromkeys(entries(answer.variables.get("PYTHONPATH")))
            if path in golden.existing
        ]
        own = [entry.path for entry in environment.pythonpath if not entry.added_by_us]
        if golden.version in ORDERED:
            assert pairs(own) == pairs(spacks), answer.key
        else:
            assert sorted(own) == sorted(spacks), answer.key
        compared += bool(spacks)
    assert compared >= {"0.23/chain": 18, "1.3/chain": 20}.get(golden.version, 40)


def test_what_spack_misses_stands_behind(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    for answer, environment in loaded:
        ours = [entry.added_by_us for entry in environment.pythonpath]
        assert ours == sorted(ours), answer.key
        paths = [entry.path for entry in environment.pythonpath]
        assert len(set(paths)) == len(paths)
        assert golden.existing.issuperset(paths)
        assert golden.existing.isdisjoint(
            entry.path for entry in environment.left_out if "belongs to" not in entry.reason
        )
        assert environment.apply({}).get("PYTHONPATH", "") == ":".join(paths)


def test_variables_are_spacks(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    """Current rules give exactly the same values; on older stores, the same directories."""
    differences = set()
    for answer, environment in loaded:
        made = environment.apply({})
        for variable in TOLD:
            own, spacks = made.get(variable), answer.variables.get(variable)
            same = (
                own == spacks
                if golden.version in ORDERED
                else set(entries(own)) == set(entries(spacks))
            )
            if not same:
                differences.add((golden.version, answer.key, variable))
    assert differences == {key for key in DIFFERENCES if key[0] == golden.version}


def test_only_recipes_know_the_other_variables(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    told = {*TOLD, "PYTHONPATH", "SPACK_LOADED_HASHES"}
    told.update(*golden.inspections.values())
    spacks: set[str] = set()
    for answer, environment in loaded:
        assert told.issuperset(m.variable for m in environment.modifications)
        spacks.update(answer.variables)
    assert spacks - told == set(RECIPE_VARIABLES[golden.version].split())


def test_loaded_hashes_are_spacks(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    for answer, environment in loaded:
        value = environment.apply({})["SPACK_LOADED_HASHES"]
        if golden.version in ORDERED:
            assert value == answer.variables["SPACK_LOADED_HASHES"]
        else:  # they load every dependency separately
            assert set(value.split(":")) <= set(answer.variables["SPACK_LOADED_HASHES"].split(":"))


def test_every_modification_knows_its_spec_and_reason(
    golden: Golden, loaded: list[tuple[Environment, LoadEnvironment]]
) -> None:
    for _, environment in loaded:
        for modification in environment.modifications:
            assert modification.reason
            assert modification.spec is not None
            assert golden.store.by_hash(modification.spec) is not None


# Each rule on its own, with small stores and real directories.


def load(store: Store, *names: str, **options: Any) -> LoadEnvironment:
    specs = [store.by_hash(readable_hash(name)) for name in names]
    return load_environment(store, [spec for spec in specs if spec], **options)


PYTHON_STACK = (
    node("python", version="3.11.9"),
    node("python-venv", ("python", "build run")),
)


def python_stack() -> tuple[Any, ...]:
    return json.loads(json.dumps(PYTHON_STACK))  # type: ignore[no-any-return]


def test_an_external_inside_site_packages_is_found_behind(tmp_path: Path) -> None:
    conda = tmp_path / "conda/lib/python3.11/site-packages"
    store = make_store(
        tmp_path,
        *python_stack(),
        node(
            "py-numpy",
            ("python", "build run"),
            prefix=str(conda / "numpy"),
            external={"path": str(conda / "numpy"), "module": None, "extra_attributes": {}},
        ),
        node("py-pandas", ("py-numpy", "run"), ("python", "build run"), ("python-venv", "run")),
    )
    make(tmp_path, "py-pandas/lib/python3.11/site-packages")
    (conda / "numpy").mkdir(parents=True)
    environment = load(store, "py-pandas")
    own, ours = environment.pythonpath
    assert own.path == str(tmp_path / "py-pandas/lib/python3.11/site-packages")
    assert own.reason.startswith("extends python@3.11.9/")
    assert " through python-venv@1.0/" in own.reason
    assert ours.path == str(conda)
    assert ours.added_by_us
    assert ours.spec.name == "py-numpy"
    assert ours.reason == f"contains {conda / 'numpy'}"


def test_site_packages_of_another_python_are_left_out(tmp_path: Path) -> None:
    conda = tmp_path / "conda/lib/python3.8/site-packages"
    store = make_store(
        tmp_path,
        *python_stack(),
        node(
            "py-numpy",
            ("python", "build run"),
            prefix=str(conda / "numpy"),
            external={"path": str(conda / "numpy"), "module": None, "extra_attributes": {}},
        ),
    )
    (conda / "numpy").mkdir(parents=True)
    environment = load(store, "py-numpy")
    assert environment.pythonpath == ()
    (left_out,) = environment.left_out
    assert left_out.path == str(conda)
    assert left_out.reason.endswith("but belongs to Python 3.8, not 3.11")


def test_lib64_of_a_python_without_it_stands_behind(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        *python_stack(),
        node("py-b", ("python-venv", "build run"), ("python", "build run")),
        node("py-a", ("py-b", "run"), ("python-venv", "build run"), ("python", "build run")),
    )
    make(tmp_path, "py-a/lib/python3.11/site-packages", "py-a/lib64/python3.11/site-packages")
    make(tmp_path, "py-b/lib/python3.11/site-packages")
    environment = load(store, "py-a")
    assert [
        (entry.path.removeprefix(f"{tmp_path}/"), entry.added_by_us)
        for entry in environment.pythonpath
    ] == [
        ("py-a/lib/python3.11/site-packages", False),
        ("py-b/lib/python3.11/site-packages", False),
        ("py-a/lib64/python3.11/site-packages", True),
    ]
    assert environment.pythonpath[-1].reason.endswith(
        "Spack does not look in lib64/python3.11/site-packages"
    )


def test_lib64_of_a_python_that_has_it_is_spacks(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        *python_stack(),
        node("py-b", ("python-venv", "build run"), ("python", "build run")),
        node("py-a", ("py-b", "run"), ("python-venv", "build run"), ("python", "build run")),
    )
    make(tmp_path, "python/lib64/python3.11/site-packages")
    make(tmp_path, "py-a/lib64/python3.11/site-packages", "py-b/lib/python3.11/site-packages")
    assert [entry.added_by_us for entry in load(store, "py-a").pythonpath] == [False, False]


@pytest.mark.parametrize("has_venv", [False, True])
def test_debians_own_layout_below_an_external_python(tmp_path: Path, has_venv: bool) -> None:
    external = {"path": str(tmp_path / "python"), "module": None, "extra_attributes": {}}
    nodes = [node("python", version="3.11.2", external=external)]
    edges = [("python", "build run")]
    if has_venv:  # a virtual environment has Python's own layout, on Debian as well
        nodes.append(node("python-venv", ("python", "build run")))
        edges.append(("python-venv", "build run"))
    store = make_store(tmp_path, *nodes, node("py-a", *edges))
    debian = "py-a/local/lib/python3.11/dist-packages"
    pythons = "py-a/lib/python3.11/site-packages"
    make(tmp_path, "python/lib/python3/dist-packages", debian, pythons)
    entries = load(store, "py-a").pythonpath
    first, second = (pythons, debian) if has_venv else (debian, pythons)
    assert [(entry.path, entry.added_by_us) for entry in entries] == [
        (str(tmp_path / first), False),
        (str(tmp_path / second), True),
    ]


def test_a_free_threaded_python_has_directories_of_its_own(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        node("python", version="3.14.2", parameters={"freethreading": True}),
        node("python-venv", ("python", "build run")),
        node("py-a", ("python-venv", "build run"), ("python", "build run")),
    )
    make(tmp_path, "py-a/lib/python3.14t/site-packages", "py-a/lib/python3.14/site-packages")
    (entry,) = load(store, "py-a").pythonpath
    assert entry.path == str(tmp_path / "py-a/lib/python3.14t/site-packages")


def test_what_does_not_exist_is_left_out_and_told(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        *python_stack(),
        node("py-a", ("python-venv", "build run"), ("python", "build run")),
    )
    environment = load(store, "py-a")
    assert environment.pythonpath == ()
    assert "PYTHONPATH" not in environment.apply({})
    assert str(tmp_path / "py-a/lib/python3.11/site-packages") in [
        entry.path for entry in environment.left_out
    ]
    assert all(entry.reason.endswith("no such directory") for entry in environment.left_out)


def test_pythons_own_packages_are_not_on_the_path(tmp_path: Path) -> None:
    store = make_store(tmp_path, *python_stack(), node("tool", ("python", "run")))
    make(tmp_path, "python/lib/python3.11/site-packages", "tool/lib/python3.11/site-packages")
    assert load(store, "tool").pythonpath == ()


def test_before_python_venv_whatever_runs_with_python_may_extend_it(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        node("python", version="3.9.7"),
        node("nlopt", ("python", "build run")),
        node("boost", ("python", "build link")),
        node("app", ("nlopt", "link"), ("boost", "link")),
    )
    make(tmp_path, "nlopt/lib/python3.9/site-packages", "boost/lib/python3.9/site-packages")
    (entry,) = load(store, "app").pythonpath
    assert entry.spec.name == "nlopt"


def test_build_dependencies_are_loaded_where_spack_does(tmp_path: Path) -> None:
    for version, expected in (("6", ["py-a", "py-pip"]), ("8", ["py-a"])):
        root = tmp_path / version
        store = make_store(
            root,
            node("python", version="3.11.2"),
            node("py-pip", ("python", "build run")),
            node("py-a", ("python", "build run"), ("py-pip", "build")),
            version=version,
        )
        make(root, "py-a/lib/python3.11/site-packages", "py-a/bin", "py-pip/bin")
        make(root, "py-pip/lib/python3.11/site-packages")
        environment = load(store, "py-a")
        assert [entry.spec.name for entry in environment.pythonpath] == expected
        path = environment.apply({})["PATH"].split(":")
        assert list(dict.fromkeys(path)) == [str(root / name / "bin") for name in expected]
        assert [spec.name for spec in environment.closure] == ["py-a", "python"]
    assert "Spack up to 0.20 loads build dependencies" in (
        load(Store.open(tmp_path / "6"), "py-a").pythonpath[1].reason
    )


def test_the_environment_of_an_external_is_taken_in(tmp_path: Path) -> None:
    environment = {
        "set": {"TOOL_HOME": "/opt/tool", "TOOL_LEVEL": 3},
        "unset": ["TOOL_OLD"],
        "prepend_path": {"TOOL_PATH": "/opt/tool/plugins/"},
        "append_path": {"TOOL_PATH": "/opt/tool/more"},
        "remove_path": {"OTHER": "/gone"},
        "misspelt": {"A": "b"},
    }
    store = make_store(
        tmp_path,
        node(
            "tool",
            prefix="/opt/tool",
            external={
                "path": "/opt/tool",
                "module": None,
                "extra_attributes": {"environment": environment},
            },
        ),
    )
    before = {"TOOL_OLD": "x", "TOOL_PATH": "/mine", "OTHER": "/kept:/gone:/kept2"}
    after = load(store, "tool").apply(before)
    assert before["TOOL_OLD"] == "x"
    assert after == {
        "TOOL_HOME": "/opt/tool",
        "TOOL_LEVEL": "3",
        "TOOL_PATH": "/opt/tool/plugins:/mine:/opt/tool/more",
        "OTHER": "/kept:/kept2",
        "SPACK_LOADED_HASHES": readable_hash("tool"),
    }


def test_system_prefixes_stay_out_but_for_what_lies_below(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        node(
            "perl", prefix="/usr", external={"path": "/usr", "module": None, "extra_attributes": {}}
        ),
    )
    existing = {"/usr", "/usr/bin", "/usr/share", "/usr/share/man", "/usr/lib"}
    environment = load(store, "perl", directories=Directories(existing.__contains__)).apply({})
    assert environment == {
        "MANPATH": "/usr/share/man:",
        "SPACK_LOADED_HASHES": readable_hash("perl"),
    }


def test_the_sites_own_inspections(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("tool"))
    make(tmp_path, "tool/lib", "tool/bin", "tool/share/man")
    inspections = {"./lib": ["LD_LIBRARY_PATH", "LIBRARY_PATH"], "./": ["TOOLS"]}
    environment = load(store, "tool", inspections=inspections).apply({"LIBRARY_PATH": "/mine"})
    assert environment == {
        "LD_LIBRARY_PATH": str(tmp_path / "tool/lib"),
        "LIBRARY_PATH": f"{tmp_path / 'tool/lib'}:/mine",
        "TOOLS": str(tmp_path / "tool"),
        "PATH": str(tmp_path / "tool/bin"),
        "SPACK_LOADED_HASHES": readable_hash("tool"),
    }


def test_a_dependency_no_database_has_is_told(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("app", ("gone", "link run"), ("zlib", "link")), node("zlib"))
    environment = load(store, "app")
    assert [spec.name for spec in environment.closure] == ["app", "zlib"]
    ((spec, dependency),) = environment.unrecorded
    assert (spec.name, dependency.name) == ("app", "gone")


def test_several_specs_are_loaded_as_one(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("a", ("c", "run")), node("b", ("c", "run")), node("c"))
    make(tmp_path, "a/bin", "b/bin", "c/bin")
    environment = load(store, "a", "b")
    assert [spec.name for spec in environment.closure] == ["a", "b", "c"]
    path = dict.fromkeys(environment.apply({})["PATH"].split(":"))
    assert list(path) == [str(tmp_path / name / "bin") for name in "abc"]
    assert (
        environment.apply({})["SPACK_LOADED_HASHES"] == f"{readable_hash('b')}:{readable_hash('a')}"
    )


def test_externals_stand_behind_what_the_store_has(tmp_path: Path) -> None:
    external = {"path": str(tmp_path / "b"), "module": None, "extra_attributes": {}}
    store = make_store(
        tmp_path, node("a", ("b", "run")), node("b", ("c", "run"), external=external), node("c")
    )
    make(tmp_path, "a/bin", "b/bin", "c/bin")
    path = load(store, "a").apply({})["PATH"].split(":")
    assert path == [str(tmp_path / name / "bin") for name in "acbabc"]


def test_dependents_of_one_name_sort_by_deptype(tmp_path: Path) -> None:
    first, second = readable_hash("first"), readable_hash("second")
    venv = "python-venv"
    store = make_store(
        tmp_path,
        *python_stack(),
        node("py-x", (venv, "build run"), prefix=str(tmp_path / "first"), hash=first),
        node("py-x", (venv, "run"), prefix=str(tmp_path / "second"), hash=second),
        node("app", ("py-x", "run", first), ("py-x", "run", second)),
    )
    make(tmp_path, "first/lib/python3.11/site-packages", "second/lib/python3.11/site-packages")
    assert [entry.spec.hash for entry in load(store, "app").pythonpath] == [first, second]


def test_each_directory_is_asked_for_once(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        *python_stack(),
        node("py-b", ("python-venv", "build run"), ("python", "build run")),
        node("py-a", ("py-b", "run"), ("python-venv", "build run"), ("python", "build run")),
    )
    make(tmp_path, "py-a/lib/python3.11/site-packages", "py-a/bin", "py-b/share/man")
    asked: list[str] = []

    def isdir(path: str) -> bool:
        asked.append(path)
        return Path(path).is_dir()

    load(store, "py-a", directories=Directories(isdir))
    assert len(asked) == len(set(asked))
    assert not any("/py-b/lib/" in path for path in asked), "py-b has no lib"


def test_the_default_inspections_are_spacks(golden: Golden) -> None:
    if golden.version in ORDERED:
        assert {
            posixpath.normpath(key).removeprefix("."): tuple(variables)
            for key, variables in golden.inspections.items()
        } == DEFAULT_INSPECTIONS


@pytest.mark.parametrize(
    ("more", "extends"),
    [
        ({"parameters": {"build_system": "python_pip"}}, True),  # meson, as an external
        ({"external": {"path": "/x", "module": None, "extra_attributes": {}}}, True),
        ({"compiler": {"name": "gcc", "version": "12.2.0"}}, True),  # older than Spack 1.0
        ({"parameters": {"build_system": "cmake"}}, False),
    ],
    ids=["build system", "external", "older", "none of these"],
)
def test_what_extends_python_is_told_by_facts_and_not_by_names(
    more: dict[str, Any], extends: bool, tmp_path: Path
) -> None:
    """Beside a python-venv, for a package whose name does not begin with py-."""
    store = make_store(tmp_path, *python_stack(), node("glib", ("python", "build run"), **more))
    make(tmp_path, "glib/lib/python3.11/site-packages")
    assert bool(load(store, "glib").pythonpath) is extends


def test_an_external_free_threaded_python_is_told_by_its_directories(tmp_path: Path) -> None:
    external = {"path": str(tmp_path / "python"), "module": None, "extra_attributes": {}}
    store = make_store(
        tmp_path,
        node("python", version="3.14.2", external=external),
        node("py-a", ("python", "build run"), parameters={"build_system": "python_pip"}),
    )
    make(tmp_path, "python/lib/python3.14t", "py-a/lib/python3.14t/site-packages")
    (entry,) = load(store, "py-a").pythonpath
    assert entry.path == str(tmp_path / "py-a/lib/python3.14t/site-packages")
