"""Run the site's own ``spack`` once, for the changes that only package recipes define.

Recipes can set any variable (``MPICC``, ``R_LIBS``, ``JUPYTER_PATH`` …). `spack python` runs a
short script in Spack's own process that prints the operations `spack load` would perform. They are
recorded with a kernel. A DAG hash always identifies the same spec, so the recorded operations stay
valid, and a kernel launch does not run Spack.
"""

from __future__ import annotations

import os
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec

from .directories import Directories
from .load import LOADED_HASHES
from .modifications import InvalidModification, Modification
from .recipe_variables import RecipeVariables, by_variable
from .spack_process import DEFAULT_TIMEOUT, SpackCommandError, run_script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from spack_kernel.spack.spec.spec import Spec

    from .load import LoadEnvironment
    from .modifications import Operation

_SKIP = "Use --no-spack to go without: the kernel then lacks only what package recipes add."
_HASH = re.compile(r"[a-z0-9]{7,64}")

# Spack's names for the operations; the value of `SetPath` is already joined.
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

# Runs inside Spack 0.16 to 1.x, with whichever Python Spack uses. Versions up to 0.20 loaded each
# dependency separately, dependencies first.
_SCRIPT = """
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
operations = [
    [type(m).__name__, m.name, str(getattr(m, "value", None) or ""),
     str(getattr(m, "separator", None) or ":")]
    for m in made
]
version = getattr(spack, "spack_version", None) or spack.__version__
answer([str(version), operations])
"""


def ask_spack(
    spack: Path,
    loaded: LoadEnvironment,
    trees: Sequence[str],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    directories: Directories | None = None,
) -> RecipeVariables:
    """Run `spack` to list the changes of loading the same specs; return those not in `loaded`.

    It executes the package recipes, as `spack load` does; see `run_script`.

    Parameters
    ----------
    spack : Path
        The ``spack`` executable.
    loaded : LoadEnvironment
        The load environment of these specs according to the database.
    trees : sequence of str
        The install trees that record the specs: the local one, then its upstreams.
    timeout : float
        Seconds to wait.
    directories : Directories, optional
        Caches which directories exist; a new cache by default.

    Raises
    ------
    SpackCommandError
        When it cannot be run, fails, times out, or prints unexpected output.
    """
    directories = directories or Directories()
    version, answer = _ask(spack, [spec.hash for spec in loaded.specs], trees, timeout)
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
            msgspec.structs.replace(
                modification,
                spec=owners.find(modification.value),
                reason=f"reported by Spack {version}",
            )
            for modification in _without_repetition(theirs)
        ]
    return RecipeVariables(
        spack_version=version,
        specs=tuple(spec.hash for spec in loaded.specs),
        replaces=tuple(replaces),
        modifications=tuple(recorded),
    )


def _ask(
    spack: Path, hashes: Sequence[str], trees: Sequence[str], timeout: float
) -> tuple[str, list[Any]]:
    if not all(_HASH.fullmatch(dag_hash) for dag_hash in hashes):
        raise ValueError("not DAG hashes")
    what = "report what these specs load"
    answer = run_script(
        spack, _SCRIPT, {"HASHES": list(hashes)}, trees, timeout=timeout, what=what, hint=_SKIP
    )
    try:
        version, operations = answer
        return str(version), list(operations)
    except (TypeError, ValueError) as error:
        raise SpackCommandError(
            f"{spack} printed an answer that cannot be understood: {answer!r}", hint=_SKIP
        ) from error


def _read(item: Any, spack: Path) -> Modification | None:
    """Return one printed operation; None for an unknown one."""
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
            f"{spack} printed an answer that cannot be understood: {item!r}", hint=_SKIP
        ) from error


def _says_nothing_new(
    asked: Sequence[Modification], known: Sequence[Modification], directories: Directories
) -> bool:
    """Return whether Spack's operations on a variable are all known already.

    On PYTHONPATH, Spack can add directories that do not exist, and lib and lib64 of a package are
    in no particular order.
    """
    if asked[0].variable == "PYTHONPATH":
        ours = set(_keys(known))
        return all(_key(m) in ours or not directories.exists(_key(m)[1]) for m in asked)
    return _keys(asked) == _keys(known)


def _without_repetition(modifications: Sequence[Modification]) -> list[Modification]:
    """Drop each operation whose result the next one overwrites."""
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
