"""Locate a store: find its install trees from a given path, or from the environment."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel import STORE_VARIABLE
from spack_kernel.spack.database.index_json import INDEX_PATH
from spack_kernel.spack.errors import DatabaseError, DatabaseWarning, StoreNotFound
from spack_kernel.spack.system import file_checks

from .install_tree import install_tree, padded_trees, upstream_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spack_kernel.spack.config.config import Config

_HINT = (
    "Name an install tree (the directory that holds .spack-db) or the root of a Spack\n"
    f"instance, or set {STORE_VARIABLE} to one of them."
)


class Place(NamedTuple):
    """Where a store is.

    Attributes
    ----------
    tree : Path
        The local install tree.
    upstreams : tuple of Path
        The install trees that the configuration names as its upstreams.
    config : Config or None
        The configuration that named them; None when `tree` was named directly.
    """

    tree: Path
    upstreams: tuple[Path, ...] = ()
    config: Config | None = None


def at(path: str | os.PathLike[str], environ: Mapping[str, str]) -> Place:
    """Return the store at an install tree or at the root of a Spack instance.

    Raises
    ------
    StoreNotFound
        When `path` is neither; the message describes what is there.
    DatabaseError
        When this user cannot enter a directory along the path.
    ConfigError
        When the configuration of the Spack instance is invalid.
    """
    root = _absolute(path)
    try:
        instance = is_spack_root(root)
    except PermissionError as error:
        raise _closed(root) from error
    return _of_instance(root, environ) if instance else Place(tree_at(root))


def tree_at(path: str | os.PathLike[str]) -> Path:
    """Return the install tree at `path`: itself, or the one in padding directories below it.

    Raises
    ------
    StoreNotFound
        When there is none or there are several.
    DatabaseError
        When this user cannot enter a directory along the path.
    """
    root = _absolute(path)
    try:
        if _is_dir(root / INDEX_PATH.parent):
            return root
        trees = padded_trees(root)
    except PermissionError as error:
        raise _closed(root) from error
    if len(trees) == 1:
        return trees[0]
    if trees:
        raise StoreNotFound(
            f"{root} has several padded install trees",
            details=[f"  {tree}" for tree in trees],
            hint="Name one of them.",
        )
    raise StoreNotFound(_what_is_at(root), hint=_what_else(root) or _HINT)


def discover(environ: Mapping[str, str]) -> Place:
    """Return the store of ``$SPACK_ROOT``, else that of the ``spack`` on ``$PATH``.

    Relative entries of PATH are skipped: using them would mean trusting the working directory.

    Raises
    ------
    StoreNotFound
        When neither leads to a store; the message lists the places checked.
    ConfigError
        When the configuration of a Spack instance is invalid.

    Warns
    -----
    DatabaseWarning
        When ``$SPACK_ROOT`` does not lead to a store and ``spack`` on PATH is used.
    """
    looked: list[str] = []
    if not environ.get(STORE_VARIABLE):
        looked.append(f"  {STORE_VARIABLE} is not set")
    root = environ.get("SPACK_ROOT")
    if root:
        place = _instance_with_database(Path(root), environ, looked, f"SPACK_ROOT={root}")
        if place is not None:
            return place
    else:
        looked.append("  SPACK_ROOT is not set")
    entries = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry[:1] == "/"]
    named = (str(Path(entry, "spack")) for entry in entries)
    executable = next((path for path in named if file_checks.is_executable(path)), None)
    if executable:
        # bin/spack of an instance; Spack's own script follows links in the same way.
        instance = Path(file_checks.real(executable)).parent.parent
        place = _instance_with_database(instance, environ, looked, f"spack on PATH, {executable}")
        if place is not None:
            if environ.get("SPACK_ROOT"):
                warnings.warn(
                    f"{looked[-1].strip()}; using the store of {executable} on PATH",
                    DatabaseWarning,
                    stacklevel=3,
                )
            return place
    else:
        looked.append("  there is no spack on PATH")
    raise StoreNotFound("no Spack store found", details=["checked:", *looked], hint=_HINT)


def is_spack_root(path: Path) -> bool:
    """Return whether `path` is the root of a Spack instance, judging by files that Spack ships."""
    return _is_dir(path / "etc" / "spack" / "defaults") and file_checks.exists(
        path / "bin" / "spack"
    )


def _is_dir(path: Path) -> bool:
    answer = path.is_dir()
    file_checks.record("dir", path, answer)
    return answer


def _absolute(path: str | os.PathLike[str]) -> Path:
    if not os.fspath(path):
        # An empty path would be the working directory, as of `--store "$UNSET"`.
        raise StoreNotFound("the path of the store is empty", hint=_HINT)
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's own may raise


def _of_instance(root: Path, environ: Mapping[str, str]) -> Place:
    from spack_kernel.spack.config.config import (
        Config,  # not needed for an install tree that is named directly
    )

    config = Config.open(root, environ)
    return Place(install_tree(config), upstream_trees(config), config)


def _instance_with_database(
    root: Path, environ: Mapping[str, str], looked: list[str], origin: str
) -> Place | None:
    """Return the place of an instance with a database; else add what is there to `looked`."""
    try:
        instance = is_spack_root(root)
    except PermissionError:
        looked.append(f"  {origin}: permission denied")
        return None
    if not root.is_absolute():
        looked.append(f"  {origin}: not an absolute path")
    elif not instance:
        looked.append(f"  {origin}: {_what_is_at(root)}")
    else:
        place = _of_instance(root, environ)
        if any(file_checks.exists(tree / INDEX_PATH) for tree in (place.tree, *place.upstreams)):
            return place
        looked.append(f"  {origin}: nothing is installed in its install tree {place.tree}")
    return None


def _closed(root: Path) -> DatabaseError:
    """Return the error for a store in a directory that this user cannot enter."""
    path = [*reversed(root.parents), root]
    door = next((step for step in path if not os.access(step, os.X_OK)), root)
    status = door.stat()
    return DatabaseError(
        f"you cannot access the store {root}: permission denied",
        details=[
            f"  {door} belongs to {_name(pwd.getpwuid, status.st_uid)} and the group "
            f"{_name(grp.getgrgid, status.st_gid)}, with the mode {stat.filemode(status.st_mode)}"
        ],
        hint="Ask the owner, or an administrator, for access.",
    )


def _name(lookup: Callable[[int], Any], number: int) -> str:
    """Return the name of a user or group; its number if it has no name on this machine."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _what_is_at(path: Path) -> str:
    if not path.exists():
        return f"there is no directory {path}"
    if not path.is_dir():
        return f"{path} is not a directory"
    if (path / INDEX_PATH).exists():
        return f"{path} is an install tree and not a Spack root; set {STORE_VARIABLE} to it"
    return f"{path} is neither an install tree (no {INDEX_PATH}) nor a Spack root (no bin/spack)"


def _what_else(path: Path) -> str:
    for parent in path.parents:
        if (parent / INDEX_PATH.parent).is_dir() or is_spack_root(parent):
            return f"Did you mean {parent}?"
    return ""
