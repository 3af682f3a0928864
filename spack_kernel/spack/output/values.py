"""The values of a spec as ``spack find`` prints them: variants, compiler flags and compilers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.spack.query.parser import COMPILER_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.spack.spec.spec import Spec, VariantValue
    from spack_kernel.spack.store.store import Store

#: The virtuals that compilers provide since Spack 1.0.
LANGUAGES = ("c", "cxx", "fortran")

#: The names still in use for compilers whose package has another name.
_OLD_NAMES = {package: name for name, package in COMPILER_PACKAGES.items()}

#: Matches a value that can be written without quotes.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9,/_.\-\[\]]+")


def format_variants(variants: Mapping[str, VariantValue]) -> str:
    """Return variants as Spack writes them: booleans first, then ``key=value`` by name."""
    switches = "".join(
        f"{'+' if value else '~'}{name}"
        for name, value in sorted(variants.items())
        if isinstance(value, bool)
    )
    values = "".join(
        " " + _key_value(name, value)
        for name, value in sorted(variants.items())
        if not isinstance(value, bool)
    )
    return switches + values


def format_flags(flags: Mapping[str, tuple[str, ...]]) -> str:
    """Return compiler flags as Spack writes them, with a blank at either end; "" for none."""
    if not flags:
        return ""
    return " " + " ".join(f"{k}={_quoted(' '.join(v))}" for k, v in sorted(flags.items())) + " "


def format_compilers(spec: Spec, store: Store) -> str:
    """Return the compilers of `spec` as a query would name them (``%c,cxx=gcc@12.2.0``).

    Before Spack 1.0, that is the compiler of the node; since then, the direct dependencies that
    provide a language. As in Spack, LLVM is still called ``clang``, and so on.
    """
    if spec.compiler is not None:
        return f"%{spec.compiler.name}@{spec.compiler.version}"
    parts = []
    for edge in sorted(spec.dependencies, key=lambda edge: edge.name):
        if any(language in edge.virtuals for language in LANGUAGES):
            compiler = store.by_hash(edge.hash)
            version = f"@{compiler.version}" if compiler else ""
            name = _OLD_NAMES.get(edge.name, edge.name)
            parts.append(f"%{','.join(edge.virtuals)}={name}{version}")
    return " ".join(parts)


class UsedCompiler(NamedTuple):
    """A compiler: its name and version; and its DAG hash, if it is a dependency."""

    name: str
    version: str
    hash: str = ""


def compiler_of(spec: Spec, store: Store) -> UsedCompiler | None:
    """Return the compiler for C, else C++, else Fortran; None without one."""
    if spec.compiler is not None:
        return UsedCompiler(spec.compiler.name, str(spec.compiler.version))
    for language in LANGUAGES:
        for edge in spec.dependencies:
            if language in edge.virtuals:
                node = store.by_hash(edge.hash)
                return UsedCompiler(edge.name, str(node.version) if node else "", edge.hash)
    return None


def _key_value(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return f"{name}={_quoted(value)}"
    # A patch is identified by the first seven digits of its checksum.
    parts = [part[:7] for part in value] if name == "patches" else value
    return f"{name}:={_quoted(','.join(parts))}"


def _quoted(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value):
        return value
    return json.dumps(value) if "'" in value else f"'{value}'"
