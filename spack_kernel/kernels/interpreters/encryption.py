"""Determine from the installed packages whether a kernel can encrypt its connection (CurveZMQ)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.spack.spec import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spack_kernel.spack.spec import Spec

#: The first ipykernel that reads CurveZMQ keys from its connection file; it is also the first
#: whose own kernelspec declares `supported_encryption`. An older one ignores the keys.
SINCE = "7.3"

#: The kernelspec metadata that declares encryption to jupyter_client.
METADATA = {"supported_encryption": ["curve"]}

#: The first jupyter_client that passes those keys to ipykernel. A companion comes with one, but an
#: older one in the spec's own closure takes precedence.
CLIENT_SINCE = "8.9"

ZMQ, CLIENT = "libzmq", "py-jupyter-client"


def why_not_encrypted(ipykernel_version: str, nodes: Iterable[Spec]) -> str:
    """Return why a kernel cannot encrypt, in a few words; empty when it can.

    Parameters
    ----------
    ipykernel_version : str
        The version of its ipykernel; empty if unknown.
    nodes : iterable of Spec
        The closure, including the companion's. A libzmq in it may be built without CurveZMQ, for
        which Spack's recipe has the variant `libsodium`; the libzmq in a wheel of pyzmq has it.
    """
    if not ipykernel_version:
        return "the version of its ipykernel is unknown"
    if Version(ipykernel_version) < Version(SINCE):
        return f"ipykernel {ipykernel_version} cannot encrypt; {SINCE} is the first that can"
    for node in nodes:
        if node.name == ZMQ and node.variants.get("libsodium") is False:
            return f"{node.label} is built without libsodium"
        if node.name == CLIENT and node.version < Version(CLIENT_SINCE):
            return f"{node.label} cannot encrypt; {CLIENT_SINCE} is the first that can"
    return ""
