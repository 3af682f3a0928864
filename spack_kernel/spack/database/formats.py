"""Which database formats are known, and what it takes to read a newer one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.spack.errors import DatabaseError, DatabaseWarning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The oldest and the newest database format whose records are known.
KNOWN_FORMATS = (5, 8)

#: What to do about a database that is damaged.
REBUILD = "`spack reindex` rebuilds the database from what is installed."

#: What to do about a format that is not known.
UPDATE = "Update spack-kernel to a version that knows this format."

#: How many records of a newer format are looked at.
_SAMPLE = 256

#: The keys of a node up to the newest known format.
_NODE_KEYS = frozenset(
    [
        "annotations",
        "arch",
        "build_hash",
        "build_spec",
        "compiler",
        "concrete",
        "dependencies",
        "external",
        "full_hash",
        "hash",
        "name",
        "namespace",
        "package_hash",
        "parameters",
        "patches",
        "propagate",
        "version",
    ]
)


def is_newer(version: str) -> bool:
    """Return whether a format is newer than the known ones."""
    number = version.partition(".")[0]
    oldest, newest = KNOWN_FORMATS
    if not number.isdecimal() or int(number) < oldest:
        return False
    return int(number) > newest or not version.isdecimal()


def newer(version: str) -> str:
    """Return the words for a newer format, with both numbers."""
    newest = KNOWN_FORMATS[1]
    return f"database format {version}, newer than {newest}, the newest known here"


def check_format(path: Path, version: str, records: Mapping[str, msgspec.Raw]) -> None:
    """Refuse a format whose records are not known.

    Parameters
    ----------
    path : Path
        The database file.
    version : str
        The format that it has.
    records : mapping of str to Raw
        Its records by DAG hash.

    Raises
    ------
    DatabaseError
        When the format is older than the known ones, or newer, and its records do not have edges
        and prefixes where the known ones have them.

    Warns
    -----
    DatabaseWarning
        When the format is newer, but its records look the same.
    """
    oldest = KNOWN_FORMATS[0]
    number = version.partition(".")[0]
    if not number.isdecimal():
        raise DatabaseError(f"{path} has an unknown database format: {version!r}", hint=REBUILD)
    if not is_newer(version):
        if int(number) < oldest:
            raise DatabaseError(
                f"{path} has database format {version}; the oldest that can be read is {oldest}",
                hint="Update it with `spack reindex`, using your current version of Spack.",
            )
        return
    difference = _difference(records)
    if difference:
        raise DatabaseError(
            f"{path} has {newer(version)}, and its records look different",
            details=[f"  {difference}"],
            hint=UPDATE,
        )
    warnings.warn(
        f"{path} has {newer(version)}; it is read because its records look the same",
        DatabaseWarning,
        stacklevel=4,
    )


def _difference(records: Mapping[str, msgspec.Raw]) -> str:
    """Return in what records differ from those of the known formats; empty if in nothing."""
    has_edges = False
    unknown: set[str] = set()
    hashes = list(records)[:: max(1, len(records) // _SAMPLE)]
    for dag_hash in hashes:
        try:
            record: Any = msgspec.json.decode(records[dag_hash])
            node = record["spec"]
            edges = node.get("dependencies", [])
            if not isinstance(node["name"], str):
                raise TypeError
            for edge in edges:
                if not isinstance(edge["hash"], str) or not edge["parameters"]["deptypes"]:
                    raise TypeError
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError):
            return f"the record of /{dag_hash} has no node, or has edges, of another form"
        if record.get("installed") and not isinstance(record.get("path"), str):
            return f"the record of /{dag_hash} is installed, and has no `path`"
        has_edges |= bool(edges)
        unknown |= set(node) - _NODE_KEYS
    if not has_edges and (unknown or len(records) > 1):
        keys = f"; it has {', '.join(sorted(unknown))}" if unknown else ""
        return f"no record has `dependencies`{keys}"
    return ""
