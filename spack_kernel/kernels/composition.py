"""How the environment of a kernel is put together, once it is known what goes into it.

Light: what a kernel whose plan is known needs at every start.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import namedtuple

from spack_kernel.spack.applying import apply_modifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PYTHON_NAME = re.compile(r"python(\d+(\.\d+)?)?")


class Composition(namedtuple("Composition", ("changes", "variables", "behind", "debugger"))):
    """What goes into the environment of a kernel.

    Attributes
    ----------
    changes : list of Modification
        What loading the specs changes; the first four fields of each are enough.
    variables : dict of str to str
        What is set beside it.
    behind : list of str
        Directories put behind all others on PYTHONPATH.
    debugger : bool
        Whether the kernel can debug.
    """

    __slots__ = ()

    def apply(
        self,
        environment: Mapping[str, str],
        *,
        env: Mapping[str, str] | None = None,
        user_site: bool | None = None,
    ) -> dict[str, str]:
        """Return the environment of the process.

        Parameters
        ----------
        environment : mapping
            What passes from the process that starts it, cleaned.
        env, user_site
            As for `KernelPlan.environment`.
        """
        result = apply_modifications(self.changes, environment)
        result.update(self.variables)
        if self.behind:
            loaded = result.get("PYTHONPATH")
            result["PYTHONPATH"] = os.pathsep.join([*([loaded] if loaded else []), *self.behind])
        if user_site is not None:
            result.pop("PYTHONNOUSERSITE", None)
            if not user_site:
                result["PYTHONNOUSERSITE"] = "1"
        if self.debugger:
            # Frozen standard library modules start faster; this says debugpy not to warn of them.
            result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        if env:
            from string import Template

            for name, value in env.items():
                result[name] = Template(value).safe_substitute(result)
        return result


def is_python(command: str) -> bool:
    """Return whether a command, of whatever directory, is named as a Python is."""
    return _PYTHON_NAME.fullmatch(posixpath.basename(command)) is not None
