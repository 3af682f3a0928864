"""Write, list and remove our kernelspecs on disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import SYSTEM_JUPYTER_PATH

from spack_kernel._cache import cache_directory
from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.kernels.kernel_json import (
    KERNEL_FILE,
)

from .content import (
    default_name,
    kernel_dict,
    kernel_name,
    source_names,
)
from .installed import InstalledKernelSpec, content_is_ours, describe, is_ours, read_kernel_json
from .jobs import JOB_SUFFIX, in_job
from .names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spack_kernel.kernels.candidates import ShippedKernel
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest

#: How often a kernelspec is moved into place while others write it as well.
_ATTEMPTS = 20

#: The directory with our logos.
RESOURCES = Path(__file__).with_name("resources")


def install_kernelspec(
    plan: KernelPlan,
    request: KernelRequest | None = None,
    *,
    query: str | None = None,
    name: str | None = None,
    display_name: str | None = None,
    user: bool = False,
    prefix: str | os.PathLike[str] | None = None,
    shipped: ShippedKernel | None = None,
    replace: bool = False,
    job: Mapping[str, Any] | None = None,
) -> InstalledKernelSpec:
    """Write a kernelspec for a plan to a directory of kernelspecs, atomically.

    Parameters
    ----------
    plan : KernelPlan
        The plan of the kernel.
    request, query, display_name, shipped
        See `kernel_dict`.
    name : str, optional
        The kernel's name; by default `default_name`.
    user : bool
        Whether to write to the user's own directory.
    prefix : path, optional
        Write to ``PREFIX/share/jupyter/kernels``; ``sys.prefix`` for a Python environment.
        Without `user` and `prefix`, write to the system's directory.
    replace : bool
        Whether to replace a kernelspec of that name that is not ours. Our own are always replaced.
    job : mapping, optional
        The traits of `SpackSlurmProvisioner` for a kernel that runs in a job (`in_job`).

    Raises
    ------
    KernelSpecError
        When the name is invalid or in use, or the directory cannot be written.
    """
    if name is None:
        name = default_kernel_name(plan, shipped) + ("" if job is None else JOB_SUFFIX)
    name = name.lower()
    check_name(name)
    if user and prefix is not None:
        raise KernelSpecError("`user` and `prefix` are mutually exclusive: pass only one of them")
    content = kernel_dict(plan, request, query=query, display_name=display_name, shipped=shipped)
    if job is not None:
        content = in_job(content, job, label=display_name is None)
    directory = kernels_directory(user=user, prefix=prefix)
    from spack_kernel.kernels.candidates import read_logos  # it brings a parser of XML along

    logos, _ = read_logos(shipped.spec.prefix or "", shipped.directory) if shipped else ({}, [])
    resource_dir = write_kernelspec(directory, name, content, replace=replace, logos=logos)
    return describe(name, resource_dir, content)


def default_kernel_name(plan: KernelPlan, shipped: ShippedKernel | None) -> str:
    """Return the name of a plan's kernel, or of a shipped one that it starts."""
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
    directory: Path,
    name: str,
    content: Mapping[str, Any],
    *,
    replace: bool = False,
    logos: Mapping[str, bytes] | None = None,
) -> Path:
    """Write kernel.json and the logos atomically; return the kernelspec's directory.

    Only the owner can write to the new files and directories, whatever the umask is.

    Parameters
    ----------
    directory : Path
        A directory of kernelspecs; it is created if necessary.
    name : str
        The kernel's name.
    content : mapping
        The content of kernel.json.
    replace : bool
        Whether to replace a kernelspec that is not ours.
    logos : mapping of str to bytes, optional
        Images by file name; by default our own.

    Raises
    ------
    KernelSpecError
        When the name is invalid or used by a kernelspec that is not ours, or it cannot be written.
    """
    resource_dir = directory / check_name(name)
    if os.path.lexists(resource_dir) and not replace and not is_ours(resource_dir):
        raise KernelSpecError(
            f"a kernelspec `{name}` already exists, and spack-kernel did not write it",
            details=[f"  {resource_dir}"],
            hint="Choose another name with --name, or replace it with --replace.",
        )
    images = dict(logos or {}) or {path.name: path.read_bytes() for path in RESOURCES.iterdir()}
    with explained(f"cannot write the kernelspec {resource_dir}"):
        _make_directory(directory)
        # Jupyter lists a directory here only if it contains a kernel.json itself, so it does not
        # see the new files one level deeper before the rename.
        with tempfile.TemporaryDirectory(prefix=".spack-kernel-", dir=directory) as staging:
            new, old = Path(staging, "new"), Path(staging, "old")
            _make_directory(new)
            _write(new / KERNEL_FILE, _text(content))
            for logo, image in images.items():
                _write(new / logo, image)
            _swap(new, old, resource_dir)
    return resource_dir


def _swap(new: Path, old: Path, place: Path) -> None:
    """Move `new` to `place`, and what is there to `old`; somebody else may do so at the same time.

    Raises
    ------
    OSError
        When it cannot be moved; what was there is there again.
    """
    for attempt in range(_ATTEMPTS):
        aside = old.with_name(f"{old.name}{attempt}")
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside)
        try:
            new.rename(place)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and attempt < _ATTEMPTS - 1:
                continue
            if os.path.lexists(aside) and not os.path.lexists(place):
                aside.rename(place)
            raise
        return


def update_kernelspec(directory: Path, name: str, content: Mapping[str, Any]) -> None:
    """Replace a kernel.json atomically, so that it exists at all times.

    Raises
    ------
    KernelSpecError
        When the name is invalid or it cannot be written.
    """
    place = directory / check_name(name)
    with (
        explained(f"cannot write the kernelspec {place}"),
        tempfile.TemporaryDirectory(prefix=".spack-kernel-", dir=place) as staging,
    ):
        new = Path(staging, KERNEL_FILE)
        _write(new, _text(content))
        new.replace(place / KERNEL_FILE)


def _text(content: Mapping[str, Any]) -> bytes:
    """Return the text of a kernel.json, in which bytes that are not UTF-8 are escaped."""
    try:
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(content, indent=2) + "\n").encode()


def _make_directory(path: Path) -> None:
    """Create a directory and its parents with the umask's mode, but never writable by others."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        _make_directory(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        _keep_others_from_writing(path)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _keep_others_from_writing(path)


def _keep_others_from_writing(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o022:
        path.chmod(mode & ~0o022)


def logo_directory(logos: Mapping[str, bytes]) -> Path:
    """Return a directory that contains only logos, for a kernel without a kernelspec on disk.

    A server serves any file in a kernel's directory, so it is never a directory of a prefix. It is
    created in the user's cache; without a cache, our own logos are used.

    Parameters
    ----------
    logos : mapping of str to bytes
        Images by file name; empty for our own.
    """
    cache = cache_directory()
    if not logos or cache is None:
        return RESOURCES
    digest = hashlib.sha256(b"".join(name.encode() + logos[name] for name in sorted(logos)))
    place = Path(cache, "logos", digest.hexdigest()[:32])
    try:
        if not place.is_dir():
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as staging:
                new = Path(staging, "new")
                new.mkdir(mode=0o700)
                for name, image in logos.items():
                    _write(new / name, image)
                with contextlib.suppress(FileExistsError):
                    new.rename(place)
        status = place.lstat()
    except OSError:
        return RESOURCES
    ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return place if ours and stat.S_ISDIR(status.st_mode) else RESOURCES


def list_kernelspecs() -> list[InstalledKernelSpec]:
    """Return our kernelspecs that Jupyter finds, sorted by name."""
    found = []
    for name, resource_dir in sorted(KernelSpecManager().find_kernel_specs().items()):
        content = read_kernel_json(Path(resource_dir))
        if content_is_ours(content):
            found.append(describe(name, Path(resource_dir), content))
    return found


def find_kernelspec(name: str) -> InstalledKernelSpec:
    """Return our kernelspec with this name.

    Raises
    ------
    KernelSpecError
        When there is none, or it is not ours.
    """
    resource_dir = KernelSpecManager().find_kernel_specs().get(name.lower())
    if resource_dir is None:
        ours = [spec.name for spec in list_kernelspecs()]
        raise KernelSpecError(
            f"there is no kernelspec `{name}`",
            details=["  kernelspecs of spack-kernel: " + (", ".join(ours) or "none")],
            hint="`jupyter kernelspec list` shows all kernelspecs.",
        )
    content = read_kernel_json(Path(resource_dir))
    if not content_is_ours(content):
        raise KernelSpecError(
            f"the kernelspec `{name}` does not belong to spack-kernel",
            details=[f"  {resource_dir}"],
            hint=f"`jupyter kernelspec remove {name}` removes it.",
        )
    return describe(name.lower(), Path(resource_dir), content)


def remove_kernelspec(name: str) -> InstalledKernelSpec:
    """Remove our kernelspec with this name, and return its description.

    Raises
    ------
    KernelSpecError
        When there is none, it is not ours, or it cannot be removed.
    """
    found = find_kernelspec(name)
    directory = Path(found.resource_dir)
    remove_directory(directory.parent, directory.name)
    return found


def remove_directory(directory: Path, name: str) -> None:
    """Remove a kernelspec so that Jupyter never sees an incomplete one.

    Raises
    ------
    KernelSpecError
        When the name is invalid or it cannot be removed.
    """
    resource_dir = directory / check_name(name)
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
    """Turn an OSError into a KernelSpecError."""
    try:
        yield
    except OSError as error:
        raise KernelSpecError(
            f"{summary}: {error.strerror}",
            details=[f"  {error.filename}"] if error.filename else (),
            hint="Use --user for your own kernels or --sys-prefix for this Python environment."
            if isinstance(error, PermissionError)
            else "",
        ) from error
