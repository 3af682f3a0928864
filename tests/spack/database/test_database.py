"""Reading install databases: their contents and their defects."""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import lzma
import os
import random
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from spack_kernel.spack.database import index_json
from spack_kernel.spack.database.database import CACHED_SPECS, Database
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, SpackKernelError
from spack_kernel.spack.spec.records import spec_from_node
from spack_kernel.spack.spec.spec import FLAG_NAMES, Compiler, Dependency, External, Spec
from spack_kernel.spack.spec.traversal import ALL_DEPTYPES
from spack_kernel.spack.spec.versions import Version
from spack_kernel.spack.store.store import Store
from tests.mutations import mutate_bytes, mutate_tree
from tests.places import DATA
from tests.spack.trees import FORMATS, recorded, unpack, write


@pytest.fixture(scope="module", params=FORMATS)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a Spack version, its database as we read it, and as the json module reads it."""
    root = tmp_path_factory.mktemp("golden")
    return request.param, Database.read(unpack(request.param, root)), recorded(request.param)


def plain(record: Any) -> tuple[str, Any]:
    """Return the name and the node of a record in any format."""
    node = record["spec"]
    if "name" in node:
        return node["name"], node
    ((name, node),) = node.items()
    return name, node


class TestRealDatabases:
    def test_every_record_in_recorded_order(self, golden: Any) -> None:
        version, database, expected = golden
        assert database.version == FORMATS[version]
        assert list(database) == list(expected["database"]["installs"])
        assert len(database) == len(expected["database"]["installs"])

    def test_what_a_record_says(self, golden: Any) -> None:
        _, database, expected = golden
        for dag_hash, record in expected["database"]["installs"].items():
            name, node = plain(record)
            spec = database.get(dag_hash)
            target = node["arch"]["target"]
            assert (spec.hash, spec.name, str(spec.version)) == (dag_hash, name, node["version"])
            assert spec.namespace == node["namespace"]
            assert spec.arch.platform == node["arch"]["platform"]
            assert spec.arch.os == node["arch"]["platform_os"]
            assert spec.arch.target == (target if isinstance(target, str) else target["name"])
            assert spec.prefix == record["path"]
            assert spec.installed is record["installed"]
            assert spec.explicit is record["explicit"]
            assert spec.deprecated_for == record["deprecated_for"]
            assert spec.installation_time == record["installation_time"]

    def test_variants_and_flags(self, golden: Any) -> None:
        _, database, expected = golden
        for dag_hash, record in expected["database"]["installs"].items():
            _, node = plain(record)
            spec = database.get(dag_hash)
            assert set(spec.variants) == set(node["parameters"]) - set(FLAG_NAMES)
            for name, value in spec.variants.items():
                known = node["parameters"][name]
                assert value == (tuple(known) if isinstance(known, list) else known)
            assert spec.flags == {
                name: tuple(node["parameters"][name])
                for name in FLAG_NAMES
                if node["parameters"].get(name)
            }

    def test_edges(self, golden: Any) -> None:
        version, database, expected = golden
        for dag_hash, record in expected["database"]["installs"].items():
            _, node = plain(record)
            edges = node.get("dependencies", [])
            if isinstance(edges, dict):
                edges = [{"name": name, **edge} for name, edge in edges.items()]
            assert database.get(dag_hash).dependencies == tuple(
                Dependency(
                    edge["name"],
                    edge["hash"],
                    tuple(edge["parameters"]["deptypes"] if "parameters" in edge else edge["type"]),
                    tuple(edge["parameters"]["virtuals"] if "parameters" in edge else ()),
                )
                for edge in edges
            )
        virtuals = {v for spec in database.specs() for d in spec.dependencies for v in d.virtuals}
        assert bool(virtuals) is (version in ("0.23", "1.3"))

    def test_compilers_and_externals(self, golden: Any) -> None:
        version, database, expected = golden
        for dag_hash, record in expected["database"]["installs"].items():
            _, node = plain(record)
            spec = database.get(dag_hash)
            if version == "1.3":
                assert spec.compiler is None
            else:
                known = node["compiler"]
                assert spec.compiler == Compiler(known["name"], Version(known["version"]))
            if "external" in node:
                assert spec.external == External(
                    node["external"]["path"],
                    tuple(node["external"]["module"] or ()),
                    node["external"]["extra_attributes"],
                )
            else:
                assert spec.external is None
        assert any(spec.external and spec.external.modules for spec in database.specs())

    def test_names_without_decoding(self, golden: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        _, database, expected = golden
        fresh = Database.read(database.root)
        by_name: dict[str, list[str]] = {}
        for dag_hash, record in expected["database"]["installs"].items():
            by_name.setdefault(plain(record)[0], []).append(dag_hash)

        def refuse(*_: Any) -> None:
            raise AssertionError("a node was decoded")

        monkeypatch.setattr(Database, "_decoded", refuse)
        assert fresh.names() == set(by_name)
        assert {name: fresh.named(name) for name in by_name} == by_name

    def test_virtuals(self, golden: Any) -> None:
        _, database, _ = golden
        expected: dict[str, set[str]] = {}
        for spec in database.specs():
            for edge in spec.dependencies:
                for virtual in edge.virtuals:
                    expected.setdefault(virtual, set()).add(edge.name)
        assert database.virtuals() == expected

    def test_hash_prefixes(self, golden: Any) -> None:
        _, database, expected = golden
        hashes = sorted(expected["database"]["installs"])
        fresh = Database.read(database.root)
        for _ in range(3):  # first by scanning, then from the sorted list
            for prefix in (
                hashes[0],
                hashes[-1][:7],
                hashes[5][:2],
                hashes[9][:1],
                "",
                "zzzz",
                "!",
            ):
                assert fresh.with_hash_prefix(prefix) == [h for h in hashes if h.startswith(prefix)]


def test_unknown_hash(tmp_path: Path) -> None:
    database = Database.read(unpack("1.3", tmp_path))
    assert database.get("a" * 32) is None
    assert "a" * 32 not in database
    assert next(iter(database)) in database


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    template = next(iter(recorded("1.3")["database"]["installs"].values()))
    root = write(tmp_path, {f"{number:032}": template for number in range(CACHED_SPECS * 2)})
    database = Database.read(root)
    for dag_hash in database:
        spec = database.get(dag_hash)
        assert spec is database.get(dag_hash)
    assert len(database._young) + len(database._old) <= CACHED_SPECS


NODE: dict[str, Any] = {
    "name": "py-six",
    "version": "1.16.0",
    "arch": {"platform": "linux", "platform_os": "debian12", "target": "x86_64"},
    "namespace": "builtin",
    "parameters": {"build_system": "python_pip", "cflags": []},
}
RECORD: dict[str, Any] = {"spec": NODE, "path": "/opt/six", "installed": True, "explicit": True}
HASH = "abcdefghijklmnopqrstuvwxyz234567"


def read_one(tmp_path: Path, record: Any, version: Any = "8") -> Spec:
    spec = Database.read(write(tmp_path, {HASH: record}, version)).get(HASH)
    assert spec is not None
    return spec


class TestOddButGood:
    """Shapes that are not in any golden database, interpreted as Spack interprets them."""

    def test_key_order_and_blanks(self, tmp_path: Path) -> None:
        node = dict(reversed(NODE.items()))
        record = {"path": "/opt/six", "installed": True, "spec": node}
        text = json.dumps({"database": {"installs": {HASH: record}, "version": "8"}}, indent=2)
        database = Database.read(write(tmp_path, text))
        assert database.named("py-six") == [HASH]
        assert database.get(HASH).label == "py-six@1.16.0/abcdefg"

    def test_key_order_of_format_5(self, tmp_path: Path) -> None:
        node = {key: value for key, value in NODE.items() if key != "name"}
        for record in (
            {"spec": {"py-six": node}},
            {"installed": True, "spec": {"py-six": node}},
            {"spec": {"arch": NODE["arch"], **NODE}},
        ):
            database = Database.read(write(tmp_path, {HASH: record}, "5"))
            assert database.get(HASH).name == "py-six"
        text = json.dumps(
            {"database": {"installs": {HASH: {"spec": {"py-six": node}}}, "version": "5"}}
        )
        assert Database.read(write(tmp_path, text)).named("py-six") == [HASH]

    def test_escaped_name(self, tmp_path: Path) -> None:
        text = json.dumps({"database": {"version": "8", "installs": {HASH: RECORD}}})
        database = Database.read(write(tmp_path, text.replace("py-six", "py\\u002dsix")))
        assert database.named("py-six") == [HASH]

    def test_a_number_as_version(self, tmp_path: Path) -> None:
        assert read_one(tmp_path, RECORD, version=7).name == "py-six"

    def test_text_after_the_database(self, tmp_path: Path) -> None:
        text = json.dumps(
            {"database": {"version": "8", "installs": {HASH: RECORD}}}, ensure_ascii=False
        )
        assert len(Database.read(write(tmp_path, text + '\n{"more": 1}'))) == 1

    @pytest.mark.parametrize(
        ("given", "attribute", "expected"),
        [
            ({"path": "None"}, "prefix", None),
            ({"path": None}, "prefix", None),
            ({"explicit": None}, "explicit", False),
            ({"installation_time": None}, "installation_time", 0.0),
            ({"installation_time": 3}, "installation_time", 3.0),
            ({"in_buildcache": True, "origin": "x", "ref_count": 7}, "name", "py-six"),
        ],
    )
    def test_record_fields(self, tmp_path: Path, given: Any, attribute: str, expected: Any) -> None:
        value = getattr(read_one(tmp_path, {**RECORD, **given}), attribute)
        assert value == expected
        assert type(value) is type(expected)

    def test_installed_not_recorded_means_not_installed(self, tmp_path: Path) -> None:
        assert read_one(tmp_path, {"spec": NODE}).installed is False

    @pytest.mark.parametrize(
        ("given", "attribute", "expected"),
        [
            ({"namespace": None}, "namespace", "builtin"),
            ({"dependencies": None}, "dependencies", ()),
            ({"external": {}}, "external", None),
            ({"external": None}, "external", None),
            (
                {"external": {"path": None, "module": "six/1"}},
                "external",
                External(None, ("six/1",)),
            ),
            ({"external": {"path": "/x", "module": False}}, "external", External("/x")),
            ({"external": {"path": "/x", "module": None}}, "external", External("/x")),
            ({"patches": ["abc"]}, "variants", {"build_system": "python_pip", "patches": ("abc",)}),
            ({"parameters": {"a": "True", "b": "FALSE"}}, "variants", {"a": True, "b": False}),
            ({"parameters": {"ldlibs": ["-lm"], "cflags": []}}, "flags", {"ldlibs": ("-lm",)}),
            ({"parameters": None}, "variants", {}),
            (
                {"annotations": {"original_specfile_version": 4, "compiler": "gcc@=12.2.0"}},
                "compiler",
                Compiler("gcc", Version("12.2.0")),
            ),
            (
                {"annotations": {"original_specfile_version": 4, "compiler": "gcc@12.2.0"}},
                "compiler",
                Compiler("gcc", Version("12.2.0")),
            ),
            ({"annotations": {"compiler": "None"}}, "compiler", None),
            ({"annotations": {"original_specfile_version": 5}}, "compiler", None),
        ],
    )
    def test_node_fields(self, tmp_path: Path, given: Any, attribute: str, expected: Any) -> None:
        assert (
            getattr(read_one(tmp_path, {**RECORD, "spec": {**NODE, **given}}), attribute)
            == expected
        )
        assert getattr(spec_from_node(HASH, {**NODE, **given}), attribute) == expected

    def test_a_decoded_node_is_left_as_it_is(self) -> None:
        node = copy.deepcopy(NODE)
        spec_from_node(HASH, node)
        spec_from_node(HASH, {"py-six": {k: v for k, v in NODE.items() if k != "name"}})
        assert node == NODE

    def test_a_dependency_nobody_has(self, tmp_path: Path) -> None:
        edge = {"name": "python", "hash": "z" * 32, "type": ["run"]}
        spec = read_one(tmp_path, {**RECORD, "spec": {**NODE, "dependencies": [edge]}}, "6")
        assert spec.dependencies == (Dependency("python", "z" * 32, ("run",)),)


MALFORMED = [
    ({**RECORD, "spec": {}}, "the node has no name"),
    ({**RECORD, "spec": None}, "Expected `object`, got `null`"),
    ({**RECORD, "spec": {**NODE, "version": 3}}, "Expected `str`, got `int` - at `$.version`"),
    ({**RECORD, "spec": {**NODE, "arch": "linux"}}, "got `str` - at `$.arch`"),
    (
        {**RECORD, "spec": {**NODE, "dependencies": [{"name": "x"}]}},
        "missing required field `hash`",
    ),
    ({**RECORD, "spec": {key: NODE[key] for key in ("version", "arch")}}, "the node has no name"),
    ({**RECORD, "path": 5}, "Expected `str | null`, got `int` - at `$.path`"),
    ({"path": "/x"}, "missing required field `spec`"),
    ([], "Expected `object`, got `array`"),
]


class TestMalformedRecords:
    """A bad record affects only those queries that need it."""

    @pytest.mark.parametrize(("record", "reason"), MALFORMED)
    def test_only_that_record(self, tmp_path: Path, record: Any, reason: str) -> None:
        good = "b" * 32
        database = Database.read(write(tmp_path, {HASH: record, good: RECORD}))
        with pytest.raises(DatabaseError) as caught:
            database.get(HASH)
        assert caught.value.summary.startswith(
            f"the record of /{HASH} in {database.path} is malformed: "
        )
        assert reason in caught.value.summary
        assert "spack reindex" in caught.value.hint
        assert database.get(good) is not None
        assert good in database.named("py-six")
        with pytest.warns(DatabaseWarning, match=f"the record of /{HASH} .*; it is left out"):
            assert [spec.hash for spec in database.specs()] == [good]

    def test_nothing_is_said_of_a_record_nobody_needs(self, tmp_path: Path) -> None:
        database = Database.read(write(tmp_path, {HASH: [], "b" * 32: RECORD}))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(database) == 2
            assert database.names() == {"py-six"}
            assert database.named("py-six") == ["b" * 32]
            assert database.with_hash_prefix("abc") == [HASH]


class TestNotADatabase:
    """Every way in which a file can fail to be a database, and the message for it."""

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("", "{path} is empty"),
            (" \n", "{path} is empty"),
            ("hello", "{path} is not a Spack install database: it is not a JSON object"),
            ("[1, 2]", "{path} is not a Spack install database: it is not a JSON object"),
            ("null", "{path} is not a Spack install database: it is not a JSON object"),
            (
                "{}",
                "{path} is not a Spack install database: Object missing required field `database`",
            ),
            (
                '{"database": {"version": "8"}}',
                "{path} is not a Spack install database: Object missing required field `installs` "
                "- at `$.database`",
            ),
            (
                '{"database": {"installs": {}}}',
                "{path} is not a Spack install database: Object missing required field `version` "
                "- at `$.database`",
            ),
            (
                '{"database": {"version": "8", "installs": []}}',
                "{path} is not a Spack install database: Expected `object`, got `array` "
                "- at `$.database.installs`",
            ),
            (
                '{"database": {"version": "8", "installs": {"a": }}}',
                "{path} is not a Spack install database: JSON is malformed: "
                "invalid character (byte 48)",
            ),
            (
                '{"database": {"version": "new", "installs": {}}}',
                "{path} has an unknown database format: 'new'",
            ),
        ],
    )
    def test_content(self, tmp_path: Path, content: str, said: str) -> None:
        root = write(tmp_path, content)
        with pytest.raises(DatabaseError) as caught:
            Database.read(root)
        assert caught.value.summary == said.format(path=root / ".spack-db" / "index.json")
        assert caught.value.hint == "`spack reindex` rebuilds the database from what is installed."

    def test_truncated(self, tmp_path: Path) -> None:
        path = unpack("0.16", tmp_path) / ".spack-db" / "index.json"
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(DatabaseError, match=r"is truncated after \d+ bytes"):
            Database.read(tmp_path)

    def test_nested_without_end(self, tmp_path: Path) -> None:
        deep = "[" * 200_000 + "]" * 200_000
        with pytest.raises(DatabaseError):
            Database.read(write(tmp_path, deep))
        inside = '{"database": {"version": "8", "installs": {"a": {"spec": ' + deep + "}}}}"
        with pytest.raises(DatabaseError):
            Database.read(write(tmp_path, inside)).get("a")

    def test_places(self, tmp_path: Path) -> None:
        def said(root: Path) -> str:
            with pytest.raises(DatabaseError) as caught:
                Database.read(root)
            return caught.value.summary

        assert said(tmp_path / "no") == f"there is no directory {tmp_path / 'no'}"
        assert said(tmp_path) == (
            f"{tmp_path} is not an install tree: it has no .spack-db/index.json"
        )
        (tmp_path / ".spack-db").mkdir()
        assert said(tmp_path) == (
            f"{tmp_path} has no .spack-db/index.json: nothing has been installed there yet"
        )
        index = tmp_path / ".spack-db" / "index.json"
        index.mkdir()
        assert said(tmp_path) == f"{index} cannot be read: it is not a regular file"
        index.rmdir()
        os.mkfifo(index)  # reading must not block until there is a writer
        assert said(tmp_path) == f"{index} cannot be read: it is not a regular file"
        index.unlink()
        index.symlink_to(index)
        assert "cannot be read: Too many levels of symbolic links" in said(tmp_path)
        file = tmp_path / "file"
        file.touch()
        assert said(file) == f"{file} is not a directory, so it is not an install tree"

    def test_permission(self, tmp_path: Path) -> None:
        root = unpack("0.16", tmp_path)
        index = root / ".spack-db" / "index.json"
        index.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(DatabaseError) as caught:
                Database.read(root)
        finally:
            os.seteuid(user)
        assert caught.value.summary == f"{index} cannot be read: permission denied"
        assert caught.value.hint == (
            "Ask the owner of the store to make its .spack-db directory readable for you."
        )


class TestFormats:
    def test_older(self, tmp_path: Path) -> None:
        for version in ("4", "0.9.3", 3):
            with pytest.raises(DatabaseError) as caught:
                Database.read(write(tmp_path, {HASH: RECORD}, version))
            assert caught.value.summary.endswith(
                f"has database format {version}; the oldest that can be read is 5"
            )
            assert "`spack reindex`" in caught.value.hint

    def test_newer_with_known_records(self, tmp_path: Path) -> None:
        root = write(tmp_path, {HASH: RECORD}, "9")
        with pytest.warns(DatabaseWarning) as caught:
            database = Database.read(root)
        assert str(caught[0].message) == (
            f"{database.path} has database format 9, newer than 8, the newest known here; "
            "it is read because its records look the same"
        )
        assert database.get(HASH).label == "py-six@1.16.0/abcdefg"

    def test_newer_with_other_records(self, tmp_path: Path) -> None:
        root = write(tmp_path, {HASH: {"node": {"package": "py-six"}}}, "9")
        with pytest.raises(DatabaseError) as caught:
            Database.read(root)
        assert caught.value.summary == (
            f"{root / '.spack-db' / 'index.json'} has database format 9, newer than 8, "
            "the newest known here, and its records look different"
        )
        assert f"/{HASH}" in caught.value.details[0]
        assert "Update spack-kernel" in caught.value.hint

    @pytest.mark.parametrize("change", ["edges", "deptypes", "prefix", "records"])
    def test_newer_in_which_something_moved(self, tmp_path: Path, change: str) -> None:
        text = lzma.decompress((DATA / "1.3" / "index.json.xz").read_bytes())
        database = json.loads(text)["database"]
        for record in database["installs"].values():
            node = record["spec"]
            if change == "edges" and "dependencies" in node:
                node["deps"] = node.pop("dependencies")
            if change == "deptypes":
                for edge in node.get("dependencies", ()):
                    edge["deptypes"] = edge["parameters"].pop("deptypes")
            if change == "prefix":
                record["prefix"] = record.pop("path")
        if change == "records":
            database["records"] = database.pop("installs")
        database["version"] = "9"
        root = write(tmp_path, json.dumps({"database": database}))
        with pytest.raises(DatabaseError) as caught:
            Database.read(root)
        assert "database format 9, newer than 8, the newest known here" in caught.value.summary
        assert caught.value.hint == "Update spack-kernel to a version that knows this format."

    def test_newer_and_whole(self, tmp_path: Path) -> None:
        text = lzma.decompress((DATA / "1.3" / "index.json.xz").read_bytes())
        content = json.loads(text)
        content["database"]["version"] = "9"
        with pytest.warns(DatabaseWarning, match="its records look the same"):
            Database.read(write(tmp_path, json.dumps(content)))


class TestChanges:
    def test_changed(self, tmp_path: Path) -> None:
        database = Database.read(write(tmp_path, {HASH: RECORD}))
        assert not database.changed()
        write(tmp_path, {HASH: RECORD})  # the same content in another file
        assert database.changed()
        database = Database.read(tmp_path)
        assert not database.changed()
        database.path.unlink()
        assert database.changed()

    def test_empty(self, tmp_path: Path) -> None:
        database = Database.empty(tmp_path, "8")
        assert len(database) == 0
        assert database.get(HASH) is None
        assert not database.changed()
        write(tmp_path, {HASH: RECORD})
        assert database.changed()

    def test_written_while_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = write(tmp_path, {HASH: RECORD}) / ".spack-db" / "index.json"
        content = whole.read_bytes()
        whole.write_bytes(content[:100])
        reads = []
        read_bytes = index_json.read_whole

        def then_the_writer_goes_on(path: Path) -> Any:
            result = read_bytes(path)
            reads.append(len(result[0]))
            whole.write_bytes(content[: 150 if len(reads) == 1 else None])
            return result

        monkeypatch.setattr(index_json, "read_whole", then_the_writer_goes_on)
        assert len(Database.read(tmp_path)) == 1
        assert reads == [100, 150, len(content)]

    def test_written_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path, '{"database"')
        monkeypatch.setattr(index_json, "RETRY_PAUSE", 0.0)
        read_bytes = index_json.read_whole
        reads = []

        def then_the_writer_goes_on(path: Path) -> Any:
            result = read_bytes(path)
            reads.append(result)
            write(tmp_path, '{"database"' + " " * len(reads))
            return result

        monkeypatch.setattr(index_json, "read_whole", then_the_writer_goes_on)
        with pytest.raises(DatabaseError, match="is truncated after"):
            Database.read(tmp_path)
        assert len(reads) == index_json.READ_ATTEMPTS

    def test_replaced_all_the_time(self, tmp_path: Path) -> None:
        """While a writer replaces the file by rename, each read returns one of the states."""
        states = [{f"{n:032}": RECORD for n in range(size)} for size in (1, 400)]
        write(tmp_path, states[0])
        stop = threading.Event()

        def replace() -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                write(tmp_path, states[turn % 2])

        writer = threading.Thread(target=replace)
        writer.start()
        try:
            sizes = {len(Database.read(tmp_path)) for _ in range(200)}
        finally:
            stop.set()
            writer.join()
        assert sizes <= {1, 400}

    @pytest.mark.parametrize(("failures", "succeeds"), [(3, True), (99, False)])
    def test_stale_file_handle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, succeeds: bool
    ) -> None:
        root = write(tmp_path, {HASH: RECORD})
        real_open, calls = os.open, []

        def stale(path: Any, *arguments: Any, **more: Any) -> int:
            if str(path).endswith("index.json"):
                calls.append(path)
                if len(calls) <= failures:
                    raise OSError(errno.ESTALE, "Stale file handle")
            return real_open(path, *arguments, **more)

        monkeypatch.setattr(index_json, "RETRY_PAUSE", 0.0)
        monkeypatch.setattr(index_json.os, "open", stale)
        if succeeds:
            assert len(Database.read(root)) == 1
            assert len(calls) == failures + 1
        else:
            with pytest.raises(DatabaseError, match="replaced faster than it can be opened"):
                Database.read(root)
            assert len(calls) == index_json.READ_ATTEMPTS


def test_nothing_is_locked_or_written(tmp_path: Path) -> None:
    """Every file that is opened while reading a store is opened read-only."""
    root = unpack("1.3", tmp_path)
    opened: list[tuple[str, int]] = []
    watching = True

    def hook(event: str, arguments: Any) -> None:
        if watching and event == "open" and str(root) in str(arguments[0]):
            opened.append((str(arguments[0]), arguments[2]))
        if watching and event.startswith("fcntl"):
            raise AssertionError("a lock was taken")

    sys.addaudithook(hook)
    before = sorted(root.rglob("*"))
    list(Database.read(root).specs())
    watching = False
    assert [path for path, _ in opened] == [str(root / ".spack-db" / "index.json")]
    assert not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for _, flags in opened)
    assert sorted(root.rglob("*")) == before


# --- fuzzing ------------------------------------------------------------------------------------

FUZZ_RUNS = int(os.environ.get("SPACK_KERNEL_FUZZ", "20000"))


def few_records(version: str) -> Any:
    """Return a database with a few records: an external, one with edges, a deprecated one."""
    body = recorded(version)["database"]
    installs = body["installs"]
    chosen = [
        next(h for h, r in installs.items() if plain(r)[1].get("external")),
        next(h for h, r in installs.items() if len(plain(r)[1].get("dependencies", ())) in (2, 3)),
        next(h for h, r in installs.items() if r["deprecated_for"]),
    ]
    return {"database": {"version": body["version"], "installs": {h: installs[h] for h in chosen}}}


def survey(database: Database, good: set[str]) -> None:
    """Ask a store for everything: only what is readable is found."""
    store = Store([database])
    for dag_hash in database:
        with contextlib.suppress(SpackKernelError):
            spec = store.by_hash(dag_hash)
            assert spec is not None
            assert dag_hash in good
            assert len(store.edges(dag_hash, ALL_DEPTYPES)) <= len(spec.dependencies)
    for query in ("", "^python", "arch=linux-debian12-x86_64"):
        assert {spec.hash for spec in store.find(query, installed=None)} <= good


@pytest.mark.timeout(3600)
def test_no_input_raises_anything_but_our_errors(tmp_path: Path) -> None:
    rng = random.Random(20240607)
    shapes = [few_records(version) for version in FORMATS]
    texts = [json.dumps(shape, separators=(",", ":")).encode() for shape in shapes]
    index = write(tmp_path, texts[0]) / ".spack-db" / "index.json"
    refused = read = malformed = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for run in range(FUZZ_RUNS):
            which = run % len(texts)
            if rng.random() < 0.6:
                data = mutate_bytes(texts[which], rng)
            else:
                tree = mutate_tree(json.loads(texts[which]), rng)
                data = json.dumps(tree, separators=(",", ":")).encode()
            index.write_bytes(data)
            try:
                database = Database.read(tmp_path)
            except SpackKernelError:
                refused += 1
                continue
            names = database.names()
            good = set()
            for dag_hash in database:
                with contextlib.suppress(SpackKernelError):
                    spec = database.get(dag_hash)
                    assert spec is not None
                    assert repr(spec)
                    assert spec.name
                    good.add(dag_hash)
            malformed += len(good) < len(database)
            assert {h for name in names for h in database.named(name)} >= good
            database.with_hash_prefix(next(iter(database), "")[:3])
            survey(database, good)
            read += 1
    # The mutations must reach every outcome, or they test nothing.
    assert min(refused, read, malformed) > FUZZ_RUNS / 100


def test_a_giant_is_refused_at_once(tmp_path: Path) -> None:
    index = write(tmp_path, b"{}") / ".spack-db" / "index.json"
    with index.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(DatabaseError, match=r"it is larger than 4 GiB \(8,796,093,022,208 bytes\)"):
        Database.read(tmp_path)
