"""What an installed kernelspec says: whether it is ours, and what it sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager

from spack_kernel.kernels.kernel_json import (
    KERNEL_FILE,
    MAX_KERNEL_JSON_SIZE,
    parse_kernel_json,
)
from spack_kernel.spack.system import file_checks

from .content import PROVISIONER_NAME
from .jobs import SLURM_PROVISIONER_NAME, split_config

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class InstalledKernelSpec:
    """A kernelspec of spack-kernel as stored on disk.

    Attributes
    ----------
    name : str
        The kernel's name, which is also that of its directory.
    resource_dir : str
        The directory.
    display_name : str
        The name that front ends show.
    config : mapping
        The traits of `SpackProvisioner` it sets: ``spec``, ``hash``, ``store`` …
    env : mapping of str to str
        Variables it sets in the kernel.
    job : mapping
        The traits of `SpackSlurmProvisioner` it sets, if it runs in a job: ``slurm``, ``job_id`` …
    shadowed_by : str or None
        The directory of another kernelspec of this name that Jupyter finds first; ``""`` when
        this one is not in Jupyter's search path.
    """

    name: str
    resource_dir: str
    display_name: str
    config: Mapping[str, Any]
    env: Mapping[str, str]
    shadowed_by: str | None = None
    job: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the kernelspec as JSON types."""
        return {
            "name": self.name,
            "resource_dir": self.resource_dir,
            "display_name": self.display_name,
            **self.config,
            **(self.job or {}),
            "env": dict(self.env),
            "shadowed_by": self.shadowed_by,
        }


def read_kernel_json(resource_dir: Path) -> dict[str, Any]:
    """Return the content of a kernel.json; empty when it cannot be read."""
    try:
        return parse_kernel_json(
            file_checks.read_regular(resource_dir / KERNEL_FILE, MAX_KERNEL_JSON_SIZE)
        )
    except (OSError, ValueError):
        return {}


def is_ours(resource_dir: Path) -> bool:
    """Return whether spack-kernel wrote the kernelspec in a directory."""
    return content_is_ours(read_kernel_json(resource_dir))


def provisioner_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provisioner section of a kernel.json; empty where there is none."""
    metadata = content.get("metadata")
    stanza = metadata.get("kernel_provisioner") if isinstance(metadata, dict) else None
    return stanza if isinstance(stanza, dict) else {}


def content_is_ours(content: Mapping[str, Any]) -> bool:
    """Return whether a kernel.json names one of our provisioners."""
    name = provisioner_of(content).get("provisioner_name")
    return name in (PROVISIONER_NAME, SLURM_PROVISIONER_NAME)


def describe(name: str, resource_dir: Path, content: Mapping[str, Any]) -> InstalledKernelSpec:
    """Return the description of a kernelspec that we wrote, from its kernel.json."""
    seen = KernelSpecManager().find_kernel_specs().get(name, "")
    same = bool(seen) and Path(seen).resolve() == resource_dir.resolve()
    stanza, env = provisioner_of(content), content.get("env")
    given = stanza.get("config")
    config, job = split_config(given if isinstance(given, dict) else {})
    is_job = stanza.get("provisioner_name") == SLURM_PROVISIONER_NAME
    return InstalledKernelSpec(
        name=name,
        resource_dir=str(resource_dir),
        display_name=str(content.get("display_name", name)),
        config=config,
        job=job if is_job else None,
        env=env if isinstance(env, dict) else {},
        shadowed_by=None if same else seen,
    )
