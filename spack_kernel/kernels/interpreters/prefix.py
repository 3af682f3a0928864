"""Check whether the prefix that a database records exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.spack.system import file_checks

if TYPE_CHECKING:
    from spack_kernel.spack.spec import Spec


def has_prefix(spec: Spec) -> bool:
    """Return whether the install directory of a spec exists.

    Raises
    ------
    PermissionError
        When this user has no access to a directory above it.
    """
    if not spec.prefix:
        return False
    return file_checks.is_dir(spec.prefix)
