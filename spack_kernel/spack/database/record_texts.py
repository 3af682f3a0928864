"""What the text of a record says without being decoded, which is much faster."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.records import decode_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

# How a record begins; format 5 wraps a node as {name: node}. Spack up to 0.20 writes blanks;
# patterns that allow them are slower.
_BEGINS_TIGHT = re.compile(rb'\{"spec":\{"name":"([\w.+-]+)"').match
_BEGINS = re.compile(rb'\s*\{\s*"spec"\s*:\s*\{\s*"name"\s*:\s*"([\w.+-]+)"').match
_BEGINS_WRAPPED = re.compile(rb'\s*\{\s*"spec"\s*:\s*\{\s*"([\w.+-]+)"\s*:\s*\{').match

_installed = re.compile(rb'"installed"\s*:\s*true').search
_explicit = re.compile(rb'"explicit"\s*:\s*true').search


def says_installed(text: msgspec.Raw) -> bool:
    """Return whether a record may be installed; if not, it is not."""
    return _installed(text) is not None


def says_explicit(text: msgspec.Raw) -> bool:
    """Return whether a record may be explicitly installed; if not, it is not."""
    return _explicit(text) is not None


def rows_by_name(texts: Iterable[msgspec.Raw], version: str) -> dict[str, list[int]]:
    """Return package name → positions of its records; malformed ones without a name are left out.

    Parameters
    ----------
    texts : iterable of Raw
        The records, in recorded order.
    version : str
        The database format.
    """
    # A node that does not begin with its name (another key order, escapes) is decoded.
    loose = _BEGINS_WRAPPED if version == "5" else _BEGINS
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        found = _BEGINS_TIGHT(text) or loose(text)
        if found is not None:
            groups[found[1]].append(row)
            continue
        try:
            name = decode_record(text).spec.name
        except ValueError:
            continue
        groups[name.encode()].append(row)
    return {name.decode(): rows for name, rows in groups.items()}
