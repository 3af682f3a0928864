"""Spack environments, their views, and what activating one changes."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .activation import (
        ViewNotFound as ViewNotFound,
        activate as activate,
        load_view as load_view,
    )
    from .errors import (
        EnvironmentNotFound as EnvironmentNotFound,
        EnvironmentNotReady as EnvironmentNotReady,
    )
    from .frozen import (
        FrozenEnvironment as FrozenEnvironment,
        LockedRoot as LockedRoot,
        View as View,
        read_frozen as read_frozen,
    )
    from .manifest import (
        SpackEnvironment as SpackEnvironment,
        environment_names as environment_names,
        environments_root as environments_root,
        open_environment as open_environment,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "activation": "ViewNotFound activate load_view",
        "errors": "EnvironmentNotFound EnvironmentNotReady",
        "frozen": "FrozenEnvironment LockedRoot View read_frozen",
        "manifest": "SpackEnvironment environment_names environments_root open_environment",
    },
)
