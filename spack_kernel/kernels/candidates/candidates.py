"""Find out which installed specs of a store can be kernels, without starting a process.

A plan runs the interpreter. A survey reads only the database and lists the directories of each
python, so fifty thousand records require a single walk over the DAG. A plan can still reject a spec
that a survey lists, for example if its python does not run.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spack_kernel.kernels.interpreters.encryption import CLIENT, ZMQ, why_not_encrypted
from spack_kernel.kernels.interpreters.interpreter import series
from spack_kernel.kernels.interpreters.ipykernel import PACKAGE, mismatch
from spack_kernel.spack.errors import ITEM_ERRORS, DatabaseError, QuerySyntaxError, reason_of
from spack_kernel.spack.system import file_checks

from .shipped import PACKAGES, may_ship

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

_METADATA = re.compile(r"ipykernel-.*\.dist-info")

_PYTHON, _VENV, _DEBUGPY = "python", "python-venv", "py-debugpy"

#: The packages in a closure that decide whether and how a spec can be a kernel.
_TELLING = frozenset((_PYTHON, _VENV, _DEBUGPY, PACKAGE, ZMQ, CLIENT))

#: Where a Python has its own packages, relative to its prefix; Debian uses dist-packages.
_PACKAGE_DIRECTORIES = (
    "lib/python{series}/site-packages",
    "lib64/python{series}/site-packages",
    "lib/python{major}/dist-packages",
    "lib/python{series}/dist-packages",
    "local/lib/python{series}/dist-packages",
)


class Candidate(msgspec.Struct, frozen=True):
    """An installed spec and the kernel it would make.

    Attributes
    ----------
    spec : Spec
        The spec.
    python : Spec or None
        The python in its closure; None if there is none or more than one.
    source : {"closure", "interpreter", "companion"} or None
        Where an ipykernel comes from; None when there is none.
    ipykernel : Spec or None
        The `py-ipykernel`; None for the interpreter's own ipykernel.
    ipykernel_version : str
        Its version; empty if unknown.
    why_not : str
        Why it cannot be an IPython kernel, in a few words; empty when it can.
    debugger, encryption : bool
        Whether debugpy is available, and whether its ipykernel can encrypt the connection.
    shippers : tuple of Spec
        The packages in its closure whose names suggest that they ship a kernel of their own.
    """

    spec: Spec
    python: Spec | None
    source: str | None
    ipykernel: Spec | None
    ipykernel_version: str
    why_not: str = ""
    debugger: bool = False
    encryption: bool = False
    shippers: tuple[Spec, ...] = ()

    def ipykernel_as_dict(self) -> dict[str, Any] | None:
        """Return the ipykernel as JSON types, or None if there is none."""
        if self.source is None:
            return None
        return {
            "from": self.source,
            "version": self.ipykernel_version or None,
            "hash": self.ipykernel.hash if self.ipykernel else None,
        }


class Survey:
    """A survey of all specs in one store, which computes only once what many of them share.

    Parameters
    ----------
    store : Store
        The store; its contents must not change while the survey is in use.
    shippers : sequence of str
        Name patterns of the packages that may ship a kernel.
    companion : str
        As for `find_ipykernel`.
    """

    def __init__(
        self, store: Store, shippers: Sequence[str] = PACKAGES, companion: str = "auto"
    ) -> None:
        self._store = store
        self._companion_query = companion
        names = {name for name in store.names() if name in _TELLING or may_ship(name, shippers)}
        self._telling = {
            dag_hash
            for database in store.databases
            for name in names
            for dag_hash in database.named(name)
        }
        self._absent = store.absent()
        self._telling |= self._absent
        self._reached: dict[str, frozenset[str]] = {}
        self._nodes: dict[frozenset[str], list[Spec]] = {}
        self._offers: dict[str, _Own] = {}
        self._companions: dict[str, Spec | None] = {}
        self._there: dict[str, bool] = {}
        self._builds: list[tuple[Spec, Spec]] | None = None
        #: The ipykernels that are recorded as installed but whose prefix does not exist.
        self.gone: list[Spec] = []

    def candidate(self, spec: Spec) -> Candidate:
        """Return the candidate for `spec`."""
        reached = self._reached_by(spec)
        shippers = tuple(node for node in reached if node.name not in _TELLING)
        pythons = [node for node in reached if node.name == _PYTHON]
        if len(pythons) != 1:
            incomplete = self._incomplete(spec)
            if incomplete:
                return Candidate(spec, None, None, None, "", incomplete)
            why_not = "its closure has two pythons" if pythons else "no python in its closure"
            return Candidate(spec, None, None, None, "", why_not, shippers=shippers)
        python = pythons[0]
        incomplete = self._incomplete(spec)
        if incomplete:
            return Candidate(spec, python, None, None, "", incomplete)
        offered = self._offered(python, [node for node in reached if node.name == _VENV])
        used, nodes, version, source = self._kernel(reached, python, offered)
        if used is not None and not (used.external or self._is_there(used)):
            source = None
        if source is None:
            # A file system that is not mounted must not look like a package that is not installed.
            why_not = f"no {PACKAGE} for its python" if not self.gone else _gone(self.gone[0])
            return Candidate(spec, python, None, None, "", why_not, shippers=shippers)
        debugger = any(node.name == _DEBUGPY for node in nodes)
        return Candidate(
            spec,
            python,
            source,
            used,
            version,
            debugger=debugger or offered.debugpy,
            encryption=not why_not_encrypted(version, nodes),
            shippers=shippers,
        )

    def _incomplete(self, spec: Spec) -> str:
        """Return what the closure of a spec lacks; empty if nothing."""
        reached = self._reach(spec.hash)
        lost = sorted(h for h in reached if h in self._absent or h not in self._store)
        if not lost:
            return ""
        recorded = self._store.by_hash(lost[0])
        label = recorded.label if recorded is not None else f"/{lost[0][:7]}"
        reason = "is not installed" if recorded is not None else "is in no database"
        more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        return f"incomplete: {label} {reason}{more}"

    def _kernel(
        self, reached: list[Spec], python: Spec, offered: _Own
    ) -> tuple[Spec | None, list[Spec], str, str | None]:
        """Return the ipykernel's spec, the nodes that come with it, its version and its source."""
        own = next((node for node in reached if node.name == PACKAGE), None)
        if own is not None:
            return own, reached, str(own.version), "closure"
        if offered.version is not None:
            return None, reached, offered.version, "interpreter"
        companion = self._companion(python)
        if companion is not None:
            nodes = [*reached, *self._reached_by(companion)]
            return companion, nodes, str(companion.version), "companion"
        return None, reached, "", None

    def candidates(self, specs: Iterable[Spec]) -> Iterator[Candidate]:
        """Yield a candidate for each of `specs`, in their order.

        If a spec cannot be examined, the `why_not` of its candidate gives the reason.
        """
        for spec in specs:
            try:
                yield self.candidate(spec)
            except ITEM_ERRORS as error:  # noqa: PERF203
                yield Candidate(spec, None, None, None, "", reason_of(error))

    def _reached_by(self, spec: Spec) -> list[Spec]:
        """Return the nodes in the closure of `spec` that matter to the survey, sorted."""
        hashes = self._reach(spec.hash)
        known = self._nodes.get(hashes)
        if known is None:
            nodes = filter(None, map(self._store.by_hash, hashes))
            known = self._nodes[hashes] = sorted(nodes, key=lambda node: (node.name, node.hash))
        return known

    def _reach(self, root: str) -> frozenset[str]:
        """Return the hashes of the nodes in the closure of `root` that matter to the survey."""
        known = self._reached
        children: dict[str, tuple[str, ...]] = {}
        stack = [root]
        while stack:
            node = stack[-1]
            if node in known:
                stack.pop()
                continue
            if node not in children:
                children[node] = self._store.edges(node)
                # A node already on the stack is unknown only in a cycle, which a sound database
                # does not have.
                stack += [c for c in children[node] if c not in known and c not in children]
                continue
            stack.pop()
            parts = {known[child] for child in children[node] if child in known}
            if node in self._telling or node not in self._store:
                parts.add(frozenset((node,)))
            # Most nodes reach exactly what one of their dependencies reaches, so share its set.
            known[node] = next(iter(parts)) if len(parts) == 1 else frozenset().union(*parts)
        return known[root]

    def _offered(self, python: Spec, venvs: Iterable[Spec]) -> _Own:
        """Return the packages of the interpreter itself, those of its python-venv first."""
        version, debugpy = None, False
        for node in (*venvs, python):
            if node.hash not in self._offers:
                self._offers[node.hash] = _own_packages(node, series(python.version))
            own = self._offers[node.hash]
            version = own.version if version is None else version
            debugpy = debugpy or own.debugpy
        return _Own(version, debugpy)

    def _companion(self, python: Spec) -> Spec | None:
        """Return the ipykernel a plan for `python` would choose (see `find_ipykernel`)."""
        if python.hash not in self._companions:
            ours = series(python.version)
            fitting = [
                (spec, built_for)
                for spec, built_for in self._ipykernels()
                if not mismatch(spec, built_for, python, ours)
            ]
            fitting.sort(key=lambda pair: pair[0].hash)
            fitting.sort(key=lambda pair: pair[0].version, reverse=True)
            fitting.sort(key=lambda pair: (pair[1] != python, pair[0].arch != python.arch))
            self._companions[python.hash] = fitting[0][0] if fitting else None
        return self._companions[python.hash]

    def _possible_companions(self) -> list[Spec]:
        if self._companion_query == "none":
            return []
        if self._companion_query == "auto":
            return self._store.named(PACKAGE)
        try:
            return [s for s in self._store.find(self._companion_query) if s.name == PACKAGE]
        except QuerySyntaxError:
            return []  # reported once, by whoever asks for the survey

    def _is_there(self, spec: Spec) -> bool:
        """Return whether the prefix of an ipykernel exists; if not, add the spec to `gone`."""
        there = self._there.get(spec.hash)
        if there is None:
            there = bool(spec.prefix) and file_checks.is_dir(str(spec.prefix))
            self._there[spec.hash] = there
            if not there:
                self.gone.append(spec)
        return there

    def _ipykernels(self) -> list[tuple[Spec, Spec]]:
        """Return the installed ipykernels, each with the python it is built for."""
        if self._builds is None:
            self._builds = []
            for spec in self._possible_companions():
                if not spec.installed or not spec.prefix or not self._is_there(spec):
                    continue
                try:
                    pythons = [n for n in self._reached_by(spec) if n.name == _PYTHON]
                except DatabaseError:
                    continue  # it cannot be a companion; a plan reports why
                if len(pythons) == 1:
                    self._builds.append((spec, pythons[0]))
        return self._builds


def _gone(spec: Spec) -> str:
    return f"{spec.label} is recorded, but its prefix does not exist"


class _Own(NamedTuple):
    """The packages in a Python's own directories: the version of ipykernel, and debugpy.

    The version is None if there is no ipykernel, and empty if its metadata is missing.
    """

    version: str | None
    debugpy: bool


def _own_packages(node: Spec, version: str) -> _Own:
    """Return the packages in the directories of a Python's own prefix."""
    if not node.prefix:
        return _Own(None, False)
    found, debugpy = None, False
    for pattern in _PACKAGE_DIRECTORIES:
        directory = f"{node.prefix}/{pattern.format(series=version, major=version[:1])}"
        if not file_checks.is_dir(directory):
            continue
        debugpy = debugpy or file_checks.is_file(f"{directory}/debugpy/__init__.py")
        if found is None and file_checks.is_file(f"{directory}/ipykernel/__init__.py"):
            file_checks.stamp(directory)
            names = [name for name in os.listdir(directory) if _METADATA.fullmatch(name)]  # noqa: PTH208
            found = max(names).removesuffix(".dist-info").partition("-")[2] if names else ""
    return _Own(found, debugpy)
