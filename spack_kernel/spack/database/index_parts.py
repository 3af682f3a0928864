"""Decoding a large database in parts, between which other threads have their turn.

msgspec splits 80 MB into records in a tenth of a second, in which no other thread of the process
runs. In a server with one event loop for many users that is felt, so there the text is cut between
records and each part decoded by itself.
"""

from __future__ import annotations

import re

import msgspec

#: Bytes of a part; decoded in a few milliseconds.
PART = 1_500_000

_HEAD = re.compile(
    rb'\s*\{\s*"database"\s*:\s*\{\s*(?:"version"\s*:\s*(?:"[^"\\]*"|\d+)\s*,\s*)?"installs"\s*:\s*\{'
)
# In JSON a quotation mark inside a string is escaped, so this stands between two members only.
_BETWEEN = re.compile(rb'\}\s*(,)\s*"[a-z0-9]{32}"\s*:\s*\{\s*"spec"\s*:')

_decode_part = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def split(data: bytes | memoryview) -> tuple[dict[str, msgspec.Raw], bytes] | None:
    """Return the first records of a database, and a database with the rest of them.

    Parameters
    ----------
    data : bytes or memoryview
        The content of an ``index.json``.

    Returns
    -------
    tuple or None
        None for what is not laid out as Spack writes it, or is malformed.
    """
    head = _HEAD.match(data)
    if head is None:
        return None
    records: dict[str, msgspec.Raw] = {}
    start = head.end()
    view = memoryview(data)
    try:
        while found := _BETWEEN.search(data, start + PART):
            records.update(_decode_part(b"".join((b"{", view[start : found.start(1)], b"}"))))
            start = found.end(1)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return records, b"".join((head[0], view[start:]))
