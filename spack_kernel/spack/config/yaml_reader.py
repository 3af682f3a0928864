"""Read Spack's YAML files: their content, and the location of each string.

Spack reads YAML 1.2 (``yes`` and ``on`` are strings, ``010`` is ten), rejects duplicate keys, and
has one additional rule: a key that ends in a second colon (``repos::``) replaces the values of
lower scopes instead of being merged with them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from pathlib import Path

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

#: The maximum size of a file, in bytes; how many lines, commas and brackets it may have, so that
#: reading it takes at most one second; how many nodes it may have with aliases expanded; and
#: how deeply they may be nested (libyaml's Python binding recurses on the C stack).
MAX_BYTES = 32 * 1024 * 1024
MAX_MARKS = 50_000
MAX_NODES = 2_000_000
MAX_DEPTH = 200


class Text(str):
    """A string from a YAML file, with its location.

    Attributes
    ----------
    file : Path
        The file it comes from; relative paths in Spack's configuration are relative to its
        directory.
    line : int
        Its line in the file, starting at 1.
    override : bool
        Whether it was written with a second colon.
    """

    file: Path
    line: int
    override: bool

    def __new__(cls, value: str, file: Path, line: int) -> Text:
        """Create a text; a trailing colon is removed and sets `override`."""
        override = value.endswith(":") and "@" not in value  # an @ makes it a Spack spec
        text = super().__new__(cls, value[:-1] if override else value)
        text.file = file
        text.line = line
        text.override = override
        return text


def load(path: Path) -> Any:
    """Return the content of a YAML file; None if it does not exist or is empty.

    Every string is a `Text`. Nothing in the file can run code: unknown tags are ignored.

    Raises
    ------
    ConfigError
        When the file cannot be read or is not YAML; the error names the file and the line.
    """
    try:
        content = file_checks.read_regular(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    loader = None
    try:
        _check_depth(content)
        loader = _Loader(content)
        loader.path = path
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise ConfigError(f"{where}: not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: not YAML: {error.reason}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check_depth(content: bytes) -> None:
    """Reject content that is too large or nested too deeply, before anything recurses into it."""
    if sum(map(content.count, (b"\n", b",", b"[", b"{"))) > MAX_MARKS:
        raise ValueError(f"it has more than {MAX_MARKS:,} entries; it is not a configuration file")
    # Indentation and brackets bound the depth; it must be counted only if there are many of them.
    indent = max(map(len, re.findall(rb"^[ \t?:-]*", content, re.MULTILINE)), default=0)
    if indent + content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(content, Loader=_SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise yaml.constructor.ConstructorError(
                None, None, "nested too deeply", cast("yaml.Mark", event.start_mark)
            )


def _check_size(root: yaml.Node) -> None:
    """Reject content that would grow without bound when its aliases are expanded."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            raise yaml.constructor.ConstructorError(
                None, None, "an alias inside the node that it refers to", node.start_mark
            )
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(size(child) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)
        if total > MAX_NODES:
            raise yaml.constructor.ConstructorError(
                None, None, "too large with its aliases expanded", node.start_mark
            )
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root)


class _Loader(_SafeLoader):  # type: ignore[misc, unused-ignore]
    path: Path
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_text(self, node: yaml.Node) -> Text:
        value = node.value if isinstance(node, yaml.ScalarNode) else ""
        return Text(value, self.path, node.start_mark.line + 1)

    def construct_number(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        sign = -1 if text.startswith("-") else 1
        digits = text.lstrip("+-")
        base = {"0o": 8, "0x": 16, "0b": 2}.get(digits[:2], 10)
        return sign * int(digits[2:] if base != 10 else digits, base)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"duplicate key {key.value!r}", key.start_mark
                        )
                    seen.add(key.value)
        result: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return result


def _resolve(tag: str, pattern: str, first: str) -> None:
    for character in first:
        _Loader.yaml_implicit_resolvers.setdefault(character, []).append(
            (f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"))
        )


# The YAML 1.2 core schema; the empty string is the key for a scalar without characters.
_resolve("bool", r"true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("null", r"~|null|Null|NULL|", "~nN")
_Loader.yaml_implicit_resolvers[""] = [("tag:yaml.org,2002:null", re.compile(r"\Z"))]
_resolve("int", r"[-+]?[0-9][0-9_]*|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+0123456789.",
)
_resolve("merge", r"<<", "<")
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:merge", _Loader.construct_text)
_Loader.add_constructor(None, _Loader.construct_text)  # an unknown tag is not an error
