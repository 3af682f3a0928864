"""Find the packages that install a Python module; prefixes are read on the first search."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from spack_kernel.spack.query import newest_first
from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spack_kernel.spack.store import Store

#: Seconds that one question may read directories; the next one goes on.
_PATIENCE = 0.3

_LIBRARIES = ("lib", "lib64")
_SUFFIXES = (".py", ".so")


class ModulesIndex:
    """The modules of the Python packages of a store: one build of each package is looked into.

    Parameters
    ----------
    store : Store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._packages: dict[str, list[str]] = {}
        self._reading = self._read()
        self._lock = threading.Lock()

    def packages(self, module: str) -> list[str]:
        """Return the packages that have a module, in alphabetical order.

        Parameters
        ----------
        module : str
            Its name, such as ``yaml`` or ``PIL.Image``. Only the first part counts, and its case
            does not.
        """
        deadline = time.monotonic() + _PATIENCE
        with self._lock:
            for _ in self._reading:
                if time.monotonic() > deadline:
                    break
        return sorted(self._packages.get(module.partition(".")[0].lower(), ()))

    def _read(self) -> Iterator[None]:
        for name in sorted(self._store.names()):
            if not name.startswith("py-"):
                continue
            specs = [spec for spec in self._store.named(name) if spec.installed and spec.prefix]
            for spec in newest_first(specs)[:1]:
                for module in modules_in(spec.prefix or ""):
                    self._packages.setdefault(module.lower(), []).append(name)
            yield


def modules_in(prefix: str) -> set[str]:
    """Return the names of the modules and packages that a prefix installs for Python."""
    found: set[str] = set()
    for library in _LIBRARIES:
        for python in file_checks.names_in(f"{prefix}/{library}") or ():
            if python.startswith("python"):
                packages = f"{prefix}/{library}/{python}/site-packages"
                for entry in file_checks.names_in(packages) or ():
                    found.update(_module(entry))
    return found


def _module(entry: str) -> Iterator[str]:
    name, _, suffix = entry.partition(".")
    if not suffix:
        yield from [name] if name.isidentifier() and name != "__pycache__" else []
    elif entry.endswith(_SUFFIXES) and name.isidentifier():
        yield name
