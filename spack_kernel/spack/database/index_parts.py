"""Decode a large database in parts, so that other threads can run in between.

msgspec splits 80 MB into records in a tenth of a second, during which no other thread of the
process runs. This delay is noticeable in a server with one event loop for many users, so there the
text is cut between records and each part is decoded separately.
"""

from __future__ import annotations

import re

import msgspec

#: Bytes per part, which takes a few milliseconds to decode.
CHUNK = 1_500_000

_HEAD = re.compile(
    rb'\s*\{\s*"database"\s*:\s*\{\s*(?:"version"\s*:\s*(?:"[^"\\]*"|\d+)\s*,\s*)?"installs"\s*:\s*\{'
)
# JSON escapes quotation marks inside strings, so this matches only between two members.
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
        None if the file does not have the layout that Spack writes, or is malformed.
    """
    head = _HEAD.match(data)
    if head is None:
        return None
    records: dict[str, msgspec.Raw] = {}
    start = head.end()
    view = memoryview(data)
    try:
        while found := _BETWEEN.search(data, start + CHUNK):
            records.update(_decode_part(b"".join((b"{", view[start : found.start(1)], b"}"))))
            start = found.end(1)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return records, b"".join((head[0], view[start:]))
