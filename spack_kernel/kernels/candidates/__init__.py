"""What a store offers as kernels."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .candidates import Candidate as Candidate, Survey as Survey
    from .environment_candidates import (
        EnvironmentCandidate as EnvironmentCandidate,
        EnvironmentSurvey as EnvironmentSurvey,
        environments_of as environments_of,
    )
    from .logos import read_logos as read_logos
    from .shipped import (
        PACKAGES as PACKAGES,
        ShippedKernel as ShippedKernel,
        choose_shipped as choose_shipped,
        shipped_kernels as shipped_kernels,
    )

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "candidates": "Candidate Survey",
        "environment_candidates": "EnvironmentCandidate EnvironmentSurvey environments_of",
        "logos": "read_logos",
        "shipped": "PACKAGES ShippedKernel choose_shipped shipped_kernels",
    },
)
