"""Kernelspecs that are read only if that cannot take for ever."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec

from spack_kernel.kernels.kernel_json import KERNEL_FILE, MAX_KERNEL_JSON_SIZE
from spack_kernel.spack.system import file_checks


class BoundedKernelSpec(KernelSpec):
    """A kernelspec whose kernel.json is read only if it is a regular file of a sane size."""

    @classmethod
    def from_resource_dir(cls, resource_dir: str) -> BoundedKernelSpec:
        """Return the kernelspec in a directory.

        Raises
        ------
        OSError, ValueError
            When its kernel.json cannot be read, or is not a JSON object.
        """
        path = Path(resource_dir, KERNEL_FILE)
        content = json.loads(file_checks.read_regular(path, MAX_KERNEL_JSON_SIZE))
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not a JSON object")
        return cls(resource_dir=resource_dir, **content)
