"""Specs as ``spack find`` prints them: formats and dependency trees."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .format import (
        DISPLAY_FORMAT as DISPLAY_FORMAT,
        FormatSyntaxError as FormatSyntaxError,
        SpecFormat as SpecFormat,
    )
    from .tree import (
        MARKS as MARKS,
        TreeNode as TreeNode,
        dependency_tree as dependency_tree,
        install_status as install_status,
    )
    from .values import format_compilers as format_compilers, format_variants as format_variants

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "format": "DISPLAY_FORMAT FormatSyntaxError SpecFormat",
        "tree": "MARKS TreeNode dependency_tree install_status",
        "values": "format_compilers format_variants",
    },
)
