"""The extensions of Jupyter front ends in a closure: widgets work only if the server has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spack_kernel.spack.spec import Spec

_DIRECTORY = "share/jupyter/labextensions"

#: The largest package.json that is read, in bytes.
_MAX_SIZE = 1 << 20


class FrontEndExtension(msgspec.Struct, frozen=True):
    """A prebuilt extension of JupyterLab that a spec in a closure installs.

    Attributes
    ----------
    name, version : str
        Its name, as ``jupyter labextension list`` shows it, and its version.
    spec : str
        The label of the spec.
    """

    name: str
    version: str
    spec: str


def front_end_extensions(specs: Iterable[Spec]) -> list[FrontEndExtension]:
    """Return the extensions of JupyterLab in the prefixes of specs, sorted by name."""
    found: dict[str, FrontEndExtension] = {}
    for spec in specs:
        for directory in _packages(spec.prefix or ""):
            try:
                text = file_checks.read_regular(f"{directory}/package.json", _MAX_SIZE)
                package = json.loads(text)
                name, version = str(package["name"]), str(package.get("version", ""))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # not an extension
            found.setdefault(name, FrontEndExtension(name, version, spec.label))
    return [found[name] for name in sorted(found)]


def _packages(prefix: str) -> Iterator[str]:
    root = f"{prefix}/{_DIRECTORY}"
    for entry in (file_checks.names_in(root) or ()) if prefix else ():
        if entry.startswith("@"):
            names = file_checks.names_in(f"{root}/{entry}") or ()
            yield from (f"{root}/{entry}/{name}" for name in names)
        else:
            yield f"{root}/{entry}"
