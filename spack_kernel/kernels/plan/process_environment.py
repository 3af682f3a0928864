"""Assemble the environment of a kernel from its parts.

Cheap to import, because a kernel with a cached plan needs it at every start.
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

#: Variables for building software and reading manuals. With a large closure they can become too
#: long for any process to start, and a kernel does not need them.
UNNEEDED = ("MANPATH", "INFOPATH", "ACLOCAL_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH")

#: Slightly below the limit of Linux, see `MAX_VARIABLE` in length_limits.py.
_LONGEST = 131_000

#: The command of IPython's kernel, with a placeholder for its connection file.
KERNEL_COMMAND = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")

#: Compiled when it is needed, which is seldom.
_REFERENCE = r"\$(PYTHONPATH\b|\{PYTHONPATH\})"
_PYTHON_NAME = re.compile(r"python(\d+(\.\d+)?)?")


class ProcessEnvironment(
    namedtuple("ProcessEnvironment", ("changes", "variables", "behind", "debugger"))
):
    """The parts of a kernel's environment.

    Attributes
    ----------
    changes : list of Modification or Change
        The changes made by loading the specs.
    variables : dict of str to str
        Variables that are set in addition.
    behind : list of str
        Directories that are added to PYTHONPATH after all others.
    debugger : bool
        Whether the kernel supports debugging.
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
            The cleaned environment of the process that starts the kernel.
        env, user_site
            As for `KernelPlan.environment`.
        last : sequence of str
            Directories that are added to PYTHONPATH after those in `behind`.
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
            # Frozen standard library modules load faster; this stops debugpy's warning about them.
            result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        if env:
            from string import Template

            for name, value in env.items():
                filled = Template(value).safe_substitute(result)
                # Replacing PYTHONPATH would hide the packages of the specs from the kernel.
                if name == "PYTHONPATH" and not re.search(_REFERENCE, value) and result.get(name):
                    filled = os.pathsep.join(filter(None, [filled, result[name]]))
                result[name] = filled
        for name in UNNEEDED:
            if len(result.get(name, "")) > _LONGEST:
                del result[name]
        return result


def is_python(command: str) -> bool:
    """Return whether a command, in any directory, has the name of a Python executable."""
    return _PYTHON_NAME.fullmatch(posixpath.basename(command)) is not None
