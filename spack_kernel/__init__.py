"""Jupyter kernels that start in the environment of an installed Spack spec."""

from __future__ import annotations

__version__ = "0.1.0"

#: The environment variable that names the store if no option does; several paths are separated as
#: in PATH.
STORE_VARIABLE = "SPACK_KERNEL_STORE"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return where Jupyter finds the server extension."""
    return [{"module": "spack_kernel.jupyter.server"}]
