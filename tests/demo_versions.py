"""The versions of some packages in the demo store, which depend on the Python version."""

from __future__ import annotations

from packaging.requirements import Requirement

from spack_kernel.demo.pins import PinnedRequirements


def _version(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    return specifier.version


_selection = PinnedRequirements.default()
_requirements = _selection.requirements()

NUMPY = _version(_requirements["py-numpy"])
#: The version that only the second build has.
OTHER_NUMPY = _version(_selection.second_build)
MATPLOTLIB = _version(_requirements["py-matplotlib"])
#: The common prefix of both numpy versions.
BOTH_NUMPYS = next(
    NUMPY[:end] for end in range(len(NUMPY), 0, -1) if OTHER_NUMPY.startswith(NUMPY[:end])
)
