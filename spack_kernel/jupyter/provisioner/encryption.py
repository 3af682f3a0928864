"""Encrypted connections: compare what Jupyter requires with what the kernel supports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import EncryptionError
from spack_kernel.kernels.interpreters import SINCE

if TYPE_CHECKING:
    from spack_kernel.kernels.plan import KernelPlan


def encryption_options(plan: KernelPlan, policy: str) -> dict[str, str]:
    """Return the encryption options for Jupyter; empty where its own decision is correct.

    Jupyter relies on what the kernelspec declares. If that is wrong, ipykernel ignores the keys,
    and the front end would wait for it indefinitely.

    Parameters
    ----------
    plan : KernelPlan
        The plan of the kernel; its ipykernel decides what is supported.
    policy : {"disabled", "auto", "required"}
        ``transport_encryption`` of jupyter_client's `KernelManager`.

    Raises
    ------
    EncryptionError
        When the connection must be encrypted and cannot be.
    """
    if policy == "disabled" or not plan.unencrypted:
        return {}
    if policy != "required":
        return {"transport_encryption": "disabled"}
    python = plan.interpreter and (plan.interpreter.python or plan.interpreter.spec)
    built_for = f" ^/{python.hash[:7]}" if python else ""
    raise EncryptionError(
        f"the connection to the kernel of {plan.specs[0].label} cannot be encrypted: "
        f"{plan.unencrypted}",
        details=["  but `transport_encryption` is set to `required`"],
        hint=f"Install an ipykernel that supports encryption, for the same python:\n"
        f"  spack install py-ipykernel@{SINCE}:{built_for}",
    )
