"""One install database: ``.spack-db/index.json`` in formats 5 to 8.

The file is split into one piece of JSON per record, and each record is decoded on demand. A
malformed record therefore affects only the operations that need it.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.errors import DatabaseError, warn_left_out
from spack_kernel.spack.spec.spec import Spec

from .edges import edges_in, virtuals_in
from .formats import REBUILD, check_format
from .index_json import INDEX_PATH, Stamp, differs, read_index

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: How many records are read to tell which Spack wrote a database of format 6.
_SAMPLE = 64

#: Number of decoded specs that a database caches; about 4 kB each.
CACHED_SPECS = 1024

# How a record begins; format 5 wraps a node as {name: node}. Spack up to 0.20 writes blanks;
# patterns that allow them are slower.
_BEGINS_TIGHT = re.compile(rb'\{"spec":\{"name":"([\w.+-]+)"').match
_BEGINS = re.compile(rb'\s*\{\s*"spec"\s*:\s*\{\s*"name"\s*:\s*"([\w.+-]+)"').match
_BEGINS_WRAPPED = re.compile(rb'\s*\{\s*"spec"\s*:\s*\{\s*"([\w.+-]+)"\s*:\s*\{').match


class _Record(msgspec.Struct, gc=False):
    spec: msgspec.Raw
    path: str | None = None
    installed: bool = False  # Spack's default for an absent one
    explicit: bool | None = False
    deprecated_for: str | None = None
    installation_time: float | None = 0.0


_decode_record = msgspec.json.Decoder(_Record).decode

_says_installed = re.compile(rb'"installed"\s*:\s*true').search
_says_explicit = re.compile(rb'"explicit"\s*:\s*true').search


class Database:
    """The records of one install tree, in the order of its ``index.json``.

    Created by `Database.read`. Its contents do not change afterwards, so threads can share it.

    Attributes
    ----------
    root : Path
        The install tree.
    version : str
        The database format recorded in the file.
    stamp : Stamp or None
        The file's identity when it was read; None when there was no file.
    """

    def __init__(
        self,
        root: Path,
        version: str,
        records: Mapping[str, msgspec.Raw],
        stamp: Stamp | None,
    ) -> None:
        self.root = root
        self.version = version
        self.stamp = stamp
        self._records = records
        self._young: dict[str, Spec] = {}
        self._old: dict[str, Spec] = {}
        self._virtuals: dict[str, set[str]] | None = None
        self._by_name: Mapping[str, Sequence[str]] | None = None
        self._sorted_hashes: list[str] | None = None
        self._prefix_asked = False

    @classmethod
    def read(cls, root: str | os.PathLike[str]) -> Database:
        """Read the database of the install tree `root`.

        Retries a few times if the file changes while it is read, or if a network file system
        reports a stale file.

        Raises
        ------
        DatabaseError
            When there is no database, or it cannot be read or parsed.

        Warns
        -----
        DatabaseWarning
            When the format is newer than the known ones, but its records look the same.
        """
        root = Path(root)
        version, records, stamp = read_index(root)
        database = cls(root, version, records, stamp)
        check_format(database.path, version, records)
        return database

    @classmethod
    def empty(cls, root: str | os.PathLike[str], version: str) -> Database:
        """Return the database of an install tree in which nothing has been installed yet."""
        return cls(Path(root), version, {}, None)

    @property
    def path(self) -> Path:
        """The file the database was read from."""
        return self.root / INDEX_PATH

    def changed(self) -> bool:
        """Return whether the file was changed or removed since it was read. Takes one stat."""
        return differs(self.path, self.stamp)

    def __repr__(self) -> str:
        return f"<Database {self.root}: format {self.version}, {len(self)} records>"

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __contains__(self, dag_hash: object) -> bool:
        return dag_hash in self._records

    def get(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this DAG hash, installed or not; None when unknown.

        Raises
        ------
        DatabaseError
            When the record is malformed.
        """
        spec = self._young.get(dag_hash)
        if spec is None:
            spec = self._old.get(dag_hash)
            if spec is None:
                raw = self._records.get(dag_hash)
                if raw is None:
                    return None
                spec = self._decode_spec(dag_hash, raw)
            # Two generations bound the cache without a lock: each step is one dict operation.
            if len(self._young) >= CACHED_SPECS // 2:
                self._old, self._young = self._young, {}
            self._young[dag_hash] = spec
        return spec

    def record(self, dag_hash: str) -> msgspec.Raw | None:
        """Return the record of a DAG hash as JSON; None when unknown."""
        return self._records.get(dag_hash)

    def edges(self, dag_hash: str, deptypes: Sequence[str]) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a record that have one of these types.

        Much faster than `get` when traversing a whole store. Empty for an unknown hash.

        Raises
        ------
        DatabaseError
            When the record is malformed.
        """
        raw = self._records.get(dag_hash)
        if raw is None:
            return ()
        edges = edges_in(raw, deptypes)
        if edges is None:  # an old format, or malformed
            spec = self.get(dag_hash)
            recorded = spec.dependencies if spec else ()
            return tuple([e.hash for e in recorded if any(t in e.deptypes for t in deptypes)])
        return edges

    def explicit(self) -> list[str]:
        """Return the DAG hashes of the specs that were installed explicitly, in recorded order."""
        says = [key for key, raw in self._records.items() if _says_explicit(raw)]
        return [spec.hash for spec in self.specs(says) if spec.explicit and spec.installed]

    def absent(self) -> list[str]:
        """Return the DAG hashes that are recorded as not installed, without deprecated ones."""
        unsure = [key for key, raw in self._records.items() if not _says_installed(raw)]
        return [spec.hash for spec in self.specs(unsure) if spec.is_missing]

    def mentions(self, dag_hash: str, other: str) -> bool:
        """Return whether the record of `dag_hash` contains the text `other`; does not decode it."""
        raw = self._records.get(dag_hash)
        return raw is not None and other.encode() in bytes(raw)

    def specs(self, hashes: Iterable[str] | None = None) -> Iterator[Spec]:
        """Yield the specs with these DAG hashes, by default all; skip malformed and unknown ones.

        Warns
        -----
        DatabaseWarning
            For each record that is malformed.
        """
        young = self._young.get
        for dag_hash in self._records if hashes is None else hashes:
            spec = young(dag_hash)  # saves a call when thousands are requested
            if spec is None:
                try:
                    spec = self.get(dag_hash)
                except DatabaseError as error:
                    warn_left_out(error, stacklevel=2)
                young = self._young.get
            if spec is not None:
                yield spec

    def names(self) -> Mapping[str, Sequence[str]]:
        """Return package name → DAG hashes, both in recorded order.

        No node is decoded, because each begins with its name. Malformed records that have no name
        are left out.
        """
        if self._by_name is None:
            # A node that does not begin with its name (another key order, escapes) is decoded.
            loose = _BEGINS_WRAPPED if self.version == "5" else _BEGINS
            groups: defaultdict[bytes, list[str]] = defaultdict(list)
            for dag_hash, raw in self._records.items():
                found = _BEGINS_TIGHT(raw) or loose(raw)
                if found is not None:
                    groups[found[1]].append(dag_hash)
                else:
                    with contextlib.suppress(DatabaseError):
                        groups[self._decode_spec(dag_hash, raw).name.encode()].append(dag_hash)
            self._by_name = {name.decode(): hashes for name, hashes in groups.items()}
        return self._by_name

    def named(self, name: str) -> Sequence[str]:
        """Return the DAG hashes of a package's records, in recorded order; see `names`."""
        return self.names().get(name, ())

    def virtuals(self) -> Mapping[str, set[str]]:
        """Return virtual package → packages that provide it on a recorded edge."""
        if self._virtuals is None:
            found: dict[str, set[str]] = {}
            for raw in self._records.values():
                for virtual, package in virtuals_in(raw):
                    found.setdefault(virtual, set()).add(package)
            self._virtuals = found
        return self._virtuals

    @cached_property
    def records_build_systems(self) -> bool:
        """Whether specs have the variant ``build_system``, which Spack 0.19 introduced."""
        sample = list(self)[:: max(1, len(self) // _SAMPLE)]
        return any("build_system" in spec.variants for spec in self.specs(sample))

    def with_hash_prefix(self, hash_prefix: str) -> list[str]:
        """Return the DAG hashes that begin with `hash_prefix`, sorted."""
        hashes = self._sorted_hashes
        if hashes is None:
            if not self._prefix_asked:  # for a single lookup a scan is faster than sorting
                self._prefix_asked = True
                return sorted(h for h in self._records if h.startswith(hash_prefix))
            hashes = self._sorted_hashes = sorted(self._records)
        start = end = bisect_left(hashes, hash_prefix)
        while end < len(hashes) and hashes[end].startswith(hash_prefix):
            end += 1
        return hashes[start:end]

    def _decode_spec(self, dag_hash: str, raw: msgspec.Raw) -> Spec:
        try:
            record = _decode_record(raw)
            return Spec.from_json(
                dag_hash,
                record.spec,
                # Old versions of Spack wrote the string None for an external without a prefix; and
                # no path of a directory can contain a NUL.
                prefix=None
                if record.path == "None" or "\0" in (record.path or "")
                else record.path,
                installed=record.installed,
                explicit=bool(record.explicit),
                deprecated_for=record.deprecated_for,
                installation_time=record.installation_time or 0.0,
            )
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
            raise DatabaseError(
                f"the record of /{dag_hash} in {self.path} is malformed: {error}", hint=REBUILD
            ) from error
