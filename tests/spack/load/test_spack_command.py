"""Running the site's Spack: what recipes add, recorded and applied on top of our own result."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.config.config import Config
from spack_kernel.spack.load.directories import Directories
from spack_kernel.spack.load.load import LoadEnvironment, load_environment
from spack_kernel.spack.load.modifications import InvalidModification
from spack_kernel.spack.load.recipe_variables import RecipeVariables, with_recipes
from spack_kernel.spack.load.spack_command import ask_spack
from spack_kernel.spack.load.spack_process import SpackCommandError, find_spack
from spack_kernel.spack.store.store import Store
from tests.records import make, make_store, node, readable_hash
from tests.spack.golden_environments import ORDERED, Golden, materialise, open_golden, read
from tests.spack_instance import fake_spack, listing

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module", params=["0.16", "0.17", "0.20", "0.23", "1.3"])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(request.param, tmp_path_factory.mktemp("golden"))


def test_with_recipes_every_variable_is_spacks(golden: Golden, tmp_path: Path) -> None:
    """Operations queried and recorded from a real Spack give the same variables as in Spack."""
    recorded = read(f"{golden.version}/spack-answers.json.xz")
    spack = fake_spack(
        tmp_path / "spack",
        version=recorded["spack_version"],
        age="new" if golden.version in ORDERED else "old",
        answers=recorded["answers"],
    )
    answers = {tuple(s.hash for s in answer.specs): answer for answer in golden.environments}
    directories = golden.directories
    for case in recorded["answers"]:
        if golden.version not in ORDERED and len(case["hashes"]) > 1:
            continue  # the fake has one answer for both, but old Spacks are queried for each
        answer = answers[tuple(case["hashes"])]
        loaded = load_environment(
            golden.store, answer.specs, golden.inspections, directories=directories
        )
        asked = ask_spack(spack, loaded, TREES, directories=directories)
        kept = RecipeVariables.from_dict(json.loads(json.dumps(asked.as_dict())))
        assert kept == asked
        environment = with_recipes(loaded, kept, golden.store, directories)
        made = environment.apply({})
        # If nothing on PYTHONPATH exists, we do not set it.
        assert set(answer.variables) - set(made) <= {"PYTHONPATH"}, answer.key
        assert set(made) <= set(answer.variables), answer.key
        for variable, value in made.items():
            spacks = answer.variables[variable]
            if variable == "PYTHONPATH":
                paths = [entry.path for entry in environment.pythonpath if not entry.added_by_us]
                existing = [p for p in spacks.split(":") if p in golden.existing]
                assert sorted(paths) == sorted(set(existing)), answer.key
            elif variable == "MANPATH" and golden.version == "0.16":
                assert value == f"{spacks}:", "newer Spacks end it so"
            elif variable != "SPACK_LOADED_HASHES" or golden.version in ORDERED:
                assert value == spacks, (answer.key, variable)


def test_little_is_recorded_where_recipes_add_little(tmp_path: Path) -> None:
    golden = open_golden("1.3", tmp_path)
    recorded = read("1.3/spack-answers.json.xz")
    spack = fake_spack(tmp_path / "spack", version="1.3.0", age="new", answers=recorded["answers"])
    for case in recorded["answers"]:
        specs = [spec for h in case["hashes"] if (spec := golden.store.by_hash(h))]
        if specs[0].name != "py-libensemble":
            continue
        loaded = load_environment(golden.store, specs, directories=golden.directories)
        asked = ask_spack(spack, loaded, TREES, directories=golden.directories)
        assert asked.replaces == ()
        assert {m.variable for m in asked.modifications}.isdisjoint({"PATH", "PYTHONPATH"})
        assert all(m.reason == "reported by Spack 1.3.0" for m in asked.modifications)
        mpicc = [m for m in asked.modifications if m.variable == "MPICC"]
        for modification in mpicc:
            owner = golden.store.by_hash(modification.spec or "")
            assert owner is not None
            assert owner.prefix is not None
            assert modification.value.startswith(owner.prefix)


# Small cases.


@pytest.fixture
def loaded(tmp_path: Path) -> LoadEnvironment:
    store = make_store(tmp_path / "sw", node("tool"))
    make(tmp_path / "sw", "tool/bin", "tool/plugins")
    spec = store.by_hash(readable_hash("tool"))
    assert spec is not None
    return load_environment(store, [spec])


#: The install trees that are passed to Spack.
TREES = ("/sw/tree", "/sw/upstream")


def answering(directory: Path, *modifications: list[str | None], **behaviour: Any) -> Path:
    answers = [{"hashes": [readable_hash("tool")], "modifications": modifications}]
    return fake_spack(directory, version="1.0", age="new", answers=answers, **behaviour)


def test_spack_gets_a_clean_environment(
    loaded: LoadEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("SPACK_USER_CONFIG_PATH", "/config")
    for name in ("PYTHONPATH", "SPACK_ENV", "LD_LIBRARY_PATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "/leaked")
    ask_spack(answering(tmp_path / "spack"), loaded, TREES)
    seen = json.loads((tmp_path / "spack/seen.json").read_text())
    assert seen["argv"][0] == "--config-scope"
    assert seen["argv"][2:] == ["--color", "never", "python"]
    assert not Path(seen["argv"][1]).exists()
    assert seen["scope"]["upstreams.yaml"] == (
        'upstreams::\n  tree0:\n    install_tree: "/sw/tree"\n'
        '  tree1:\n    install_tree: "/sw/upstream"\n'
    )
    assert str(Path(seen["argv"][1]).parent) in seen["scope"]["config.yaml"]
    assert seen["env"]["SPACK_USER_CACHE_PATH"].startswith(str(Path(seen["argv"][1]).parent))
    assert seen["cwd"] == "/"
    assert "/leaked" not in seen["env"].values()
    assert seen["env"]["HOME"] == "/nonexistent"
    assert seen["env"]["SPACK_USER_CONFIG_PATH"] == "/config"
    assert seen["env"]["PATH"] == "/usr/local/bin:/usr/bin:/bin"


def test_what_is_mixed_with_ours_replaces_it(loaded: LoadEnvironment, tmp_path: Path) -> None:
    prefix = str(tmp_path / "sw/tool")
    spack = answering(
        tmp_path / "spack",
        ["PrependPath", "PATH", f"{prefix}/plugins", ":"],
        ["PrependPath", "PATH", f"{prefix}/bin", ":"],
        ["SetEnv", "LEVEL", "1", ":"],
        ["SetEnv", "LEVEL", "2", ":"],
        ["Unheard", "LEVEL", "3", ":"],
        ["UnsetEnv", "OLD", None, None],
    )
    asked = ask_spack(spack, loaded, TREES)
    assert asked.replaces == ("PATH",)
    assert [(m.operation, m.variable, m.value) for m in asked.modifications] == [
        ("prepend", "PATH", f"{prefix}/plugins"),
        ("prepend", "PATH", f"{prefix}/bin"),
        ("set", "LEVEL", "2"),
        ("unset", "OLD", ""),
    ]
    assert asked.modifications[0].spec == readable_hash("tool")
    assert asked.modifications[2].spec is None
    environment = with_recipes(loaded, asked, Store.open(tmp_path / "sw"), Directories())
    made = environment.apply({"OLD": "x", "PATH": "/bin"})
    assert made["PATH"] == f"{prefix}/bin:{prefix}/plugins:/bin"
    assert (made["LEVEL"], "OLD" in made) == ("2", False)


def test_a_recipes_own_python_packages(loaded: LoadEnvironment, tmp_path: Path) -> None:
    plugins = str(tmp_path / "sw/tool/plugins")
    spack = answering(
        tmp_path / "spack",
        ["PrependPath", "PYTHONPATH", plugins, ":"],
        ["PrependPath", "PYTHONPATH", "/gone", ":"],
    )
    asked = ask_spack(spack, loaded, TREES)
    environment = with_recipes(loaded, asked, Store.open(tmp_path / "sw"), Directories())
    (entry,) = environment.pythonpath
    assert (entry.path, entry.spec.name, entry.added_by_us) == (plugins, "tool", False)
    assert entry.reason == "reported by Spack 1.0"
    assert environment.apply({})["PYTHONPATH"] == plugins


def test_the_error_of_spack_is_shown(loaded: LoadEnvironment, tmp_path: Path) -> None:
    spack = fake_spack(tmp_path / "spack", version="1.0", age="new", answers=[])
    with pytest.raises(SpackCommandError) as error:
        ask_spack(spack, loaded, TREES)
    assert error.value.summary == f"{spack} could not report what these specs load (exit status 1)"
    assert error.value.details[-1] == (
        f"  ==> Error: Spec '/{readable_hash('tool')}' matches no installed packages."
    )
    assert "--no-spack" in error.value.hint


def test_spack_that_fails_at_once(loaded: LoadEnvironment, tmp_path: Path) -> None:
    spack = answering(tmp_path / "spack", status=3, stderr="boom\n" * 20)
    with pytest.raises(SpackCommandError, match="exit status 3") as error:
        ask_spack(spack, loaded, TREES)
    assert error.value.details == ("  boom",) * 8


def test_spack_that_takes_too_long(loaded: LoadEnvironment, tmp_path: Path) -> None:
    spack = answering(tmp_path / "spack", sleep=60)
    with pytest.raises(SpackCommandError) as error:
        ask_spack(spack, loaded, TREES, timeout=1.5)
    assert error.value.summary == f"{spack} did not answer within 1.5 seconds"
    child = int((tmp_path / "spack/child.pid").read_text())
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child), "what Spack had started is also stopped"


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_spack_that_cannot_be_run(loaded: LoadEnvironment, tmp_path: Path) -> None:
    with pytest.raises(SpackCommandError) as error:
        ask_spack(tmp_path / "gone", loaded, TREES)
    assert error.value.summary == f"cannot run {tmp_path}/gone: No such file or directory"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("spack-kernel-answer:[", "could not report what these specs load"),
        ('spack-kernel-answer:["1", [["SetEnv", "A"]]]', "cannot be understood: ['SetEnv', 'A']"),
        ('spack-kernel-answer:["1", [["SetEnv", "A=", "", ":"]]]', "cannot be understood"),
        ('spack-kernel-answer:["1", [3]]', "cannot be understood: 3"),
        ("spack-kernel-answer:3", "cannot be understood: 3"),
    ],
)
def test_answers_that_make_no_sense(
    loaded: LoadEnvironment, tmp_path: Path, line: str, text: str
) -> None:
    with pytest.raises(SpackCommandError) as error:
        ask_spack(answering(tmp_path / "spack", stdout=line, status=0), loaded, TREES)
    assert text in error.value.summary


@pytest.mark.parametrize(
    "recorded",
    [
        None,
        [],
        {},
        {"spack_version": 1, "modifications": [], "replaces": []},
        {"spack_version": "1", "modifications": {}, "replaces": []},
        {"spack_version": "1", "modifications": [], "replaces": [1]},
        {"spack_version": "1", "modifications": [{"operation": "run"}], "replaces": []},
    ],
)
def test_a_damaged_record_is_refused(recorded: Any) -> None:
    with pytest.raises(InvalidModification):
        RecipeVariables.from_dict(recorded)


def test_which_spack_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = make_store(tmp_path / "sw", node("tool"))
    monkeypatch.setenv("PATH", ".:bin")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/spack").write_text("")
    (tmp_path / "bin/spack").chmod(0o755)
    assert find_spack(bare) is None, "the working directory is not trusted"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_spack(bare) == tmp_path / "bin/spack"
    instance = tmp_path / "spack"
    (instance / "etc/spack/defaults").mkdir(parents=True)
    (instance / "bin").mkdir()
    shutil.copy(tmp_path / "bin/spack", instance / "bin/spack")
    (instance / "bin/spack").chmod(0o755)
    own = Store(bare.databases, Config.open(instance, {"HOME": str(tmp_path)}))
    assert find_spack(own) == instance / "bin/spack"


# A real Spack, configured to use a store of its own version.


@pytest.mark.skipif("SPACK_ROOT" not in os.environ, reason="runs a real Spack: set SPACK_ROOT")
def test_a_real_spack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Query the Spack in SPACK_ROOT (1.x, with its package repository) for some of our specs.

    ``SPACK_KERNEL_TEST_REPOSITORY`` can name the builtin package repository to use.
    """
    root = materialise("1.3", tmp_path / "sw")
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.yaml").write_text(f"config: {{install_tree: {{root: {root}}}}}\n")
    repository = os.environ.get("SPACK_KERNEL_TEST_REPOSITORY")
    if repository:
        (config / "repos.yaml").write_text(f"repos: {{builtin: {repository}}}\n")
    monkeypatch.setenv("SPACK_USER_CONFIG_PATH", str(config))
    # As on a site: in a server, where the tree is found, the variable is not set.
    (config / "config.yaml").write_text("config: {install_tree: {root: $MYSW/opt}}\n")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    store = Store.open(root)
    spack = Path(os.environ["SPACK_ROOT"]) / "bin" / "spack"
    before = listing(tmp_path)
    for name, expected in (
        ("py-ipykernel", {"JUPYTER_PATH"}),
        ("osu-micro-benchmarks", {"MPICC", "PATH"}),
    ):
        spec = next(spec for spec in store.named(name) if spec.installed)
        loaded = load_environment(store, [spec])
        asked = ask_spack(spack, loaded, [str(root)])
        variables = {m.variable for m in asked.modifications}
        assert variables >= expected
        assert not asked.replaces, "what we know comes first and in Spack's order"
        assert asked.spack_version[0].isdigit()
        if name == "py-ipykernel":
            assert variables == expected
    assert listing(tmp_path) == before, "asking changes nothing"
