"""What a kernelspec says of its spec, for front ends that let users search and sort kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store


def spec_facts(spec: Spec, store: Store, python: Spec | None = None) -> dict[str, str]:
    """Return flat metadata of a kernelspec: each fact of a spec under a key of its own.

    Extensions such as jupyterlab-launchpad show flat metadata as columns. Facts that a spec does
    not have are left out.

    Parameters
    ----------
    spec : Spec
        The spec.
    store : Store
        Where it is installed.
    python : Spec, optional
        The Python that it runs with.

    Returns
    -------
    dict
        Some of ``spack_package``, ``spack_version``, ``spack_hash`` (all 32 characters),
        ``spack_variants``, ``spack_compiler``, ``spack_target``, ``spack_python`` (its version)
        and ``spack_store`` (the install tree).
    """
    from spack_kernel.spack.output import format_compilers, format_variants

    facts = {
        "spack_package": spec.name,
        "spack_version": str(spec.version),
        "spack_hash": spec.hash,
        "spack_variants": format_variants(spec.variants).strip(),
        "spack_compiler": format_compilers(spec, store),
        "spack_target": spec.arch.target,
        "spack_python": str(python.version) if python is not None else "",
        "spack_store": store.tree_of(spec.hash),
    }
    return {name: value for name, value in facts.items() if value}
