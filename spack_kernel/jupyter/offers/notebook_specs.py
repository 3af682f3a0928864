"""Which specs a user would choose for notebooks: the default of what a store offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spack_kernel.kernels.candidates import Candidate
    from spack_kernel.spack.spec import Dependency


def for_notebooks(candidate: Candidate) -> bool:
    """Return whether a user would choose this spec to run IPython.

    A debugger or a compiler that merely depends on Python can also start one, but is left out.
    """
    spec = candidate.spec
    if candidate.why_not:
        return False
    return spec.name == "python" or any(
        name.startswith("py-")
        for name in (spec.name, *(e.name for e in spec.dependencies if _is_needed(e)))
    )


def _is_needed(edge: Dependency) -> bool:
    return "link" in edge.deptypes or "run" in edge.deptypes
