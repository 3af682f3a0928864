"""Diagnose why a kernel does not run, from the plan, the records and the output.

Failed starts, refusals and `spack-kernel check` all use this module, so that the same fault is
always reported with the same cause. It starts no process.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from spack_kernel.kernels.errors import repair_hint
from spack_kernel.kernels.exits import Cause, library_clash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.load import PythonPathEntry
    from spack_kernel.spack.spec import Spec

    from .plan import KernelPlan

#: Module of the standard library → variant of Spack's python without which it is not built.
_VARIANTS = {
    "_bz2": "bz2",
    "_crypt": "crypt",
    "_ctypes": "ctypes",
    "_curses": "readline",
    "_dbm": "dbm",
    "_lzma": "lzma",
    "_sqlite3": "sqlite3",
    "_ssl": "ssl",
    "_tkinter": "tkinter",
    "_uuid": "uuid",
    "bz2": "bz2",
    "ctypes": "ctypes",
    "lzma": "lzma",
    "nis": "nis",
    "pyexpat": "pyexpat",
    "readline": "readline",
    "sqlite3": "sqlite3",
    "ssl": "ssl",
    "tkinter": "tkinter",
    "zlib": "zlib",
}

_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")


def diagnose(
    plan: KernelPlan, status: int | None, lines: Sequence[str], environment: Mapping[str, str]
) -> Cause | None:
    """Return why a kernel ended or cannot import something; None if the cause is unknown.

    Parameters
    ----------
    plan : KernelPlan
        What was started.
    status : int or None
        How it ended: an exit status, or a negative signal number; None while it runs.
    lines : sequence of str
        The last lines it printed, or those of a traceback.
    environment : mapping of str to str
        The environment it was started with.
    """
    return (
        library_clash(lines, environment, lambda name, entry: _origin(plan, name, entry))
        or _without_variant(plan, lines)
        or _without_directory(plan, lines)
        or _conflict(plan, lines)
        or _without_instruction(plan, status)
        or _killed(status)
        or _unfit_ipykernel(plan, lines)
    )


# -- libraries -----------------------------------------------------------------------------------


def _origin(plan: KernelPlan, variable: str, entry: str) -> str:
    for change in plan.load.modifications:
        if change.variable == variable and entry in change.value.split(":"):
            spec = plan.store.by_hash(change.spec) if change.spec else None
            return f"{spec.label} ({change.reason})" if spec else change.reason
    modules = f" or the modules {' '.join(plan.modules)}" if plan.modules else ""
    return f"the environment of the process that started the kernel{modules}"


# -- modules of Python ---------------------------------------------------------------------------


def _missing_modules(lines: Sequence[str]) -> list[str]:
    """Return the modules that could not be found, the last one first."""
    return [name for line in reversed(lines) for name in _NO_MODULE.findall(line)]


def _without_variant(plan: KernelPlan, lines: Sequence[str]) -> Cause | None:
    python = plan.interpreter.python if plan.interpreter is not None else None
    if python is None:
        return None
    for module in _missing_modules(lines):
        variant = _VARIANTS.get(module)
        if variant is None:
            continue
        if python.variants.get(variant) is not False:
            text = f"  {python.label} lacks the module {module}, but its record gives no reason"
            return Cause((text,), repair_hint(python))
        return Cause(
            (f"  {python.label} is built with ~{variant}, so it has no module {module}",),
            f"A kernel needs python+{variant}; install the spec with such a python:\n"
            f"  spack install {plan.specs[0].name} ^python+{variant}",
        )
    return None


def _without_directory(plan: KernelPlan, lines: Sequence[str]) -> Cause | None:
    for module in _missing_modules(lines):
        top = module.partition(".")[0].replace("_", "-").lower()
        for entry, needed_by in plan.missing_directories:
            if entry.spec.name in (top, f"py-{top}"):
                return gone_directory(entry, needed_by)
    return None


def gone_directory(entry: PythonPathEntry, needed_by: str) -> Cause:
    """Return the cause for a missing directory of a package."""
    return Cause(
        (f"  {entry.spec.label}, needed by {needed_by}, has no directory {entry.path}",),
        repair_hint(entry.spec),
    )


def _conflict(plan: KernelPlan, lines: Sequence[str]) -> Cause | None:
    """Return the cause if the companion needs other versions of packages than the specs have."""
    if not plan.conflicts or not any("Error" in line for line in lines[-3:]):
        return None
    return conflict_cause(plan)


def conflict_cause(plan: KernelPlan) -> Cause:
    """Return the cause for a companion that cannot work with the packages of the specs."""
    assert plan.ipykernel is not None
    return Cause(
        tuple(f"  {conflict}" for conflict in plan.conflicts),
        f"The companion {_label(plan.ipykernel.spec)} cannot work with this spec. Install an "
        f"ipykernel for it:\n  spack install py-ipykernel ^/{plan.specs[0].hash[:7]}\n"
        "or choose another companion with --companion.",
    )


def _unfit_ipykernel(plan: KernelPlan, lines: Sequence[str]) -> Cause | None:
    """Blame an ipykernel whose own files cannot be imported."""
    errors = ("ImportError", "ModuleNotFoundError", "AttributeError", "SyntaxError")
    kernel, interpreter = plan.ipykernel, plan.interpreter
    if kernel is None or interpreter is None or not lines or not lines[-1].startswith(errors):
        return None
    # Every failed import of a kernel passes through ipykernel; only the last frame is to blame.
    frames = [line for line in lines if line.startswith('  File "')]
    if not frames or not any(name in frames[-1] for name in ("ipykernel", "IPython")):
        return None
    python = interpreter.python or interpreter.spec
    version = f"ipykernel {kernel.version}".strip()
    return Cause(
        (),
        f"{version}, which comes from the {kernel.source}, might not work with Python "
        f"{interpreter.version}. Install another one:\n"
        f"  spack install py-ipykernel ^/{python.hash[:7]}",
    )


# -- signals -------------------------------------------------------------------------------------


def _without_instruction(plan: KernelPlan, status: int | None) -> Cause | None:
    if status != -signal.SIGILL:
        return None
    here = _host()
    if here is None:
        return None
    unfit = [spec for spec in plan.closure if not _runs_on(spec.arch.target, here)]
    if not unfit:
        text = f"  all specs in the closure are built for this machine, which is {here}"
        return Cause((text,), "A library from outside Spack is built for another processor.")
    first = unfit[0]
    more = f" and {len(unfit) - 1} more" if len(unfit) > 1 else ""
    return Cause(
        (
            f"  {first.label}{more} is built for {first.arch.target}, and this machine is {here}:",
            "  its processor lacks instructions that the code uses",
        ),
        "Start it on a machine with that processor, or install a build for this machine:\n"
        f"  spack install {plan.specs[0].name} target={here}",
    )


def _host() -> str | None:
    try:
        import archspec.cpu

        return str(archspec.cpu.host().name)
    except Exception:
        return None  # only archspec can identify the processor


def _runs_on(target: str, here: str) -> bool:
    """Return whether code for `target` runs on the processor `here`, as far as is known."""
    import archspec.cpu

    known = archspec.cpu.TARGETS
    if target not in known or here not in known:
        return True
    return bool(known[target] <= known[here])


def _killed(status: int | None) -> Cause | None:
    if status != -signal.SIGKILL:
        return None
    return Cause((), "It was killed, often by a memory limit of the machine or the batch system.")


def _label(spec: Spec | None) -> str:
    return spec.label if spec is not None else "py-ipykernel"
