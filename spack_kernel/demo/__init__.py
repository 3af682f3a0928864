"""A small store of real packages, for trials and tests without Spack.

It uses only Spack's layout and database format, and is separate from the other layers: it imports
only `spack_kernel.spack`, and only the command line imports it.
"""

from .build import DemoStore, Progress, build
from .errors import DemoError

__all__ = ["DemoError", "DemoStore", "Progress", "build"]
