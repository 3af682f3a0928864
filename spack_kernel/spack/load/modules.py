"""Environment modules: read the variables that Lmod or environment-modules would set.

Both print the changes of ``module load`` as code in one of many languages. This module requests
Python code, parses it, and extracts the assignments to ``os.environ``; it never runs that code.

https://lmod.readthedocs.io, https://modules.readthedocs.io
"""

from __future__ import annotations

import ast
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system.safe_eval import evaluate

from .modifications import Modification

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.system.processes import Output

#: Timeout in seconds for loading modules.
DEFAULT_TIMEOUT = 60.0

# The usual places of the two, for when the environment does not name one.
_PLACES = (
    "/usr/share/lmod/lmod/libexec/lmod",
    "/usr/share/Modules/libexec/modulecmd.tcl",
    "/usr/lib/x86_64-linux-gnu/modulecmd.tcl",
    "/usr/lib/aarch64-linux-gnu/modulecmd.tcl",
    "/usr/share/modules/libexec/modulecmd.tcl",
)

_HINT = "List the available modules with `module avail` in a shell on this machine."


class ModulesError(SpackKernelError):
    """No module system, or modules that cannot be loaded."""

    code = "modules"


class ModuleSystem(NamedTuple):
    """A module system of this machine.

    Attributes
    ----------
    kind : str
        ``lmod`` or ``environment-modules``.
    command : Path
        The program that prints the changes.
    """

    kind: str
    command: Path


def find_module_system(environ: Mapping[str, str] | None = None) -> ModuleSystem:
    """Return the module system that the environment names, else one in its usual place.

    Lmod sets ``LMOD_CMD`` in login shells, and environment-modules sets ``MODULES_CMD``.

    Parameters
    ----------
    environ : mapping of str to str, optional
        Where to look for these variables; by default this process's environment.

    Raises
    ------
    ModulesError
        When there is none; the message lists the places checked.
    """
    environ = os.environ if environ is None else environ
    looked = []
    for kind, place in _candidates(environ):
        path = Path(place)
        if path.is_absolute() and os.access(path, os.X_OK) and path.is_file():
            return ModuleSystem(kind, path)
        looked.append(f"  {place}")
    raise ModulesError(
        "no module system found on this machine",
        details=["looked for:", *looked],
        hint="Set LMOD_CMD (Lmod) or MODULES_CMD (environment-modules) to its program.",
    )


def load_modules(
    names: Sequence[str],
    environment: Mapping[str, str],
    system: ModuleSystem | None = None,
    *,
    timeout: float = DEFAULT_TIMEOUT,
) -> list[Modification]:
    """Return what ``module load`` of `names` changes in `environment`.

    Parameters
    ----------
    names : sequence of str
        The modules, in the order in which they are loaded.
    environment : mapping of str to str
        The environment they are loaded in; its ``MODULEPATH`` lists the directories of modules. The
        result is valid for this environment only, because modules set whole values.
    system : ModuleSystem, optional
        By default the one that `find_module_system` returns.
    timeout : float
        Seconds to wait.

    Raises
    ------
    ModulesError
        When there is no module system, a module is unknown or fails, or the output cannot be
        parsed.
    """
    if not names:
        return []
    for name in names:
        if not name or name.startswith("-") or not name.isprintable():
            raise ModulesError(f"{name!r} is not the name of a module", hint=_HINT)
        if name[0] in "/.~" or "/../" in name:
            # It might come from another user's database, and a module is a program.
            raise ModulesError(
                f"{name!r} is a path and not the name of a module",
                hint="Add its directory to MODULEPATH and name the module by the rest of its path.",
            )
    import subprocess  # here, because few kernels load modules

    from spack_kernel.spack.system.processes import run

    system = system or find_module_system(environment)
    if not environment.get("MODULEPATH"):
        raise ModulesError(
            f"cannot load {' '.join(names)}: MODULEPATH is not set, so no modules can be found",
            hint="Set it to what `echo $MODULEPATH` prints in a login shell.",
        )
    asked = " ".join(names)
    try:
        output = run([str(system.command), "python", "load", *names], environment, timeout)
    except OSError as error:
        raise ModulesError(f"cannot run {system.command}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ModulesError(f"loading {asked} took longer than {timeout:g} seconds") from error
    changes = _read(output, system)
    if changes.failed or output.status:
        raise ModulesError(
            f"the module system cannot load {asked}", details=output.tail(), hint=_HINT
        )
    loaded = changes.variables.get("LOADEDMODULES", environment.get("LOADEDMODULES")) or ""
    missing = [] if changes.confirmed else list(_missing(names, loaded.split(":")))
    if missing:
        raise ModulesError(
            f"the module system did not load {' '.join(missing)}",
            details=output.tail(),
            hint=_HINT,
        )
    reason = f"{'modules' if len(names) > 1 else 'module'} {asked}"
    return [
        Modification("unset", name, reason=reason)
        if value is None
        else Modification("set", name, value, reason=reason)
        for name, value in changes.variables.items()
        if environment.get(name) != value
    ]


def external_modules(closure: Iterable[Spec]) -> tuple[str, ...]:
    """Return the modules that the externals of a closure name, dependencies first, each once."""
    found = [
        module
        for spec in reversed(list(closure))
        if spec.external
        for module in spec.external.modules
    ]
    return tuple(dict.fromkeys(found))


class _Changes(NamedTuple):
    variables: dict[str, str | None]
    confirmed: bool
    failed: bool


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    def kind(place: str) -> str:
        return "lmod" if Path(place).name == "lmod" else "environment-modules"

    for variable, below in (
        ("LMOD_CMD", ""),
        ("MODULES_CMD", ""),
        ("LMOD_PKG", "libexec/lmod"),
        ("MODULESHOME", "libexec/lmod"),
        ("MODULESHOME", "libexec/modulecmd.tcl"),
    ):
        if environ.get(variable):
            place = str(Path(environ[variable], below))
            yield kind(place), place
    for place in _PLACES:
        yield kind(place), place
    entries = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry[:1] == "/"]
    found = shutil.which("modulecmd", path=os.pathsep.join(entries)) if entries else None
    if found:
        yield "environment-modules", found


def _read(output: Output, system: ModuleSystem) -> _Changes:
    """Extract the assignments from the Python code that a module system printed."""
    try:
        with warnings.catch_warnings():
            # environment-modules does not escape backslashes, which Python warns about.
            warnings.simplefilter("ignore")
            statements = ast.parse(output.stdout).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModulesError(
            f"{system.command} printed something that is not Python",
            details=[f"  {error}", *output.tail()],
        ) from error
    variables: dict[str, str | None] = {}
    status: bool | None = None
    for statement in statements:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            (target,) = statement.targets
            name, value = _variable(target), _literal(statement.value)
            if name is not None and isinstance(value, str):
                variables[name] = value
            elif ast.unparse(target) == "_mlstatus":
                status = bool(value) if value is not None else None
        elif isinstance(statement, ast.Delete):
            variables.update((name, None) for t in statement.targets if (name := _variable(t)))
    return _Changes(variables, status is True, status is False)


def _literal(node: ast.expr) -> Any:
    """Return the value of a literal; None for anything else."""
    try:
        return evaluate(node)
    except ValueError:
        return None


def _variable(target: ast.expr) -> str | None:
    """Return NAME of ``os.environ['NAME']``, None for anything else."""
    if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "os.environ":
        name = _literal(target.slice)
        return name if isinstance(name, str) else None
    return None


def _missing(names: Sequence[str], loaded: Sequence[str]) -> Iterator[str]:
    for name in names:
        if not any(module == name or module.startswith(f"{name}/") for module in loaded):
            yield name
