"""Random damage to files: to their bytes, and to the values in them."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD_VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**40, "", "x", "\ud800", [], {}, [[]], {"": {}}]
ODD_BYTES = [b"null", b"{}", b"[]", b'"', b"\\", b"\xff", b"\x00", b"{", b"}", b",", b":", b"1e999",
             b'"spec":', b'{"name":"', b"NaN", b"\\ud800", b"true", b"[[[[", b'\\"']  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 4, 40, 400)))
        kind = rng.randrange(5)
        if kind == 0:
            new = b""
        elif kind == 1:
            new = bytes([rng.randrange(256)])
        elif kind == 2:
            new = rng.choice(ODD_BYTES)
        elif kind == 3:
            new = data[start:end] * 2
        else:
            other = rng.randrange(len(data) + 1)
            new = data[other : other + rng.choice((1, 8, 80))]
        data = data[:start] + new + data[end:]
    return data


def mutate_tree(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.08:
        return copy.deepcopy(rng.choice(ODD_VALUES))
    if isinstance(value, list):
        index = rng.randrange(len(value))
        value[index] = mutate_tree(value[index], rng)
    else:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            del value[key]
        elif kind == 1:
            value[rng.choice(["name", "x", "", "\\", "spec", "\u00e9"])] = value.pop(key)
        else:
            value[key] = mutate_tree(value[key], rng)
    return value
