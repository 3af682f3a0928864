"""Print the variables of a plan: each value, and where it comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.spack.load import Modification
    from spack_kernel.spack.spec import Spec

    from .console import Console


def label(spec: Spec, console: Console, width: int = 0) -> str:
    """Return ``name@version/hash7`` in colour, padded with blanks."""
    version = console.style("version", f"@{spec.version}")
    padding = " " * max(0, width - len(spec.label))
    return f"{spec.name}{version}{console.style('hash', '/' + spec.hash[:7])}{padding}"


def entry_count(count: int) -> str:
    """Return ``1 entry``, ``2 entries``."""
    return f"{count} {'entry' if count == 1 else 'entries'}"


def print_variables(plan: KernelPlan, env: Mapping[str, str], console: Console) -> None:
    """Print every variable except PYTHONPATH and its origin, as in an otherwise empty environment.

    Parameters
    ----------
    plan : KernelPlan
        The plan.
    env : mapping of str to str
        What the kernelspec sets.
    console : Console
        Where to print.
    """
    changes: dict[str, list[Modification]] = {}
    for change in plan.load.modifications:
        changes.setdefault(change.variable, []).append(change)
    values = plan.variables(env=env)
    for name, value in sorted(values.items()):
        if name == "PYTHONPATH":
            continue
        console.print()
        made = changes.get(name, [])
        if name in env or not any(m.operation in ("prepend", "append") for m in made):
            origin = "the kernelspec" if name in env else _origin(plan, made)
            note = console.style("yellow", f"  ({origin})") if origin else ""
            console.print(f"{console.style('bold', name)}={value}{note}")
        else:
            _print_list(plan, name, value, made, console)
    if plan.modules:
        _print_modules(plan, env, console)


def _print_list(
    plan: KernelPlan, name: str, value: str, made: list[Modification], console: Console
) -> None:
    known = {change.value: change for change in made}
    entries = []
    for entry in filter(None, value.split(":")):
        change = known.get(entry)
        spec = plan.store.by_hash(change.spec) if change and change.spec else None
        entries.append((entry, spec, _origin(plan, [change]) if change else ""))
    console.print(console.style("bold", f"{name}, {entry_count(len(entries))}"))
    width = max((len(spec.label) for _, spec, _ in entries if spec), default=0)
    for entry, spec, origin in entries:
        of = label(spec, console, width) if spec else " " * width
        console.entry(of, width, entry, origin)


def _origin(plan: KernelPlan, made: list[Modification]) -> str:
    """Return where a value comes from; empty if it follows from the database."""
    if not made:
        return "not Spack's"
    change = made[-1]
    recipes = plan.source.recipes
    if recipes is not None and any(
        m.variable == change.variable and m.reason == change.reason for m in recipes.modifications
    ):
        spec = plan.store.by_hash(change.spec) if change.spec else None
        return f"recorded, {change.reason}" + (f": {spec.label}" if spec else "")
    return "not Spack's" if change.added_by_us else ""


def _print_modules(plan: KernelPlan, env: Mapping[str, str], console: Console) -> None:
    """Print what the modules change in this environment; where a kernel starts, it can differ.

    Modules change the whole environment, so only the new entries of a list are shown.
    """
    from spack_kernel.kernels.sources import module_changes
    from spack_kernel.spack.load import ModulesError

    base, _ = plan.cleaned(os.environ)
    console.print()
    console.print(console.style("bold", f"Set by the modules {' '.join(plan.modules)}"))
    try:
        changes = module_changes(plan.modules, base, closure=plan.closure, env=env)
    except ModulesError as error:
        console.print(f"  unknown: {error.summary}")
        console.warn(f"{error.summary}; a kernel started from this shell would fail")
        return
    for change in changes:
        if change.operation == "unset":
            console.print(f"  {change.variable} is unset")
            continue
        before = base.get(change.variable)
        new = change.value.split(":")
        if before:
            new = [entry for entry in new if entry not in before.split(":")]
        sign = "+=" if before else "="
        console.print(f"  {change.variable}{sign}{':'.join(new)}")
