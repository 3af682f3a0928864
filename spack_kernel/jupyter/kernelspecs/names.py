"""Build kernel names and display names from templates, and parse kernel names."""

from __future__ import annotations

import functools
import re
import string
from typing import TYPE_CHECKING, NamedTuple

from spack_kernel.jupyter.errors import KernelSpecError

from .content import kernel_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.spec import Spec

#: The templates that produce the same names as `spack-kernel install`.
NAME_TEMPLATE = "spack-{name}-{version}-{hash}"
DISPLAY_NAME_TEMPLATE = "{name} {version} {difference} (Spack /{hash})"

#: The kernel whose spec each notebook names in its metadata.
NOTEBOOK_NAME = "spack-notebook"
NOTEBOOK_DISPLAY_NAME = "Spack (chosen by the notebook)"

#: The fields that the template of a kernel's name may contain.
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

#: Those of a display name: also in what a spec differs from others of its name and version, which
#: depends on what else is offered.
DISPLAY_FIELDS = (*FIELDS, "difference")

#: File names can have 255 bytes; some are reserved for what Jupyter and we add to a name.
MAX_NAME_LENGTH = 200

_VALID_NAME = re.compile(r"(?!\.)[a-z0-9._-]+", re.IGNORECASE | re.ASCII)

_SHIPPED = r"(?:\.(?P<shipped>[a-z0-9._-]+))?"
_HASH_AT_END = re.compile(r"spack-(?P<name>.+)-(?P<hash>[a-z2-7]{7,32})" + _SHIPPED)


def fields(spec: Spec, python: Spec | None) -> dict[str, str]:
    """Return the value of each of `FIELDS`; ``hash`` is the first seven characters of the hash."""
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
    """Return `name` if it is valid as the name of a kernelspec.

    All code that writes or removes a kernelspec calls this, because the name becomes a directory.

    Raises
    ------
    KernelSpecError
        When Jupyter would not find it, or it would refer to another directory.
    """
    if len(name) > MAX_NAME_LENGTH:
        raise KernelSpecError(
            f"`{name[:40]}…` is not a valid kernel name: it has {len(name)} characters, and the "
            f"maximum is {MAX_NAME_LENGTH}",
            hint="Choose a shorter name with --name, or other fields in `name_template`.",
        )
    if not _VALID_NAME.fullmatch(name):
        raise KernelSpecError(
            f"`{name}` is not a valid kernel name",
            hint="Kernel names consist of ASCII letters, digits, hyphens, dots and underscores, "
            "and do not begin with a dot.",
        )
    return name


def check_template(template: str, allowed: Sequence[str] = FIELDS) -> str:
    """Return `template` if it is valid.

    Raises
    ------
    KernelSpecError
        For braces that do not match, and fields that are not allowed.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise KernelSpecError(
            f"`{template}` is not a valid template: {error}",
            hint="Double a brace to use it literally: `{{`.",
        ) from None
    for _, field, form, conversion in parts:
        if field is not None and (field not in allowed or form or conversion):
            raise KernelSpecError(
                f"`{template}` is not a valid template: "
                f"it contains `{{{field}{form and ':' + form}}}`",
                hint="Available fields: " + ", ".join(allowed),
            )
    return template


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template filled with values, without the gaps that empty values leave."""
    return " ".join(template.format_map(values).split())


class SpecName(NamedTuple):
    """The parts of a kernel's name that ends in a hash.

    Attributes
    ----------
    package : str
        The package's name, possibly with its version, as written in the name; empty where the
        template does not contain the package.
    hash : str
        At least seven characters of the DAG hash.
    shipped : str
        The name of a kernel that a package of the closure ships; empty for IPython.
    """

    package: str
    hash: str
    shipped: str


def parse_name(name: str, template: str = NAME_TEMPLATE) -> SpecName | None:
    """Return the parts of a kernel's name; None if it does not consist of a spec and a hash.

    Names of the default form are accepted whatever the template, with and without a version:
    ``spack-py-numpy-abc1234`` and ``spack-py-numpy-2.2.6-abc1234``.

    Examples
    --------
    >>> parse_name("spack-r-irkernel-1.3.2-abc2345.ir").hash
    'abc2345'
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
    """Return the pattern of the kernel names that a template produces."""
    seen: set[str] = set()
    parts = []
    for text, field, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(kernel_name(text)))
        if field is not None:
            form = {"hash": "[a-z2-7]{7}", "dag_hash": "[a-z2-7]{32}"}.get(field, "[a-z0-9._-]*?")
            parts.append(f"(?P<{field}>{form})" if field not in seen else form)
            seen.add(field)
    return re.compile("".join(parts) + _SHIPPED)


def matches_package(parsed: SpecName, package: str) -> bool:
    """Return whether a kernel's name may refer to a spec of this package."""
    own = kernel_name(package)
    return parsed.package in ("", own) or parsed.package.startswith(f"{own}-")
