"""One install database: ``.spack-db/index.json`` in the formats 5 to 8.

The file is read whole in one go (Spack replaces it by rename, so what is read is one state) and
never locked or written. msgspec decodes the outer records and leaves each spec node as raw
bytes; a node is decoded when it is asked for.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .errors import DatabaseError
from .specs import Spec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

#: Where an install tree keeps its database.
INDEX_PATH = Path(".spack-db", "index.json")

#: The database formats whose records are known, oldest and newest.
KNOWN_FORMATS = (5, 8)


class _Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()
    path: str | None = None
    installed: bool = True
    explicit: bool = False
    deprecated_for: str | None = None
    installation_time: float = 0.0


class _Body(msgspec.Struct):
    version: str | int
    installs: dict[str, _Record]


class _File(msgspec.Struct):
    database: _Body


class Stamp(NamedTuple):
    """What a stat says of a file; two equal stamps mean an unchanged file."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stamp:
        """Return the stamp of a stat result."""
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns)


class Database:
    """The records of one install tree, in the order of its ``index.json``.

    Made by `Database.read`; not changed afterwards.

    Attributes
    ----------
    root : Path
        The install tree.
    version : str
        The database format as the file names it.
    stamp : Stamp
        The file's identity when it was read.
    """

    def __init__(self, root: Path, version: str, records: dict[str, _Record], stamp: Stamp):
        self.root = root
        self.version = version
        self.stamp = stamp
        self._records = records
        self._specs: dict[str, Spec] = {}
        self._hashes = tuple(records)
        self._sorted_hashes: list[str] | None = None
        self._by_name: dict[str, list[str]] | None = None

    @classmethod
    def read(cls, root: str | os.PathLike[str]) -> Database:
        """Read the database of the install tree `root`.

        Raises
        ------
        DatabaseError
            When there is none, or it cannot be read or understood.
        """
        path = Path(root) / INDEX_PATH
        try:
            with path.open("rb") as file:
                import os as _os

                stamp = Stamp.of(_os.fstat(file.fileno()))
                data = file.read()
        except OSError as error:
            raise DatabaseError(
                f"cannot read the database {path}: {error.strerror}",
                hint="Name the install tree, the directory that holds .spack-db/index.json.",
            ) from error
        try:
            body = msgspec.json.decode(data, type=_File).database
        except msgspec.MsgspecError as error:
            raise DatabaseError(f"{path} is not a Spack install database: {error}") from error
        version = str(body.version)
        if not version.isdigit() or not KNOWN_FORMATS[0] <= int(version) <= KNOWN_FORMATS[1]:
            warnings.warn(f"{path} has the unknown format {version}", stacklevel=2)
        return cls(Path(root), version, body.installs, stamp)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hashes)

    def __contains__(self, dag_hash: object) -> bool:
        return dag_hash in self._records

    def get(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this DAG hash, installed or not; None when unknown."""
        spec = self._specs.get(dag_hash)
        if spec is None:
            record = self._records.get(dag_hash)
            if record is None:
                return None
            spec = self._specs[dag_hash] = Spec.from_node(
                dag_hash,
                msgspec.json.decode(record.spec),
                prefix=record.path,
                installed=record.installed,
                explicit=record.explicit,
                deprecated_for=record.deprecated_for,
                installation_time=record.installation_time,
            )
        return spec

    def names(self) -> dict[str, list[str]]:
        """Return package name → DAG hashes, both in recorded order."""
        if self._by_name is None:
            by_name: dict[str, list[str]] = {}
            for dag_hash in self._hashes:
                spec = self.get(dag_hash)
                assert spec is not None
                by_name.setdefault(spec.name, []).append(dag_hash)
            self._by_name = by_name
        return self._by_name

    def with_prefix(self, hash_prefix: str) -> Sequence[str]:
        """Return the DAG hashes that begin with `hash_prefix`, sorted."""
        if self._sorted_hashes is None:
            self._sorted_hashes = sorted(self._hashes)
        start = bisect_left(self._sorted_hashes, hash_prefix)
        found = []
        for dag_hash in self._sorted_hashes[start:]:
            if not dag_hash.startswith(hash_prefix):
                break
            found.append(dag_hash)
        return found
