"""Concrete specs for a demo store, in the node format that Spack 1.x writes (specfile 5)."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import platform
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archspec.cpu

from .pins import BUILD_TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .pins import Wheel

#: The six flag lists that every node has.
_FLAGS = ("cflags", "cppflags", "cxxflags", "fflags", "ldflags", "ldlibs")

#: Variants of Spack's own recipes that a PyPI wheel determines, besides ``build_system``.
_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "py-libensemble": dict.fromkeys(
        ("deap", "mpi", "mpmath", "nlopt", "petsc4py", "scipy", "tasmanian"), False
    ),
    "py-matplotlib": {
        "animation": False,
        "backend": "agg",
        "fonts": False,
        "image": True,
        "latex": False,
        "movies": False,
    },
}

#: Modules of the standard library whose presence is a variant of Spack's ``python``.
_PYTHON_VARIANTS = {
    "bz2": "_bz2",
    "ctypes": "_ctypes",
    "dbm": "_dbm",
    "lzma": "_lzma",
    "pyexpat": "pyexpat",
    "readline": "readline",
    "sqlite3": "_sqlite3",
    "ssl": "_ssl",
    "tkinter": "_tkinter",
    "uuid": "_uuid",
    "zlib": "zlib",
}


@dataclass
class Node:
    """One concrete spec of the store.

    Attributes
    ----------
    content : dict
        The node as JSON types, its ``hash`` included.
    prefix : Path
        Where it is installed.
    explicit : bool
        Whether it was installed explicitly.
    wheel : Wheel or None
        The wheel installed there; None for ``python`` and ``python-venv``.
    """

    content: dict[str, Any]
    prefix: Path
    explicit: bool = False
    wheel: Wheel | None = None
    dependencies: tuple[Node, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The package name."""
        return str(self.content["name"])

    @property
    def version(self) -> str:
        """The version."""
        return str(self.content["version"])

    @property
    def hash(self) -> str:
        """The DAG hash."""
        return str(self.content["hash"])

    def specfile(self) -> dict[str, Any]:
        """Return the content of ``.spack/spec.json``: this node, then its dependencies."""
        nodes: dict[str, Node] = {}

        def visit(node: Node) -> None:
            if node.hash not in nodes:
                nodes[node.hash] = node
                for dependency in node.dependencies:
                    visit(dependency)

        visit(self)
        return {
            "spec": {"_meta": {"version": 5}, "nodes": [node.content for node in nodes.values()]}
        }


class Concretizer:
    """Creates the nodes of one store.

    Parameters
    ----------
    root : Path
        The install tree, absolute.
    """

    def __init__(self, root: Path):
        self._root = root
        self.target = archspec.cpu.host().generic.name
        self._family = archspec.cpu.host().family.name
        self._os = operating_system(_os_release())
        self.python = self._external_python()
        self.venv = self._node(
            "python-venv", "1.0", {"build_system": "generic"}, [(self.python, ("build", "run"))]
        )

    def concretize(self, wheels: Sequence[Wheel], roots: Sequence[str] = ()) -> list[Node]:
        """Return the python, the python-venv, and a node for each of `wheels`, in that order.

        Parameters
        ----------
        wheels : sequence of Wheel
            Each after the wheels that it needs. If a package has several wheels, other packages
            need the first one.
        roots : sequence of str
            The names that count as explicitly installed.
        """
        done: dict[str, Node] = {}
        nodes = [self.python, self.venv]
        for wheel in wheels:
            node = self._python_package(wheel, done)
            node.explicit = wheel.name in roots
            done.setdefault(wheel.name, node)
            nodes.append(node)
        return nodes

    def _python_package(self, wheel: Wheel, done: Mapping[str, Node]) -> Node:
        edges: list[tuple[Node, tuple[str, ...]]] = [
            (done[name], ("build", "run")) for name in wheel.needs
        ]
        tools = [name for name in BUILD_TOOLS if name not in wheel.needs]
        if wheel.name in BUILD_TOOLS:
            build_system = "generic"
            tools = [] if wheel.name == "py-pip" else ["py-pip"]
        else:
            build_system = "python_pip"
        edges += [(done[name], ("build",)) for name in tools]
        edges += [(self.python, ("build", "run")), (self.venv, ("build", "run"))]
        variants = {"build_system": build_system, **_VARIANTS.get(wheel.name, {})}
        node = self._node(wheel.name, wheel.version, variants, edges)
        node.wheel = wheel
        return node

    def _external_python(self) -> Node:
        """Return the running interpreter as Spack records an external Python."""
        variants = {
            "build_system": "generic",
            "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
            "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
            **{
                variant: importlib.util.find_spec(module) is not None
                for variant, module in _PYTHON_VARIANTS.items()
            },
        }
        external: dict[str, Any] = {"path": sys.base_prefix, "module": None, "extra_attributes": {}}
        return self._node("python", platform.python_version(), variants, [], external)

    def _node(
        self,
        name: str,
        version: str,
        variants: Mapping[str, Any],
        edges: Sequence[tuple[Node, tuple[str, ...]]],
        external: Mapping[str, Any] | None = None,
    ) -> Node:
        edges = sorted(edges, key=lambda edge: edge[0].name)
        content: dict[str, Any] = {
            "name": name,
            "version": version,
            "arch": {
                "platform": sys.platform,
                "platform_os": self._os,
                "target": self._family if external else self.target,
            },
            "namespace": "builtin",
            "parameters": {
                **dict(sorted(variants.items())),
                **{flag: [] for flag in _FLAGS},
            },
        }
        if external:
            content["external"] = dict(external)
        # Spack hashes a package's recipe here; we hash what was read from its wheel.
        recipe = json.dumps([name, version, [node.name for node, _ in edges]])
        content["package_hash"] = _base32(hashlib.sha256(recipe.encode()))
        if edges:
            content["dependencies"] = [
                {
                    "name": node.name,
                    "hash": node.hash,
                    "parameters": {"deptypes": list(deptypes), "virtuals": []},
                }
                for node, deptypes in edges
            ]
        content["annotations"] = {"original_specfile_version": 5}
        content["hash"] = dag_hash(content)
        prefix = (
            Path(external["path"])
            if external
            else self._root
            / f"{sys.platform}-{content['arch']['target']}"
            / f"{name}-{version}-{content['hash']}"
        )
        return Node(content, prefix, dependencies=tuple(node for node, _ in edges))


def dag_hash(content: Mapping[str, Any]) -> str:
    """Return the DAG hash of a node's `content` without its own ``hash``.

    As in Spack, the 32 characters are the base32 of the SHA-1 of the node's JSON, which contains
    the hashes of the dependencies. Equal content has an equal hash.
    """
    text = json.dumps(
        {key: value for key, value in content.items() if key not in ("hash", "annotations")},
        sort_keys=True,
        separators=(",", ":"),
    )
    return _base32(hashlib.sha1(text.encode(), usedforsecurity=False))


def index(nodes: Sequence[Node], installed_at: float) -> dict[str, Any]:
    """Return the install database (format 8) of `nodes`.

    Parameters
    ----------
    nodes : sequence of Node
        Every node of the store.
    installed_at : float
        Seconds since the epoch.
    """
    dependents: dict[str, int] = {}
    for node in nodes:
        for dependency in node.dependencies:
            dependents[dependency.hash] = dependents.get(dependency.hash, 0) + 1
    installs = {
        node.hash: {
            "spec": node.content,
            "ref_count": dependents.get(node.hash, 0),
            "path": str(node.prefix),
            "installed": True,
            "explicit": node.explicit,
            "installation_time": installed_at,
            "deprecated_for": None,
        }
        for node in nodes
    }
    return {"database": {"version": "8", "installs": installs}}


def operating_system(release: Mapping[str, str]) -> str:
    """Return Spack's name for the operating system of an ``os-release`` file.

    This is the identifier and the major version (``debian12``, ``rocky9``); for Ubuntu, it
    includes the minor version (``ubuntu22.04``).
    """
    name = release.get("ID", sys.platform)
    version = release.get("VERSION_ID", "")
    return name + (version if name == "ubuntu" else version.partition(".")[0])


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _base32(digest: Any) -> str:
    return base64.b32encode(digest.digest()).decode("ascii").lower()
