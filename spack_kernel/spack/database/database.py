"""One install database: ``.spack-db/index.json`` in formats 5 to 8.

The file is split into one piece of JSON per record, and each record is decoded on demand. A
malformed record therefore affects only the operations that need it.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.errors import DatabaseError, warn_left_out
from spack_kernel.spack.spec.records import MALFORMED, decode_record, external_of
from spack_kernel.spack.spec.spec import Spec

from . import column_cache
from .column_cache import find_kept, looked_at
from .columns import DEPRECATED, EXPLICIT, INSTALLED, LEFT_OUT, Columns
from .formats import REBUILD, check_format, is_newer
from .index_json import INDEX_PATH, Stamp, differs, read_index
from .record_texts import rows_by_name, says_explicit, says_installed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import msgspec

    from spack_kernel.spack.spec.records import Record

    from .column_cache import Kept

#: How many records are read to tell which Spack wrote a database of format 6.
_SAMPLE = 64

#: Number of specs that a database caches, with the attributes that have been read.
CACHED_SPECS = 1024


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
    columns : Columns
        Its records as columns, as far as they have been read.
    """

    def __init__(
        self,
        root: Path,
        version: str,
        records: Mapping[str, msgspec.Raw],
        stamp: Stamp | None,
        kept: Kept | None = None,
    ) -> None:
        self.root = root
        self.version = version
        self.stamp = stamp
        self._records = records
        self._kept = kept
        self._has_warned = False
        #: What there was of files of columns when this was read.
        self._looked: list[list[int] | None] = []
        if kept is None:
            self.columns = Columns(list(records), self._decoded)
        else:
            self.columns = kept.file.columns(self._decoded)
        self._young: dict[int, Spec] = {}
        self._old: dict[int, Spec] = {}
        self._by_name: dict[str, list[int]] | None = None
        self._sorted_hashes: list[str] | None = None
        self._prefix_asked = False

    @classmethod
    def read(cls, root: str | os.PathLike[str], *, use_kept: bool = True) -> Database:
        """Read the database of the install tree `root`.

        Retries a few times if the file changes while it is read, or if a network file system
        reports a stale file.

        Parameters
        ----------
        root : path
            The install tree.
        use_kept : bool
            Whether kept columns can take the place of the file.

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
        is_large = use_kept and column_cache.is_large(root / INDEX_PATH)
        looked = looked_at(root / INDEX_PATH) if is_large else []
        kept = find_kept(root / INDEX_PATH) if any(looked) else None
        if kept is not None:
            return cls(root, kept.file.header.version, {}, kept.stamp, kept)
        version, records, stamp = read_index(root)
        database = cls(root, version, records, stamp)
        database._looked = looked
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

    def refreshed(self) -> Database:
        """Return the database as it is now; this one if nothing has changed.

        If its columns have been kept meanwhile, they take the place of what was read.

        Raises
        ------
        DatabaseError
            When it has changed and cannot be read.
        """
        if self.changed():
            return Database.read(self.root)
        if self.is_large and not self.is_kept:
            looked = looked_at(self.path)
            if looked != self._looked:
                self._looked = looked
                kept = find_kept(self.path)
                if kept is not None and kept.stamp == self.stamp:
                    return Database(self.root, self.version, {}, kept.stamp, kept)
        return self

    def __repr__(self) -> str:
        return f"<Database {self.root}: format {self.version}, {len(self)} records>"

    def __len__(self) -> int:
        return self.columns.recorded

    def __iter__(self) -> Iterator[str]:
        return (self.columns.hashes[row] for row in range(len(self)))

    def __contains__(self, dag_hash: object) -> bool:
        return isinstance(dag_hash, str) and self.columns.row(dag_hash) is not None

    # -- specs --

    def get(self, dag_hash: str) -> Spec | None:
        """Return the spec with exactly this DAG hash, installed or not; None when unknown.

        Raises
        ------
        DatabaseError
            When the record is malformed.
        """
        row = self.columns.row(dag_hash)
        return None if row is None else self.spec(row)

    def spec(self, row: int) -> Spec:
        """Return the spec in a row of the columns; errors are those of `get`."""
        spec = self._young.get(row)
        if spec is None:
            spec = self._old.get(row)
            if spec is None:
                self.require(row)
                spec = Spec.of_row(self.columns.hashes[row], self, row)
            # Two generations bound the cache without a lock: each step is one dict operation.
            if len(self._young) >= CACHED_SPECS // 2:
                self._old, self._young = self._young, {}
            self._young[row] = spec
        return spec

    def specs(self, hashes: Iterable[str] | None = None) -> Iterator[Spec]:
        """Yield the specs with these DAG hashes, by default all; skip malformed and unknown ones.

        Warns
        -----
        DatabaseWarning
            For each record that is malformed.
        """
        if hashes is None:
            rows: Iterable[int | None] = range(len(self))
        else:
            rows = map(self.columns.row, hashes)
        for row in rows:
            if row is not None and self.is_valid(row):
                yield self.spec(row)

    def require(self, row: int) -> None:
        """Read a row.

        Raises
        ------
        DatabaseError
            When its record is malformed.
        """
        columns = self.columns
        if columns.states[row] > LEFT_OUT:
            return
        try:
            columns.read(row)
        except MALFORMED as error:
            raise DatabaseError(
                f"the record of /{columns.hashes[row]} in {self.path} is malformed: {error}",
                hint=REBUILD,
            ) from error

    def is_valid(self, row: int) -> bool:
        """Return whether the record in a row is valid, and warn if it is not."""
        try:
            self.require(row)
        except DatabaseError as error:
            warn_left_out(error, stacklevel=3)
            return False
        return True

    def attributes(self, row: int, name: str) -> Mapping[str, Any]:
        """Return an attribute of a spec, with others that come along; see `SpecReader`."""
        known = self.columns.attributes(row, name)
        if known:
            return known
        record = self._decoded(row)
        prefix = record.path
        # Old versions of Spack wrote the string None for an external without a prefix; and no
        # path of a directory can contain a NUL.
        if prefix == "None" or "\0" in (prefix or ""):
            prefix = None
        return {
            "external": external_of(record.spec.external),
            "prefix": prefix,
            "deprecated_for": record.deprecated_for,
            "installation_time": record.installation_time or 0.0,
        }

    def _decoded(self, row: int) -> Record:
        return decode_record(self._text(row))

    def _text(self, row: int) -> msgspec.Raw | bytes:
        """Return the text of a record.

        Raises
        ------
        DatabaseError
            When the file has changed, so that the record is not where it was.
        """
        if self._kept is not None:
            return self._kept.record(row)
        return self._records[self.columns.hashes[row]]

    def texts(self) -> Iterable[msgspec.Raw]:
        """Return the texts of all records, in recorded order; none if the columns are kept."""
        return self._records.values()

    @property
    def has_known_format(self) -> bool:
        """Whether the format is one of those whose records are known."""
        return not is_newer(self.version)

    @property
    def is_large(self) -> bool:
        """Whether it is worth to keep its columns."""
        return self.stamp is not None and self.stamp.size >= column_cache.MIN_SIZE

    @property
    def is_kept(self) -> bool:
        """Whether the columns come from a file."""
        return self._kept is not None

    @property
    def kept_in(self) -> str:
        """The file from which the columns come; empty if they do not."""
        return self._kept.name if self._kept is not None else ""

    # -- records --

    def edges(self, dag_hash: str, deptypes: Sequence[str]) -> tuple[str, ...]:
        """Return the hashes of the dependencies of a record that have one of these types.

        Empty for an unknown hash.

        Raises
        ------
        DatabaseError
            When the record is malformed.
        """
        columns = self.columns
        row = columns.row(dag_hash)
        if row is None:
            return ()
        self.require(row)
        return tuple([columns.hashes[end] for end in columns.ends(row, tuple(deptypes))])

    def explicit(self) -> list[str]:
        """Return the DAG hashes of the specs that were installed explicitly, in recorded order."""
        wanted = INSTALLED | EXPLICIT
        return self._in_state(lambda state: state & wanted == wanted, says_explicit)

    def absent(self) -> list[str]:
        """Return the DAG hashes that are recorded as not installed, without deprecated ones."""
        unwanted = INSTALLED | DEPRECATED
        return self._in_state(
            lambda state: state > LEFT_OUT and not state & unwanted,
            lambda text: not says_installed(text),
        )

    def _in_state(
        self, test: Callable[[int], bool], may_be: Callable[[msgspec.Raw], bool]
    ) -> list[str]:
        """Return the hashes of the records in a state; `may_be` tells from a text which to read."""
        columns = self.columns
        rows: Iterable[int] = range(len(self))
        if not columns.complete:
            texts = enumerate(self._records.values())
            rows = [row for row, text in texts if may_be(text) and self.is_valid(row)]
        good = {state for state in range(32) if test(state)}
        return [columns.hashes[row] for row in rows if columns.states[row] in good]

    def first_dependent(self, name: str, dag_hash: str) -> str | None:
        """Return the DAG hash of the first record of a package that depends on `dag_hash`.

        Malformed records do not count.
        """
        columns = self.columns
        if columns.complete:
            end, code = columns.any_row(dag_hash), columns.values["name"].find(name.encode())
            names = columns.codes["name"]
            if end is None or not code:
                return None
            rows = [row for row, _ in columns.reversed().of(end) if names[row] == code]
            return columns.hashes[min(rows)] if rows else None
        text = dag_hash.encode()
        for row in self.rows_named(name):
            if text in bytes(self._text(row)):
                with contextlib.suppress(DatabaseError):
                    self.require(row)
                    if any(columns.hashes[end] == dag_hash for end, *_ in columns.edges(row)):
                        return columns.hashes[row]
        return None

    def whole(self) -> Columns:
        """Return the columns with all rows.

        Warns
        -----
        DatabaseWarning
            The first time, for each record that is malformed.
        """
        columns = self.columns
        if not columns.complete:
            names = {row: name for name, rows in self._names().items() for row in rows}

            def failed(row: int) -> str:
                self.is_valid(row)
                return names.get(row, "")

            columns.read_all(failed)
        elif self._kept is not None and not self._has_warned:
            self._has_warned = True
            for row in columns.malformed():
                self.is_valid(row)
        return columns

    # -- names and hashes --

    def names(self) -> set[str]:
        """Return the names of all packages.

        No node is decoded, because each begins with its name. Malformed records that have no name
        are left out.
        """
        names = self.columns.values["name"]
        if self._by_name is None and self.columns.complete:
            return {names[code] for code in range(1, len(names))}
        return set(self._names())

    def named(self, name: str) -> list[str]:
        """Return the DAG hashes of a package's records, in recorded order; see `names`."""
        hashes = self.columns.hashes
        return [hashes[row] for row in self.rows_named(name)]

    def rows_named(self, name: str) -> Sequence[int]:
        """Return the rows of a package, in recorded order; see `names`."""
        if self._by_name is None and self.columns.complete:
            code = self.columns.values["name"].find(name.encode())
            starts, rows = self.columns.named()
            return rows[starts[code] : starts[code + 1]] if code else ()
        return self._names().get(name, ())

    def _names(self) -> dict[str, list[int]]:
        if self._by_name is None:
            self._by_name = rows_by_name(self._records.values(), self.version)
        return self._by_name

    def virtuals(self) -> Mapping[str, set[str]]:
        """Return virtual package → packages that provide it on a recorded edge."""
        return self.whole().virtuals()

    def records_build_systems(self) -> bool:
        """Return whether specs have the variant ``build_system``, which Spack 0.19 introduced."""
        sample = list(self)[:: max(1, len(self) // _SAMPLE)]
        return any("build_system" in spec.variants for spec in self.specs(sample))

    def with_hash_prefix(self, hash_prefix: str) -> list[str]:
        """Return the DAG hashes that begin with `hash_prefix`, sorted."""
        if self._kept is not None:
            return [self.columns.hashes[row] for row in self._kept.with_prefix(hash_prefix)]
        hashes = self._sorted_hashes
        if hashes is None:
            if not self._prefix_asked:  # for a single lookup a scan is faster than sorting
                self._prefix_asked = True
                return sorted([h for h in self._records if h.startswith(hash_prefix)])
            hashes = self._sorted_hashes = sorted(self)
        start = end = bisect_left(hashes, hash_prefix)
        while end < len(hashes) and hashes[end].startswith(hash_prefix):
            end += 1
        return hashes[start:end]
