"""KernelPlan: what will be started for some specs, and why."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

from spack_kernel.spack.directories import Directories
from spack_kernel.spack.load import load_environment

from .encryption import why_not_encrypted
from .errors import InterpreterError, KernelPackageError, gone
from .hygiene import Removal, clean_environment
from .interpreter import Interpreter, find_interpreter
from .ipykernel import KernelPackage, find_ipykernel
from .probe import PROBE_TIMEOUT
from .search_path import Override, PathEntry, companion_entries, require_prefixes
from .shipped import r_variables

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from spack_kernel.spack.load import LoadEnvironment
    from spack_kernel.spack.specs import Spec
    from spack_kernel.spack.store import Store

#: How ipykernel is started; Jupyter puts the connection file's path in place of the braces.
KERNEL_COMMAND = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")

_PYTHON_NAME = re.compile(r"python(\d+(\.\d+)?)?")


class Note(NamedTuple):
    """Something a person should know about a plan.

    Attributes
    ----------
    topic : str
        ``interpreter``, ``ipykernel``, ``pythonpath`` or ``closure``.
    text : str
        One line.
    """

    topic: str
    text: str


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """What will be started, and why. Made by `plan_kernel`; not changed afterwards.

    Attributes
    ----------
    store : Store
        Where the specs were found.
    specs : tuple of Spec
        The roots.
    closure : tuple of Spec
        The roots and their recursive link and run dependencies.
    interpreter : Interpreter or None
        The Python; None only where a plan without a kernel was asked for.
    ipykernel : KernelPackage or None
        Likewise.
    load : LoadEnvironment
        What `spack load` would set for the roots.
    pythonpath : tuple of PathEntry
        The directories of PYTHONPATH in order, the companion's last.
    overrides : tuple of Override
        Packages of the companion that give way to the specs' own.
    debugger : bool
        Whether debugpy can be imported, so that the kernel can debug.
    unencrypted : str
        Why the connection to its ipykernel cannot be encrypted; empty when it can.
    notes : tuple of Note
        What is worth telling.
    """

    store: Store
    specs: tuple[Spec, ...]
    closure: tuple[Spec, ...]
    interpreter: Interpreter | None
    ipykernel: KernelPackage | None
    load: LoadEnvironment
    pythonpath: tuple[PathEntry, ...]
    overrides: tuple[Override, ...]
    debugger: bool
    unencrypted: str
    notes: tuple[Note, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that starts the kernel, with ``{connection_file}`` for Jupyter to fill."""
        return tuple(self.command(KERNEL_COMMAND))

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` with a leading ``python``, of whatever path, made the plan's interpreter.

        Parameters
        ----------
        argv : sequence of str
            A command; ``python``, ``python3`` and ``/usr/bin/python3.11`` all mean the kernel's.

        Raises
        ------
        InterpreterError
            When the command wants Python and the plan has none.
        """
        command = list(argv)
        if command and is_python(command[0]):
            if self.interpreter is None:
                raise InterpreterError(
                    f"{self.specs[0].label} does not depend on Python; `{command[0]}` would be "
                    "some other Python",
                    hint="Name the full path of a command of your own, or load a spec with Python.",
                )
            command[0] = self.interpreter.path
        return command

    def environment(
        self,
        base: Mapping[str, str],
        *,
        env: Mapping[str, str] | None = None,
        keep: Collection[str] = (),
        user_site: bool | None = None,
    ) -> dict[str, str]:
        """Return the process environment of the kernel.

        Parameters
        ----------
        base : mapping
            The environment of the process that starts the kernel. What belongs to that process's
            own Python is taken out first (see `spack_kernel.kernels.hygiene`).
        env : mapping, optional
            Variables set last; ``${NAME}`` in a value is replaced by what the environment has.
        keep : collection of str
            Names in `base` that pass untouched.
        user_site : bool, optional
            Whether the kernel sees ``pip install --user`` packages; None leaves it as `base`
            says, which is how `spack load` does it.
        """
        result, _ = self.cleaned(base, keep=keep)
        result = self.load.apply(result)
        if not any(change.variable == "R_LIBS" for change in self.load.modifications):
            result.update(r_variables(self.closure))
        behind = [entry.path for entry in self.pythonpath if entry.origin == "companion"]
        if behind:
            loaded = result.get("PYTHONPATH")
            result["PYTHONPATH"] = os.pathsep.join([*([loaded] if loaded else []), *behind])
        if user_site is not None:
            result.pop("PYTHONNOUSERSITE", None)
            if not user_site:
                result["PYTHONNOUSERSITE"] = "1"
        if self.debugger:
            # Frozen standard library modules start faster; this says debugpy not to warn of them.
            result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        for name, value in (env or {}).items():
            result[name] = Template(value).safe_substitute(result)
        return result

    def cleaned(
        self, base: Mapping[str, str], *, keep: Collection[str] = ()
    ) -> tuple[dict[str, str], list[Removal]]:
        """Return `base` without what must not reach the kernel, and what was removed."""
        loaded: list[str] = []
        for dag_hash in base.get("SPACK_LOADED_HASHES", "").split(os.pathsep):
            spec = self.store.by_hash(dag_hash) if dag_hash else None
            if spec is not None:
                nodes = self.store.closure(spec)
                loaded += [node.prefix for node in nodes if node.prefix and not node.external]
        return clean_environment(base, loaded=loaded, keep=keep)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types.

        ``env`` holds the variables as they are in an otherwise empty environment.
        """
        root = self.specs[0]
        interpreter, ipykernel = self.interpreter, self.ipykernel
        return {
            "spec": " ".join(f"{spec.name}@{spec.version}" for spec in self.specs),
            "hash": root.hash,
            "prefix": root.prefix,
            "specs": [_spec_dict(spec) for spec in self.specs],
            "store": self.store.root,
            "interpreter": interpreter.path if interpreter else None,
            "python": {
                "version": interpreter.version,
                "spec": interpreter.spec.label,
                "hash": interpreter.spec.hash,
                "purelib": interpreter.facts.purelib,
                "platlib": interpreter.facts.platlib,
                "reason": interpreter.reason,
            }
            if interpreter
            else None,
            "ipykernel": {
                "from": ipykernel.source,
                "version": ipykernel.version,
                "hash": ipykernel.spec.hash if ipykernel.spec else None,
                "prefix": ipykernel.spec.prefix if ipykernel.spec else None,
                "reason": ipykernel.reason,
                "others": list(ipykernel.others),
            }
            if ipykernel
            else None,
            "argv": list(self.argv) if interpreter else [],
            "env": self.environment({}),
            "pythonpath": [entry.path for entry in self.pythonpath],
            "pythonpath_entries": [
                {
                    "path": entry.path,
                    "spec": entry.spec.label,
                    "hash": entry.spec.hash,
                    "origin": entry.origin,
                    "reason": entry.reason,
                }
                for entry in self.pythonpath
            ],
            "overrides": [
                {"package": used.name, "used": used.label, "unused": unused.label}
                for used, unused in self.overrides
            ],
            "debugger": self.debugger,
            "encryption": {"curve": not self.unencrypted, "reason": self.unencrypted},
            "closure": [_spec_dict(spec) for spec in self.closure],
            "notes": [note._asdict() for note in self.notes],
        }


def is_python(command: str) -> bool:
    """Return whether a command, of whatever directory, is named as a Python is."""
    return _PYTHON_NAME.fullmatch(PurePath(command).name) is not None


def plan_kernel(
    store: Store,
    specs: Sequence[Spec],
    *,
    companion: str = "auto",
    kernel: bool = True,
    inspections: Mapping[str, Sequence[str]] | None = None,
    probe_timeout: float = PROBE_TIMEOUT,
) -> KernelPlan:
    """Plan a kernel for some installed specs.

    Parameters
    ----------
    store : Store
        Where the specs were found; companions come from it too.
    specs : sequence of Spec
        One or more roots, in the order in which `spack load` would be given them.
    companion : str
        ``auto``, ``none``, or a query: see `spack_kernel.kernels.ipykernel.find_ipykernel`.
    kernel : bool
        False plans the environment alone: a closure without Python or ipykernel is no error, and
        the plan's `interpreter` or `ipykernel` is None.
    inspections : mapping of str to sequence of str, optional
        The site's prefix inspections; Spack's own default when not given.
    probe_timeout : float
        Seconds the interpreter may take to say what it is.

    Raises
    ------
    InterpreterError, KernelPackageError, PrefixGoneError
        When no kernel can be started, each with what to do.
    """
    if not specs:
        raise ValueError("no specs")
    for spec in specs:
        if spec.prefix and not spec.external and not Path(spec.prefix).is_dir():
            raise gone(spec, "asked for")
    closure = store.closure(*specs)
    interpreter: Interpreter | None = None
    ipykernel: KernelPackage | None = None
    notes: list[Note] = []
    try:
        interpreter = find_interpreter(closure, timeout=probe_timeout)
        ipykernel = find_ipykernel(store, closure, interpreter, companion=companion)
    except (InterpreterError, KernelPackageError) as error:
        if kernel:
            raise
        notes.append(Note(error.code, error.summary))
    directories = Directories()
    load = load_environment(store, specs, inspections, directories=directories)
    entries = [PathEntry(entry.path, entry.spec, "spec", entry.reason) for entry in load.pythonpath]
    require_prefixes(closure, entries)
    overrides: tuple[Override, ...] = ()
    nodes = closure
    if ipykernel is not None and ipykernel.source == "companion" and ipykernel.spec is not None:
        beside = load_environment(store, [ipykernel.spec], directories=directories)
        behind, overrides = companion_entries(closure, beside, entries)
        entries += behind
        nodes = [*closure, *beside.closure]
    notes += _notes(interpreter, ipykernel, overrides)
    notes += [
        Note("closure", f"{spec.label} needs {edge.name}/{edge.hash[:7]}, which is not recorded")
        for spec, edge in load.unrecorded
    ]
    notes += [Note("closure", f"the upstream {tree} could not be read") for tree in store.left_out]
    return KernelPlan(
        store=store,
        specs=tuple(specs),
        closure=tuple(closure),
        interpreter=interpreter,
        ipykernel=ipykernel,
        load=load,
        pythonpath=tuple(entries),
        overrides=overrides,
        debugger=_has_debugpy(interpreter, entries),
        unencrypted=why_not_encrypted(ipykernel.version if ipykernel else "", nodes),
        notes=tuple(notes),
    )


def _notes(
    interpreter: Interpreter | None,
    ipykernel: KernelPackage | None,
    overrides: Sequence[Override],
) -> list[Note]:
    notes = []
    if interpreter is not None:
        notes += [Note("interpreter", text) for text in interpreter.notes]
    if ipykernel is not None:
        notes += [Note("ipykernel", f"not used: {text}") for text in ipykernel.others]
    for used, unused in overrides:
        if used.version == unused.version:
            notes.append(Note("pythonpath", f"{used.label} is used, and {unused.label} is not"))
        else:
            notes.append(
                Note(
                    "pythonpath",
                    f"{used.label} is used where the companion was built with {unused.label}",
                )
            )
    return notes


def _has_debugpy(interpreter: Interpreter | None, entries: Sequence[PathEntry]) -> bool:
    if interpreter is None:
        return False
    if interpreter.facts.debugpy is not None:
        return True
    return any(entry.spec.name == "py-debugpy" for entry in entries)


def _spec_dict(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "version": str(spec.version),
        "hash": spec.hash,
        "prefix": spec.prefix,
        "external": spec.external is not None,
    }
