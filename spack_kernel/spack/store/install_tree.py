"""The install tree that a Spack instance is configured with, its padding, and its upstreams."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from spack_kernel.spack.database.index_json import INDEX_PATH
from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from spack_kernel.spack.config.config import Config

#: The name of the directories that Spack pads a tree with; the last one can be cut short.
PLACEHOLDER = "__spack_path_placeholder__"

#: The longest path that Linux allows (PATH_MAX).
MAX_PADDED_LENGTH = 4096

#: Characters that Spack reserves for paths below a tree that is padded to the limit.
_ROOM_BELOW = 300


def install_tree(config: Config) -> Path:
    """Return the install tree that `config` names, padding included.

    ``config:install_tree`` is a mapping with `root`, `padded_length` and `projections`, or only the
    path as in Spack 0.16, which can end in ``$padding:128``. Projections do not matter here: the
    database records each prefix.

    Raises
    ------
    ConfigError
        When it is anything else.
    """
    configured = config.get("config:install_tree", {})
    length: bool | int = False
    if isinstance(configured, dict):
        root = config.path(configured.get("root") or "$spack/opt/spack", "config:install_tree:root")
        length = configured.get("padded_length") or False
        if not isinstance(length, int) or not 0 <= length <= MAX_PADDED_LENGTH:
            raise ConfigError(
                f"config:install_tree:padded_length of {config.spack_root} needs a number of "
                f"characters up to {MAX_PADDED_LENGTH} or true, not {length!r}"
            )
    else:
        root = config.path(configured, "config:install_tree")
    text = str(root)
    old = re.search(r"\$padding(?::(\d+))?|\$\{padding(?::(\d+))?\}", text)
    if old and not length:  # padded_length overrides it, which leaves it in the path
        text = text.replace(old[0], "").rstrip("/")
        length = min(int((old[1] or old[2] or "0")[:9]), MAX_PADDED_LENGTH) or True
    if length is True:
        length = os.pathconf("/", "PC_PATH_MAX") - _ROOM_BELOW
    return Path(padded(text, length))


def padded(root: str, length: int) -> str:
    """Return `root` with directories appended that make it `length` characters long.

    A path that is already that long stays as it is. A single character cannot be appended.
    """
    missing = length - len(root) - 1
    if missing < 0:
        return root
    whole, rest = divmod(missing, len(PLACEHOLDER) + 1)
    padding = "/".join([PLACEHOLDER] * whole + [PLACEHOLDER[:rest]])
    if padding.endswith("/"):
        padding = padding[:-1] + "_"
    return f"{root}/{padding}"


def padded_trees(root: Path) -> list[Path]:
    """Return the install trees in padding directories below `root`, as found on disk."""
    found: list[Path] = []
    pending = [root]
    while pending:
        directory = pending.pop()
        names = file_checks.names_in(directory) or ()
        for entry in (directory / name for name in names if _is_padding(name)):
            if file_checks.is_dir(entry / INDEX_PATH.parent):
                found.append(entry)
            elif entry.name == PLACEHOLDER:
                pending.append(entry)
    return sorted(found)


def upstream_trees(config: Config) -> tuple[Path, ...]:
    """Return the install trees of ``upstreams.yaml``, in the order Spack searches them.

    Raises
    ------
    ConfigError
        When an entry does not name an ``install_tree``.
    """
    upstreams = config.section("upstreams") or {}
    if not isinstance(upstreams, dict):
        raise ConfigError(f"upstreams of {config.spack_root} needs a mapping of names")
    trees = []
    for name, entry in upstreams.items():
        tree = entry.get("install_tree") if isinstance(entry, dict) else None
        trees.append(config.path(tree, f"upstreams:{name}:install_tree"))
    return tuple(trees)


def _is_padding(name: str) -> bool:
    return bool(name) and (PLACEHOLDER.startswith(name) or name == PLACEHOLDER + "_")
