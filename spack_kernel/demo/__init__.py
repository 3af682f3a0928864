"""A small store of real packages, for trying and testing where no Spack is.

Uses nothing of Spack but its layout and database format, and stands beside the other layers:
it imports `spack_kernel.spack` alone, and only the command line imports it.
"""

from .build import DemoStore, Progress, build
from .errors import DemoError

__all__ = ["DemoError", "DemoStore", "Progress", "build"]
