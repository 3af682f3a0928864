"""What Spack knows: stores, specs, queries and load environments. Imports no Jupyter."""

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
