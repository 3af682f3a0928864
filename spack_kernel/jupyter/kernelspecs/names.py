"""Kernel names and display names from templates, and which spec a name means."""

from __future__ import annotations

import functools
import re
import string
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.jupyter.errors import KernelSpecError

from .content import kernel_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.spack.spec import Spec

#: What gives the names that `spack-kernel install` gives.
NAME_TEMPLATE = "spack-{name}-{version}-{hash}"
DISPLAY_NAME_TEMPLATE = "{name} {version} (Spack /{hash})"

#: The kernel of which each notebook says itself what it is.
NOTEBOOK_NAME = "spack-notebook"
NOTEBOOK_DISPLAY_NAME = "Spack (chosen by the notebook)"

#: What a template may name.
FIELDS = (
    "name",
    "version",
    "hash",
    "dag_hash",
    "python",
    "compiler",
    "platform",
    "os",
    "target",
    "namespace",
)

#: Of 255 bytes that a file name may have, some are for what Jupyter and we put around it.
MAX_NAME_LENGTH = 200

_VALID_NAME = re.compile(r"(?!\.)[a-z0-9._-]+", re.IGNORECASE | re.ASCII)

_SHIPPED = r"(?:\.(?P<shipped>[a-z0-9._-]+))?"
_HASH_AT_END = re.compile(r"spack-(?P<name>.+)-(?P<hash>[a-z2-7]{7,32})" + _SHIPPED)


def fields(spec: Spec, python: Spec | None) -> dict[str, str]:
    """Return what stands for each of `FIELDS`; ``hash`` is its first seven characters."""
    return {
        "name": spec.name,
        "version": str(spec.version),
        "hash": spec.hash[:7],
        "dag_hash": spec.hash,
        "python": str(python.version) if python else "",
        "compiler": f"{spec.compiler.name}@{spec.compiler.version}" if spec.compiler else "",
        "platform": spec.arch.platform,
        "os": spec.arch.os,
        "target": spec.arch.target,
        "namespace": spec.namespace,
    }


def check_name(name: str) -> str:
    """Return `name` when spack-kernel can give it to a kernelspec.

    Everything that writes or removes a kernelspec asks here, since the name becomes a directory.

    Raises
    ------
    KernelSpecError
        When Jupyter would not find it, or it would mean another directory.
    """
    if len(name) > MAX_NAME_LENGTH:
        raise KernelSpecError(
            f"`{name[:40]}…` cannot be a kernel's name: it has {len(name)} characters, and "
            f"{MAX_NAME_LENGTH} are the most",
            hint="Give a shorter one with --name, or other fields in `name_template`.",
        )
    if not _VALID_NAME.fullmatch(name):
        raise KernelSpecError(
            f"`{name}` cannot be a kernel's name",
            hint="Kernel names are made of ASCII letters, digits, hyphens, dots and underscores, "
            "and do not begin with a dot.",
        )
    return name


def check_template(template: str) -> str:
    """Return `template` when it is one.

    Raises
    ------
    KernelSpecError
        For braces that do not match and names that are none of `FIELDS`.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise KernelSpecError(
            f"`{template}` is no template: {error}", hint="Write a brace itself twice: `{{`."
        ) from None
    for _, field, form, conversion in parts:
        if field is not None and (field not in FIELDS or form or conversion):
            raise KernelSpecError(
                f"`{template}` is no template: it has `{{{field}{form and ':' + form}}}`",
                hint="What can stand in braces: " + ", ".join(FIELDS),
            )
    return template


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with values, and without blanks that an empty one leaves."""
    return " ".join(template.format_map(values).split())


class SpecName(NamedTuple):
    """What a kernel's name says, when it ends in a hash.

    Attributes
    ----------
    package : str
        The package's name and perhaps its version, as written in the name; empty where the
        template has no package in it.
    hash : str
        At least seven characters of the DAG hash.
    shipped : str
        The name of a kernel that a package of the closure ships; empty for IPython.
    """

    package: str
    hash: str
    shipped: str


def parse_name(name: str, template: str = NAME_TEMPLATE) -> SpecName | None:
    """Return what a kernel's name says; None when it is not made of a spec and a hash.

    Names of the default form are understood whatever the template, with and without a version:
    ``spack-py-numpy-abc1234`` and ``spack-py-numpy-2.2.6-abc1234``.
    """
    match = _HASH_AT_END.fullmatch(name.lower())
    if match is None and template != NAME_TEMPLATE:
        match = _pattern(template).fullmatch(name.lower())
    if match is None:
        return None
    said = match.groupdict("")
    dag_hash = said.get("dag_hash") or said.get("hash", "")
    return SpecName(said.get("name", ""), dag_hash, said["shipped"]) if dag_hash else None


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """Return what the kernel names that a template makes look like."""
    seen: set[str] = set()
    parts = []
    for text, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(kernel_name(text)))
        if field is not None:
            form = {"hash": "[a-z2-7]{7}", "dag_hash": "[a-z2-7]{32}"}.get(field, "[a-z0-9._-]*?")
            parts.append(f"(?P<{field}>{form})" if field not in seen else form)
            seen.add(field)
    return re.compile("".join(parts) + _SHIPPED)


def says(parsed: SpecName, package: str) -> bool:
    """Return whether a kernel's name may mean a spec of this package."""
    own = kernel_name(package)
    return parsed.package in ("", own) or parsed.package.startswith(f"{own}-")
