"""Encrypted connections: compare what Jupyter requires with what the kernel supports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import EncryptionError
from spack_kernel.kernels.interpreters import SINCE

if TYPE_CHECKING:
    from spack_kernel.jupyter.helper import Prepared


def encryption_options(prepared: Prepared, policy: str) -> dict[str, str]:
    """Return the encryption options for Jupyter; empty where its own decision is correct.

    Jupyter relies on what the kernelspec declares. If that is wrong, ipykernel ignores the keys,
    and the front end would wait for it indefinitely.

    Parameters
    ----------
    prepared : Prepared
        What the kernel is started with; its ipykernel decides what is supported.
    policy : {"disabled", "auto", "required"}
        ``transport_encryption`` of jupyter_client's `KernelManager`.

    Raises
    ------
    EncryptionError
        When the connection must be encrypted and cannot be.
    """
    if policy == "disabled" or not prepared.unencrypted:
        return {}
    if policy != "required":
        return {"transport_encryption": "disabled"}
    built_for = f" ^/{prepared.python_hash[:7]}" if prepared.python_hash else ""
    raise EncryptionError(
        f"the connection to the kernel of {prepared.specs[0][0]} cannot be encrypted: "
        f"{prepared.unencrypted}",
        details=["  but `transport_encryption` is set to `required`"],
        hint=f"Install an ipykernel that supports encryption, for the same python:\n"
        f"  spack install py-ipykernel@{SINCE}:{built_for}",
    )
