"""The mark that a cold query is held against: what no reader of a whole database can do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

#: What it is called in the table.
MARK = "the mark: read the file, msgspec decodes the outer records, nodes undecoded"


class _Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    installs: dict[str, _Record]


class _File(msgspec.Struct):
    database: _Body


def mark(index: Path) -> object:
    """Read a database file, from the disk, as far as its records."""
    return msgspec.json.decode(index.read_bytes(), type=_File)
