"""Each matching rule on its own, in stores with a few records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from spack_kernel.spack.query.parser import parse_query
from spack_kernel.spack.query.virtuals import NO_PROVIDERS, Providers
from spack_kernel.spack.store.store import Store
from tests.records import make_store, node, readable_hash, write_database

if TYPE_CHECKING:
    from pathlib import Path


def edges(*recorded: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return edges with virtuals: (name, deptypes, virtuals), the last two separated by spaces."""
    return [
        {
            "name": name,
            "hash": readable_hash(name),
            "parameters": {"deptypes": deptypes.split(), "virtuals": virtuals.split()},
        }
        for name, deptypes, virtuals in recorded
    ]


def names(store: Store, query: str, **options: Any) -> list[str]:
    return [spec.name for spec in store.find(query, **options)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of an app, its direct and indirect libraries, and its build tools."""
    return make_store(
        tmp_path,
        node("gcc", version="12.2.0", parameters={"languages": ["c", "c++"]}),
        node("openmpi", version="4.1.6", parameters={"cuda": True}),
        node("zlib", version="1.3.1", parameters={"shared": True, "patches": ["abc1", "def2"]}),
        node("cmake", ("zlib", "link"), version="3.27"),
        node("hdf5", version="1.14", dependencies=edges(
            ("gcc", "build", "c cxx"), ("openmpi", "build link", "mpi"),
            ("zlib", "link", "zlib-api"),
        ), parameters={"mpi": True, "cflags": ["-O2", "-g"]}),
        node("app", version="2.0", dependencies=edges(
            ("cmake", "build", ""), ("hdf5", "link run", ""), ("gcc", "build", "c")
        ), parameters={"mpi": False, "backend": "agg"}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("^zlib", ["app", "cmake", "hdf5"]),
        ("%zlib", ["cmake", "hdf5"]),
        ("^cmake", ["app"]),
        ("^gcc", ["app", "hdf5"]),
        ("^[deptypes=run] zlib", []),
        ("^[deptypes=link] zlib", ["app", "cmake", "hdf5"]),
        ("^[deptypes=link,run] hdf5", ["app"]),
        ("^mpi", ["app", "hdf5"]),
        ("^mpi+nonsense/zzz", ["app", "hdf5"]),  # for a virtual package, only the version counts
        ("^mpi=openmpi+cuda", ["app", "hdf5"]),
        ("^mpi=openmpi~cuda", []),
        ("^mpi=zlib", []),
        ("^[virtuals=mpi] *", ["app", "hdf5"]),
        ("%[virtuals=c,cxx] gcc", ["hdf5"]),
        ("%c=gcc@12", ["app", "hdf5"]),
        ("%c=gcc@13", []),
        ("^hdf5 %gcc", ["app"]),
        ("^hdf5 %cmake", []),
        ("%hdf5 ^gcc@12 ^zlib@1.3", ["app"]),
        ("^[when=+mpi] nosuch", ["app", "cmake", "gcc", "openmpi", "zlib"]),
        ("^[when=+mpi] openmpi", ["app", "cmake", "gcc", "hdf5", "openmpi", "zlib"]),
        ("^", ["app", "cmake", "hdf5"]),
        ("++mpi", ["cmake", "gcc", "hdf5", "openmpi", "zlib"]),
        ("~~mpi", ["cmake", "gcc", "openmpi", "zlib"]),
        ("mpi==true", ["cmake", "gcc", "hdf5", "openmpi", "zlib"]),
        ("app ^hdf5++mpi", ["app"]),
        ("patches=a,def", ["zlib"]),
        ("patches:=abc1,def2", ["zlib"]),
        ("patches:=abc1", []),
        ("languages=c", ["gcc"]),
        ("languages:=c", []),
        ("languages=c++,c", ["gcc"]),
        ("languages=*", ["gcc"]),
        ("backend=agg", ["app"]),
        ("backend:=agg", ["app"]),
        ("backend=agg,other", []),
        ("cflags=-g", ["hdf5"]),
        ('cflags="-g -O2"', ["hdf5"]),
        ("cflags=-O3", []),
        ("os=* target=nonsense", ["app", "cmake", "gcc", "hdf5", "openmpi", "zlib"]),
        ("target=x86_64_v2:", []),
        ("target=:zen4 os=debian12", ["app", "cmake", "gcc", "hdf5", "openmpi", "zlib"]),
        ("namespace=builtin ^openmpi", ["app", "hdf5"]),
        ("app zlib", ["app", "zlib"]),
        ("mpi", ["openmpi"]),
        ("mpi+whatever", ["openmpi"]),
        ("c ^zlib", []),
        ("zlib-api", ["zlib"]),
    ],
)  # fmt: skip
def test_found(store, query, found):
    assert sorted(names(store, query)) == sorted(found)


def test_the_compiler_of_what_an_older_spack_concretized(tmp_path):
    """Spack 1.x records it as an annotation; it counts as a build dependency."""
    old = node("old", annotations={"original_specfile_version": 4, "compiler": "gcc@=11.4.0"})
    store = make_store(tmp_path, old, node("new", dependencies=[]))
    for query in ("%gcc", "%gcc@11", "^gcc", "%c=gcc", "%c", "%[deptypes=build] gcc", "%*"):
        assert names(store, query) == ["old"], query
    for query in ("%gcc@12", "%clang", "%mpi=gcc", "%[deptypes=link] gcc", "%gcc+x", "%c@1"):
        assert names(store, query) == [], query


def test_a_dependency_named_twice(store):
    assert names(store, "app ^zlib@1: ^zlib+shared") == ["app"]
    assert names(store, "app ^zlib@1: ^zlib~shared") == []
    query = parse_query("app ^zlib@1: ^zlib+shared")
    assert str(query) == "app ^zlib@1:+shared"


def test_old_edges_do_not_say_what_they_stand_for(tmp_path):
    """A possible provider of a virtual package counts as its provider if that is known."""
    library = node("openmpi", version="4.1.6", parameters={"cuda": True})
    app = node(
        "app",
        dependencies=[{"name": "openmpi", "hash": readable_hash("openmpi"), "type": ["link"]}],
    )
    store = make_store(tmp_path, library, app, version="6")
    assert store.index.dialect.name == "Spack 0.19 and 0.20"
    providers = Providers.parse({"mpi@:3.1": ["openmpi@2:"]})
    for query in ("^mpi", "^mpi@3", "^[virtuals=mpi] openmpi", "^openmpi+cuda"):
        assert names(store, query, providers=providers) == ["app"], query
    for query in ("^mpi@4:", "^[virtuals=blas] openmpi", "^[virtuals=mpi] openmpi~cuda"):
        assert names(store, query, providers=providers) == [], query
    (selection,) = store.select("^[virtuals=mpi] openmpi", providers=NO_PROVIDERS)
    assert selection.specs == ()
    assert selection.unknown == ("which versions of mpi its providers provide",)


def test_a_database_of_format_6_without_build_systems(tmp_path):
    record = node("tool")
    record["spec"]["parameters"] = {}
    assert make_store(tmp_path, record, version="6").index.dialect.name == "Spack 0.18 and older"


def test_a_package_wins_over_a_virtual_of_its_name(tmp_path):
    store = make_store(
        tmp_path,
        node("mpi", version="1"),
        node("openmpi"),
        node("app", dependencies=edges(("openmpi", "link", "mpi"))),
    )
    assert names(store, "mpi") == ["mpi"]
    assert names(store, "mpi@2", providers=NO_PROVIDERS) == []


def test_a_dependency_that_is_not_recorded(tmp_path):
    store = make_store(tmp_path, node("app", ("gone", "link")))
    assert names(store, "^gone") == []
    assert names(store, "app") == ["app"]


def test_providers():
    providers = Providers.parse({"mpi@:3": ["openmpi@2:", "mpich"], "mpi@4": ["mpich@4:"]})
    assert "mpi" in providers
    assert "blas" not in providers
    assert [str(each.provider) for each in providers.of("mpi")] == [
        "openmpi@2:",
        "mpich",
        "mpich@4:",
    ]
    assert providers.of("blas") == ()


@pytest.mark.parametrize(
    ("version", "parameters", "expected"),
    [
        ("8", {}, (True, True, True, False)),
        ("7", {}, (True, True, True, False)),
        ("6", {"build_system": "generic"}, (True, False, False, False)),
        ("6", {}, (True, False, True, False)),
    ],
)
def test_compiler_flags_in_databases_of_each_age(
    tmp_path: Path, version: str, parameters: dict[str, str], expected: tuple[bool, ...]
) -> None:
    flags = {**parameters, "cflags": ["-O3", "-g"]}
    key = readable_hash("hdf5")
    root = write_database(tmp_path, {key: node("hdf5", parameters=flags)}, version)
    store = Store.open(root)
    queries = ('cflags="-O3 -g"', "cflags=-O3", 'cflags="-g -O3"', 'cflags="-O3 -g -Wall"')
    assert tuple(bool(store.find(query)) for query in queries) == expected
