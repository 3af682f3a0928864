"""Whether the users of a machine can read a kernelspec that is shared with them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def closed_to_others(resource_dir: Path) -> Path | None:
    """Return the path that prevents other users from reading a shared kernelspec, or None.

    Checks the files of the kernelspec and the directories that contain it, from ``share``
    downwards. The directories above ``share`` are the site's responsibility.
    """
    holders = [path for path in resource_dir.parents if "share" in path.parts][::-1]
    try:
        inside = sorted(resource_dir.iterdir()) if os.access(resource_dir, os.R_OK) else []
        for path in (*holders, resource_dir, *inside):
            status = path.stat()
            needed = 0o005 if stat.S_ISDIR(status.st_mode) else 0o004
            if status.st_mode & needed != needed:
                return path
    except OSError:
        return None
    return None
