"""Read the logos of shipped kernels, the only files copied from a prefix to a kernelspec.

A prefix belongs to the user who installed it, but root often writes kernelspecs for all users. So
a logo is used only if it is a regular file inside the prefix, reached without a symbolic link,
small, and an image that can be decoded. Only the image itself is written: the pixels of a PNG, the
shapes of an SVG. Other files are never copied (``kernel.js``, ``kernel.css``).

PNG: https://www.w3.org/TR/png/, SVG: https://www.w3.org/TR/SVG11/
"""

from __future__ import annotations

import posixpath
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.parsers import expat as pyexpat

from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The file names that front ends request.
NAMES = ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg")

#: The largest file that is read, in bytes, and the largest image, in pixels per side.
MAX_SIZE = 1024 * 1024
MAX_SIDE = 2048

#: The maximum size of the shapes of an SVG, in bytes.
MAX_DRAWING_SIZE = 256 * 1024

#: The maximum number of elements in an SVG, and how deeply they may be nested.
MAX_ELEMENTS = 20_000
MAX_DEPTH = 100

_SVG = "{http://www.w3.org/2000/svg}"
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")

#: The elements that draw; none of them runs or loads anything.
_SHAPES = frozenset(
    (
        *("svg", "g", "switch", "defs", "symbol", "use", "title", "desc"),
        *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"),
        *("linearGradient", "radialGradient", "stop", "clipPath", "mask", "pattern"),
    )
)

#: What an attribute may refer to: a part of the same image.
_WITHIN = re.compile(r"\s*#[\w.:-]+\s*")
_LOADS = re.compile(r"url\s*\(\s*['\"]?(?!#)|javascript|expression|import|\\\\|&", re.IGNORECASE)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: The chunks that make up the image; text, profiles and all other chunks are dropped.
_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"IDAT", b"IEND"})

#: Samples per pixel by colour type, and the depths that each type allows.
_COLOURS = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}

#: First column, first row, column step and row step of the passes of an interlaced image.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


class NoLogoError(ValueError):
    """A file that exists but cannot be a logo; the message gives the reason."""


def read_logos(prefix: str, directory: str) -> tuple[dict[str, bytes], list[str]]:
    """Return the logos in a directory of a prefix, by file name.

    Parameters
    ----------
    prefix : str
        The install directory of a package.
    directory : str
        The directory of its kernelspec, below `prefix`.

    Returns
    -------
    logos : dict of str to bytes
        The images; empty if there are none.
    problems : list of str
        A line for each file that exists but is not used.
    """
    logos: dict[str, bytes] = {}
    problems: list[str] = []
    below = posixpath.relpath(directory, prefix)
    for name in NAMES:
        try:
            content = file_checks.read_inside(prefix, f"{below}/{name}", MAX_SIZE)
            if content is not None:
                logos[name] = drawing(content) if name.endswith(".svg") else image(content)
        except (OSError, ValueError) as error:  # noqa: PERF203
            reason = getattr(error, "strerror", None) or str(error)
            problems.append(f"the logo {directory}/{name} is left out: {reason}")
    return logos, problems


def image(content: bytes) -> bytes:
    """Return a PNG file with the image of `content` and nothing else.

    Raises
    ------
    NoLogoError
        When `content` is not a PNG image, is damaged, or is too large.
    """
    parts = [_SIGNATURE]
    packed: list[bytes] = []
    header = b""
    for kind, body, whole in _chunks(content):
        if not header and kind != b"IHDR":
            raise NoLogoError("it is not a PNG image: it has no header")
        if kind == b"IHDR":
            if header or len(body) != 13:
                raise NoLogoError("it is not a PNG image: its header is damaged")
            header = body
        if kind == b"IDAT":
            packed.append(body)
        if kind in _CHUNKS:
            parts.append(whole)
        elif not kind[0] & 0x20:
            raise NoLogoError(f"it needs the unknown chunk {kind!r}")
        if kind == b"IEND":
            break
    else:
        raise NoLogoError("it is not a PNG image: it has no end")
    size = _raw_size(header)
    try:
        inflater = zlib.decompressobj()
        pixels = inflater.decompress(b"".join(packed), size + 1)
    except zlib.error as error:
        raise NoLogoError(f"its pixels cannot be decoded: {error}") from None
    if len(pixels) != size or not inflater.eof:
        raise NoLogoError("it does not have the number of pixels that its header declares")
    return b"".join(parts)


def drawing(content: bytes) -> bytes:
    """Return an SVG file with the shapes of `content` and nothing that runs or loads anything.

    Raises
    ------
    NoLogoError
        When `content` is not an SVG image, or is too large.
    """
    # expat loads no external files; since this version, entities cannot grow without bound.
    if b"<!ENTITY" in content.upper() and pyexpat.version_info < (2, 4, 1):
        raise NoLogoError("it has entities, whose size the expat of this Python does not limit")
    try:
        root = ElementTree.fromstring(content, ElementTree.XMLParser(encoding="utf-8"))  # noqa: S314
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise NoLogoError(f"it is not an SVG image: {error}") from None
    if root.tag != f"{_SVG}svg":
        raise NoLogoError("it is not an SVG image")
    count = 0
    pending = [(root, 1)]
    while pending:
        element, depth = pending.pop()
        count += 1
        if count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise NoLogoError("it is larger or more deeply nested than a logo may be")
        for name, value in list(element.attrib.items()):
            if not _is_harmless(name, value):
                del element.attrib[name]
        for child in list(element):
            tag: Any = child.tag  # a function for nodes that are not elements
            if isinstance(tag, str) and tag.startswith(_SVG) and tag[len(_SVG) :] in _SHAPES:
                pending.append((child, depth + 1))
            else:
                element.remove(child)
    ElementTree.register_namespace("", _SVG[1:-1])
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    if len(text) > MAX_DRAWING_SIZE:
        raise NoLogoError(f"its shapes take {len(text):,} bytes; the limit is {MAX_DRAWING_SIZE:,}")
    return text


def _is_harmless(name: str, value: str) -> bool:
    """Return whether an attribute affects only how something looks."""
    if name in _HREFS:
        return bool(_WITHIN.fullmatch(value))
    return not (name.startswith(("{", "on", "On", "ON", "oN")) or _LOADS.search(value))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the type, the body and the bytes of each chunk of a PNG file."""
    if not content.startswith(_SIGNATURE):
        raise NoLogoError("it is not a PNG image")
    position = len(_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        kind, body = content[position + 4 : position + 8], content[position + 8 : end - 4]
        if struct.unpack_from(">I", content, end - 4)[0] != zlib.crc32(body, zlib.crc32(kind)):
            raise NoLogoError(f"its chunk {kind!r} is damaged")
        yield kind, body, content[position:end]
        position = end


def _raw_size(header: bytes) -> int:
    """Return the size of the pixels in bytes, with a filter byte before each row."""
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(
        ">IIBBBBB", header
    )
    samples, depths = _COLOURS.get(colour, (0, ()))
    if depth not in depths or compression or filtering or interlace > 1:
        raise NoLogoError("its header has values that PNG does not define")
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        raise NoLogoError(f"it has {width} x {height} pixels; the limit is {MAX_SIDE} per side")
    size = 0
    for left, top, across, down in _PASSES if interlace else ((0, 0, 1, 1),):
        columns = (width - left + across - 1) // across
        rows = (height - top + down - 1) // down
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * samples * depth + 7) // 8)
    return size
