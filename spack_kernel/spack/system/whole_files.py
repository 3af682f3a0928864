"""Write files that others see complete or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file by renaming a new one, and leave nothing behind if that fails.

    Parameters
    ----------
    path : Path
        The file; its directory must exist.
    content : bytes
        The content.
    mode : int
        The permissions, whatever the umask is.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(scratch).unlink()
        raise
