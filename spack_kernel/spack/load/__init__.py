"""What ``spack load`` changes: PYTHONPATH, prefix inspections, modules, recipe variables."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .apply import (
        Change as Change,
        apply_modifications as apply_modifications,
        is_system_directory as is_system_directory,
    )
    from .directories import Directories as Directories
    from .inspections import (
        Inspections as Inspections,
        read_inspections as read_inspections,
        site_inspections as site_inspections,
    )
    from .load import LoadEnvironment as LoadEnvironment, load_environment as load_environment
    from .modifications import (
        InvalidModification as InvalidModification,
        Modification as Modification,
    )
    from .modules import (
        ModulesError as ModulesError,
        external_modules as external_modules,
        load_modules as load_modules,
    )
    from .pythonpath import PythonPathEntry as PythonPathEntry
    from .recipe_variables import (
        RecipeVariables as RecipeVariables,
        read_recipes as read_recipes,
        with_recipes as with_recipes,
    )
    from .spack_command import ask_spack as ask_spack
    from .spack_concretize import Concretized as Concretized, concretize as concretize
    from .spack_process import SpackCommandError as SpackCommandError, find_spack as find_spack

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "apply": "Change apply_modifications is_system_directory",
        "spack_concretize": "Concretized concretize",
        "directories": "Directories",
        "inspections": "Inspections read_inspections site_inspections",
        "load": "LoadEnvironment load_environment",
        "modifications": "InvalidModification Modification",
        "modules": "ModulesError external_modules load_modules",
        "pythonpath": "PythonPathEntry",
        "recipe_variables": "RecipeVariables read_recipes with_recipes",
        "spack_command": "ask_spack",
        "spack_process": "SpackCommandError find_spack",
    },
)
