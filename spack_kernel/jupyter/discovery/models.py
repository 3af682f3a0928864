"""What a kernel that a store offers has in common with others, and what front ends get of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spack_kernel.jupyter.kernelspecs import kernel_command, provisioner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.jupyter.offers import Offer


def is_of(offer: Offer, dag_hash: str, shipped: str) -> bool:
    """Return whether a kernel belongs to a spec: IPython's, or one that a package ships."""
    config = offer.content["metadata"]["kernel_provisioner"]["config"]
    return config.get("hash") == dag_hash and offer.shipped == shipped


def identity(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what two kernels of one spec have in common; None for a kernel that is not ours."""
    config = provisioner_of(content).get("config")
    dag_hash = config.get("hash") if isinstance(config, dict) else None
    if not isinstance(dag_hash, str) or not dag_hash:
        return None
    return dag_hash, *kernel_command(content["argv"])


def spec_copy(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `KernelSpec.to_dict` would, as a copy that the caller may change."""
    metadata = dict(content["metadata"])
    return {"env": {}, "kernel_protocol_version": "", **content, "metadata": metadata}
