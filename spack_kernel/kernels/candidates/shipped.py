"""Kernels that packages of a closure ship: kernelspecs below the prefixes of the packages.

This is how R, Octave, bash or C++ become kernels: the kernelspec of the package is used, and the
kernel starts in the environment of the closure like any other.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.kernels.errors import ShippedKernelError
from spack_kernel.kernels.kernel_json import (
    KERNEL_FILE,
    MAX_KERNEL_JSON_SIZE,
    parse_kernel_json,
)
from spack_kernel.spack.load import is_system_directory
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spack_kernel.spack.spec import Spec


#: Where kernelspecs are in a prefix.
KERNELS = "share/jupyter/kernels"

#: IRkernel has its kernelspec inside the R package; `IRkernel::installspec` would copy it.
_IRKERNEL = ("r-irkernel", "ir", "IRkernel/kernelspec")

#: Where R packages are in a prefix, as installed by Spack and by distributions.
R_LIBRARIES = (
    "rlib/R/library",
    "lib/R/site-library",
    "lib/R/library",
    "lib64/R/library",
    "share/R/library",
)

#: Packages that a survey of a whole store searches for kernels, because searching every prefix
#: would take too long. The patterns are those of `fnmatch`.
PACKAGES = ("*kernel", "xeus*", "*-xeus-*", "sagemath", "py-sos*")

_IPYKERNEL = re.compile(r"ipykernel(_launcher)?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)
_VARIABLE = re.compile(r"[^=\0]+")

#: How many kernels of a package are read.
_MOST_KERNELS = 100


class ShippedKernel(msgspec.Struct, frozen=True):
    """A kernel as a package ships it.

    Attributes
    ----------
    name : str
        The name of its directory, in lower case: ``ir``, ``bash``.
    spec : Spec
        The package.
    directory : str
        Where its ``kernel.json`` and logos are.
    argv : tuple of str
        Its command, with ``{connection_file}`` for Jupyter to fill.
    display_name, language, interrupt_mode : str
        As in its ``kernel.json``.
    env : mapping of str to str
        Likewise.
    metadata : mapping
        Likewise, without the provisioner.
    """

    name: str
    spec: Spec
    directory: str
    argv: tuple[str, ...]
    display_name: str
    language: str
    interrupt_mode: str
    env: Mapping[str, str]
    metadata: Mapping[str, Any]


def may_ship(name: str, patterns: Sequence[str] = PACKAGES) -> bool:
    """Return whether a survey searches the package `name` for kernels."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def shipped_kernels(specs: Iterable[Spec]) -> tuple[list[ShippedKernel], list[str]]:
    """Return the kernels that some specs ship, in their order, then by name.

    The IPython kernel of a `py-ipykernel` is not among them, because a plan starts it anyway.

    Returns
    -------
    kernels : list of ShippedKernel
        Of two with the same name only the first, which is closer to the root of a closure.
    problems : list of str
        A line for each ``kernel.json`` that cannot be used.
    """
    kernels: dict[str, ShippedKernel] = {}
    problems: list[str] = []
    for spec in specs:
        for name, directory in _directories(spec):
            try:
                kernel = _read(name, spec, directory)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                problems.append(f"{directory / KERNEL_FILE} is left out: {reason}")
                continue
            if kernel is not None:
                kernels.setdefault(kernel.name, kernel)
    return list(kernels.values()), problems


def choose_shipped(closure: Sequence[Spec], name: str | None) -> ShippedKernel | None:
    """Return the shipped kernel to use for a closure, or None for IPython.

    Parameters
    ----------
    closure : sequence of Spec
        The root first.
    name : str or None
        The name of its directory, or ``python`` for IPython. None leaves the choice to the root:
        the kernel it ships itself, else IPython if the closure has Python, else the only kernel.

    Raises
    ------
    ShippedKernelError
        When there is no kernel of that name, or several and no name is given.
    """
    if name == "python":
        return None
    root = closure[0]
    kernels, problems = shipped_kernels(closure)
    if name is not None:
        for kernel in kernels:
            if kernel.name == name.lower():
                return kernel
        raise ShippedKernelError(
            f"the closure of {root.label} ships no kernel named `{name}`",
            details=[*(_line(kernel) for kernel in kernels), *(f"  {line}" for line in problems)],
            hint="Name one of these, or `python` for IPython." if kernels else "It ships none.",
        )
    own = [kernel for kernel in kernels if kernel.spec == root]
    if not own and any(spec.name == "python" for spec in closure):
        return None
    choice = own or kernels
    if len(choice) > 1:
        raise ShippedKernelError(
            f"{root.label} ships {len(choice)} kernels",
            details=[_line(kernel) for kernel in choice],
            hint=f"Name one of them with --kernel, such as `--kernel {choice[0].name}`.",
        )
    return choice[0] if choice else None


def r_variables(closure: Sequence[Spec]) -> dict[str, str]:
    """Return ``R_LIBS`` for a closure with `r`: the libraries of its R packages, the root's first.

    These are the directories that Spack's recipe of `r` adds for each package that extends it.
    """
    if not any(spec.name == "r" for spec in closure):
        return {}
    libraries = [
        path
        for spec in closure
        if spec.name.startswith("r-") and spec.prefix and not is_system_directory(spec.prefix)
        if file_checks.is_dir(path := f"{spec.prefix.rstrip('/')}/{R_LIBRARIES[0]}")
    ]
    return {"R_LIBS": ":".join(libraries)} if libraries else {}


def _line(kernel: ShippedKernel) -> str:
    return f"  {kernel.name}: {kernel.display_name}, from {kernel.spec.label}"


def _directories(spec: Spec) -> list[tuple[str, Path]]:
    """Return the names and paths of the kernelspec directories that a spec ships."""
    if not spec.prefix:
        return []
    found: list[tuple[str, Path]] = []
    # The directories of a whole system contain kernels of packages that are not in the closure.
    if not is_system_directory(spec.prefix):
        kernels = Path(spec.prefix, KERNELS)
        entries = (file_checks.names_in(kernels) or [])[:_MOST_KERNELS]
        found += [
            (name.lower(), kernels / name)
            for name in entries
            if file_checks.lexists(kernels / name / KERNEL_FILE)
        ]
    package, name, below = _IRKERNEL
    if spec.name == package:
        places = [Path(spec.prefix, library, below) for library in R_LIBRARIES]
        found += [(name, place) for place in places if file_checks.is_file(place / KERNEL_FILE)][:1]
    return found


class _KernelJson(msgspec.Struct):
    argv: list[str]
    display_name: str = ""
    language: str = ""
    interrupt_mode: str = ""
    env: dict[str, str] = {}
    metadata: dict[str, Any] = {}


def _read(name: str, spec: Spec, directory: Path) -> ShippedKernel | None:
    """Return the kernel in a directory; None for ipykernel's own.

    Raise ValueError if it is not a kernelspec, and OSError if it cannot be read.
    """
    assert spec.prefix is not None
    below = posixpath.relpath(directory / KERNEL_FILE, spec.prefix)
    text = file_checks.read_inside(spec.prefix, below, MAX_KERNEL_JSON_SIZE)
    if text is None:
        raise ValueError("it is a broken link")
    try:
        content = msgspec.convert(parse_kernel_json(text), _KernelJson)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise ValueError(f"it is not a kernelspec: {error}") from None
    argv = content.argv
    if not argv:
        raise ValueError("it has no argv")
    words = [*argv, *content.env, *content.env.values()]
    if any("\0" in word for word in words) or not all(_VARIABLE.fullmatch(n) for n in content.env):
        raise ValueError("it has a command or a variable that no process can have")
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{name}` is not a valid kernel name")
    if "-m" in argv[:-1] and _IPYKERNEL.fullmatch(argv[argv.index("-m") + 1]):
        return None
    own = {"resource_dir": str(directory), "prefix": spec.prefix}
    content.metadata.pop("kernel_provisioner", None)
    return ShippedKernel(
        name=name,
        spec=spec,
        directory=posixpath.normpath(directory),
        argv=tuple(_filled(word, own) for word in argv),
        display_name=content.display_name or name,
        language=content.language,
        interrupt_mode="message" if content.interrupt_mode == "message" else "signal",
        env=content.env,
        metadata=content.metadata,
    )


def _filled(word: str, values: Mapping[str, str]) -> str:
    """Fill in the kernel's own location, and leave the connection file to Jupyter."""
    for key, value in values.items():
        word = word.replace("{" + key + "}", value)
    return word
