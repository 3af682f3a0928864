"""KernelPlan: what will be started for some specs, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from spack_kernel._log import debugger
from spack_kernel.kernels.candidates.shipped import r_variables
from spack_kernel.kernels.errors import (
    EnvironmentTooLongError,
    InterpreterError,
    KernelPackageError,
)
from spack_kernel.kernels.exits import LIBRARY_VARIABLES
from spack_kernel.kernels.interpreters.encryption import why_not_encrypted
from spack_kernel.kernels.interpreters.environment_filter import (
    DEFAULT_PATH,
    Removal,
    clean_environment,
    why_removed,
    without_fatal,
)
from spack_kernel.kernels.interpreters.interpreter import Interpreter, find_interpreter
from spack_kernel.kernels.interpreters.ipykernel import KernelPackage, find_ipykernel
from spack_kernel.kernels.interpreters.probe import PROBE_TIMEOUT
from spack_kernel.kernels.sources.kernel_source import specs_source
from spack_kernel.kernels.sources.site_modules import with_modules
from spack_kernel.spack.load import apply_modifications, external_modules, load_environment

from .incomplete import Missing, incomplete, missing_in
from .length_limits import length_cause, too_long
from .notes import Note, notes_of
from .process_environment import KERNEL_COMMAND, ProcessEnvironment, is_python
from .requirements import conflicts
from .search_path import Override, PathEntry, companion_entries, require_prefixes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from spack_kernel.kernels.sources.kernel_source import KernelSource
    from spack_kernel.kernels.sources.site_modules import LoadedModules
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.load import LoadEnvironment, PythonPathEntry
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

_debug = debugger(__name__)


class KernelPlan(msgspec.Struct, frozen=True, eq=False):
    """What will be started, and why. Created by `plan_source`; not changed afterwards.

    Attributes
    ----------
    source : KernelSource
        What it is loaded from, and what loading it sets.
    modules : tuple of str
        The site's modules to load each time before the kernel starts.
    interpreter : Interpreter or None
        The Python; None only if a plan without a kernel was requested.
    ipykernel : KernelPackage or None
        Likewise.
    pythonpath : tuple of PathEntry
        The directories of PYTHONPATH in order, the companion's last.
    overrides : tuple of Override
        Packages of the companion that are not used because the specs have their own.
    debugger : bool
        Whether debugpy can be imported, so that the kernel supports debugging.
    unencrypted : str
        Why the connection to its ipykernel cannot be encrypted; empty when it can.
    notes : tuple of Note
        Notes for the user.
    beside : LoadEnvironment or None
        What loading the companion alone would change; None without one.
    conflicts : tuple of str
        Requirements of the companion's packages that the specs' versions do not meet.
    no_kernel : SpackKernelError or None
        Why there is no kernel, in a plan without one.
    missing : tuple of Missing
        What the closure lacks; empty unless an incomplete plan was requested.
    """

    source: KernelSource
    modules: tuple[str, ...]
    interpreter: Interpreter | None
    ipykernel: KernelPackage | None
    pythonpath: tuple[PathEntry, ...]
    overrides: tuple[Override, ...]
    debugger: bool
    unencrypted: str
    notes: tuple[Note, ...]
    beside: LoadEnvironment | None = None
    conflicts: tuple[str, ...] = ()
    no_kernel: SpackKernelError | None = None
    missing: tuple[Missing, ...] = ()

    @property
    def store(self) -> Store:
        """Where the specs were found."""
        return self.source.store

    @property
    def load(self) -> LoadEnvironment:
        """What loading sets, like `spack load` and `spack env activate`."""
        return self.source.load

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The roots."""
        return self.load.specs

    @property
    def closure(self) -> tuple[Spec, ...]:
        """The roots and their recursive link and run dependencies."""
        return self.load.closure

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that starts the kernel, with ``{connection_file}`` for Jupyter to fill."""
        return tuple(self.command(KERNEL_COMMAND))

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` with a leading ``python``, in any directory, replaced by the plan's.

        Parameters
        ----------
        argv : sequence of str
            A command; ``python``, ``python3`` and ``/usr/bin/python3.11`` all mean the kernel's.

        Raises
        ------
        InterpreterError
            When the command needs Python and the plan has none.
        """
        command = list(argv)
        if command and is_python(command[0]):
            if self.interpreter is None:
                why = self.no_kernel
                raise InterpreterError(
                    f"`{command[0]}` would not be a Python of {self.specs[0].label}"
                    + (f": {why.summary}" if why else ""),
                    details=why.details if why else (),
                    hint=why.hint if why else "Use the full path of a command of your own.",
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
        modules: bool = True,
    ) -> dict[str, str]:
        """Return the process environment of the kernel.

        If there are modules, every call runs the site's module system to load them.

        Parameters
        ----------
        base : mapping
            The environment of the process that starts the kernel. What belongs to that process's
            own Python is removed first (see `clean_environment`).
        env : mapping, optional
            Variables set last; ``${NAME}`` in a value is replaced by its value in the environment.
        keep : collection of str
            Names of variables in `base` that pass unchanged.
        user_site : bool, optional
            Whether the kernel sees ``pip install --user`` packages; None keeps the setting in
            `base`, as `spack load` does.
        modules : bool
            False leaves out what the modules set, which is known only where the kernel starts.

        Raises
        ------
        ModulesError
            When the modules cannot be loaded.
        EnvironmentTooLongError
            When a variable is longer than Linux allows.
        """
        result, _ = self.cleaned(base, keep=keep)
        result.setdefault("PATH", DEFAULT_PATH)
        last: tuple[str, ...] = ()
        if modules and self.modules:
            loaded = self.loaded_modules(result, env=env)
            result, last = loaded.environment, loaded.pythonpath
        env, _ = without_fatal(env or {}, "", keep)
        result = self.composition().apply(result, env=env, user_site=user_site, last=last)
        long = too_long(result)
        if long is not None:
            cause = length_cause(*long)
            raise EnvironmentTooLongError(
                f"{long[0]} of {self.source.name} is too long for a process to start",
                details=cause.details,
                hint=cause.hint,
            )
        return result

    def loaded_modules(
        self, cleaned: Mapping[str, str], *, env: Mapping[str, str] | None = None
    ) -> LoadedModules:
        """Return the environment with the modules loaded, and what was left out of their changes.

        Raises
        ------
        ModulesError
            When they cannot be loaded.
        """
        alone = self.source.kind == "modules"
        return with_modules(self.modules, cleaned, closure=self.closure, env=env, alone=alone)

    def variables(self, *, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables set in an otherwise empty environment, without those of modules."""
        env, _ = without_fatal(env or {}, "")
        return self.composition().apply({}, env=env)

    def removals(self, env: Mapping[str, str] | None = None) -> list[Removal]:
        """Return the variables set by recipes or the kernelspec that do not reach the kernel."""
        removed = [
            Removal(change.variable, change.value, reason, change.reason or "the load environment")
            for change in self.load.modifications
            if change.operation != "unset"
            and (reason := why_removed(change.variable, fatal_only=True))
        ]
        return removed + without_fatal(env or {}, "the kernelspec")[1]

    @property
    def missing_directories(self) -> list[tuple[PythonPathEntry, str]]:
        """Missing directories of packages, each with what needs it."""
        found = [(entry, self.source.name) for entry in self.load.left_out]
        if self.beside is not None:
            found += [
                (e, f"the companion {self.beside.specs[0].label}") for e in self.beside.left_out
            ]
        return found

    def composition(self) -> ProcessEnvironment:
        """Return what is added to the base environment, apart from what modules set."""
        changes = self.load.modifications
        sets_libraries = any(change.variable == "R_LIBS" for change in changes)
        return ProcessEnvironment(
            changes=[c for c in changes if not why_removed(c.variable, fatal_only=True)],
            variables={} if sets_libraries else r_variables(self.closure),
            behind=[entry.path for entry in self.pythonpath if entry.origin == "companion"],
            debugger=self.debugger,
        )

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
        Where the specs were found; companions also come from it.
    specs : sequence of Spec
        One or more roots, in the order of the arguments of `spack load`.
    companion : str
        ``auto``, ``none``, or a query: see `find_ipykernel`.
    kernel : bool
        False plans only the environment: a closure without Python or ipykernel is not an error,
        and the plan's `interpreter` or `ipykernel` is None.
    inspections : mapping of str to sequence of str, optional
        The site's prefix inspections; by default Spack's own.
    probe_timeout : float
        Time limit in seconds for probing the interpreter.

    Raises
    ------
    InterpreterError, KernelPackageError, PrefixGoneError
        When no kernel can be started; the hint of each error is what to do.
    """
    source = specs_source(store, specs, inspections=inspections)
    return plan_source(source, companion=companion, kernel=kernel, probe_timeout=probe_timeout)


def plan_source(
    source: KernelSource,
    *,
    companion: str = "auto",
    kernel: bool = True,
    modules: Sequence[str] = (),
    modules_of_externals: bool = True,
    probe_timeout: float = PROBE_TIMEOUT,
    is_complete: bool = True,
) -> KernelPlan:
    """Plan a kernel for a source: specs, a Spack environment or a view.

    Parameters
    ----------
    source : KernelSource
        See `spack_kernel.kernels.sources.kernel_source`.
    companion, kernel, probe_timeout
        As for `plan_kernel`.
    modules : sequence of str
        The site's modules to load before the kernel starts.
    modules_of_externals : bool
        Whether to load the modules that externals of the closure name as well, before the others.

    is_complete : bool
        Whether a closure that lacks something is an error; otherwise, `missing` of the plan has it.

    Raises
    ------
    InterpreterError, KernelPackageError, PrefixGoneError, IncompleteError
        When no kernel can be started; the hint of each error is what to do.
    """
    store, load, closure = source.store, source.load, source.load.closure
    missing = missing_in(load)
    if missing and is_complete:
        raise incomplete(missing, load.specs[0].label, store)
    kernel = kernel and not missing
    interpreter: Interpreter | None = None
    ipykernel: KernelPackage | None = None
    no_kernel: SpackKernelError | None = None
    notes = [Note("recipes", text) for text in source.notes]
    try:
        interpreter = find_interpreter(
            closure,
            view=source.view,
            timeout=probe_timeout,
            environment=_library_environment(load),
            unrecorded=load.unrecorded,
            store=store,
        )
        ipykernel = find_ipykernel(store, closure, interpreter, companion=companion)
        _debug("the Python is %s: %s", interpreter.path, interpreter.reason)
        _debug("ipykernel %s is from %s: %s", ipykernel.version, ipykernel.source, ipykernel.reason)
        for other in ipykernel.others:
            _debug("not chosen as companion: %s", other)
    except (InterpreterError, KernelPackageError) as error:
        if kernel:
            raise
        no_kernel = error
        notes.append(Note(error.code, error.summary))
    entries = [PathEntry(entry.path, entry.spec, "spec", entry.reason) for entry in load.pythonpath]
    require_prefixes(closure, entries, store)
    overrides: tuple[Override, ...] = ()
    nodes: Sequence[Spec] = closure
    beside: LoadEnvironment | None = None
    unsuitable: list[str] = []
    if ipykernel is not None and ipykernel.source == "companion" and ipykernel.spec is not None:
        beside = load_environment(store, [ipykernel.spec], directories=source.directories)
        behind, overrides = companion_entries(closure, beside, entries)
        entries += behind
        nodes = [*closure, *beside.closure]
        unsuitable = conflicts(entries, overrides)
        notes += [Note("ipykernel", f"might not work: {text}") for text in unsuitable]
        notes += [
            Note("ipykernel", f"{entry.spec.label} has no directory {entry.path}")
            for entry in beside.left_out
            if entry.spec.name not in ("python", "python-venv")
        ]
    notes += notes_of(interpreter, ipykernel, overrides)
    notes += [Note("closure", each.why) for each in missing]
    notes += [Note("closure", f"the upstream {tree} could not be read") for tree in store.left_out]
    wanted = [*(external_modules(closure) if modules_of_externals else ())]
    wanted += [*source.modules, *modules]
    plan = KernelPlan(
        source=source,
        modules=tuple(dict.fromkeys(wanted)),
        interpreter=interpreter,
        ipykernel=ipykernel,
        pythonpath=tuple(entries),
        overrides=overrides,
        debugger=_has_debugpy(interpreter, entries),
        unencrypted=why_not_encrypted(ipykernel.version if ipykernel else "", nodes),
        notes=tuple(notes),
        beside=beside,
        conflicts=tuple(unsuitable),
        no_kernel=no_kernel,
        missing=missing,
    )
    for note in plan.notes:
        _debug("note on %s: %s", note.topic, note.text)
    long = too_long(plan.variables())
    if long is not None:
        text = f"{long[0]} has {long[1]:,} bytes, which is too long for a process to start"
        plan = msgspec.structs.replace(plan, notes=(*plan.notes, Note("environment", text)))
    return plan


def _library_environment(load: LoadEnvironment) -> dict[str, str]:
    """Return this process's cleaned environment with the specs' changes to library variables."""
    cleaned, _ = clean_environment(os.environ)
    changes = [c for c in load.modifications if c.variable in LIBRARY_VARIABLES]
    return apply_modifications(changes, cleaned) if changes else cleaned


def _has_debugpy(interpreter: Interpreter | None, entries: Sequence[PathEntry]) -> bool:
    if interpreter is None:
        return False
    if interpreter.info.debugpy is not None:
        return True
    return any(entry.spec.name == "py-debugpy" for entry in entries)
