"""Which installed specs can be kernels, told for a whole store without starting a process.

A plan asks the interpreter; here the database answers, and one look into each python's
directories. So a survey of fifty thousand records costs one walk over the DAG. A plan may still
refuse what is listed here, when the python turns out not to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .interpreter import series
from .ipykernel import PACKAGE, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spack_kernel.spack.specs import Spec
    from spack_kernel.spack.store import Store

_PYTHON, _VENV = "python", "python-venv"

#: Where a Python keeps packages of its own, below its prefix; Debian's are dist-packages.
_PACKAGE_DIRECTORIES = (
    "lib/python{series}/site-packages",
    "lib64/python{series}/site-packages",
    "lib/python{major}/dist-packages",
    "lib/python{series}/dist-packages",
    "local/lib/python{series}/dist-packages",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An installed spec, and what kernel it would make.

    Attributes
    ----------
    spec : Spec
        The spec.
    python : Spec or None
        The python in its closure; None when there is none, or several.
    source : {"closure", "interpreter", "companion"} or None
        Where an ipykernel comes from; None when there is none.
    ipykernel : Spec or None
        The `py-ipykernel`; None for an interpreter's own.
    ipykernel_version : str
        Its version; empty where unknown.
    why_not : str
        Why it cannot be a kernel, in a few words; empty when it can.
    """

    spec: Spec
    python: Spec | None
    source: str | None
    ipykernel: Spec | None
    ipykernel_version: str
    why_not: str = ""


class Survey:
    """Answers for every spec of one store; what is common to many is worked out once.

    Parameters
    ----------
    store : Store
        The store; its content must not change while the survey is used.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reached: dict[str, frozenset[str]] = {}
        self._offers: dict[str, str | None] = {}
        self._companions: dict[str, Spec | None] = {}
        self._builds: list[tuple[Spec, Spec]] | None = None

    def candidate(self, spec: Spec) -> Candidate:
        """Return what kernel `spec` would make."""
        reached = [self._by_hash(dag_hash) for dag_hash in self._reach(spec)]
        pythons = [node for node in reached if node.name == _PYTHON]
        if len(pythons) != 1:
            why_not = "its closure has two pythons" if pythons else "no python in its closure"
            return Candidate(spec, None, None, None, "", why_not)
        python = pythons[0]
        own = next((node for node in reached if node.name == PACKAGE), None)
        if own is not None:
            return Candidate(spec, python, "closure", own, str(own.version))
        version = self._offered(python, [node for node in reached if node.name == _VENV])
        if version is not None:
            return Candidate(spec, python, "interpreter", None, version)
        companion = self._companion(python)
        if companion is not None:
            return Candidate(spec, python, "companion", companion, str(companion.version))
        return Candidate(spec, python, None, None, "", f"no {PACKAGE} for its python")

    def candidates(self, specs: Iterable[Spec]) -> Iterator[Candidate]:
        """Yield what kernel each of `specs` would make, in their order."""
        return map(self.candidate, specs)

    def _by_hash(self, dag_hash: str) -> Spec:
        spec = self._store.by_hash(dag_hash)
        assert spec is not None  # only hashes of records are kept
        return spec

    def _reach(self, spec: Spec) -> frozenset[str]:
        """Return which pythons, python-venvs and ipykernels the closure of `spec` holds."""
        known = self._reached
        waiting: set[str] = set()
        stack = [spec]
        while stack:
            node = stack[-1]
            children = self._children(node) if node.hash not in known else []
            unknown = [child for child in children if child.hash not in known]
            if unknown and node.hash not in waiting:
                waiting.add(node.hash)
                stack += unknown
                continue
            stack.pop()
            if node.hash not in known:
                # A child is unknown here only in a cycle, which no sound database has.
                parts = [known[child.hash] for child in children if child.hash in known]
                if node.name in (_PYTHON, _VENV, PACKAGE):
                    parts.append(frozenset((node.hash,)))
                known[node.hash] = frozenset().union(*parts)
        return known[spec.hash]

    def _children(self, spec: Spec) -> list[Spec]:
        children = []
        for edge in spec.dependencies:
            if "link" in edge.deptypes or "run" in edge.deptypes:
                child = self._store.by_hash(edge.hash)
                if child is not None:
                    children.append(child)
        return children

    def _offered(self, python: Spec, venvs: Iterable[Spec]) -> str | None:
        """Return the version of the interpreter's own ipykernel; None when it has none."""
        for node in (*venvs, python):
            if node.hash not in self._offers:
                self._offers[node.hash] = _own_ipykernel(node, series(python.version))
            if self._offers[node.hash] is not None:
                return self._offers[node.hash]
        return None

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

    def _ipykernels(self) -> list[tuple[Spec, Spec]]:
        """Return the installed ipykernels, each with the python it is built for."""
        if self._builds is None:
            self._builds = []
            for spec in self._store.named(PACKAGE):
                if spec.installed and spec.prefix and Path(spec.prefix).is_dir():
                    reached = [self._by_hash(dag_hash) for dag_hash in self._reach(spec)]
                    pythons = [node for node in reached if node.name == _PYTHON]
                    if len(pythons) == 1:
                        self._builds.append((spec, pythons[0]))
        return self._builds


def _own_ipykernel(node: Spec, version: str) -> str | None:
    """Return the version of the ipykernel in the directories of a Python's own prefix.

    ``""`` where it does not say; None where there is none.
    """
    if not node.prefix:
        return None
    for pattern in _PACKAGE_DIRECTORIES:
        directory = Path(node.prefix, pattern.format(series=version, major=version[:1]))
        if (directory / "ipykernel" / "__init__.py").is_file():
            found = sorted(directory.glob("ipykernel-*.dist-info"))
            return found[-1].name.removesuffix(".dist-info").partition("-")[2] if found else ""
    return None
