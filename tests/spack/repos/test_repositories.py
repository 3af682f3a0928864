"""What recipes provide, read from package repositories without running the recipes."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from spack_kernel.spack.config.config import Config
from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.query.parser import parse_query
from spack_kernel.spack.query.virtuals import Provision
from spack_kernel.spack.repos.provides_reader import Recipe
from spack_kernel.spack.repos.repositories import (
    InstalledRecipes,
    KnownVirtuals,
    Repository,
    SiteProviders,
    configured_repositories,
    preferred_providers,
)
from spack_kernel.spack.store.store import Store
from tests import records
from tests.spack.trees import write


def provides(source: str, class_name: str = "Thing") -> list[tuple[str, str]]:
    return [tuple(each) for each in Recipe.parse(source).provides(class_name, lambda _: None)]


HERE = "linux" if sys.platform.startswith("linux") else sys.platform

#: The forms of `provides` in spack-packages, with a real Spack's result for each.
FORMS = [
    ('provides("mpi")', [("mpi", "")]),
    ('provides("c", "cxx")', [("c", ""), ("cxx", "")]),
    ('provides("mpi@:3.1", when="@3:")', [("mpi@:3.1", "@3:")]),
    ("provides('a', when=True)", [("a", "")]),
    ("provides('a', when=False)", []),
    ('for ver in ["1.0", "1.1"]:\n        provides("pil@" + ver, when="@" + ver)',
     [("pil@1.0", "@1.0"), ("pil@1.1", "@1.1")]),
    ('vs = ["1", "2"]\n    for v in vs:\n        provides(f"x@{v}", when=f"@{v}:")',
     [("x@1", "@1:"), ("x@2", "@2:")]),
    ('d = {"1": "a"}\n    for v, w in d.items():\n        provides(f"x@{v}", when=w)',
     [("x@1", "a")]),
    ('d = {"1": {"a": 1}}\n    for v in d:\n        if "a" in d[v]:\n'
     '            provides("x@" + v)',
     [("x@1", "")]),
    ('with when("+a"):\n        provides("x", when="@2:")\n'
     '        with when("~b"):\n            provides("y")',
     [("x", "+a @2:"), ("y", "+a ~b")]),
    ('with default_args(when="+a"):\n        provides("x")', [("x", "+a")]),
    ('with default_args(deprecated=True):\n        provides("x")', [("x", "")]),
    ('with when(condition()):\n        provides("x")', []),
    ('with something("else"):\n        provides("x")', []),
    (f'if sys.platform.startswith("{HERE}"):\n        provides("x")\n'
     '    else:\n        provides("y")',
     [("x", "")]),
    ('if sys.platform not in ["nowhere"]:\n        provides("x")', [("x", "")]),
    ('if sys.platform == "nowhere":\n        provides("x")', []),
    (f'if not sys.platform == "{HERE}":\n        provides("x")', []),
    ('if unknown():\n        provides("x")\n    else:\n        provides("y")',
     [("x", ""), ("y", "")]),
    ('provides(name)', []),
    ('provides("x", when=name)', []),
    ('provides("x@%s" % 1)', []),
    ('provides("x" + 1)', []),
    ('provides(f"{1:>3}")', []),
    ('depends_on("mpi")\n    def f(self):\n        provides("x")', []),
    ('for a in range(3):\n        provides("x")', []),
    ('provides(3)', []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FORMS)
def test_forms(body: str, expected: list[tuple[str, str]]) -> None:
    assert provides(f"import sys\nclass Thing(Package):\n    {body}\n") == expected


def test_classes() -> None:
    source = """
versions = ["1"]
class Base(Package):
    provides("a")
class PyThing(Base):
    for v in versions:
        provides("b@" + v)
class Other:
    provides("c")
"""
    assert provides(source, "PyThing") == [("a", ""), ("b@1", "")]
    assert provides(source, "Pything") == [("a", ""), ("b@1", "")]
    assert provides(source, "Nothing") == []
    assert provides("class A(A):\n    provides('x')", "A")[0] == ("x", "")


@pytest.mark.parametrize("source", ["class (", "\0", "(" * 300 + ")" * 300, b"\xff\xfe"])
def test_not_python(source: Any) -> None:
    with pytest.raises(ValueError, match=r"syntax|null|recursion|nested|decode|codec|encoding"):
        Recipe.parse(source)


@given(st.text())
def test_any_text(text: str) -> None:
    """Reading any recipe gives provisions or raises ValueError."""
    try:
        recipe = Recipe.parse("class Thing:\n  provides(" + text + ")\n")
    except ValueError:
        return
    assert all(each.virtual for each in recipe.provides("Thing", lambda _: None))


def make_repository(root: Path, api: str | None, **recipes: str) -> Path:
    (root / "packages").mkdir(parents=True)
    described = "repo:\n  namespace: builtin\n" + (f"  api: {api}\n" if api else "")
    (root / "repo.yaml").write_text(described)
    for name, text in recipes.items():
        (root / "packages" / name).mkdir()
        (root / "packages" / name / "package.py").write_text(text)
    return root


def recipe(class_name: str, *virtuals: str, base: str = "Package") -> str:
    body = "".join(f"    provides({virtual})\n" for virtual in virtuals)
    return f"from spack.package import *\nclass {class_name}({base}):\n    x = 1\n{body}"


class TestRepository:
    def test_api_2(self, tmp_path: Path) -> None:
        root = make_repository(
            tmp_path, "v2.0",
            py_thing=recipe("PyThing", '"a"'),
            _3proxy=recipe("_3proxy", '"b"'),
            _try=recipe("Try", '"c"'),
            child="from spack_repo.builtin.packages.py_thing.package import PyThing\n"
            + recipe("Child", '"d"', base="PyThing"),
            sibling="from ..child.package import Child as C\n" + recipe("Sibling", base="C"),
            broken="class (provides(",
            plain=recipe("Plain"),
        )  # fmt: skip
        repository = Repository(root)
        assert repository.namespace == "builtin"
        for package, expected in {
            "py-thing": ["a"], "3proxy": ["b"], "try": ["c"], "child": ["a", "d"],
            "sibling": ["a", "d"], "broken": [], "plain": [],
        }.items():  # fmt: skip
            found = repository.provides(package)
            assert found is not None
            assert [each.virtual for each in found] == expected, package
        assert repository.provides("nothing") is None

    def test_api_1(self, tmp_path: Path) -> None:
        root = make_repository(tmp_path, None, **{
            "py-thing": recipe("PyThing", '"a", when="@3:"'),
            "child": "from spack.pkg.builtin.py_thing import PyThing\n"
            + recipe("Child", base="PyThing"),
        })  # fmt: skip
        repository = Repository(root)
        assert repository.provides("py-thing") == [("a", "@3:")]
        assert repository.provides("child") == [("a", "@3:")]
        assert repository.provides("py_thing") is None

    @pytest.mark.parametrize("name", ["../../outside", "..", ".", "", "a/b", "a\0b", "x" * 5000])
    def test_a_name_does_not_lead_out(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/package.py").write_text(recipe("Outside", '"a"'))
        repository = Repository(make_repository(tmp_path / "repo", "v1.0"))
        assert repository.provides(name) is None

    def test_a_circle(self, tmp_path: Path) -> None:
        texts = {
            one: f"from ..{other}.package import {other.title()}\n"
            + recipe(one.title(), f'"{one}"', base=other.title())
            for one, other in (("a", "b"), ("b", "a"))
        }
        found = Repository(make_repository(tmp_path, "v2.0", **texts)).provides("a")
        assert found is not None
        assert {each.virtual for each in found} == {"a", "b"}

    @pytest.mark.parametrize("text", [None, "", "repo: 3", "- a"])
    def test_not_one(self, tmp_path: Path, text: str | None) -> None:
        if text is not None:
            (tmp_path / "repo.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"is not a package repository: it has no repo\.yaml"):
            Repository(tmp_path)

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        text = f"open({str(tmp_path / 'ran')!r}, 'w')\n" + recipe("Thing", '"a"')
        assert Repository(make_repository(tmp_path / "r", "v2.0", thing=text)).provides("thing")
        assert not (tmp_path / "ran").exists()


def make_config(tmp_path: Path, **sections: str) -> Config:
    root = tmp_path / "spack"
    (root / "etc/spack/defaults").mkdir(parents=True)
    for name, text in sections.items():
        (root / f"etc/spack/{name}.yaml").write_text(text)
    return Config.open(root, {"HOME": str(tmp_path / "home"), "SPACK_DISABLE_LOCAL_CONFIG": "1"})


class TestConfigured:
    def test_lists_of_older_versions(self, tmp_path: Path) -> None:
        config = make_config(
            tmp_path, repos="repos:\n- /nowhere\n- $spack/var/spack/repos/builtin\n"
        )
        root = make_repository(tmp_path / "spack/var/spack/repos/builtin", None)
        assert [repository.root for repository in configured_repositories(config)] == [root]

    def test_clones(self, tmp_path: Path) -> None:
        """The directory name is the one that Spack uses for a clone of this URL."""
        clone = tmp_path / "home/.spack/package_repos/fncqgg4"
        builtin = make_repository(clone / "repos/spack_repo/builtin", "v2.0")
        (clone / "spack-repo-index.yaml").write_text(
            "repo_index:\n  paths: [repos/spack_repo/builtin, repos/gone]\n"
        )
        mine = make_repository(tmp_path / "mine", "v2.0")
        chosen = make_repository(tmp_path / "there/sub", "v2.0")
        config = make_config(tmp_path, repos=f"""\
repos:
  mine: {mine}
  chosen: {{git: 'https://example.org/r.git', destination: {tmp_path}/there, paths: [sub]}}
  builtin: {{git: https://github.com/spack/spack-packages.git}}
  uncloned: {{git: 'https://example.org/other.git'}}
""")  # fmt: skip
        found = [repository.root for repository in configured_repositories(config)]
        assert found == [mine, chosen, builtin]

    @pytest.mark.parametrize("text", ["repos: 3", "repos: [3]", "repos: {a: {}}", "repos: {a: 3}"])
    def test_malformed(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"repos of .* needs a"):
            configured_repositories(make_config(tmp_path, repos=text))

    def test_none(self, tmp_path: Path) -> None:
        assert configured_repositories(make_config(tmp_path)) == []

    def test_preferred(self, tmp_path: Path) -> None:
        config = make_config(
            tmp_path, packages="packages: {all: {providers: {mpi: [openmpi, 'mpich@3:']}}}\n"
        )
        assert preferred_providers(config) == {"mpi": ("openmpi", "mpich@3:")}
        (tmp_path / "other").mkdir()
        assert preferred_providers(make_config(tmp_path / "other")) == {}

    @pytest.mark.parametrize("text", ["[mpi]", "{mpi: openmpi}"])
    def test_malformed_preferences(self, tmp_path: Path, text: str) -> None:
        config = make_config(tmp_path, packages=f"packages: {{all: {{providers: {text}}}}}\n")
        with pytest.raises(ConfigError, match=r"packages:all:providers of .* needs a list for"):
            preferred_providers(config)


def record(name: str, prefix: Path, **more: Any) -> dict[str, Any]:
    return records.record(name, "4.1", records.dag_hash(name), prefix=prefix, **more)


class TestSiteProviders:
    def test_of_a_repository(self, tmp_path: Path) -> None:
        recipes = {
            "openmpi": recipe("Openmpi", '"mpi@:3.1", when="@3:"', '"mpi", when="bad bad"'),
            "mpich": recipe("Mpich", '"mpi"'),
            "other": recipe("Other", '"pmi", when="other@2 +x"'),
        }
        repository = Repository(make_repository(tmp_path, "v2.0", **recipes))
        asked: list[str] = []

        def packages() -> list[str]:
            asked.append("packages")
            return ["openmpi", "other", "zlib"]

        known = SiteProviders(lambda: [repository], packages)
        assert asked == []
        assert "mpi" in known
        assert "blas" not in known
        assert known.of("blas") == ()
        assert known.of("mpi") == (
            Provision(parse_query("openmpi @3:"), parse_query("mpi@:3.1").versions),
        )
        assert known.of("pmi")[0].provider == parse_query("other@2 +x")
        assert asked == ["packages"]

    @pytest.mark.parametrize("layout", ["builtin", "spack_repo/builtin"])
    def test_of_a_store_without_configuration(self, tmp_path: Path, layout: str) -> None:
        """The copy of its recipe that Spack leaves in each prefix."""
        api = "v2.0" if "spack_repo" in layout else None
        new, old = tmp_path / "new", tmp_path / "old"
        make_repository(old / ".spack/repos" / layout, api, openmpi=recipe("Openmpi", '"gone"'))
        make_repository(new / ".spack/repos" / layout, api, openmpi=recipe("Openmpi", '"mpi@3"'))
        records = {
            "a" * 32: record("openmpi", old),
            "b" * 32: record("openmpi", new),
            "c" * 32: record("openmpi", tmp_path / "usr", external={"path": "/usr"}),
            "d" * 32: record("zlib", tmp_path / "zlib"),
        }
        store = Store.open(write(tmp_path / "tree", records))
        assert InstalledRecipes(store.index.chain).provides("zlib") is None
        assert InstalledRecipes(store.index.chain).provides("nothing") is None
        known = SiteProviders.of_chain(store.index.chain, None, [])
        assert "mpi" in known
        assert "gone" not in known

    def test_a_repository_comes_first(self, tmp_path: Path) -> None:
        prefix = tmp_path / "prefix"
        make_repository(prefix / ".spack/repos/builtin", None, openmpi=recipe("Openmpi", '"old"'))
        make_repository(tmp_path / "repo", "v2.0", openmpi=recipe("Openmpi", '"new"'))
        tree = write(tmp_path / "tree", {"a" * 32: record("openmpi", prefix)})
        config = make_config(tmp_path, repos=f"repos: [{tmp_path}/repo]\n")
        store = Store(Store.open(tree).databases, config)
        assert ("new" in store.providers, "old" in store.providers) == (True, False)
        assert [spec.name for spec in store.find("new")] == ["openmpi"]
        assert store.find("old") == []

    def test_versions_and_conditions(self, tmp_path: Path) -> None:
        text = recipe("Openmpi", '"mpi@:3.1", when="@4:"', '"mpi@:2", when="@3"')
        make_repository(tmp_path / "repo", "v2.0", openmpi=text)
        tree = write(tmp_path / "tree", {"a" * 32: record("openmpi", tmp_path / "prefix")})
        config = make_config(tmp_path, repos=f"repos: [{tmp_path}/repo]\n")
        store = Store(Store.open(tree).databases, config)
        for query, found in {"mpi": 1, "mpi@3": 1, "mpi@3.2:": 0, "mpi@:2": 1, "blas": 0}.items():
            assert len(store.find(query)) == found, query

    def test_what_packages_yaml_lists(self, tmp_path: Path) -> None:
        """Without recipes, it names the providers of a virtual package but not their versions."""
        text = "packages: {all: {providers: {mpi: ['our-mpi@4', mpich, '@@']}}}\n"
        tree = write(tmp_path / "tree", {"a" * 32: record("our-mpi", tmp_path / "prefix")})
        store = Store(Store.open(tree).databases, make_config(tmp_path, packages=text))
        assert store.providers.listed("mpi") == {"our-mpi", "mpich"}
        assert store.providers.listed("blas") == frozenset()
        assert [spec.name for spec in store.find("mpi")] == ["our-mpi"]
        (selected,) = store.select("mpi@3:")
        assert selected.specs == ()
        assert selected.unknown == ("which versions of mpi its providers provide",)

    def test_what_comes_with_this_package(self, tmp_path: Path) -> None:
        """Without recipes, only the providers of the builtin repository are known."""
        records = {
            "a" * 32: record("openmpi", tmp_path / "a"),
            "b" * 32: record("our-mpi", tmp_path / "b"),
            "c" * 32: record("gcc", tmp_path / "c", parameters={"languages": ["c", "c++"]}),
            "d" * 32: record(
                "user",
                tmp_path / "d",
                dependencies=[
                    {
                        "name": "our-mpi",
                        "hash": "b" * 32,
                        "parameters": {"deptypes": ["link"], "virtuals": ["mpi"]},
                    }
                ],
            ),
        }
        store = Store.open(write(tmp_path, records))
        assert [spec.name for spec in store.find("mpi")] == ["openmpi", "our-mpi"]
        assert [spec.name for spec in store.find("mpi@3")] == ["openmpi"]
        assert store.select("mpi@3")[0].unknown == ("which versions of mpi its providers provide",)
        assert store.find("mpi@4") == []
        assert [spec.name for spec in store.find("cxx")] == ["gcc"]
        assert KnownVirtuals(8).provides("gcc") != KnownVirtuals(7).provides("gcc")
        assert KnownVirtuals(8).provides("our-mpi") is None

    def test_a_store_is_freed(self, tmp_path: Path) -> None:
        """A server replaces stores; freeing an old one must not require the garbage collector."""
        store = Store.open(write(tmp_path, {"a" * 32: record("openmpi", tmp_path / "prefix")}))
        assert "mpi" in store.providers
        reference = weakref.ref(store)
        gc.disable()
        try:
            del store
            assert reference() is None
        finally:
            gc.enable()
