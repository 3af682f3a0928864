"""The lock file of a Spack environment, ``spack.lock``: what it is concretized to.

https://spack.readthedocs.io/en/latest/environments.html
"""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.spack.errors import ConfigError, ConfigWarning, SpackKernelError
from spack_kernel.spack.spec.records import spec_from_node
from spack_kernel.spack.system import file_checks

from .errors import EnvironmentNotReady
from .frozen import LockedRoot, option_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spack_kernel.spack.spec.spec import Spec

LOCK_FILE = "spack.lock"

#: The oldest and the newest known lock file format.
KNOWN_LOCK_FORMATS = (1, 7)

#: The largest lock file that is read, in bytes.
MAX_LOCK_FILE_SIZE = 512 * 1024 * 1024


def locked_roots(path: Path, name: str) -> tuple[LockedRoot, ...]:
    """Return the roots in the lock file of an environment, then those of included environments.

    Parameters
    ----------
    path : Path
        The directory of the environment.
    name : str
        Its name, for errors.

    Raises
    ------
    EnvironmentNotReady
        When there is no lock file.
    ConfigError
        When it cannot be read, or is not a lock file.
    """
    with _reading(path / LOCK_FILE):
        return tuple(dict.fromkeys(_roots_of(_read(path, name))))


def locked_specs(path: Path, name: str) -> dict[str, Spec]:
    """Return every spec in the lock file of an environment by its DAG hash.

    A spec that is malformed is left out. Parameters and errors are those of `locked_roots`.
    """
    with _reading(path / LOCK_FILE):
        content = _read(path, name)
        nodes = _nodes_of(content)
        hashes = {key: _identity(key, node)[1] for key, node in nodes.items()}
        specs = {}
        for key, node in nodes.items():
            try:
                spec = spec_from_node(hashes[key], node, installed=False)
            except ValueError:
                continue
            edges = tuple(
                msgspec.structs.replace(edge, hash=hashes.get(edge.hash, edge.hash))
                for edge in spec.dependencies
            )
            specs[spec.hash] = replace(spec, dependencies=edges)
        return specs


def _nodes_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return all nodes of a lock file, with those of environments included at any depth."""
    nodes = dict(content.get("concrete_specs") or {})
    for included in (content.get("include_concrete") or {}).values():
        nodes.update(_nodes_of(included))
    return nodes


def _identity(key: str, node: Mapping[str, Any]) -> tuple[str, str]:
    """Return the label of a node, and its DAG hash; up to format 3, its key is another hash."""
    if "name" not in node and len(node) == 1:  # format 1 and 2: {name: node}
        ((name, node),) = node.items()
    else:
        name = node.get("name", "unknown")
    dag_hash = str(node.get("hash", key))
    return f"{name}@{node.get('version', '')}/{dag_hash[:7]}", dag_hash


def _read(path: Path, name: str) -> dict[str, Any]:
    """Return the content of a lock file."""
    lock = path / LOCK_FILE
    try:
        content = json.loads(file_checks.read_regular(lock, MAX_LOCK_FILE_SIZE))
    except FileNotFoundError:
        option = option_of(name, str(path))
        raise EnvironmentNotReady(
            f"the environment {name} was never concretized: it has no {LOCK_FILE}",
            hint=f"Run `spack {option} concretize`, then `spack {option} install`.",
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {lock}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{lock} is not JSON: {error}") from error
    for key in ("_meta", "roots"):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"it has no `{key}`")
    version = int(content["_meta"]["lockfile-version"])
    if not KNOWN_LOCK_FORMATS[0] <= version <= KNOWN_LOCK_FORMATS[1]:
        warnings.warn(
            f"{lock} has format {version}, newer than any known; read as the newest known",
            ConfigWarning,
            stacklevel=5,
        )
    return dict(content)


@contextlib.contextmanager
def _reading(lock: Path) -> Iterator[None]:
    """Turn what is wrong with the content of a lock file into a `ConfigError`."""
    try:
        yield
    except SpackKernelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"{lock} is not a Spack lock file: {_what(error)}",
            hint="Write it again with `spack concretize --force` in the environment.",
        ) from error


def _what(error: Exception) -> str:
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _roots_of(content: Mapping[str, Any]) -> Iterator[LockedRoot]:
    nodes = content.get("concrete_specs") or {}
    for root in content["roots"]:
        label, dag_hash = _identity(root["hash"], nodes.get(root["hash"], {}))
        yield LockedRoot(root["spec"], dag_hash, label, root.get("group", "default"))
    for included in (content.get("include_concrete") or {}).values():
        yield from _roots_of({"concrete_specs": nodes, **included})
