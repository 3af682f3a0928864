"""Spack's configuration: scopes, precedence, merging, variables.

The expected values come from a real Spack 1.3 (``spack config get`` and ``spack python``) with the
same files; those for the scopes of older versions follow Spack 0.23 and 1.0.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import archspec.cpu
import pytest

from spack_kernel.spack.config import include_when
from spack_kernel.spack.config.config import Config, merge
from spack_kernel.spack.config.path_variables import Substitution
from spack_kernel.spack.config.yaml_reader import MAX_BYTES, Text, load
from spack_kernel.spack.errors import ConfigError, ConfigWarning
from spack_kernel.spack.store.install_tree import install_tree, padded, upstream_trees

#: The files of Spack 1.1 or newer, which lists its scopes in include.yaml files.
MODERN = {
    "spack/etc/spack/defaults/include.yaml": (
        "include:\n- {path: '${platform}', optional: true}\n- path: base\n"
    ),
    "spack/etc/spack/defaults/base/config.yaml": (
        "config:\n  install_tree:\n    root: $spack/opt/spack\n    projections: {all: deep}\n"
        "  template_dirs: [$spack/share/spack/templates]\n"
    ),
    "spack/etc/spack/defaults/base/modules.yaml": (
        "modules:\n  prefix_inspections:\n    ./bin: [PATH]\n    ./: [CMAKE_PREFIX_PATH]\n"
    ),
    "spack/etc/spack/include.yaml": """\
include:
  - name: "user"
    path_override_env_var: SPACK_USER_CONFIG_PATH
    path: "~/.spack"
    optional: true
    when: '"SPACK_DISABLE_LOCAL_CONFIG" not in env'
  - name: "site"
    path: "$spack/etc/spack/site"
    optional: true
  - name: "system"
    path_override_env_var: SPACK_SYSTEM_CONFIG_PATH
    path: "/etc/spack"
    optional: true
    when: '"SPACK_DISABLE_LOCAL_CONFIG" not in env'
""",
}
#: The files of an older Spack.
OLD = {
    "spack/etc/spack/defaults/config.yaml": (
        "config:\n  install_tree:\n    root: $spack/opt/spack\n  template_dirs: [/defaults]\n"
    ),
    "spack/etc/spack/defaults/modules.yaml": MODERN["spack/etc/spack/defaults/base/modules.yaml"],
}
PLATFORM = "darwin" if sys.platform == "darwin" else "linux"


class Site:
    """Configuration files below a directory, where Spack would find them."""

    def __init__(self, root: Path, shipped: dict[str, str] = MODERN) -> None:
        self.root = root
        self.environ = {
            "HOME": str(root / "home"),
            "SPACK_USER_CONFIG_PATH": str(root / "user"),
            "SPACK_SYSTEM_CONFIG_PATH": str(root / "system"),
        }
        self.write(shipped)

    def write(self, files: dict[str, str]) -> Site:
        for name, text in files.items():
            # "site" is replaced with the site scope of this Spack
            where = (
                name.replace("site/", "spack/etc/spack/site/", 1) if name[:5] == "site/" else name
            )
            path = self.root / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def open(self, **environ: str) -> Config:
        return Config.open(self.root / "spack", {**self.environ, **environ})

    def scopes(self, **environ: str) -> list[str]:
        return [scope.name for scope in self.open(**environ).scopes]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def config(text: str) -> str:
    return f"config:\n  {text}\n"


class TestScopes:
    def test_modern(self, site: Site) -> None:
        assert site.scopes() == [
            "defaults:base", f"defaults:{PLATFORM}", "defaults", "system", "site", "user", "spack",
        ]  # fmt: skip

    def test_each_wins_over_those_before_it(self, site: Site) -> None:
        for number, where in enumerate(
            ["spack/etc/spack/defaults/base", f"spack/etc/spack/defaults/{PLATFORM}",
             "spack/etc/spack/defaults", "system", "site", "user", "spack/etc/spack"]
        ):  # fmt: skip
            site.write({f"{where}/config.yaml": config(f"stage_name: from {number}")})
            assert site.open().get("config:stage_name") == f"from {number}"

    def test_disabled(self, site: Site) -> None:
        site.write(
            {f"{w}/config.yaml": config(f"stage_name: {w}") for w in ("site", "user", "system")}
        )
        assert site.open().get("config:stage_name") == "user"
        local = site.open(SPACK_DISABLE_LOCAL_CONFIG="")
        assert local.get("config:stage_name") == "site"
        assert [s.name for s in local.scopes][-2:] == ["site", "spack"]

    def test_home(self, site: Site) -> None:
        del site.environ["SPACK_USER_CONFIG_PATH"]
        site.write({"home/.spack/config.yaml": config("stage_name: home")})
        assert site.open().get("config:stage_name") == "home"

    def test_old(self, tmp_path: Path) -> None:
        site = Site(tmp_path, OLD)
        expected = ["defaults", "system", "site", "user"]
        assert site.scopes() == [n for name in expected for n in (name, f"{name}/{PLATFORM}")]
        site.environ["SPACK_DISABLE_LOCAL_CONFIG"] = "1"
        assert site.scopes() == ["defaults", f"defaults/{PLATFORM}", "site", f"site/{PLATFORM}"]

    def test_old_precedence(self, tmp_path: Path) -> None:
        site = Site(tmp_path, OLD)
        number = 0
        for where in ("spack/etc/spack/defaults", "system", "spack/etc/spack", "user"):
            for directory in (where, f"{where}/{PLATFORM}"):
                number += 1
                site.write({f"{directory}/config.yaml": config(f"stage_name: from {number}")})
                assert site.open().get("config:stage_name") == f"from {number}"

    def test_a_file_on_top(self, site: Site) -> None:
        site.write({
            "user/config.yaml": config("template_dirs: [/user]"),
            "env/spack.yaml": "spack:\n  specs: [zlib]\n  config: {template_dirs: [$env/t]}\n"
            "  include: [more]\n",
            "env/more/config.yaml": config("template_dirs: [/more]"),
        })  # fmt: skip
        below = site.open()
        path = site.root / "env/spack.yaml"
        on_top = below.with_file(path, ["spack"], environment=path.parent)
        assert on_top.get("config:template_dirs")[:3] == ["$env/t", "/more", "/user"]
        assert on_top.substitution("$env/t") == str(path.parent / "t")
        assert below.get("config:template_dirs")[0] == "/user"
        assert below.substitution("$env/t") == "$env/t"


class TestMerging:
    def test_lists_and_mappings(self, site: Site) -> None:
        site.write({
            "system/upstreams.yaml": "upstreams:\n  z: {install_tree: /z}\n",
            "site/upstreams.yaml": "upstreams:\n  a: {install_tree: /a}\n  b: {install_tree: /b}\n",
            "user/upstreams.yaml": "upstreams:\n  c: {install_tree: /c}\n  b: {install_tree: /d}\n",
            "site/config.yaml": config("template_dirs: [/site, $spack/share/spack/templates]"),
            "user/config.yaml": config("template_dirs: [/user, /site]"),
        })  # fmt: skip
        merged = site.open()
        assert list(map(str, upstream_trees(merged))) == ["/c", "/d", "/a", "/z"]
        assert merged.get("config:template_dirs") == [
            "/user", "/site", "$spack/share/spack/templates",
        ]  # fmt: skip
        assert merged.get("config:install_tree:projections") == {"all": "deep"}

    def test_a_second_colon_replaces(self, site: Site) -> None:
        site.write({
            "site/upstreams.yaml": "upstreams:\n  a: {install_tree: /a}\n",
            "user/upstreams.yaml": "upstreams::\n  c: {install_tree: /c}\n",
            "user/modules.yaml": "modules:\n  prefix_inspections::\n    ./bin: [PATH, XPATH]\n",
            "user/config.yaml": config("template_dirs:: [/only]"),
        })  # fmt: skip
        merged = site.open()
        assert list(map(str, upstream_trees(merged))) == ["/c"]
        assert merged.prefix_inspections() == {"./bin": ("PATH", "XPATH")}
        assert merged.get("config:template_dirs") == ["/only"]

    def test_what_replaces_is_merged_with_what_is_above_it(self, site: Site) -> None:
        site.write({
            "system/packages.yaml": "packages: {all: {providers: {lapack: [x]}}}\n",
            "site/packages.yaml": "packages:\n  all:\n    providers::\n      mpi: [openmpi]\n",
            "user/packages.yaml": "packages: {all: {providers: {'mpi:': [foo], blas: [b]}}}\n",
        })  # fmt: skip
        providers = site.open().get("packages:all:providers")
        assert providers == {"mpi": ["foo"], "blas": ["b"]}

    def test_a_quoted_key_and_a_spec(self, site: Site) -> None:
        site.write({
            "site/packages.yaml": 'packages: {"x": {a: 1}, "y@1:": {a: 1}}\n',
            "user/packages.yaml": 'packages: {"x:": {b: 2}, "y@1:": {b: 2}}\n',
        })  # fmt: skip
        assert site.open().section("packages") == {"x": {"b": 2}, "y@1:": {"b": 2, "a": 1}}

    def test_plus_and_minus_mean_nothing_in_files(self, site: Site) -> None:
        """`+:` and `-:` are for the command line; in files they are part of the key."""
        site.write(
            {"user/config.yaml": config("template_dirs+: [/first]\n  template_dirs-: [/last]")}
        )
        assert site.open().get("config:template_dirs") == ["$spack/share/spack/templates"]

    def test_other_types_replace(self) -> None:
        assert merge({"a": {"b": 1}}, {"a": "text"}) == {"a": "text"}
        assert merge({"a": [1]}, {"a": {"b": 1}}) == {"a": {"b": 1}}
        assert merge({"a": 1, "b": 2}, {"a": None}) == {"a": None, "b": 2}

    def test_nothing_is_changed_in_place(self, site: Site) -> None:
        lower, upper = {"a": [1], "b": {"c": [2]}}, {"a": [3], "b": {"c": [4], "d": 5}}
        assert merge(lower, upper) == {"a": [3, 1], "b": {"c": [4, 2], "d": 5}}
        assert (lower, upper) == (
            {"a": [1], "b": {"c": [2]}},
            {"a": [3], "b": {"c": [4], "d": 5}},
        )

    def test_empty_files_and_sections(self, site: Site) -> None:
        site.write(
            {
                "user/config.yaml": "",
                "user/modules.yaml": "# nothing\n",
                "user/upstreams.yaml": "upstreams:\n",
            }
        )
        site.write({"site/upstreams.yaml": "upstreams: {a: {install_tree: /a}}\n"})
        merged = site.open()
        assert merged.get("config:install_tree:root") == "$spack/opt/spack"
        assert list(map(str, upstream_trees(merged))) == ["/a"]
        assert merged.section("nothing") is None
        assert merged.get("nothing:at:all", "default") == "default"
        assert merged.prefix_inspections() == {"./bin": ("PATH",), "./": ("CMAKE_PREFIX_PATH",)}


class TestIncludes:
    def test_order(self, site: Site) -> None:
        site.write({
            "user/include.yaml": f"""\
include:
- sub
- path: {site.root}/extra.yaml
- path: nosuch
  optional: true
- path: cond.yaml
  when: platform == "{PLATFORM}" and "X" not in env
- {{path: never.yaml, when: 'os.startswith("zz") or re.search("^nope", hostname)'}}
""",
            "user/sub/config.yaml": config("template_dirs: [/sub]"),
            "user/sub/include.yaml": "include: [deeper]\n",
            "user/sub/deeper/config.yaml": config("template_dirs: [/deeper]"),
            "user/cond.yaml": config("template_dirs: [/cond]"),
            "user/never.yaml": config("template_dirs: [/never]"),
            "user/config.yaml": config("template_dirs: [/user]"),
            "extra.yaml": config("template_dirs: [/extra]")
            + "upstreams::\n  e: {install_tree: /e}\n",
            "site/upstreams.yaml": "upstreams:\n  a: {install_tree: /a}\n",
        })  # fmt: skip
        merged = site.open()
        assert merged.get("config:template_dirs")[:-1] == [
            "/user", "/sub", "/deeper", "/extra", "/cond",
        ]  # fmt: skip
        assert list(map(str, upstream_trees(merged))) == ["/e"]
        assert site.scopes()[5:-1] == [
            "user:cond.yaml", "user:nosuch", f"user:{site.root}/extra.yaml", "user:sub:deeper",
            "user:sub", "user",
        ]  # fmt: skip

    def test_a_second_colon_drops_what_others_include(self, site: Site) -> None:
        files = {
            f"{w}/config.yaml": config(f"template_dirs: [/{w}]") for w in ("system", "site", "user")
        }
        site.write(files)
        site.write({"user/include.yaml": "include::\n- sub\n"})
        site.write({"user/sub/config.yaml": config("template_dirs: [/sub]")})
        assert site.open().get("config:template_dirs")[:-1] == ["/user", "/sub"]
        (site.root / "user/include.yaml").unlink()
        site.write({"site/include.yaml": "include:: []\n"})
        assert site.open().get("config:template_dirs")[:-1] == ["/user", "/site"]

    def test_a_name_again(self, site: Site) -> None:
        site.write(
            {f"user/{name}/config.yaml": config(f"template_dirs: [/{name}]") for name in "abc"}
        )
        site.write({"system/config.yaml": config("template_dirs: [/system]")})
        text = (
            "include:\n- {name: one, path: a}\n- {name: one, path: b}\n- {name: system, path: c}\n"
        )
        site.write({"user/include.yaml": text})
        assert site.open().get("config:template_dirs")[:-1] == ["/a", "/c"]
        assert site.scopes()[3:] == ["site", "system", "one", "user", "spack"]

    def test_what_must_be_there(self, site: Site) -> None:
        site.write({"user/include.yaml": "include: [nosuch]\n"})
        with pytest.raises(ConfigError) as caught:
            site.open()
        assert caught.value.summary == (
            f"{site.root}/user includes {site.root}/user/nosuch, which does not exist"
        )
        assert "`optional: true`" in caught.value.hint
        site.write({"user/include.yaml": "include: [x.txt]\n", "user/x.txt": ""})
        with pytest.raises(ConfigError, match=r"x\.txt, which is neither a directory nor a \.yaml"):
            site.open()

    @pytest.mark.parametrize("text", ["include: sub\n", "include: [3]\n", "include: [{git: 3}]\n"])
    def test_malformed(self, site: Site, text: str) -> None:
        site.write({"user/include.yaml": text})
        with pytest.raises(ConfigError, match=f"{site.root}/user: .*include needs a"):
            site.open()

    def test_a_circle(self, site: Site) -> None:
        site.write({"user/include.yaml": "include: [.]\n"})
        with pytest.raises(ConfigError, match="the includes form a cycle"):
            site.open()

    def test_what_would_have_to_be_fetched(self, site: Site) -> None:
        site.write({"user/include.yaml": """\
include:
- {path: "https://example.org/a.yaml", sha256: abc, name: remote}
- {git: "https://example.org/configs.git", branch: main, paths: [x.yaml, y]}
- {git: "https://example.org/other.git", branch: main, paths: [x.yaml]}
- {path: "$HOME/spack.lock"}
""",
            "user/includes/remote/abc/a.yaml": config("template_dirs: [/remote]"),
            "user/includes/configs/.git/HEAD": "",
            "user/includes/configs/x.yaml": config("template_dirs: [/x]"),
            "user/includes/configs/y/config.yaml": config("template_dirs: [/y]"),
        })  # fmt: skip
        with pytest.warns(ConfigWarning) as caught:
            merged = site.open()
        assert [str(warning.message) for warning in caught] == [
            f"{site.root}/user includes https://example.org/other.git, which Spack has not cloned; "
            "it is left out"
        ]
        assert merged.get("config:template_dirs")[:-1] == ["/remote", "/x", "/y"]

    def test_a_condition_beyond_us(self, site: Site) -> None:
        site.write(
            {"user/include.yaml": "include:\n- {path: a, when: '__import__(\"os\").getcwd()'}\n"}
        )
        with pytest.warns(ConfigWarning, match="an include is left out because its condition"):
            site.open()


class TestConditions:
    """Each expected value is the result of Python's `eval` for the same text."""

    @pytest.fixture
    def known(self, tmp_path: Path) -> Substitution:
        return Substitution(tmp_path, {"A": "1", "B": ""})

    @pytest.mark.parametrize(
        "condition",
        [
            '"A" in env', '"Z" in env', 'env["A"] == "1"', 'env.get("Z") is None',
            'env.get("Z", "x") == "x"', 'not env.get("B")', 'env.get("A") and env.get("B")',
            'env.get("A") or env.get("Z")',
            f'platform == "{PLATFORM}"', f'platform != "{PLATFORM}"',
            f'platform in ("a", "{PLATFORM}")', f'platform not in ["{PLATFORM}"]',
            'os.startswith("nope")', 'target.endswith("zz")', 're.search("x", target)',
            're.match(r"\\w+", platform)', 're.fullmatch("l", platform)', "True", "False", "1",
            '"a" == "a" != "b"', "hostname == hostname",
            'f"{os}x" == os + "x"', '"platform=" in arch_str',
        ],
    )  # fmt: skip
    def test_as_python(self, known: Substitution, condition: str) -> None:
        names = {
            "env": known.environ,
            "re": __import__("re"),
            "hostname": "x",
            "arch_str": "platform=x",
        }
        names.update({name: known.host[name] for name in ("platform", "os", "target")})
        assert include_when.holds(condition, known) is bool(eval(condition, names))

    @pytest.mark.parametrize(
        "condition",
        [
            '__import__("os").system("true")', "open('/etc/passwd')", "().__class__", "lambda: 1",
            "[x for x in (1, 2)]", 'env["Z"]', "1 +", "1 < 2", "unknown", 're.search("(", os)',
            're.compile("x")', "target.upper()", "env.get()", "(" * 500 + ")" * 500, "a := 1",
            "", "None + 1", '"a" * 9', 'f"{os!r}"',
        ],
    )  # fmt: skip
    def test_beyond(self, known: Substitution, condition: str) -> None:
        with pytest.raises(ValueError, match=r"rror: |supported|cannot be evaluated"):
            include_when.holds(condition, known)


class TestInstallTree:
    #: Padded length → Spack 1.3's result for /user/tree.
    PADDED = {  # noqa: RUF012
        10: "/user/tree",
        11: "/user/tree",
        12: "/user/tree/_",
        36: "/user/tree/__spack_path_placeholder_",
        37: "/user/tree/__spack_path_placeholder__",
        38: "/user/tree/__spack_path_placeholder___",
        39: "/user/tree/__spack_path_placeholder__/_",
        40: "/user/tree/__spack_path_placeholder__/__",
        65: "/user/tree/__spack_path_placeholder__/__spack_path_placeholder___",
        66: "/user/tree/__spack_path_placeholder__/__spack_path_placeholder__/_",
    }

    @pytest.mark.parametrize(("length", "expected"), PADDED.items())
    def test_padding(self, site: Site, length: int, expected: str) -> None:
        text = f"install_tree: {{root: /user/tree/, padded_length: {length}}}"
        site.write({"user/config.yaml": config(text)})
        assert str(install_tree(site.open())) == expected

    def test_padded_to_the_limit(self, site: Site) -> None:
        site.write(
            {"user/config.yaml": config("install_tree: {root: /user/tree, padded_length: true}")}
        )
        tree = str(install_tree(site.open()))
        assert len(tree) == os.pathconf("/", "PC_PATH_MAX") - 300
        assert tree.startswith("/user/tree/__spack_path_placeholder__/__spack")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("install_tree:: /user/tree", "/user/tree"),
            ("install_tree:: /user/tree$padding:37", padded("/user/tree", 37)),
            ("install_tree:: /user/tree/${padding:70}", padded("/user/tree", 70)),
            ("install_tree: {root: '/user/tree$padding:64'}", padded("/user/tree", 64)),
            (
                "install_tree: {root: '/user/tree$padding:64', padded_length: 90}",
                padded("/user/tree$padding:64", 90),
            ),
            ("install_tree:: {}", "{spack}/opt/spack"),
            ("install_tree: {root: ../here/./x//y}", "{root}/here/x/y"),
            ("install_tree: {root: $spack/../sw/}", "{root}/sw"),
        ],
    )
    def test_forms(self, site: Site, text: str, expected: str) -> None:
        site.write({"user/config.yaml": config(text)})
        expected = expected.format(root=site.root, spack=site.root / "spack")
        assert str(install_tree(site.open())) == expected

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "install_tree: {root: [1]}",
                "config:install_tree:root of {spack} needs a path, not [1]",
            ),
            (
                "install_tree: {root: 'https://x/y'}",
                "{root}/user/config.yaml:2: config:install_tree:root: https://x/y is not a path",
            ),
            (
                "install_tree: {padded_length: long}",
                "config:install_tree:padded_length of {spack} needs a number of characters up to "
                "4096 or true, not 'long'",
            ),
            ("install_tree:: 3", "config:install_tree of {spack} needs a path, not 3"),
        ],
    )
    def test_malformed(self, site: Site, text: str, said: str) -> None:
        site.write({"user/config.yaml": config(text)})
        with pytest.raises(ConfigError) as caught:
            install_tree(site.open())
        assert caught.value.summary == said.format(root=site.root, spack=site.root / "spack")

    def test_upstreams(self, site: Site) -> None:
        site.write({"user/upstreams.yaml": "upstreams:\n  f: {install_tree: 'file:///a/b%20c'}\n"
                    "  t: {install_tree: ~root/x}\n  n: {install_tree: ~nosuchuser/x}\n"
                    "  r: {install_tree: ../rel}\n"})  # fmt: skip
        assert list(map(str, upstream_trees(site.open()))) == [
            "/a/b c", f"{pwd.getpwnam('root').pw_dir}/x", f"{site.root}/user/~nosuchuser/x",
            f"{site.root}/rel",
        ]  # fmt: skip

    @pytest.mark.parametrize("text", ["[a]", "{a: 3}", "{a: {}}", "{a: {install_tree: 1}}"])
    def test_malformed_upstreams(self, site: Site, text: str) -> None:
        site.write({"user/upstreams.yaml": f"upstreams: {text}\n"})
        with pytest.raises(ConfigError, match="upstreams"):
            upstream_trees(site.open())


class TestSubstitution:
    @pytest.fixture
    def replace(self, tmp_path: Path) -> Substitution:
        (tmp_path / "lib/spack/spack").mkdir(parents=True)
        (tmp_path / "lib/spack/spack/__init__.py").write_text('\n__version__ = "1.3.0.dev0"\n')
        environ = {"HOME": "/home/me", "FOO": "foo$BAR", "BAR": "bar", "TMPDIR": str(tmp_path)}
        return Substitution(tmp_path, environ)

    def test_variables(self, replace: Substitution, tmp_path: Path) -> None:
        user = pwd.getpwuid(os.geteuid()).pw_name
        target = archspec.cpu.host()
        for text, expected in {
            "$spack/x": f"{tmp_path}/x",
            "${SPACK}x": f"{tmp_path}x",
            "$spackx": "$spackx",
            "$user": user,
            "$USER": user,  # Spack's own variables come first and ignore case
            "$tempdir": str(tmp_path),
            "$user_cache_path": "/home/me/.spack",
            "$platform-${target}-$target_family": f"{PLATFORM}-{target.name}-{target.family}",
            "$FOO": "foo$BAR",
            "${FOO}": "foo$BAR",
            "$nosuch/${nosuch}": "$nosuch/${nosuch}",
            "$env/x": "$env/x",
            "~": "/home/me",
            "~/x": "/home/me/x",
            "~nosuchuser/x": "~nosuchuser/x",
            "x/~": "x/~",
            "$spack_short_version": "1.3",
            "": "",
        }.items():
            assert replace(text) == expected, text

    def test_instance(self) -> None:
        """The ID that Spack 1.3 computes for this path."""
        assert Substitution(Path("/opt/spack"), {})("$spack_instance_id") == "zesqjtu"

    def test_host(self, replace: Substitution) -> None:
        arch = replace("$arch").split("-")
        assert replace("$architecture") == "-".join(arch)
        assert arch[0] == PLATFORM
        assert replace("$os") == replace("$operating_system") == arch[1]

    def test_places(self, replace: Substitution) -> None:
        assert replace("$user_cache_path") == "/home/me/.spack"
        elsewhere = Substitution(Path("/x"), {"SPACK_USER_CACHE_PATH": "~/cache", "HOME": "/h"})
        assert elsewhere("$user_cache_path") == "/h/cache"
        assert Substitution(Path("/x"), {})("~") == pwd.getpwuid(os.getuid()).pw_dir

    def test_relative(self, replace: Substitution, tmp_path: Path) -> None:
        assert replace.path(Text("a/../b", tmp_path / "x/config.yaml", 3)) == tmp_path / "x/b"
        assert replace.path("a", tmp_path) == tmp_path / "a"
        with pytest.raises(ValueError, match="is not an absolute path"):
            replace.path("a")


class TestYaml:
    """YAML as Spack reads it, compared with the result of Spack's reader for the same text."""

    def read(self, tmp_path: Path, text: str | bytes) -> Any:
        path = tmp_path / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1:30", "1:30"), ("0o10", 8), ("010", 10), ("yes", "yes"), ("on", "on"),
            ("1e3", 1000.0), ("1_000", 1000), (".5", 0.5), ("0x1f", 31), ("~", None),
            ("NULL", None), ("", None), ("True", True), ("TRUE", True), ("tRue", "tRue"),
            ("1.", 1.0), ("1.20", 1.2), ("0b11", 3), (".inf", float("inf")), ("'5'", "5"),
            ('"a::"', "a:"), ("-5", -5), ("+5", 5), ("1.5e3", 1500.0), ("1.2.3", "1.2.3"),
            ("=", "="), ("<<", "<<"), ("'foo@1:'", "foo@1:"),
        ],
    )  # fmt: skip
    def test_values(self, tmp_path: Path, text: str, value: Any) -> None:
        found = self.read(tmp_path, f"a: {text}\n")["a"]
        assert found == value
        assert type(found) is type(value) or isinstance(found, Text)

    def test_where_a_word_stands(self, tmp_path: Path) -> None:
        content = self.read(tmp_path, "a:\n- b\n\n- 'c::'\n")
        b, c = content["a"]
        assert (b.file, b.line, b.override) == (tmp_path / "file.yaml", 2, False)
        assert (c, c.line, c.override) == ("c:", 4, True)

    def test_merge_keys(self, tmp_path: Path) -> None:
        content = self.read(tmp_path, "a: &a {k: 1, z: 3}\nb:\n  <<: *a\n  z: 4\n")
        assert content["b"] == {"k": 1, "z": 4}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a: 1\na: 2\n", ":2: not YAML: duplicate key 'a'"),
            ("a:\n  b: *c\n", ":2: not YAML: found undefined alias"),
            ("a: b: c\n", ":1: not YAML: mapping values are not allowed in this context"),
            ("\ta: 1\n", ":1: not YAML: found character that cannot start any token"),
            ("a: 1\n---\nb: 2\n", ":2: not YAML: but found another document"),
            ("a: &x [*x]\n", ":1: not YAML: an alias inside the node that it refers to"),
            ("? [a]\n: 1\n", ":1: not YAML: found unhashable key"),
            (b"a: \xff\n", ": not YAML: invalid"),
            ("a: \x00\n", ": not YAML: control characters are not allowed"),
            ("a: !!int x\n", ": not YAML: invalid literal"),
            ("- " * 500, ":1: not YAML: nested too deeply"),
            ("a: " + "[" * 500 + "]" * 500, ":1: not YAML: nested too deeply"),
            (
                "".join(" " * depth + "a:\n" for depth in range(3000)),
                ":201: not YAML: nested too deeply",
            ),
        ],
    )
    def test_not_yaml(self, tmp_path: Path, text: str | bytes, said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.read(tmp_path, text)
        assert caught.value.summary.startswith(f"{tmp_path / 'file.yaml'}{said}")

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        text = f"a: !!python/object/apply:os.mkdir [{tmp_path}/made]\nb: !x y\n"
        assert self.read(tmp_path, text)["b"] == "y"
        assert not (tmp_path / "made").exists()

    def test_bounded(self, tmp_path: Path) -> None:
        bomb = "a0: &a0 [x]\n" + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
        )
        with pytest.raises(ConfigError, match="too large with its aliases expanded"):
            self.read(tmp_path, bomb)
        with pytest.raises(ConfigError, match="larger than 32 MiB"):
            self.read(tmp_path, b"#" * (MAX_BYTES + 1))

    def test_places(self, tmp_path: Path) -> None:
        assert load(tmp_path / "no.yaml") is None
        (tmp_path / "dir.yaml").mkdir()
        with pytest.raises(ConfigError, match=r"cannot read .*dir\.yaml: Is a directory"):
            load(tmp_path / "dir.yaml")

    @pytest.mark.kernel
    def test_without_libyaml(self, tmp_path: Path) -> None:
        """PyYAML without its C extension gives the same result."""
        with_c = self.read(tmp_path, "a: [yes, 010, {'b:': 1}]\nc: &x {d: e}\nf: *x\n")
        code = (
            "import yaml; del yaml.CSafeLoader\n"
            "from pathlib import Path; from spack_kernel.spack.config.yaml_reader import load\n"
            f"print(load(Path({str(tmp_path / 'file.yaml')!r})))\n"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert answer.stdout.strip() == str(with_c)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"user/modules.yaml": "- a\n"}, "{root}/user/modules.yaml: needs a mapping of sections"),
        (
            {"user/modules.yaml": "modules: [a]\n"},
            "{root}/user/modules.yaml:1: modules:prefix_insp",
        ),
        (
            {"user/modules.yaml": "modules:\n  prefix_inspections:: [a]\n"},
            "{root}/user/modules.yaml:2: prefix_inspections needs a mapping",
        ),
        (
            {"user/modules.yaml": "modules:\n  prefix_inspections::\n    ./bin: PATH\n"},
            "{root}/user/modules.yaml:3: prefix_inspections needs a list of variables for ./bin",
        ),
    ],
)
def test_malformed_sections(site: Site, files: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site.write(files).open().prefix_inspections()
    assert caught.value.summary.startswith(said.format(root=site.root))


@pytest.mark.kernel
@pytest.mark.skipif("SPACK_ROOT" not in os.environ, reason="runs a real Spack: set SPACK_ROOT")
def test_a_real_spack_agrees(tmp_path: Path) -> None:
    """`spack config get` of the Spack in $SPACK_ROOT, with custom scopes, gives the same result."""
    root = Path(os.environ["SPACK_ROOT"])
    for where in ("user", "system"):
        (tmp_path / where).mkdir()
        (tmp_path / where / "upstreams.yaml").write_text(
            f"upstreams:\n  {where}: {{install_tree: /a}}\n  both: {{install_tree: /{where}}}\n"
        )
        (tmp_path / where / "modules.yaml").write_text(
            f"modules:\n  prefix_inspections:\n    ./{where}: [X, Y]\n    ./bin: [{where}]\n"
        )
    environ = {
        **os.environ,
        "SPACK_USER_CONFIG_PATH": str(tmp_path / "user"),
        "SPACK_SYSTEM_CONFIG_PATH": str(tmp_path / "system"),
    }
    ours = Config.open(root, environ)
    for section in ("upstreams", "modules", "config", "packages"):
        answer = subprocess.run(
            [root / "bin/spack", "config", "get", section],
            env=environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        path = tmp_path / f"{section}.yaml"
        path.write_text(answer.stdout)
        theirs = load(path)[section]
        expected = ours.section(section) or {}
        # Spack also prints defaults that are not in any file.
        assert {key: theirs[key] for key in expected} == expected
