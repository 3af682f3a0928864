"""The columns of a database as a file that every process of a machine can map.

A file begins with a magic number, a checksum of what follows, and a JSON header that describes
what is in it; then come the sections, which are arrays of numbers or text. Nothing in it is code.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, overload

import msgspec

from .columns import COLUMNS, Columns, Edges
from .values import new_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spack_kernel.spack.spec.records import Record

    from .index_json import Stamp

#: Changes whenever the content of the file changes its meaning.
_MAGIC = b"spack-kernel columns 1\n"
_HEADER_LENGTH = 8
_CHECKSUM_LENGTH = 8

#: The characters of a DAG hash.
_HASH = 32

#: How many hashes that were read are kept with their rows.
_MAX_FOUND = 8192

#: After how many searches for a hash the rows of all are kept.
_MANY = 2048

#: Sections begin at multiples of this.
_ALIGNMENT = 8

#: The largest number of edges with a name of their own, which no sound database has.
_MAX_EDGE_NAMES = 50_000


class Header(msgspec.Struct):
    """What a file of columns contains.

    Attributes
    ----------
    path, stamp : str, list of int
        The database file, and its identity.
    version : str
        The database format.
    byte_order : str
        The byte order of the numbers.
    recorded : int
        The number of records.
    sections : dict of str to (int, str, int)
        Position after the header, type code, and number of items.
    end_names, edge_names, virtuals
        As in `Columns`.
    """

    path: str
    stamp: tuple[int, ...]
    version: str
    byte_order: str
    recorded: int
    sections: dict[str, tuple[int, str, int]]
    end_names: list[tuple[int, str]]
    edge_names: list[tuple[int, int, str]]
    virtuals: dict[str, set[str]]


class Places(msgspec.Struct):
    """Where each record is in the database file.

    Attributes
    ----------
    starts, lengths : sequence of int
        The bytes of each record.
    checksums : sequence of int
        The CRC-32 of each.
    """

    starts: Sequence[int]
    lengths: Sequence[int]
    checksums: Sequence[int]


class Hashes(Sequence[str]):
    """DAG hashes of a fixed length, in recorded order, which can be searched.

    Parameters
    ----------
    text : memoryview
        All hashes, one after the other.
    order : sequence of int
        The rows of those that are recorded, sorted by hash.
    """

    def __init__(self, text: memoryview, order: Sequence[int]) -> None:
        self._text = text
        self._order = order
        self._count = len(text) // _HASH
        self._recorded = len(order)
        self._found: dict[str, int] = {}
        self._searched = 0

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _whole(self) -> str:
        """All hashes in one text, of which a part is had faster than of bytes."""
        return str(self._text, "ascii")

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        """Return the hash in a row, or those in several."""
        if isinstance(row, slice):
            whole = self._whole
            return [whole[_HASH * n : _HASH * (n + 1)] for n in range(*row.indices(self._count))]
        if row < 0 or row >= self._count:
            raise IndexError(row)
        text = self._whole[_HASH * row : _HASH * (row + 1)]
        # Whoever gets a hash is likely to look it up, which is slower.
        if row < self._recorded and len(self._found) < _MAX_FOUND:
            self._found[text] = row
        return text

    def find(self, dag_hash: str) -> int | None:
        """Return the row in which a hash is recorded."""
        row = self._found.get(dag_hash)
        if row is None:
            rows = self.with_prefix(dag_hash) if len(dag_hash) == _HASH else []
            if not rows:
                return None
            row = self._found[dag_hash] = rows[0]
            self._searched += 1
            if self._searched == _MANY:  # whoever asks for so many asks for more
                numbers = range(self._recorded)
                self._found = dict(zip(self[: self._recorded], numbers, strict=True))
        return row

    def with_prefix(self, prefix: str) -> list[int]:
        """Return the rows of the recorded hashes that begin with `prefix`, sorted by hash."""
        order, text = self._order, self._text
        wanted = prefix.encode("utf-8", "replace")
        first, last = 0, len(order)
        while first < last:
            middle = (first + last) // 2
            start = _HASH * order[middle]
            if bytes(text[start : start + _HASH]) < wanted:
                first = middle + 1
            else:
                last = middle
        rows = []
        while first < len(order) and self[order[first]].startswith(prefix):
            rows.append(order[first])
            first += 1
        return rows


class _Texts(Sequence[bytes]):
    """Texts of any length, one after the other."""

    def __init__(self, text: memoryview, starts: Sequence[int]) -> None:
        self._text = text
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if place < 0 or place >= len(self):
            raise IndexError(place)
        return bytes(self._text[self._starts[place] : self._starts[place + 1]])


class _Writer:
    """Collects the sections of a file."""

    def __init__(self) -> None:
        self.sections: dict[str, tuple[int, str, int]] = {}
        self._parts: list[bytes] = []
        self._length = 0

    def numbers(self, name: str, numbers: Iterable[int], code: str = "") -> None:
        """Add an array, with items as small as its numbers permit."""
        listed = numbers if isinstance(numbers, Sequence) else list(numbers)
        if not code:
            code = _code_for(max(listed, default=0))
        packed = array(code, listed)
        self._add(name, code, len(packed), packed.tobytes())

    def text(self, name: str, text: bytes) -> None:
        """Add a text."""
        self._add(name, "B", len(text), text)

    def texts(self, name: str, texts: Sequence[bytes]) -> None:
        """Add texts."""
        self.numbers(f"{name} starts", accumulate(map(len, texts), initial=0))
        self.text(f"{name} text", b"".join(texts))

    def _add(self, name: str, code: str, count: int, data: bytes) -> None:
        self.sections[name] = (self._length, code, count)
        padding = -len(data) % _ALIGNMENT
        self._parts += [data, bytes(padding)]
        self._length += len(data) + padding

    def content(self, header: Header) -> bytes:
        """Return the file."""
        head = msgspec.json.encode(header)
        head += b" " * (-(len(_MAGIC) + _CHECKSUM_LENGTH + _HEADER_LENGTH + len(head)) % _ALIGNMENT)
        body = b"".join([len(head).to_bytes(_HEADER_LENGTH, "little"), head, *self._parts])
        return b"".join([_MAGIC, zlib.crc32(body).to_bytes(_CHECKSUM_LENGTH, "little"), body])


def _code_for(largest: int) -> str:
    return next(code for code in "BHIQ" if largest < 1 << 8 * array(code).itemsize)


def content_of(
    columns: Columns, places: Places, path: str, stamp: Stamp, version: str
) -> bytes | None:
    """Return columns as the content of a file; None if they are of a kind that is not kept.

    Parameters
    ----------
    columns : Columns
        The columns, all rows of which have been read and ranked.
    places : Places
        Where the records are.
    path, stamp, version
        Of the database file, as in `Header`.
    """
    assert columns.ranks is not None
    if len(columns.edge_names) > _MAX_EDGE_NAMES:
        return None
    if any(len(each) != _HASH or not each.isascii() for each in columns.hashes):
        return None
    writer = _Writer()
    writer.text("hashes", "".join(columns.hashes).encode("ascii"))
    order = sorted(range(columns.recorded), key=columns.hashes.__getitem__)
    writer.numbers("order", order, "I")
    writer.numbers("states", columns.states, "B")
    for column in COLUMNS:
        writer.numbers(column, columns.codes[column])
    for name, values in columns.values.items():
        writer.texts(name, values.texts)
    for name, edges in (("edges", columns.packed()), ("reversed", columns.reversed())):
        writer.numbers(f"{name} starts", edges.starts)
        writer.numbers(f"{name} ends", edges.ends)
        writer.numbers(f"{name} kinds", edges.kinds)
    writer.numbers("ranks", columns.ranks)
    starts, rows = columns.named()
    writer.numbers("named starts", starts)
    writer.numbers("named rows", rows)
    writer.numbers("record starts", places.starts)
    writer.numbers("record lengths", places.lengths)
    writer.numbers("record checksums", places.checksums, "I")
    header = Header(
        path=path,
        stamp=tuple(stamp),
        version=version,
        byte_order=sys.byteorder,
        recorded=columns.recorded,
        sections=writer.sections,
        end_names=list(columns.end_names.items()),
        edge_names=[(row, end, name) for (row, end), name in columns.edge_names.items()],
        virtuals=columns.virtuals(),
    )
    return writer.content(header)


class ColumnFile:
    """A file of columns.

    Parameters
    ----------
    data : memoryview
        Its content.

    Attributes
    ----------
    header : Header
        What is in it.
    hashes : Hashes
        The DAG hashes.

    Raises
    ------
    ValueError
        When it is not such a file, of another version, or damaged.
    """

    def __init__(self, data: memoryview) -> None:
        start = len(_MAGIC) + _CHECKSUM_LENGTH
        if bytes(data[: len(_MAGIC)]) != _MAGIC:
            raise ValueError("it is not a file of columns of this version")
        checksum = int.from_bytes(data[len(_MAGIC) : start], "little")
        if zlib.crc32(data[start:]) != checksum:
            raise ValueError("its checksum is wrong")
        length = int.from_bytes(data[start : start + _HEADER_LENGTH], "little")
        start += _HEADER_LENGTH
        try:
            self.header = msgspec.json.decode(data[start : start + length], type=Header)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        if self.header.byte_order != sys.byteorder:
            raise ValueError("it was written on another kind of machine")
        self._sections = data[start + length :]
        self.hashes = Hashes(self._section("hashes"), self._section("order"))

    def _section(self, name: str) -> memoryview:
        start, code, count = self.header.sections[name]
        section = self._sections[start : start + count * array(code).itemsize]
        return section.cast(code)  # type: ignore[call-overload, no-any-return]

    def _texts(self, name: str) -> _Texts:
        return _Texts(self._section(f"{name} text"), self._section(f"{name} starts"))

    def _edges(self, name: str) -> Edges:
        return Edges(*(self._section(f"{name} {part}") for part in ("starts", "ends", "kinds")))

    def columns(self, read: Callable[[int], Record]) -> Columns:
        """Return the columns, which use the content of the file.

        Parameters
        ----------
        read : callable
            As for `Columns`; used to find out what is wrong with a malformed record.
        """
        columns = Columns(self.hashes, read, self.hashes.find)
        columns.recorded = self.header.recorded
        columns.states = self._section("states")
        columns.codes = {column: self._section(column) for column in COLUMNS}
        columns.values = new_values({name: self._texts(name) for name in columns.values})
        columns.end_names = dict(self.header.end_names)
        columns.edge_names = {(row, end): name for row, end, name in self.header.edge_names}
        columns.set_complete(
            self._edges("edges"),
            self._edges("reversed"),
            self._section("ranks"),
            (self._section("named starts"), self._section("named rows")),
            self.header.virtuals,
        )
        return columns

    def places(self) -> Places:
        """Return where the records are in the database file."""
        return Places(
            self._section("record starts"),
            self._section("record lengths"),
            self._section("record checksums"),
        )


def places_of(data: bytes, records: Iterable[bytes | msgspec.Raw]) -> Places | None:
    """Return where records are in the content of a database file; None if they are not found.

    Parameters
    ----------
    data : bytes
        The content of the file.
    records : iterable of bytes or Raw
        The text of each record, in recorded order.
    """
    starts, lengths, checksums = array("Q"), array("I"), array("I")
    end = 0
    for record in map(bytes, records):
        length = len(record)
        start = end + _GAP
        if data[start : start + length] != record:
            start = data.find(record, end)
            if start < 0:
                return None
        starts.append(start)
        lengths.append(length)
        checksums.append(zlib.crc32(record))
        end = start + length
    return Places(starts, lengths, checksums)


#: What Spack writes between two records: a comma, and the DAG hash in quotation marks with a colon.
_GAP = 2 + _HASH + 2
