"""The plan of a kernel: command, environment, and the reason for each."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .diagnosis import (
        diagnose as diagnose,
    )
    from .length_limits import (
        is_too_long as is_too_long,
        length_cause as length_cause,
        too_long as too_long,
    )
    from .plan import KernelPlan as KernelPlan, plan_kernel as plan_kernel
    from .plan_json import plan_dict as plan_dict
    from .process_environment import (
        KERNEL_COMMAND as KERNEL_COMMAND,
        ProcessEnvironment as ProcessEnvironment,
        is_python as is_python,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "diagnosis": "diagnose",
        "length_limits": "is_too_long length_cause too_long",
        "plan": "KernelPlan plan_kernel",
        "plan_json": "plan_dict",
        "process_environment": "KERNEL_COMMAND ProcessEnvironment is_python",
    },
)
