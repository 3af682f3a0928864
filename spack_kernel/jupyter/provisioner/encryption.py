"""Encrypted connections: what Jupyter wants of a kernel, held against what the kernel can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spack_kernel.jupyter.errors import EncryptionError
from spack_kernel.kernels.interpreters import SINCE

if TYPE_CHECKING:
    from spack_kernel.kernels.plan import KernelPlan


def encryption_options(plan: KernelPlan, policy: str) -> dict[str, str]:
    """Return what to tell Jupyter of encryption; nothing where it decides rightly itself.

    Jupyter goes by what the kernelspec declares. Where that is not true an ipykernel ignores the
    keys, and the front end would wait for it until somebody gives up.

    Parameters
    ----------
    plan : KernelPlan
        What is started, by its ipykernel.
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
        details=["  and `transport_encryption` is `required` here"],
        hint=f"Install an ipykernel that can, for the same python:\n"
        f"  spack install py-ipykernel@{SINCE}:{built_for}",
    )
