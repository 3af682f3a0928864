"""How the environment of a kernel is put together, once it is known what goes into it.

Light: what a kernel whose plan is known needs at every start.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import namedtuple

from spack_kernel.spack.load import apply_modifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Variables that serve building and reading manuals. Of a large closure they can be too long for
#: any process to start, and a kernel does without.
UNNEEDED = ("MANPATH", "INFOPATH", "ACLOCAL_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH")

#: A bit below what Linux lets a variable have, see `MAX_VARIABLE` in length_limits.py.
_LONGEST = 131_000

_REFERENCE = re.compile(r"\$(PYTHONPATH\b|\{PYTHONPATH\})")
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
        last: Sequence[str] = (),
    ) -> dict[str, str]:
        """Return the environment of the process.

        Parameters
        ----------
        environment : mapping
            What passes from the process that starts it, cleaned.
        env, user_site
            As for `KernelPlan.environment`.
        last : sequence of str
            Directories put on PYTHONPATH behind even those of `behind`.
        """
        result = apply_modifications(self.changes, environment)
        result.update(self.variables)
        if self.behind or last:
            loaded = result.get("PYTHONPATH")
            entries = [*([loaded] if loaded else []), *self.behind, *last]
            result["PYTHONPATH"] = os.pathsep.join(entries)
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
                filled = Template(value).safe_substitute(result)
                # To replace what the specs need would leave a kernel without them.
                if name == "PYTHONPATH" and not _REFERENCE.search(value) and result.get(name):
                    filled = os.pathsep.join(filter(None, [filled, result[name]]))
                result[name] = filled
        for name in UNNEEDED:
            if len(result.get(name, "")) > _LONGEST:
                del result[name]
        return result


def is_python(command: str) -> bool:
    """Return whether a command, of whatever directory, is named as a Python is."""
    return _PYTHON_NAME.fullmatch(posixpath.basename(command)) is not None
