"""The site's own ``spack``, asked once for what only package recipes know.

Recipes may set any variable (``MPICC``, ``R_LIBS``, ``JUPYTER_PATH`` …). `spack python` runs a few
lines in Spack's own process that print the operations `spack load` would make. They are recorded
with a kernel; a DAG hash never changes its meaning, so the record stays true, and starting the
kernel does not start Spack.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.errors import SpackKernelError
from spack_kernel.spack.system.ownership import run_as
from spack_kernel.spack.system.processes import run

from .directories import Directories
from .load import LOADED_HASHES
from .modifications import InvalidModification, Modification
from .recipe_variables import RecipeEnvironment, by_variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spack_kernel.spack.spec.spec import Spec
    from spack_kernel.spack.store.store import Store

    from .load import LoadEnvironment
    from .modifications import Operation

#: Seconds Spack may take; on slow parallel file systems it takes minutes to start.
DEFAULT_TIMEOUT = 300.0

#: What of the caller's environment Spack is given: who the user is, and how Spack is configured.
PASSED_VARIABLES = (
    "HOME",
    "LOGNAME",
    "SPACK_DISABLE_LOCAL_CONFIG",
    "SPACK_PYTHON",
    "SPACK_SYSTEM_CONFIG_PATH",
    "SPACK_USER_CACHE_PATH",
    "SPACK_USER_CONFIG_PATH",
    "TMPDIR",
    "USER",
)

_SKIP = "Without Spack's answer a kernel lacks only what package recipes add: give --no-spack."
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_MARK = "spack-kernel-answer:"
_HASH = re.compile(r"[a-z0-9]{7,64}")

# What Spack calls the operations; `SetPath` has its value joined already.
_OPERATIONS: Mapping[str, Operation] = {
    "SetEnv": "set",
    "SetPath": "set",
    "UnsetEnv": "unset",
    "PrependPath": "prepend",
    "AppendPath": "append",
    "RemovePath": "remove",
    "RemoveFirstPath": "remove-first",
    "RemoveLastPath": "remove-last",
    "AppendFlagsEnv": "append-flags",
    "RemoveFlagsEnv": "remove-flags",
    "DeprioritizeSystemPaths": "system-last",
    "PruneDuplicatePaths": "prune",
}

# Runs inside Spack, 0.16 to 1.x, on whatever Python that has. Up to 0.20 every dependency was
# loaded by itself, dependencies first.
_SCRIPT = """
import json, sys
import spack, spack.cmd, spack.user_environment as user_environment
specs = [spack.cmd.disambiguate_spec(spack.cmd.parse_specs(["/" + h])[0], None) for h in HASHES]
together = getattr(user_environment, "environment_modifications_for_specs", None)
if together:
    made = list(together(*specs))
else:
    made, seen = [], set()
    for spec in specs:
        for node in spec.traverse(root=True, order="post"):
            if node.dag_hash() not in seen:
                seen.add(node.dag_hash())
                made.extend(user_environment.environment_modifications_for_spec(node))
answer = [
    [type(m).__name__, m.name, str(getattr(m, "value", None) or ""),
     str(getattr(m, "separator", None) or ":")]
    for m in made
]
version = getattr(spack, "spack_version", None) or spack.__version__
sys.stdout.write("\\n" + MARK + json.dumps([str(version), answer]) + "\\n")
"""


class SpackCommandError(SpackKernelError):
    """The site's ``spack`` could not be asked, or gave no answer that can be understood."""

    code = "spack-command"


def find_spack(store: Store) -> Path | None:
    """Return the executable of the Spack the store was opened through, else ``spack`` on PATH.

    Relative entries of PATH are not looked at: they would mean trusting the working directory.
    """
    if store.config is not None:
        own = store.config.spack_root / "bin" / "spack"
        if os.access(own, os.X_OK):
            return own
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry[:1] == "/"]
    found = shutil.which("spack", path=os.pathsep.join(entries)) if entries else None
    return Path(found) if found else None


def ask_spack(
    spack: Path,
    loaded: LoadEnvironment,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    directories: Directories | None = None,
) -> RecipeEnvironment:
    """Ask `spack` what loading the specs of `loaded` changes, and keep what we did not know.

    Spack runs in ``/``, without the caller's environment but for `PASSED_VARIABLES`, and without
    a shell. It executes the recipes of the packages, as `spack load` does.

    Parameters
    ----------
    spack : Path
        The ``spack`` executable.
    loaded : LoadEnvironment
        What the database tells of the same specs.
    timeout : float
        Seconds to wait.
    directories : Directories, optional
        Says which directories exist; the file system is asked when not given.

    Raises
    ------
    SpackCommandError
        When it cannot be run, fails, takes too long, or answers something else.
    """
    directories = directories or Directories()
    version, answer = _run(spack, [spec.hash for spec in loaded.specs], timeout)
    asked = [modification for each in answer if (modification := _read(each, spack))]
    owners = _Owners(loaded.closure)
    known = by_variable(loaded.modifications)
    replaces = []
    recorded: list[Modification] = []
    for variable, theirs in by_variable(asked).items():
        ours = known.get(variable, [])
        if variable == LOADED_HASHES or _says_nothing_new(theirs, ours, directories):
            continue
        if ours and _keys(theirs[: len(ours)]) == _keys(ours):
            theirs = theirs[len(ours) :]
        elif ours:
            replaces.append(variable)
        recorded += [
            modification._replace(
                spec=owners.find(modification.value), reason=f"asked of Spack {version}"
            )
            for modification in _without_repetition(theirs)
        ]
    return RecipeEnvironment(
        version,
        tuple(recorded),
        tuple(replaces),
        tuple(spec.hash for spec in loaded.specs),
    )


def _run(spack: Path, hashes: Sequence[str], timeout: float) -> tuple[str, list[Any]]:
    if not all(_HASH.fullmatch(dag_hash) for dag_hash in hashes):
        raise ValueError("not DAG hashes")
    # `spack python -c` takes one statement only.
    script = f"exec({_SCRIPT!r}, {{'HASHES': {list(hashes)!r}, 'MARK': {_MARK!r}}})"
    environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    environment |= {"PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8"}
    argv = [os.fspath(spack), "--color", "never", "python", "-c", script]
    try:
        user = run_as(spack, spack.parent.parent / "lib" / "spack")
        output = run(argv, environment, timeout, user=user)
    except OSError as error:
        raise SpackCommandError(f"cannot run {spack}: {error.strerror}", hint=_SKIP) from error
    except subprocess.TimeoutExpired as error:
        raise SpackCommandError(
            f"{spack} gave no answer within {timeout:g} seconds", hint=_SKIP
        ) from error
    for line in reversed(output.stdout.splitlines()):
        if line.startswith(_MARK):
            try:
                version, answer = json.loads(line.removeprefix(_MARK))
                return str(version), list(answer)
            except (TypeError, ValueError):
                break
    raise SpackCommandError(
        f"{spack} could not say what these specs load"
        + (f" (exit status {output.status})" if output.status else ""),
        details=output.tail(),
        hint=_SKIP,
    )


def _read(item: Any, spack: Path) -> Modification | None:
    """Return one printed operation; None where it is one we do not know."""
    try:
        kind, variable, value, separator = item
        operation = _OPERATIONS.get(kind)
        if operation is None:
            return None
        return Modification.from_dict(
            {
                "operation": operation,
                "variable": variable,
                "value": value,
                "separator": separator,
            }
        )
    except (TypeError, ValueError, InvalidModification) as error:
        raise SpackCommandError(
            f"{spack} gave an answer that cannot be understood: {item!r}", hint=_SKIP
        ) from error


def _says_nothing_new(
    asked: Sequence[Modification], known: Sequence[Modification], directories: Directories
) -> bool:
    """Tell whether Spack's operations on a variable are those we know.

    On PYTHONPATH Spack may add what does not exist, and swaps lib and lib64 of one package freely.
    """
    if asked[0].variable == "PYTHONPATH":
        ours = set(_keys(known))
        return all(_key(m) in ours or not directories.exists(_key(m)[1]) for m in asked)
    return _keys(asked) == _keys(known)


def _without_repetition(modifications: Sequence[Modification]) -> list[Modification]:
    """Leave out what the next operation sets anyway."""
    return [
        modification
        for modification, following in zip_longest(modifications, modifications[1:])
        if following is None or following.operation != "set"
    ]


def _keys(modifications: Sequence[Modification]) -> list[tuple[str, str, str]]:
    return [_key(modification) for modification in modifications]


def _key(modification: Modification) -> tuple[str, str, str]:
    value = modification.value
    if modification.operation in ("prepend", "append"):
        value = os.path.normpath(value)
    return modification.operation, value, modification.separator


class _Owners:
    """Finds the spec whose prefix a value begins with."""

    def __init__(self, closure: Iterable[Spec]) -> None:
        self._by_prefix = {spec.prefix: spec.hash for spec in closure if spec.prefix}

    def find(self, value: str) -> str | None:
        path = value
        while path:
            if path in self._by_prefix:
                return self._by_prefix[path]
            path = path.rpartition("/")[0]
        return None
