"""From specs to a process: requests, interpreters, ipykernel, plans. Independent of any server."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import (
        EnvironmentTooLongError as EnvironmentTooLongError,
        InterpreterError as InterpreterError,
        KernelPackageError as KernelPackageError,
        PrefixGoneError as PrefixGoneError,
        RequestError as RequestError,
        ShippedKernelError as ShippedKernelError,
    )
    from .plan.plan import KernelPlan as KernelPlan, plan_kernel as plan_kernel
    from .plan.plan_json import plan_dict as plan_dict
    from .planner import Planner as Planner
    from .request import KernelRequest as KernelRequest

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "errors": (
            "EnvironmentTooLongError InterpreterError KernelPackageError PrefixGoneError "
            "RequestError ShippedKernelError"
        ),
        "plan.plan": "KernelPlan plan_kernel",
        "plan.plan_json": "plan_dict",
        "planner": "Planner",
        "request": "KernelRequest",
    },
)
