"""Remove the variables that must never reach the kernel's Python, whatever sets them.

A Jupyter server runs in a Python of its own, often in a virtual or Conda environment, sometimes
under an activated Spack environment. Each of these leaves variables behind that would make
another Python find the wrong modules or not start at all. If the server runs in a Slurm job, others
would keep the kernel's variables from the tasks that it starts with srun. They are removed here, by
name and by path, before the load environment is applied. All other variables pass, as with `spack
load`.

The other sources of variables go through the same step. They are applied in this order: the
starting process, the site's modules, the load environment including what recipes set, the
companion, and the kernelspec. Modules cannot set any variable that is removed from the server's
environment; recipes and kernelspecs cannot set those that keep every Python but one from starting
(`FATAL_NAMES`). PYTHONPATH is never replaced: the kernelspec's entries come before Spack's, and
those of a module after all others.
"""

from __future__ import annotations

import os
import sys
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

#: Variables that are removed, by name or pattern, and why.
REMOVED_NAMES: Mapping[str, str] = {
    "PYTHONPATH": "names modules built for the Python that started the kernel",
    "PYTHONHOME": "points Python at another Python's standard library",
    "PYTHONSTARTUP": "IPython runs this file; it was written for another Python",
    "PYTHONEXECUTABLE": "makes Python believe it is another executable",
    "PYTHONPLATLIBDIR": "changes where a Python of another build looks for its standard library",
    "PYTHON_GIL": "stops a Python of another build from starting",
    "PYTHONMALLOC": "stops a Python that lacks the named allocator from starting",
    "_PYTHON_*": "redirects sysconfig to data of another Python (set by Conda compilers)",
    "__PYVENV_LAUNCHER__": "makes Python look for its packages next to another executable",
    "VIRTUAL_ENV": "IPython puts the site-packages of this virtual environment first",
    "VIRTUAL_ENV_PROMPT": "belongs to VIRTUAL_ENV",
    "_OLD_VIRTUAL_*": "belongs to VIRTUAL_ENV",
    "CONDA_*": "belongs to an activated Conda environment",
    "_CE_*": "belongs to an activated Conda environment",
    "_CONDA_*": "belongs to an activated Conda environment",
    "PYENV_VERSION": "selects a Python for pyenv's shims",
    "PYENV_DIR": "left by a pyenv shim that started the server",
    "PYENV_HOOK_PATH": "left by a pyenv shim that started the server",
    "SPACK_ENV": "belongs to an activated Spack environment",
    "SPACK_ENV_VIEW": "belongs to an activated Spack environment",
    "SPACK_LOADED_HASHES": "lists what `spack load` loaded for the server, not for the kernel",
    "SPACK_OLD_PROMPT": "belongs to an activated Spack environment",
    "SPACK_OLD_PS1": "belongs to an activated Spack environment",
    "SLURM_EXPORT_ENV": "srun in the kernel would pass on only the variables that it lists",
    "SRUN_EXPORT_ENV": "srun in the kernel would pass on only the variables that it lists",
    "SBATCH_EXPORT": "sbatch in the kernel would pass on only the variables that it lists",
    "SLURM_GET_USER_ENV": "jobs of the kernel would get the variables of a login shell instead",
    "SBATCH_GET_USER_ENV": "jobs of the kernel would get the variables of a login shell instead",
}

#: Those of them that are always wrong for a kernel, even if they are set for it on purpose.
FATAL_NAMES = (
    "PYTHONHOME",
    "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR",
    "_PYTHON_*",
    "__PYVENV_LAUNCHER__",
)

#: PATH if the starting process has none: the default that every program then assumes.
DEFAULT_PATH = os.defpath.lstrip(":")

#: Path lists from which the directories of the server's environments are removed.
PATH_LISTS = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "MANPATH",
    "INFOPATH",
    "ACLOCAL_PATH",
    "PKG_CONFIG_PATH",
    "CMAKE_PREFIX_PATH",
    "XDG_DATA_DIRS",
    "TCLLIBPATH",
    "R_LIBS",
    "PERL5LIB",
    "GI_TYPELIB_PATH",
    "QT_PLUGIN_PATH",
)

#: Single paths that environments set for their own libraries; removed when they point inside one.
DATA_PATHS = (
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "GSETTINGS_SCHEMA_DIR",
    "PROJ_DATA",
    "PROJ_LIB",
    "R_HOME",
    "TCL_LIBRARY",
    "TK_LIBRARY",
    "UDUNITS2_XML_PATH",
)

#: Never treated as the prefix of an environment, because they contain everything.
_SYSTEM_PREFIXES = frozenset({"/", "/usr", "/usr/local", "/opt", "/home"})


class Removal(namedtuple("Removal", ("name", "value", "reason", "source"), defaults=("",))):
    """Something that was removed from the environment.

    Attributes
    ----------
    name : str
        The variable.
    value : str
        What was removed: the whole value, or one entry of a path list.
    reason : str
        Why it must not reach the kernel.
    source : str
        What set it; empty for the starting process.
    """

    __slots__ = ()


def clean_environment(
    base: Mapping[str, str],
    *,
    loaded: Sequence[str] = (),
    keep: Collection[str] = (),
) -> tuple[dict[str, str], list[Removal]]:
    """Return `base` without what must not reach the kernel's Python, and what was removed.

    Parameters
    ----------
    base : mapping
        The environment of the process that starts the kernel.
    loaded : sequence of str
        The prefixes that `spack load` added to `base` (see SPACK_LOADED_HASHES there).
    keep : collection of str
        Names of variables that pass unchanged, regardless of the rules.
    """
    kept = frozenset(keep)
    prefixes = _foreign_prefixes(base, loaded)
    cleaned: dict[str, str] = {}
    removed: list[Removal] = []
    for name, value in base.items():
        if name in kept:
            cleaned[name] = value
            continue
        reason = _reason_to_remove(name, value, prefixes)
        if reason:
            removed.append(Removal(name, value, reason))
        elif name in PATH_LISTS and prefixes:
            remaining = _without(name, value, prefixes, removed)
            if remaining or not value:
                cleaned[name] = remaining
        else:
            cleaned[name] = value
    return cleaned, removed


def why_removed(name: str, *, fatal_only: bool = False) -> str:
    """Return why a variable of this name must not reach the kernel; empty if it may.

    Parameters
    ----------
    name : str
        The variable.
    fatal_only : bool
        Whether it is set for the kernel on purpose, so that only `FATAL_NAMES` are removed.
    """
    for pattern, reason in REMOVED_NAMES.items():
        if fatal_only and pattern not in FATAL_NAMES:
            continue
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return reason
    return ""


def without_fatal(
    variables: Mapping[str, str], source: str, keep: Collection[str] = ()
) -> tuple[dict[str, str], list[Removal]]:
    """Return the variables set for the kernel without `FATAL_NAMES`, and what was removed.

    Parameters
    ----------
    variables : mapping of str to str
        The variables.
    source : str
        What sets them.
    keep : collection of str
        Names of variables that pass regardless of the rules.
    """
    kept: dict[str, str] = {}
    removed: list[Removal] = []
    for name, value in variables.items():
        reason = why_removed(name, fatal_only=True) if name not in keep else ""
        if reason:
            removed.append(Removal(name, value, reason, source))
        else:
            kept[name] = value
    return kept, removed


def _reason_to_remove(name: str, value: str, prefixes: Mapping[str, str]) -> str:
    """Return why the whole variable is removed; empty if it is not."""
    reason = why_removed(name)
    if reason:
        return reason
    if name == "MPLBACKEND" and value.startswith("module://"):
        return "names a module of another Python"
    if name in DATA_PATHS:
        owner = _owner(value, prefixes)
        if owner:
            return f"is in {prefixes[owner]}"
    return ""


def _foreign_prefixes(base: Mapping[str, str], loaded: Sequence[str]) -> dict[str, str]:
    """Return the directories of all environments the server may run in, with descriptions."""
    found: dict[str, str] = {}

    def add(path: str | None, what: str) -> None:
        if path and path.startswith("/"):
            path = os.path.normpath(path)
            if path not in _SYSTEM_PREFIXES:
                found.setdefault(path, what)

    add(base.get("VIRTUAL_ENV"), "the virtual environment that VIRTUAL_ENV names")
    depth = base.get("CONDA_SHLVL", "")
    add(base.get("CONDA_PREFIX"), "the Conda environment that CONDA_PREFIX names")
    for level in range(1, int(depth) if depth.isdigit() else 0):
        add(base.get(f"CONDA_PREFIX_{level}"), "a Conda environment below the activated one")
    add(base.get("SPACK_ENV"), "the activated Spack environment")
    add(sys.prefix, "the server's own Python")
    for prefix in loaded:
        add(prefix, "a spec that `spack load` loaded for the server")
    return found


def _owner(path: str, prefixes: Mapping[str, str]) -> str | None:
    """Return the foreign prefix that `path` is or is in."""
    if not path.startswith("/"):
        return None
    candidate = os.path.normpath(path)
    while candidate not in prefixes:
        parent = os.path.dirname(candidate)  # noqa: PTH120 - a kernel starts without pathlib
        if parent == candidate:
            return None
        candidate = parent
    return candidate


def _without(name: str, value: str, prefixes: Mapping[str, str], removed: list[Removal]) -> str:
    """Return a path list without the entries inside a foreign prefix."""
    remaining = []
    for entry in value.split(os.pathsep):
        owner = _owner(entry, prefixes) if entry else None
        if owner:
            removed.append(Removal(name, entry, f"is in {prefixes[owner]}"))
        else:
            remaining.append(entry)
    return os.pathsep.join(remaining)
