"""The fields of a spec that a format string can name, and how to read each.

The names are those of Spack 1.x. Left out is what Spack prints as a Python object (``package``,
``annotations``) and what is not recorded (``root``, ``edge_attributes``).
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from spack_kernel.spack.spec.targets import family, generic
from spack_kernel.spack.spec.versions import is_git

from .tree import install_status
from .values import compiler_of, format_compilers, format_flags, format_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.spec.versions import Version
    from spack_kernel.spack.store.store import Store

    _Segment = tuple[str, str]
    Reader = Callable[[Spec, Store], str | None]

#: What Spack prints in place of a compiler if there is none.
NO_COMPILER = "none"

#: Fields that are short for a template.
TEMPLATES = {
    "short_spec": "{name}{@version}{variants}{ platform=architecture.platform}"
    "{ os=architecture.os}{ target=architecture.target}{/hash:7}",
    "colored_str": "{name}{@version}{/hash}",
}
TEMPLATES["cshort_spec"] = TEMPLATES["short_spec"]

_SEPARATORS = re.compile(r"[._-]")
_SEGMENT = re.compile(r"([0-9]+|[a-zA-Z]+)([_.-]*)")


def read_field(attribute: str, spec: Spec, store: Store) -> str | None:
    """Return what the field `attribute`, one for which `is_field` holds, prints for a spec."""
    reader = FIELDS.get(attribute)
    if reader is not None:
        return reader(spec, store)
    return posixpath.join(spec.prefix or "", *attribute.split(".")[1:])


def is_field(attribute: str) -> bool:
    """Return whether `attribute` is a field: one of `FIELDS`, or a directory in the prefix."""
    return attribute in FIELDS or attribute.startswith("prefix.")


def _up_to(version: Version, count: int) -> str:
    """Return the first components of a version: ``3.10`` of ``3.10.2`` for 2."""
    segments, _ = _segments(version)
    words = (str(int(word)) if word.isdigit() else word for word, _ in segments[:count])
    gaps = (gap for _, gap in segments[:count])
    return "".join(map("".join, zip(words, gaps, strict=True))).rstrip("._-")


def _dotted_numbers(version: Version) -> str:
    """Return a version with 0 for every word: ``1.2.0`` of ``1.2b``."""
    segments, prerelease = _segments(version)
    words = [word for word, _ in segments] + [word for word, _ in prerelease]
    return ".".join(str(int(word)) if word.isdigit() else "0" for word in words)


def _segments(version: Version) -> tuple[list[_Segment], list[_Segment]]:
    """Return the words of a version with their separators: its release, and its pre-release."""
    segments = _SEGMENT.findall(_released(version))
    count = len(version.key[0])
    return segments[:count], segments[count:]


def _released(version: Version) -> str:
    """Return the version that a git reference stands for; other versions as they are."""
    text = str(version)
    return text.partition("=")[2] or "0" if is_git(text) else text


def _with_separator(separator: str) -> Reader:
    return lambda spec, _: _SEPARATORS.sub(separator, _released(spec.version))


def _compiler_part(spec: Spec, store: Store, part: int) -> str:
    compiler = compiler_of(spec, store)
    return compiler[part] if compiler else NO_COMPILER


def _compiler_text(spec: Spec, store: Store) -> str:
    compiler = compiler_of(spec, store)
    if compiler is None:
        return NO_COMPILER
    # A compiler that is a dependency is shown as a spec.
    return f"{compiler.name}@{compiler.version}" + (f"/{compiler.hash}" if compiler.hash else "")


def _spack_root(_: Spec, store: Store) -> str | None:
    return str(store.config.spack_root) if store.config else None


def _modules(spec: Spec, _: Store) -> str | None:
    return str(list(spec.external.modules)) if spec.external and spec.external.modules else None


_ARCHITECTURE: Mapping[str, Reader] = {
    "platform": lambda spec, _: spec.arch.platform,
    "os": lambda spec, _: spec.arch.os,
    "target": lambda spec, _: spec.arch.target,
}
_TARGET: Mapping[str, Reader] = {
    "target.name": lambda spec, _: spec.arch.target,
    "target.family": lambda spec, _: family(spec.arch.target),
    "target.generic": lambda spec, _: generic(spec.arch.target),
}

#: Field → what it prints for a spec of a store; None for nothing.
FIELDS: Mapping[str, Reader] = {
    "name": lambda spec, _: spec.name,
    "fullname": lambda spec, _: f"{spec.namespace}.{spec.name}",
    "namespace": lambda spec, _: spec.namespace,
    "version": lambda spec, _: str(spec.version),
    "versions": lambda spec, _: ("" if is_git(str(spec.version)) else "=") + str(spec.version),
    "version.string": lambda spec, _: str(spec.version),
    "version.dotted": _with_separator("."),
    "version.dashed": _with_separator("-"),
    "version.underscored": _with_separator("_"),
    "version.joined": _with_separator(""),
    "version.up_to_1": lambda spec, _: _up_to(spec.version, 1),
    "version.up_to_2": lambda spec, _: _up_to(spec.version, 2),
    "version.up_to_3": lambda spec, _: _up_to(spec.version, 3),
    "version.dotted_numeric_string": lambda spec, _: _dotted_numbers(spec.version),
    "variants": lambda spec, _: format_variants(spec.variants),
    "compiler": _compiler_text,
    "compiler.name": lambda spec, store: _compiler_part(spec, store, 0),
    "compiler.version": lambda spec, store: _compiler_part(spec, store, 1),
    "compilers": lambda spec, store: " " + format_compilers(spec, store),
    "compiler_flags": lambda spec, _: format_flags(spec.flags),
    "architecture": lambda spec, _: str(spec.arch),
    "arch": lambda spec, _: str(spec.arch),
    **_ARCHITECTURE,
    **_TARGET,
    **{
        f"{name}.{part}": reader
        for name in ("architecture", "arch")
        for part, reader in {**_ARCHITECTURE, **_TARGET}.items()
    },
    "prefix": lambda spec, _: spec.prefix,
    "external": lambda spec, _: str(spec.external is not None),
    "external_path": lambda spec, _: spec.external.path if spec.external else None,
    "external_modules": _modules,
    "installed": lambda spec, _: str(spec.installed),
    "installed_upstream": lambda spec, store: str(install_status(store, spec.hash) == "upstream"),
    "explicit": lambda spec, _: str(spec.explicit),
    "concrete": lambda *_: "True",
    "abstract_hash": lambda *_: None,
    "spack_install": lambda _, store: store.root,
    "spack_root": _spack_root,
}
