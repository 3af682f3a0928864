"""The kernels that a user has chosen in the picker: those that are kept, and the recent ones.

A kept kernel is an ordinary kernelspec of the user. A recent one is a kernelspec in a directory of
its own, which only a server with our extension searches, so that other programs do not list it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.jupyter.errors import KernelSpecError
from spack_kernel.kernels.candidates import choose_shipped, read_logos
from spack_kernel.kernels.kernel_json import KERNEL_FILE
from spack_kernel.kernels.planner import plan_of, source_of
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.query import distinctions
from spack_kernel.spack.system import file_checks

from .content import default_display_name, kernel_command, kernel_dict, notebook_content
from .files import (
    default_kernel_name,
    remove_directory,
    write_kernelspec,
)
from .installed import is_ours, provisioner_of, read_kernel_json
from .jobs import JOB_SUFFIX, in_job, split_config
from .names import MAX_NAME_LENGTH, NOTEBOOK_DISPLAY_NAME, NOTEBOOK_NAME, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spack_kernel.kernels.candidates import ShippedKernel
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .places import Place

#: How many recent kernels are kept; notebooks that used an older one ask for a kernel again.
RECENT = 50

#: The longest display name that can be given, in characters.
_LONGEST = 200

#: The most builds among which a kernel's display name tells its spec apart.
_COMPARED = 200


class UserKernel(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that a user has chosen.

    Attributes
    ----------
    name, display_name : str
        Its name, and the name that front ends show.
    kept : bool
        Whether the user keeps it; else it is one of the recent ones.
    used : float
        When it was chosen last, in seconds since 1970.
    metadata : dict
        The facts about its spec: ``spack_package``, ``spack_hash`` …
    config : dict
        What it starts; see `SpackProvisioner`.
    """

    name: str
    display_name: str
    kept: bool
    used: float
    metadata: dict[str, Any]
    config: dict[str, Any]


def list_kernels(place: Place) -> list[UserKernel]:
    """Return the kernels of a user: the kept ones by name, then the recent ones, newest first."""
    kept = list(_kernels(place.kept, kept=True))
    names = {kernel.name for kernel in kept}
    recent = [k for k in _kernels(place.recent, kept=False) if k.name not in names]
    recent.sort(key=lambda kernel: kernel.used, reverse=True)
    return [*sorted(kept, key=lambda kernel: kernel.name), *recent]


def add_kernel(
    store: Store,
    request: KernelRequest,
    place: Place,
    *,
    kept: bool = False,
    name: str = "",
    display_name: str = "",
    replace: bool = False,
    job: Mapping[str, Any] | None = None,
) -> UserKernel:
    """Write the kernelspec of a kernel that a user has chosen.

    Parameters
    ----------
    store : Store
        The store that the request names.
    request : KernelRequest
        What the kernel is requested for; with `from_notebook`, the kernel whose spec each notebook
        names.
    place : Place
        Where to write it.
    kept : bool
        Whether the user keeps it; else it becomes the newest of the recent ones.
    name, display_name : str
        Its name, and the name that front ends show; if empty, the usual ones.
    replace : bool
        Whether to replace a kernelspec of that name that is not ours.
    job : mapping, optional
        The traits of `SpackSlurmProvisioner` for a kernel that runs in a job (`in_job`).

    Raises
    ------
    KernelSpecError
        When the name is invalid or in use, or the kernelspec cannot be written.
    SpackKernelError
        When no kernel can be planned.
    """
    logos: dict[str, bytes] = {}
    display_name = _check_display_name(display_name)
    is_named = bool(display_name)
    if request.from_notebook:
        name = NOTEBOOK_NAME
        content = notebook_content(
            NOTEBOOK_DISPLAY_NAME, request.stores, request.prefix_inspections
        )
    else:
        source = source_of(store, request)
        shipped = choose_shipped(source.load.closure, source.default_kernel)
        request = msgspec.structs.replace(request, kernel=shipped is None)
        plan = plan_of(source, request)
        one = plan.specs[0] if source.kind == "specs" and len(plan.specs) == 1 else None
        display_name = display_name or (_told_apart(one, store, shipped) if one else "")
        content = kernel_dict(plan, request, display_name=display_name or None, shipped=shipped)
        default = default_kernel_name(plan, shipped)
        if job is not None:
            content = in_job(content, job, label=not is_named)
            default += JOB_SUFFIX
        logos = read_logos(shipped.spec.prefix or "", shipped.directory)[0] if shipped else {}
        if name:
            _refuse_taken(name.lower(), place, content, replace=replace)
        name = name.lower() or _free_name(default, place, content)
    check_name(name)
    for there in (place.kept, *place.others) if not kept else ():
        if _starts_the_same(Path(there, name), content):
            return _kernel(Path(there, name), kept=there == place.kept)
    directory = Path(place.kept if kept else place.recent)
    written = write_kernelspec(directory, name, content, replace=replace, logos=logos)
    if kept and is_ours(Path(place.recent, name)):
        remove_directory(Path(place.recent), name)
    elif not kept:
        _forget_the_oldest(place)
    return _kernel(written, kept=kept)


def remove_kernel(place: Place, name: str) -> UserKernel:
    """Remove a kernel of a user, kept or recent, and return what it was.

    Raises
    ------
    KernelSpecError
        When there is none of this name, it is not ours, or it cannot be removed.
    """
    kernel = _find(place, name)
    remove_directory(Path(place.kept if kernel.kept else place.recent), kernel.name)
    return kernel


def request_of(place: Place, name: str) -> KernelRequest:
    """Return what a kernel of a user was requested for.

    Raises
    ------
    KernelSpecError
        When there is none of this name.
    RequestError
        When its kernel.json has been changed, and is not valid.
    """
    config, _ = split_config(_find(place, name).config)
    return KernelRequest.from_config(config)


def job_of(place: Place, name: str) -> dict[str, Any] | None:
    """Return the traits for the job of a kernel of a user; None if it runs here.

    Raises
    ------
    KernelSpecError
        When there is none of this name.
    """
    _, job = split_config(_find(place, name).config)
    return job or None


def _find(place: Place, name: str) -> UserKernel:
    check_name(name)
    for directory, kept in ((place.kept, True), (place.recent, False)):
        if is_ours(Path(directory, name)):
            return _kernel(Path(directory, name), kept=kept)
    known = [kernel.name for kernel in list_kernels(place)]
    error = KernelSpecError(
        f"you have no kernel `{name}` that spack-kernel wrote",
        details=["  your kernels: " + (", ".join(known) or "none")],
        hint="`jupyter kernelspec list` shows all kernels. Those of a site are removed by its "
        "administrators.",
    )
    error.code = "no-such-kernel"
    raise error


def _told_apart(spec: Spec, store: Store, shipped: ShippedKernel | None) -> str:
    """Return the display name of a kernel for one spec, with what distinguishes it."""
    alike = [
        other
        for other in store.named(spec.name)
        if other.installed and other.version == spec.version and other.hash != spec.hash
    ]
    difference = distinctions([spec, *alike[:_COMPARED]], store.by_hash).get(spec.hash, "")
    return default_display_name([spec], shipped, difference=difference)


def _check_display_name(text: str) -> str:
    """Return a display name that was given, without blanks around it."""
    text = text.strip()
    if len(text) > _LONGEST or not all(character.isprintable() for character in text):
        raise KernelSpecError(
            f"the display name is longer than {_LONGEST} characters"
            if len(text) > _LONGEST
            else "the display name has characters that cannot be shown",
            hint="Choose another one, or leave it out.",
        )
    return text


def _free_name(name: str, place: Place, content: dict[str, Any]) -> str:
    """Return a kernel's name, with a suffix if another kernel has it that starts another thing."""
    is_long = len(name) > MAX_NAME_LENGTH
    if not is_long and _taken(name, place, content) is None:
        return name
    text = json.dumps(_identity(content), sort_keys=True)
    return f"{name[: MAX_NAME_LENGTH - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _refuse_taken(name: str, place: Place, content: dict[str, Any], *, replace: bool) -> None:
    """Raise an error if another kernel has a name that was given, and starts another thing."""
    taken = _taken(check_name(name), place, content)
    if taken is not None and not (replace and str(taken.parent) in (place.kept, place.recent)):
        raise KernelSpecError(
            f"another kernel is named `{name}`",
            details=[f"  {taken}"],
            hint="Choose another name.",
        )


def _taken(name: str, place: Place, content: dict[str, Any]) -> Path | None:
    """Return the kernelspec that has a name and starts another thing."""
    for there in (place.kept, place.recent, *place.others):
        path = Path(there, name)
        if os.path.lexists(path) and not _starts_the_same(path, content):
            return path
    return None


def _starts_the_same(directory: Path, content: dict[str, Any]) -> bool:
    there = read_kernel_json(directory)
    return bool(there) and _identity(there) == _identity(content)


def _identity(content: dict[str, Any]) -> list[Any]:
    """Return what two kernels have in common that start the same."""
    return [provisioner_of(content), content.get("env") or {}, kernel_command(content["argv"])]


def _kernels(directory: str, *, kept: bool) -> Iterator[UserKernel]:
    for name in file_checks.names_in(directory) or ():
        path = Path(directory, name)
        if not name.startswith(".") and is_ours(path):
            yield _kernel(path, kept=kept)


def _kernel(directory: Path, *, kept: bool) -> UserKernel:
    content = read_kernel_json(directory)
    metadata = content.get("metadata")
    facts = metadata if isinstance(metadata, dict) else {}
    config = provisioner_of(content).get("config")
    try:
        used = (directory / KERNEL_FILE).stat().st_mtime
    except OSError:
        used = 0.0
    return UserKernel(
        name=directory.name.lower(),
        display_name=str(content.get("display_name", directory.name)),
        kept=kept,
        used=used,
        metadata={name: fact for name, fact in facts.items() if name.startswith("spack_")},
        config=config if isinstance(config, dict) else {},
    )


def _forget_the_oldest(place: Place) -> None:
    recent = sorted(_kernels(place.recent, kept=False), key=lambda kernel: kernel.used)
    spare = [kernel for kernel in recent if kernel.name != NOTEBOOK_NAME]
    for kernel in spare[: max(0, len(recent) - RECENT)]:
        with contextlib.suppress(KernelSpecError):  # another server has removed it
            remove_directory(Path(place.recent), kernel.name)
