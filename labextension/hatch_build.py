"""Build the JupyterLab extension when a wheel or a source distribution is built."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
import build as labextension


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the built files into the distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the extension, and name its files."""
        if version == "editable":
            return  # `make` links it
        if os.environ.get("SPACK_KERNEL_WITHOUT_LABEXTENSION") and self.target_name == "wheel":
            return
        labextension.build()
        built = str(labextension.BUILT)
        if self.target_name == "wheel":
            build_data["shared_data"][built] = f"share/jupyter/labextensions/{labextension.NAME}"
        else:
            build_data["force_include"][built] = "labextension/built"
