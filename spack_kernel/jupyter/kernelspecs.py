"""Kernelspecs of ours on disk: writing, listing and removing them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import SYSTEM_JUPYTER_PATH

from .errors import KernelSpecError
from .kernel_json import KERNEL_FILE, PROVISIONER_NAME, default_name, kernel_dict, kernel_name
from .loading import source_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.shipped import ShippedKernel

#: Where our logos are.
RESOURCES = Path(__file__).with_name("resources")

_VALID_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InstalledKernelSpec:
    """A kernelspec of ours, as it lies on disk.

    Attributes
    ----------
    name : str
        The kernel's name, its directory's.
    resource_dir : str
        The directory.
    display_name : str
        What front ends show.
    config : mapping
        The traits of `SpackProvisioner` it sets: ``spec``, ``hash``, ``store`` …
    env : mapping of str to str
        Variables it sets in the kernel.
    shadowed_by : str or None
        The directory of another kernelspec of this name that Jupyter finds first; ``""`` when
        Jupyter does not look where this one lies.
    """

    name: str
    resource_dir: str
    display_name: str
    config: Mapping[str, Any]
    env: Mapping[str, str]
    shadowed_by: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the kernelspec as JSON types."""
        return {
            "name": self.name,
            "resource_dir": self.resource_dir,
            "display_name": self.display_name,
            **self.config,
            "env": dict(self.env),
            "shadowed_by": self.shadowed_by,
        }


def install_kernelspec(
    plan: KernelPlan,
    *,
    query: str | None = None,
    name: str | None = None,
    display_name: str | None = None,
    user: bool = False,
    prefix: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    companion: str = "auto",
    shipped: ShippedKernel | None = None,
    modules: Sequence[str] = (),
    load_modules: bool = True,
    replace: bool = False,
) -> InstalledKernelSpec:
    """Write a kernelspec for a plan where Jupyter looks for it, whole or not at all.

    Parameters
    ----------
    plan : KernelPlan
        What the kernel starts.
    query, display_name, env, companion, shipped, modules, load_modules
        See `kernel_dict`.
    name : str, optional
        The kernel's name; `default_name` otherwise.
    user : bool
        Into the user's own directory.
    prefix : path, optional
        Into ``PREFIX/share/jupyter/kernels``; ``sys.prefix`` for an environment. Neither `user`
        nor `prefix` means the system's directory.
    replace : bool
        Whether a kernelspec of that name that is not ours may be replaced. One of ours always is.

    Raises
    ------
    KernelSpecError
        When the name is not valid or taken, or the directory cannot be written.
    """
    name = (_default_name(plan, shipped) if name is None else name).lower()
    if not _VALID_NAME.fullmatch(name):
        raise KernelSpecError(
            f"`{name}` cannot be a kernel's name",
            hint="Kernel names are made of ASCII letters, digits, hyphens, dots and underscores.",
        )
    if user and prefix is not None:
        raise KernelSpecError("a kernelspec goes to the user's directory or to a prefix, not both")
    content = kernel_dict(
        plan,
        query=query,
        display_name=display_name,
        env=env,
        companion=companion,
        shipped=shipped,
        modules=modules,
        load_modules=load_modules,
    )
    resource_dir = kernels_directory(user=user, prefix=prefix) / name
    logos = Path(shipped.directory) if shipped else None
    write_kernelspec(resource_dir, content, replace=replace, logos=logos)
    return _describe(name, resource_dir, content)


def _default_name(plan: KernelPlan, shipped: ShippedKernel | None) -> str:
    names = source_names(plan.source)
    if names is None:
        return default_name(plan.specs, shipped)
    return kernel_name(names[0] + (f".{shipped.name}" if shipped else ""))


def kernels_directory(*, user: bool = False, prefix: str | os.PathLike[str] | None = None) -> Path:
    """Return the directory of kernelspecs that `ipykernel install` would write to."""
    if user:
        return Path(KernelSpecManager().user_kernel_dir)
    if prefix is not None:
        return Path(prefix).absolute() / "share" / "jupyter" / "kernels"
    return Path(SYSTEM_JUPYTER_PATH[0]) / "kernels"


def write_kernelspec(
    resource_dir: Path,
    content: Mapping[str, Any],
    *,
    replace: bool = False,
    logos: Path | None = None,
) -> None:
    """Write kernel.json and the logos to `resource_dir`, whole or not at all.

    Parameters
    ----------
    resource_dir : Path
        The directory to make; its parents are made too.
    content : mapping
        What kernel.json says.
    replace : bool
        Whether a kernelspec that is not ours may be replaced.
    logos : Path, optional
        A directory whose logos to take, and ``kernel.js`` and ``kernel.css``; ours otherwise.

    Raises
    ------
    KernelSpecError
        When something that is not ours lies there, or it cannot be written.
    """
    if resource_dir.exists() and not replace and not _is_ours(read_kernel_json(resource_dir)):
        raise KernelSpecError(
            f"there is a kernelspec `{resource_dir.name}` already, and it is not one of ours",
            details=[f"  {resource_dir}"],
            hint="Choose another name with --name, or replace it with --replace.",
        )
    with explained(f"cannot write the kernelspec {resource_dir}"):
        resource_dir.parent.mkdir(parents=True, exist_ok=True)
        # Jupyter lists a directory here only if it holds a kernel.json itself, so what is being
        # made one level deeper is not seen before the rename.
        with tempfile.TemporaryDirectory(
            prefix=".spack-kernel-", dir=resource_dir.parent
        ) as staging:
            new, old = Path(staging, "new"), Path(staging, "old")
            new.mkdir()
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (new / KERNEL_FILE).write_text(text + "\n", encoding="utf-8")
            for logo in _resources(logos):
                (new / logo.name).write_bytes(logo.read_bytes())
            if resource_dir.exists():
                resource_dir.rename(old)
            try:
                new.rename(resource_dir)
            except OSError:
                if old.exists():
                    old.rename(resource_dir)
                raise


def _resources(directory: Path | None) -> list[Path]:
    """Return the files that Jupyter shows of a kernel; ours where `directory` has no logo."""
    names = ("logo-*", "kernel.js", "kernel.css")
    found = [path for name in names for path in (directory or RESOURCES).glob(name)]
    logos = any(path.name.startswith("logo-") for path in found)
    return found if logos else [*found, *RESOURCES.glob("logo-*")]


def list_kernelspecs() -> list[InstalledKernelSpec]:
    """Return the kernelspecs of ours that Jupyter finds, by name."""
    found = []
    for name, resource_dir in sorted(KernelSpecManager().find_kernel_specs().items()):
        content = read_kernel_json(Path(resource_dir))
        if _is_ours(content):
            found.append(_describe(name, Path(resource_dir), content))
    return found


def find_kernelspec(name: str) -> InstalledKernelSpec:
    """Return the kernelspec of ours with this name.

    Raises
    ------
    KernelSpecError
        When there is none, or it is somebody else's.
    """
    resource_dir = KernelSpecManager().find_kernel_specs().get(name.lower())
    if resource_dir is None:
        ours = [spec.name for spec in list_kernelspecs()]
        raise KernelSpecError(
            f"there is no kernelspec `{name}`",
            details=["  those of ours: " + (", ".join(ours) or "none")],
            hint="`jupyter kernelspec list` shows all there are.",
        )
    content = read_kernel_json(Path(resource_dir))
    if not _is_ours(content):
        raise KernelSpecError(
            f"the kernelspec `{name}` is not one of ours",
            details=[f"  {resource_dir}"],
            hint=f"`jupyter kernelspec remove {name}` removes it.",
        )
    return _describe(name.lower(), Path(resource_dir), content)


def remove_kernelspec(name: str) -> InstalledKernelSpec:
    """Remove the kernelspec of ours with this name, and return what it was.

    Raises
    ------
    KernelSpecError
        When there is none, it is not ours, or it cannot be removed.
    """
    found = find_kernelspec(name)
    remove_directory(Path(found.resource_dir))
    return found


def remove_directory(resource_dir: Path) -> None:
    """Remove a kernelspec, so that Jupyter never sees half of it.

    Raises
    ------
    KernelSpecError
        When it cannot be removed.
    """
    with explained(f"cannot remove the kernelspec {resource_dir}"):
        if resource_dir.is_symlink():
            resource_dir.unlink()
            return
        staging = Path(tempfile.mkdtemp(prefix=".spack-kernel-", dir=resource_dir.parent))
        try:
            resource_dir.rename(staging / "old")
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def explained(summary: str) -> Iterator[None]:
    """Turn an OSError into an error of ours."""
    try:
        yield
    except OSError as error:
        raise KernelSpecError(
            f"{summary}: {error.strerror}",
            details=[f"  {error.filename}"] if error.filename else (),
            hint="Give --user for your own kernels or --sys-prefix for this environment's."
            if isinstance(error, PermissionError)
            else "",
        ) from error


def read_kernel_json(resource_dir: Path) -> dict[str, Any]:
    """Return the content of a kernel.json; empty when it cannot be read."""
    try:
        content = json.loads((resource_dir / KERNEL_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _provisioner(content: Mapping[str, Any]) -> dict[str, Any]:
    metadata = content.get("metadata")
    stanza = metadata.get("kernel_provisioner") if isinstance(metadata, dict) else None
    return stanza if isinstance(stanza, dict) else {}


def _is_ours(content: Mapping[str, Any]) -> bool:
    return _provisioner(content).get("provisioner_name") == PROVISIONER_NAME


def _describe(name: str, resource_dir: Path, content: Mapping[str, Any]) -> InstalledKernelSpec:
    seen = KernelSpecManager().find_kernel_specs().get(name, "")
    same = bool(seen) and Path(seen).resolve() == resource_dir.resolve()
    config = _provisioner(content).get("config")
    return InstalledKernelSpec(
        name=name,
        resource_dir=str(resource_dir),
        display_name=str(content.get("display_name", name)),
        config=config if isinstance(config, dict) else {},
        env=content.get("env") or {},
        shadowed_by=None if same else seen,
    )
