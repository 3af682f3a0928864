"""What Spack knows: stores, specs, queries and load environments. Imports no Jupyter."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .database.chain import Chain as Chain
    from .environments.activation import (
        ViewNotFound as ViewNotFound,
        activate as activate,
        load_view as load_view,
    )
    from .environments.errors import (
        EnvironmentNotFound as EnvironmentNotFound,
        EnvironmentNotReady as EnvironmentNotReady,
    )
    from .environments.frozen import LockedRoot as LockedRoot, View as View
    from .environments.manifest import (
        SpackEnvironment as SpackEnvironment,
        environment_names as environment_names,
        open_environment as open_environment,
    )
    from .errors import (
        Ambiguous as Ambiguous,
        ConfigError as ConfigError,
        ConfigWarning as ConfigWarning,
        DatabaseError as DatabaseError,
        DatabaseWarning as DatabaseWarning,
        NoMatch as NoMatch,
        QuerySyntaxError as QuerySyntaxError,
        SpackKernelError as SpackKernelError,
        SpackKernelWarning as SpackKernelWarning,
        StoreNotFound as StoreNotFound,
    )
    from .load.load import LoadEnvironment as LoadEnvironment, load_environment as load_environment
    from .load.modifications import (
        InvalidModification as InvalidModification,
        Modification as Modification,
    )
    from .load.modules import ModulesError as ModulesError, load_modules as load_modules
    from .load.recipe_variables import RecipeVariables as RecipeVariables
    from .load.spack_command import ask_spack as ask_spack
    from .load.spack_process import SpackCommandError as SpackCommandError
    from .output.format import FormatSyntaxError as FormatSyntaxError, SpecFormat as SpecFormat
    from .output.tree import TreeNode as TreeNode, dependency_tree as dependency_tree
    from .query.abstract_spec import AbstractSpec as AbstractSpec
    from .query.parser import parse_queries as parse_queries, parse_query as parse_query
    from .query.store_index import Selection as Selection
    from .query.virtuals import Providers as Providers
    from .spec.spec import (
        Arch as Arch,
        Compiler as Compiler,
        Dependency as Dependency,
        External as External,
        Spec as Spec,
    )
    from .spec.versions import Version as Version
    from .store.store import Store as Store
    from .store.store_cache import StoreCache as StoreCache

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "database.chain": "Chain",
        "environments.activation": "ViewNotFound activate load_view",
        "environments.errors": "EnvironmentNotFound EnvironmentNotReady",
        "environments.frozen": "LockedRoot View",
        "environments.manifest": "SpackEnvironment environment_names open_environment",
        "errors": (
            "Ambiguous ConfigError ConfigWarning DatabaseError DatabaseWarning NoMatch "
            "QuerySyntaxError SpackKernelError SpackKernelWarning StoreNotFound"
        ),
        "load.spack_command": "ask_spack",
        "load.spack_process": "SpackCommandError",
        "load.load": "LoadEnvironment load_environment",
        "load.modifications": "InvalidModification Modification",
        "load.modules": "ModulesError load_modules",
        "load.recipe_variables": "RecipeVariables",
        "output.format": "FormatSyntaxError SpecFormat",
        "output.tree": "TreeNode dependency_tree",
        "query.abstract_spec": "AbstractSpec",
        "query.parser": "parse_queries parse_query",
        "query.store_index": "Selection",
        "query.virtuals": "Providers",
        "spec.spec": "Arch Compiler Dependency External Spec",
        "spec.versions": "Version",
        "store.store": "Store",
        "store.store_cache": "StoreCache",
    },
)
