"""Spack environments for the demo store, and views as `spack` links them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from spack_kernel.spack import Spec, Store


def make_environment(directory: Path, roots: Iterable[Spec], *, view: bool | str = True) -> Path:
    """Write the ``spack.yaml`` and ``spack.lock`` of a concretized environment."""
    directory.mkdir(parents=True)
    manifest = {"spack": {"specs": [spec.name for spec in roots], "view": view}}
    (directory / "spack.yaml").write_text(json.dumps(manifest))  # JSON is also YAML
    lock = {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6, "specfile-version": 5},
        "roots": [{"hash": spec.hash, "spec": spec.name} for spec in roots],
        "concrete_specs": {
            spec.hash: {"name": spec.name, "version": str(spec.version), "hash": spec.hash}
            for spec in roots
        },
    }
    (directory / "spack.lock").write_text(json.dumps(lock))
    return directory


def link_view(root: Path, store: Store, roots: Iterable[Spec]) -> Path:
    """Link the closure of `roots` into a view: create directories, link files.

    The metadata directory of each prefix becomes ``.spack/NAME``, where NAME is the package name.
    Externals are skipped.
    """
    root.mkdir(parents=True)
    for spec in store.closure(*roots):
        if spec.external or not spec.prefix:
            continue
        prefix = Path(spec.prefix)
        for source in sorted(prefix.rglob("*")):
            relative = source.relative_to(prefix)
            if relative.parts[0] == ".spack":
                relative = Path(".spack", spec.name, *relative.parts[1:])
            target = root / relative
            if source.is_dir() and not source.is_symlink():
                target.mkdir(parents=True, exist_ok=True)
            elif not target.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)
    return root
