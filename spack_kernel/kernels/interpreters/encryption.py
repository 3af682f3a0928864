"""Whether a kernel can encrypt its connection with CurveZMQ, told from what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.spack.spec import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spack_kernel.spack.spec import Spec

#: The first ipykernel that reads CurveZMQ keys from its connection file; it is also the first
#: whose own kernelspec declares `supported_encryption`. An older one ignores the keys.
SINCE = "7.3"

#: What a kernelspec's metadata says of it, for jupyter_client.
METADATA = {"supported_encryption": ["curve"]}

#: The first jupyter_client that hands those keys to ipykernel. A companion brings it along, and
#: gives way to an older one of the spec's own.
CLIENT_SINCE = "8.9"

ZMQ, CLIENT = "libzmq", "py-jupyter-client"


def why_not_encrypted(ipykernel_version: str, nodes: Iterable[Spec]) -> str:
    """Return why a kernel cannot encrypt, in a few words; empty when it can.

    Parameters
    ----------
    ipykernel_version : str
        The version of its ipykernel; empty where unknown.
    nodes : iterable of Spec
        The closure, the companion's included. A libzmq in it may be built without CurveZMQ, for
        which Spack's recipe has the variant `libsodium`; that inside a wheel of pyzmq has it.
    """
    if not ipykernel_version:
        return "the version of its ipykernel is not known"
    if Version(ipykernel_version) < Version(SINCE):
        return f"ipykernel {ipykernel_version} cannot encrypt, {SINCE} is the first that can"
    for node in nodes:
        if node.name == ZMQ and node.variants.get("libsodium") is False:
            return f"{node.label} is built without libsodium"
        if node.name == CLIENT and node.version < Version(CLIENT_SINCE):
            return f"{node.label} cannot encrypt, {CLIENT_SINCE} is the first that can"
    return ""
