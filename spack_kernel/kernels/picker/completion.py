"""Complete a query while it is typed: names, versions, variants and their values, hashes.

What is offered is what is installed: of a package that is named, the values of the builds that
match the query so far.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from spack_kernel.spack.errors import DatabaseError, SpackKernelError
from spack_kernel.spack.output import format_compilers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    Kind = Literal["package", "version", "variant", "value", "hash"]

#: How many completions are offered.
MOST = 100

#: The most builds whose variants are read, of one package and of all, and those whose closures are
#: followed.
_READ, _SAMPLED, _FOLLOWED = 500, 150, 8

#: A name, at the beginning of a node.
_NAME = r"[A-Za-z_][\w.-]*"

#: The end of the text before the cursor: the node that is being typed, and what precedes it.
_NODE = re.compile(r"(?P<sigil>[\^%]{0,2})(?P<node>[^\s^%]*)$")

#: What is being typed at the end of a node, in the order in which they are tried.
_VALUE = re.compile(r"(?P<key>[A-Za-z_][\w-]*)={1,2}(?:[^\s=]*,)?(?P<typed>[^\s=,]*)$")
_VERSION = re.compile(r"@=?(?:[\w.=-]*[,:])?(?P<typed>[\w.-]*)$")
_VARIANT = re.compile(r"(?P<switch>[+~]{1,2}|(?<![\w.-])-)(?P<typed>[\w-]*)$")
_HASH = re.compile(r"/(?P<typed>[a-z0-9]*)$")
_PLAIN = re.compile(rf"(?P<typed>(?:{_NAME})?)$")

_ARCHITECTURE = ("target", "os", "platform")


class Completion(msgspec.Struct, frozen=True):
    """One way to go on.

    Attributes
    ----------
    text : str
        What replaces the part of the query from `Completions.start` to `Completions.end`.
    kind : {"package", "version", "variant", "value", "hash"}
        What it is.
    detail : str
        More about it: the number of builds, the values of a variant, the spec of a hash.
    """

    text: str
    kind: Literal["package", "version", "variant", "value", "hash"]
    detail: str = ""


class Completions(msgspec.Struct, frozen=True):
    """What can follow in a query.

    Attributes
    ----------
    start, end : int
        The part of the query that a completion replaces, in characters.
    items : list of Completion
        The completions, at most `MOST`.
    """

    start: int
    end: int
    items: list[Completion] = []


def complete(store: Store, text: str, cursor: int | None = None) -> Completions:
    """Return what can follow in a query.

    Parameters
    ----------
    store : Store
        The store.
    text : str
        The query.
    cursor : int, optional
        The position in it, in characters; by default its end.
    """
    cursor = len(text) if cursor is None else max(0, min(cursor, len(text)))
    before = text[:cursor]
    found = _NODE.search(before)
    if found is None:
        return Completions(cursor, cursor)
    start, items = _Completer(store, before, found).found()
    # Words that begin as typed come before those that only contain it; each once.
    return Completions(start, cursor, list({each.text: each for each in items}.values())[:MOST])


class _Node(NamedTuple):
    """The node that is being completed: its name, and the text of the query before the part."""

    name: str
    base: str


class _Completer:
    def __init__(self, store: Store, before: str, found: re.Match[str]) -> None:
        self._store, self._before = store, before
        self._sigil, self._node = found["sigil"], found["node"]
        self._offset = found.start("node")

    def found(self) -> tuple[int, Iterable[Completion]]:
        """Return the start of the part that is being typed, and its completions."""
        node = self._node
        for pattern, items in (
            (_VALUE, self._values),
            (_VERSION, self._versions),
            (_VARIANT, self._variants),
            (_HASH, self._hashes),
        ):
            match = pattern.search(node)
            if match is not None:
                return self._offset + match.start("typed"), items(match)
        match = _PLAIN.fullmatch(node)
        if match is None:
            return len(self._before), ()
        return self._offset, self._names(match["typed"])

    # -- what is being completed --

    def _named(self, end: int) -> _Node:
        """Return the node that a part belongs to; its name is empty if there is none."""
        base = self._before[: self._offset + end].rstrip("+~@/ ")
        own = re.match(_NAME, self._node)
        if own is not None and own.end() <= end:
            return _Node(own[0], base)
        others = re.findall(rf"(?:^|[\s^%])({_NAME})(?![\w=.-])", self._before[: self._offset])
        return _Node(others[-1] if others else "", base)

    def _pool(self, node: _Node) -> list[Spec]:
        """Return installed specs of the node's package, those that match the query so far."""
        is_root = not self._sigil.strip() and "^" not in node.base and "%" not in node.base
        if is_root and node.base.strip() != node.name:
            try:
                found = self._store.find(node.base)
            except SpackKernelError:
                found = []
            if found and (not node.name or found[0].name == node.name):
                return found[:_READ]
        if not node.name:
            return self._explicit(_SAMPLED)
        return [spec for spec in self._store.named(node.name) if spec.installed][:_READ]

    def _explicit(self, most: int) -> list[Spec]:
        """Return some of the explicitly installed specs."""
        hashes = (each for database in self._store.databases for each in database.explicit())
        return [s for s in self._store.specs(itertools.islice(hashes, most)) if s.installed]

    # -- the completions --

    def _names(self, typed: str) -> Iterator[Completion]:
        near = self._near() if self._sigil else set()
        names = [name for name in near or self._store.names() if typed.lower() in name]
        names.sort(key=lambda n: (not n.startswith(typed), not n.startswith(f"py-{typed}"), n))
        for name in names[: MOST + 1]:
            yield Completion(name, "package", _builds(self._count(name)))

    def _count(self, name: str) -> int:
        return sum(len(database.named(name)) for database in self._store.databases)

    def _near(self) -> set[str]:
        """Return the packages that the specs before a ``^`` or a ``%`` depend on."""
        base = self._before[: self._offset].rstrip("^% ")
        names: set[str] = set()
        try:
            specs = self._store.find(base)[:_FOLLOWED] if base.strip() else []
            if self._sigil.startswith("^"):
                for spec in specs:
                    closure = self._store.closure(spec)
                    names |= {node.name for node in closure if node.hash != spec.hash}
            else:
                for spec in specs or self._explicit(_FOLLOWED):
                    compilers = format_compilers(spec, self._store).split()
                    names |= {c.lstrip("%").partition("@")[0].rpartition("=")[2] for c in compilers}
        except (SpackKernelError, DatabaseError):
            return set()
        return names

    def _versions(self, match: re.Match[str]) -> Iterator[Completion]:
        counted = Counter(spec.version for spec in self._pool(self._named(match.start())))
        for version in sorted(counted, reverse=True):
            if str(version).startswith(match["typed"]):
                yield Completion(str(version), "version", _builds(counted[version]))

    def _variants(self, match: re.Match[str]) -> Iterator[Completion]:
        values: dict[str, set[str]] = {}
        for spec in self._pool(self._named(match.start())):
            for name, value in spec.variants.items():
                if isinstance(value, bool):
                    values.setdefault(name, set()).add(f"{'+' if value else '~'}{name}")
        for name in sorted(values):
            if name.startswith(match["typed"]):
                yield Completion(name, "variant", ", ".join(sorted(values[name])))

    def _values(self, match: re.Match[str]) -> Iterator[Completion]:
        key, typed = match["key"], match["typed"]
        counted: Counter[str] = Counter()
        for spec in self._pool(self._named(match.start())):
            counted.update(_values_of(spec, key))
        for value in sorted(counted):
            if value.startswith(typed):
                yield Completion(value, "value", _builds(counted[value]))

    def _hashes(self, match: re.Match[str]) -> Iterator[Completion]:
        typed, node = match["typed"], self._named(match.start())
        specs: Sequence[Spec] = self._pool(node) if node.name else []
        if not specs and typed:
            specs = self._store.with_hash_prefix(typed)
        for spec in specs:
            if spec.installed and spec.hash.startswith(typed):
                text = spec.hash[: max(7, len(typed))]
                yield Completion(text, "hash", f"{spec.name}@{spec.version}")


def _values_of(spec: Spec, key: str) -> tuple[str, ...]:
    if key in _ARCHITECTURE:
        return (str(getattr(spec.arch, key)),)
    value = spec.variants.get(key, ())
    if isinstance(value, tuple):
        return value
    return (str(value),)


def _builds(count: int) -> str:
    return f"{count} build{'s' * (count != 1)}"
