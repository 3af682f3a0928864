"""How messages are written: two lengths in bytes, a JSON text, and data that is not JSON.

Decoding a listing of 50,000 packages as JSON would take the server longer than reading it. Cheap
to import: a helper that only checks a store for changes needs nothing else.
"""

from __future__ import annotations

import json
import struct
from typing import Any

_LENGTHS = struct.Struct(">II")

#: The longest frame that is accepted; a listing of 50,000 specs has some megabytes.
MAX_FRAME = 1 << 30


def framed(text: bytes, data: bytes = b"") -> bytes:
    """Return a JSON text, and data that belongs to it, as a frame."""
    return b"".join((_LENGTHS.pack(len(text), len(data)), text, data))


def take_frame(received: bytearray) -> tuple[Any, bytes] | None:
    """Remove the first frame from what was received: a message as JSON types, and its data.

    None if it is not complete yet. `messages.message_of` reads the message.

    Raises
    ------
    ValueError
        When it is not JSON, or too long.
    """
    if len(received) < _LENGTHS.size:
        return None
    text, data = _LENGTHS.unpack_from(received)
    end = _LENGTHS.size + text + data
    if end > MAX_FRAME:
        raise ValueError(f"a message of {end:,} bytes is too long")
    if len(received) < end:
        return None
    start = _LENGTHS.size
    content = json.loads(bytes(received[start : start + text]))
    rest = bytes(received[start + text : end])
    del received[:end]
    return content, rest
