"""The mark that a cold query is compared with: what every reader of a whole database must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

#: Its name in the table.
MARK = "the mark: read the file, msgspec decodes the outer records, nodes undecoded"


class _Record(msgspec.Struct):
    spec: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    installs: dict[str, _Record]


class _File(msgspec.Struct):
    database: _Body


def mark(index: Path) -> object:
    """Read a database file from the disk, down to its records."""
    return msgspec.json.decode(index.read_bytes(), type=_File)
