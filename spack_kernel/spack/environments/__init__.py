"""Spack environments, their views, and what activating one changes."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .activation import ViewNotFound as ViewNotFound
    from .activation import activate as activate
    from .activation import load_view as load_view
    from .manifest import EnvironmentNotFound as EnvironmentNotFound
    from .manifest import EnvironmentNotReady as EnvironmentNotReady
    from .manifest import LockedRoot as LockedRoot
    from .manifest import SpackEnvironment as SpackEnvironment
    from .manifest import environment_names as environment_names
    from .manifest import environments_root as environments_root
    from .manifest import open_environment as open_environment
    from .views import View as View

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "activation": (
            "ViewNotFound",
            "activate",
            "load_view",
        ),
        "manifest": (
            "EnvironmentNotFound",
            "EnvironmentNotReady",
            "LockedRoot",
            "SpackEnvironment",
            "environment_names",
            "environments_root",
            "open_environment",
        ),
        "views": ("View",),
    },
)
