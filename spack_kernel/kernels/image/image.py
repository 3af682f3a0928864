"""The start image of a plan: where it is, and the setting that the launcher reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .start_image import FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence


class Image(NamedTuple):
    """The start image of a plan.

    Attributes
    ----------
    path : str
        The file, which need not exist.
    key : str
        What it is for.
    owner : int
        The user whose file it must be.
    can_record : bool
        Whether kernels may make it.
    fixed : sequence of str
        The directories of PYTHONPATH whose modules may be in it.
    checks_sources : bool
        Whether each source is checked for changes, and not only the directories.
    refused : sequence of str
        Why images that were made for everybody are not used.
    """

    path: str
    key: str
    owner: int
    can_record: bool
    fixed: Sequence[str]
    checks_sources: bool = True
    refused: Sequence[str] = ()

    @property
    def setting(self) -> str:
        """The value of the environment variable that the launcher reads."""
        flags = f"{int(self.can_record)}:{int(self.checks_sources)}"
        return f"{self.owner}:{flags}:{self.key}:{self.path}"

    @property
    def exists(self) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(self.path)  # noqa: PTH113


def count_modules(path: str) -> int:
    """Return how many modules an image has; 0 if there is no such image, or it is not whole.

    Only the Python for which it was made can read more than that.
    """
    try:
        with open(path, "rb") as file:
            head, size = file.read(len(FORMAT) + 16), os.fstat(file.fileno()).st_size
    except OSError:
        return 0
    is_whole = head.startswith(FORMAT) and int.from_bytes(head[-8:], "little") == size
    return int.from_bytes(head[-16:-8], "little") if is_whole else 0
