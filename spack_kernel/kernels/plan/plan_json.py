"""A plan as JSON types, for `spack-kernel show --json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spack_kernel.spack.spec import Spec

    from .plan import KernelPlan


def plan_dict(plan: KernelPlan) -> dict[str, Any]:
    """Return a plan as JSON types.

    ``env`` contains the variables set in an otherwise empty environment, without those of
    modules; ``modifications`` contains the origin of each.
    """
    root, source = plan.specs[0], plan.source
    interpreter, ipykernel = plan.interpreter, plan.ipykernel
    return {
        "spec": " ".join(f"{spec.name}@{spec.version}" for spec in plan.specs),
        "hash": root.hash,
        "prefix": root.prefix,
        "specs": [_spec_dict(spec) for spec in plan.specs],
        "store": plan.store.root,
        "source": {
            "kind": source.kind,
            "name": source.name,
            "environment": source.environment or None,
            "view": source.view or None,
            "view_name": source.view_name or None,
        },
        "modules": list(plan.modules),
        "recipes": source.recipes.as_dict() if source.recipes else None,
        "interpreter": interpreter.path if interpreter else None,
        "python": {
            "version": interpreter.version,
            "spec": interpreter.spec.label,
            "hash": interpreter.spec.hash,
            "purelib": interpreter.info.purelib,
            "platlib": interpreter.info.platlib,
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
        "argv": list(plan.argv) if interpreter else [],
        "env": plan.variables(),
        "modifications": [change.as_dict() for change in plan.load.modifications],
        "pythonpath": [entry.path for entry in plan.pythonpath],
        "pythonpath_entries": [
            {
                "path": entry.path,
                "spec": entry.spec.label,
                "hash": entry.spec.hash,
                "origin": entry.origin,
                "reason": entry.reason,
            }
            for entry in plan.pythonpath
        ],
        "overrides": [
            {"package": used.name, "used": used.label, "unused": unused.label}
            for used, unused in plan.overrides
        ],
        "debugger": plan.debugger,
        "encryption": {"curve": not plan.unencrypted, "reason": plan.unencrypted},
        "closure": [_spec_dict(spec) for spec in plan.closure],
        "missing": [{**each._asdict(), "needed_by": [*each.needed_by]} for each in plan.missing],
        "notes": [note._asdict() for note in plan.notes],
    }


def _spec_dict(spec: Spec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "version": str(spec.version),
        "hash": spec.hash,
        "prefix": spec.prefix,
        "external": spec.external is not None,
    }
