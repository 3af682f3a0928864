"""What Spack knows: stores, specs, queries and load environments. Imports no Jupyter."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import (
        Ambiguous,
        ConfigError,
        DatabaseError,
        NoMatch,
        QuerySyntaxError,
        SpackKernelError,
        StoreNotFound,
    )
    from .load import LoadEnvironment, load_environment
    from .specs import Arch, Compiler, Dependency, External, Spec
    from .store import Store
    from .versions import Version

__all__ = [
    "Ambiguous",
    "Arch",
    "Compiler",
    "ConfigError",
    "DatabaseError",
    "Dependency",
    "External",
    "LoadEnvironment",
    "NoMatch",
    "QuerySyntaxError",
    "SpackKernelError",
    "Spec",
    "Store",
    "StoreNotFound",
    "Version",
    "load_environment",
]

_MODULES = {
    "LoadEnvironment": "load",
    "load_environment": "load",
    "Arch": "specs",
    "Compiler": "specs",
    "Dependency": "specs",
    "External": "specs",
    "Spec": "specs",
    "Store": "store",
    "Version": "versions",
}


def __getattr__(name: str) -> object:
    # Imported when asked for: a kernel whose plan is known needs none of them.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
