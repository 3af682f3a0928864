"""Dependency trees compared with Spack's output: order, depth, elision and install status."""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from spack_kernel.spack import Store
from spack_kernel.spack.output.format import SpecFormat
from spack_kernel.spack.output.tree import MARKS, TreeNode, dependency_tree, install_status
from tests.records import make_store, node, readable_hash
from tests.spack.trees import DATA, unpack

FIND = SpecFormat("{name}{@version}{variants}")
SPEC = SpecFormat(
    "{name}{@versions}{compiler_flags}{variants}"
    "{ platform=architecture.platform}{ os=architecture.os}{ target=architecture.target}"
)

_FIND_LINE = re.compile(r"(?P<mark>)(?P<hash>\w{32}) (?P<indent> *)(?P<name>[\w.-]+)@")
_SPEC_LINE = re.compile(
    r"(?P<mark>\[.\]| - |)(  )?(?P<hash>\w{7})  (\[.{4}\]  )?(?P<indent> *)\^?(?P<name>[\w.-]+)@"
)


@dataclass(frozen=True)
class Printed:
    """A tree as printed by ``spack find -d -L -v`` or by ``spack spec -Ilt``."""

    root: str
    with_status: bool
    lines: tuple[str, ...]

    def shape(self) -> list[tuple[str, str, int]]:
        """Return the mark, the abbreviated hash and the depth of each line."""
        pattern = _SPEC_LINE if self.with_status else _FIND_LINE
        matches = [pattern.match(line) for line in self.lines]
        return [(m["mark"], m["hash"][:7], len(m["indent"]) // 4) for m in matches if m]


def printed(version: str) -> list[Printed]:
    text = lzma.decompress((DATA / version / "trees.txt.xz").read_bytes()).decode()
    found = []
    root = ""
    for block in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, *lines = block.splitlines()
        lines = [line for line in lines if line.strip() and not line.startswith("-- ")]
        if title.startswith("spack find"):
            root = title.rpartition("/")[2]
        if lines:
            found.append(Printed(root, not title.startswith("spack find"), tuple(lines)))
    return found


def tree_of(store: Store, readable_hash: str) -> list[TreeNode]:
    root = store.by_hash(readable_hash)
    assert root is not None
    return list(dependency_tree(store, [root]))


def shape(nodes: list[TreeNode], *, marks: bool) -> list[tuple[str, str, int]]:
    return [(MARKS[n.status] if marks else "", n.hash[:7], n.depth) for n in nodes]


@pytest.fixture(scope="module", params=["0.16", "0.17", "0.20", "0.23", "1.3"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def store(version: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(unpack(version, tmp_path_factory.mktemp("store")))


def test_every_tree_is_spacks(version: str, store: Store) -> None:
    trees = printed(version)
    assert len(trees) >= 12
    for tree in trees:
        theirs, ours = tree.shape(), tree_of(store, tree.root)
        assert len(theirs) == len(tree.lines)
        if version in ("0.16", "0.17"):
            # These versions walk depth first; the specs in the tree are the same.
            assert {line[1] for line in theirs} == {node.hash[:7] for node in ours}
        else:
            assert shape(ours, marks=tree.with_status) == theirs, tree.root


def test_the_text_of_a_tree_is_that_of_spack_1(tmp_path: Path) -> None:
    store = Store.open(unpack("1.3", tmp_path))
    statuses = set()
    for tree in printed("1.3"):
        lines = []
        for n in tree_of(store, tree.root):
            assert n.spec is not None
            statuses.add(n.status)
            if tree.with_status:
                types = "".join(t[0] if t in n.deptypes else " " for t in ("build", "link", "run"))
                caret = "^" if n.depth else ""
                text = f"{'    ' * n.depth}{caret}{SPEC.format(n.spec, store)}"
                lines.append(f"{MARKS[n.status]}  {n.hash[:7]}  [{types} ]  {text}")
            else:
                lines.append(f"{n.hash} {'    ' * n.depth}{FIND.format(n.spec, store)}")
        assert tuple(lines) == tree.lines
    assert statuses >= {"installed", "external"}


def test_what_the_marks_mean(tmp_path: Path) -> None:
    make_store(tmp_path / "up", node("shared"))
    gone = node("gone")
    gone["installed"] = False
    local = make_store(
        tmp_path / "local",
        node("app", ("shared", "link"), ("gone", "link"), ("nowhere", "run"), ("os", "link run")),
        node("os", external={"path": "/usr", "module": None, "extra_attributes": {}}),
        gone,
    )
    store = Store.open_all([local.root, tmp_path / "up"])
    app = store.by_hash(readable_hash("app"))
    assert app is not None
    marks = [(MARKS[n.status], n.name, n.depth, n.deptypes) for n in dependency_tree(store, [app])]
    assert marks == [
        ("[+]", "app", 0, ()),
        ("[-]", "gone", 1, ("link",)),
        (" - ", "nowhere", 1, ("run",)),
        ("[e]", "os", 1, ("link", "run")),
        ("[^]", "shared", 1, ("link",)),
    ]
    assert install_status(store, "unknown") == "absent"


def test_each_spec_stands_once_at_its_shallowest_place(tmp_path: Path) -> None:
    store = make_store(
        tmp_path,
        node("a", ("b", "link"), ("d", "build")),
        node("b", ("c", "link")),
        node("c", ("d", "run")),
        node("d"),
    )
    a = store.by_hash(readable_hash("a"))
    assert a is not None
    assert [(n.name, n.depth) for n in dependency_tree(store, [a])] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("d", 1),
    ]
    (*_, d) = dependency_tree(store, [a])
    assert d.deptypes == ("build", "run")
    followed = dependency_tree(store, [a], ["link", "run"])
    assert [(n.name, n.depth) for n in followed] == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]


def test_several_roots_stand_by_name_and_a_root_is_not_repeated(tmp_path: Path) -> None:
    store = make_store(tmp_path, node("z", ("b", "link")), node("b"), node("a"))
    roots = list(store)
    assert [(n.name, n.depth) for n in dependency_tree(store, roots)] == [
        ("a", 0),
        ("b", 0),
        ("z", 0),
    ]
