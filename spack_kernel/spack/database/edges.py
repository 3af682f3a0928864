"""Decode only the edges of a record, to traverse a whole store quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Parameters(msgspec.Struct, gc=False):
    deptypes: tuple[str, ...]


class _Edge(msgspec.Struct, gc=False):
    hash: str
    parameters: _Parameters


class _Node(msgspec.Struct, gc=False):
    name: str
    dependencies: tuple[_Edge, ...] = ()


class _Record(msgspec.Struct, gc=False):
    spec: _Node


class _VirtualParameters(msgspec.Struct, gc=False):
    virtuals: tuple[str, ...] = ()


class _VirtualEdge(msgspec.Struct, gc=False):
    name: str
    parameters: _VirtualParameters


class _VirtualNode(msgspec.Struct, gc=False):
    dependencies: tuple[_VirtualEdge, ...] = ()


class _VirtualRecord(msgspec.Struct, gc=False):
    spec: _VirtualNode


_decode = msgspec.json.Decoder(_Record).decode
_decode_virtuals = msgspec.json.Decoder(_VirtualRecord).decode


def edges_in(record: msgspec.Raw, deptypes: Sequence[str]) -> tuple[str, ...] | None:
    """Return the hashes of the dependencies in a record that have one of these types.

    None for a record that is not in specfile format 4 or newer: it is older, or malformed.
    """
    try:
        node = _decode(record).spec
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return tuple(
        [
            edge.hash
            for edge in node.dependencies
            if any(each in edge.parameters.deptypes for each in deptypes)
        ]
    )


def virtuals_in(record: msgspec.Raw) -> list[tuple[str, str]]:
    """Return the virtual package and its provider for each virtual on the edges of a record.

    Empty for a record that is not in specfile format 4 or newer: older ones do not record virtuals.
    """
    try:
        edges = _decode_virtuals(record).spec.dependencies
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []
    return [(virtual, edge.name) for edge in edges for virtual in edge.parameters.virtuals]
