"""How long environment variables may be, and what to say of one that is longer."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from spack_kernel.kernels.exits import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The longest ``NAME=value`` that Linux allows (MAX_ARG_STRLEN), in bytes, without the NUL at its
#: end. https://man7.org/linux/man-pages/man2/execve.2.html
MAX_VARIABLE = 131_071


def too_long(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the first variable that is too long for any process, and its length in bytes."""
    for name, value in environment.items():
        length = len(os.fsencode(f"{name}={value}"))
        if length > MAX_VARIABLE:
            return name, length
    return None


def length_cause(name: str, length: int) -> Cause:
    """Return the cause for a variable that is too long."""
    return Cause(
        (f"  {name} has {length:,} bytes; Linux allows at most {MAX_VARIABLE:,} (128 KiB)",),
        "Use a view, where one directory replaces those of all packages:\n"
        "  spack view symlink DIRECTORY SPEC\n"
        "  spack-kernel install --view DIRECTORY",
    )


def is_too_long(error: OSError) -> bool:
    """Return whether a process could not be started because its environment is too long."""
    return error.errno == errno.E2BIG
