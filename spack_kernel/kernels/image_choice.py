"""Which start image a plan uses, where it lies, and from whom it may be.

An image has the code of modules, so it counts only if nobody could have written it who could not
also have written what it is made of. A user's own images lie on a file system of the node: in
``$XDG_RUNTIME_DIR``, else in a private directory in ``/tmp``. Images that an administrator has made
for everybody are in the directories that ``SPACK_KERNEL_IMAGES`` names.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from spack_kernel._cache import IMAGES_VARIABLE, cache_directory
from spack_kernel._log import debugger
from spack_kernel.spack.system import open_to_others

from .image import Image, count_modules, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from .plan import KernelPlan
    from .request import KernelRequest

_debug = debugger(__name__)

#: How the names of images begin, and end.
PREFIX, SUFFIX = "start-", ".img"

#: The oldest Python whose kernels can use an image.
OLDEST = (3, 8)

#: How many images a directory of a user has at most, and how many bytes they have together.
#: They may lie in memory.
_MAX_IMAGES, _MAX_BYTES = 10, 200 << 20

_ABSENT = "it does not exist"

_TEMPORARY = "/tmp"  # noqa: S108 - the directory in it is checked


def image_of(plan: KernelPlan, request: KernelRequest, *, use_site: bool = True) -> Image | str:
    """Return the start image of a plan, or why it has none.

    Parameters
    ----------
    plan : KernelPlan
        The plan.
    request : KernelRequest
        What it is the plan of; its `image_directory` is that of the user's images.
    use_site : bool
        Whether one that was made for everybody can be used.
    """
    if not (request.start_image and request.import_index):
        return "it is switched off"
    python = plan.interpreter
    if python is None or tuple(map(int, str(python.version).split(".")[:2])) < OLDEST:
        return f"it needs Python {OLDEST[0]}.{OLDEST[1]} or later"
    fixed = fixed_entries(plan)
    if not fixed:
        return "none of its prefixes is one that Spack has installed"
    parts = [fixed, python.path, python.info.version, [spec.hash for spec in plan.specs]]
    key = digest(json.dumps(parts).encode()).hex()
    name = f"{PREFIX}{key}{SUFFIX}"
    checks = request.image_checks_sources
    refused: list[str] = []
    try:
        owners = {0, os.stat(fixed[0]).st_uid}  # noqa: PTH116
        for path in _of_site(name) if use_site else ():
            reason = _why_not(path, owners)
            if not reason:
                owner = os.stat(path).st_uid  # noqa: PTH116
                return Image(path, key, owner, False, fixed, checks, refused)
            if reason != _ABSENT:
                refused.append(f"{path}: {reason}")
                _debug("not used: %s: %s", path, reason)
        own = user_directory(request.image_directory)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except NoDirectoryError as error:
        return str(error)
    path = f"{own}/{name}"
    if os.path.isdir(path):  # noqa: PTH112
        return f"{path} is a directory"
    image = Image(path, key, os.geteuid(), True, fixed, checks, refused)
    if not image.exists:
        prune(own)
    return image


def usable_image(plan: KernelPlan, request: KernelRequest) -> Image | None:
    """Return the start image of a plan, as `image_of`; None if it has none."""
    found = image_of(plan, request)
    return None if isinstance(found, str) else found


def image_dict(image: Image | str) -> dict[str, Any]:
    """Return an image, or why there is none, as JSON types.

    Returns
    -------
    dict
        ``path``, ``modules``, ``reason``, and ``refused``: why others are not used.
    """
    if isinstance(image, str):
        return {"path": None, "modules": 0, "reason": image, "refused": []}
    count = count_modules(image.path)
    return {"path": image.path, "modules": count, "reason": "", "refused": [*image.refused]}


def _of_site(name: str) -> Iterator[str]:
    """Yield where images for everybody may be."""
    for place in os.environ.get(IMAGES_VARIABLE, "").split(os.pathsep):
        if place:
            yield f"{place}/{name}"


def _why_not(path: str, owners: Collection[int]) -> str:
    """Return why an image for everybody is not used; empty if it is."""
    if not path.startswith("/"):
        return "it is no absolute path"
    if not os.path.lexists(path):
        there = os.path.isdir(os.path.dirname(path))  # noqa: PTH112,PTH120
        return _ABSENT if there else "its directory does not exist"
    unsafe = open_to_others(path, owners)
    if unsafe:
        return f"others could have written {unsafe}"
    return "" if count_modules(path) else "it cannot be read, or is damaged"


def fixed_entries(plan: KernelPlan) -> list[str]:
    """Return the directories of a plan's PYTHONPATH whose content never changes.

    They are in prefixes that Spack has installed for good: not those of externals, of ``develop``
    specs, or of views.
    """
    return [
        entry.path
        for entry in plan.pythonpath
        if entry.spec.external is None
        and "dev_path" not in entry.spec.variants
        and entry.spec.prefix
        and entry.path.startswith(f"{entry.spec.prefix}/")
    ]


class NoDirectoryError(Exception):
    """There is no directory for a user's images; its text says why."""


def user_directory(chosen: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the directory of this user's images, which is private, or does not exist yet.

    Parameters
    ----------
    chosen : str
        The directory below which it is to be, or empty.
    environ : mapping of str to str, optional
        Where ``XDG_RUNTIME_DIR`` is read from; by default this process's environment.

    Raises
    ------
    NoDirectoryError
        When there is none.
    """
    if not chosen and cache_directory() is None:
        raise NoDirectoryError("caching is switched off (SPACK_KERNEL_CACHE)")
    reasons = []
    for place in _places(chosen, os.environ if environ is None else environ):
        reason = _why_not_private(place)
        if not reason:
            return place
        reasons.append(f"{place}: {reason}")
        _debug("no images in %s: %s", place, reason)
    raise NoDirectoryError("; ".join(reasons))


def _why_not_private(place: str) -> str:
    """Return why a directory cannot have a user's images; empty if it can."""
    try:
        status = os.stat(place, follow_symlinks=False)  # noqa: PTH116
    except FileNotFoundError:
        above = os.path.dirname(place)  # noqa: PTH120
        while not os.path.lexists(above):
            above = os.path.dirname(above)  # noqa: PTH120
        can_be_made = os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK)  # noqa: PTH112
        return "" if can_be_made else f"it cannot be made in {above}"
    except OSError as error:
        return str(error.strerror)
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    return "others can enter it" if status.st_mode & 0o077 else ""


def _places(chosen: str, environ: Mapping[str, str]) -> Iterator[str]:
    own = f"spack-kernel-{os.geteuid()}"
    if chosen:
        yield f"{chosen}/{own}"
        return
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.path.isdir(runtime):  # noqa: PTH112
        yield f"{runtime}/spack-kernel"
    yield f"{_TEMPORARY}/{own}"
    cache = cache_directory()
    if cache is not None:
        yield f"{cache}/images"


def directories_of_images(chosen: str = "") -> list[str]:
    """Return the directories in which this user may have images, whether they exist or not.

    Parameters
    ----------
    chosen : str
        As for `user_directory`.
    """
    return [*_places(chosen, os.environ), *(_places("", os.environ) if chosen else ())]


def prune(directory: str) -> None:
    """Remove the images that were made longest ago if there are too many, or they are too large.

    Parameters
    ----------
    directory : str
        The directory of a user's images.
    """
    size = 0
    for number, (path, status) in enumerate(images_in(directory)):
        size += status.st_size
        if number >= _MAX_IMAGES - 1 or size > _MAX_BYTES:  # another one is going to be made
            try:
                os.unlink(path)  # noqa: PTH108
            except OSError as error:
                _debug("%s stays: %s", path, error)


def images_in(directory: str) -> Sequence[tuple[str, os.stat_result]]:
    """Return the images in a directory with their status, the newest first."""
    try:
        with os.scandir(directory) as entries:
            found = [
                (entry.path, entry.stat(follow_symlinks=False))
                for entry in entries
                if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)
            ]
    except OSError:
        return []
    return sorted(found, key=lambda item: item[1].st_mtime_ns, reverse=True)
