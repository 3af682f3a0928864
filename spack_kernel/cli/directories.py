"""Directories in which an administrator keeps files for all users."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .console import Console


def create_public(directory: Path) -> Path:
    """Create a directory that all users can read, whatever the umask is; return it.

    Raises
    ------
    SpackKernelError
        When it cannot be created.
    """
    from spack_kernel.spack.errors import SpackKernelError

    try:
        for part in (*reversed(directory.parents), directory):
            if not part.exists():
                part.mkdir()
                part.chmod(0o755)
    except OSError as error:
        raise SpackKernelError(
            f"{directory} cannot be created: {error.strerror}",
            hint="Name another directory: --output DIR",
        ) from error
    return directory


def warn_of_others(console: Console, path: Path, owner: int) -> None:
    """Warn if other users will not use a file, because somebody else could have written it.

    Parameters
    ----------
    console : Console
        Where to warn.
    path : Path
        The file.
    owner : int
        The owner of the store, who may have written it.
    """
    from spack_kernel.spack.system import open_to_others

    part = open_to_others(path, [owner])
    if part:
        console.warn(
            f"other users will not use {path}: somebody else than root and the owner of the "
            f"store owns {part} or can write there"
        )
