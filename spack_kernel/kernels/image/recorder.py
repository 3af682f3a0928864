"""Have the start image of a kernel made, or made anew, when it has imported other modules.

This runs in the kernel's own process, a few seconds after its start and at its end. What costs time
is done by `builder.py`, in a process of low priority. It needs only the standard library of Python
3.8 or later.
"""

import json
import posix
import sys

MYPY = False  # true for type checkers
if MYPY:
    from collections.abc import Collection, Mapping
    from typing import Any

#: Of what is imported, the part that may be missing in an image.
_TOLERANCE = 0.03


def is_within(directory: str, roots: "tuple[str, ...]") -> bool:
    """Return whether a directory is one of `roots` or below, but not among what users install.

    Parameters
    ----------
    directory : str
        The directory.
    roots : tuple of str
        Directories, each with a slash at its end.
    """
    for root in roots:
        if (directory + "/").startswith(root):
            first = directory[len(root) :].partition("/")[0]
            return first not in ("site-packages", "dist-packages")
    return False


class Recorder:
    """Knows which modules of this process are in its image.

    Parameters
    ----------
    file, key : str
        The image, and what it is for.
    roots : list of str
        The directories whose modules may be in it.
    early : set of str
        The modules that Python imports before an image can be used.
    known : collection of str
        The modules that the image has already, or that no image can have.
    """

    def __init__(
        self, file: str, key: str, roots: "list[str]", early: "set[str]", known: "Collection[str]"
    ) -> None:
        self._file, self._key, self._roots = file, key, roots
        self._early = early - {"__main__"}
        self._known = set(known)
        #: Whether a damaged image has been made anew.
        self._is_anew = False
        #: The stale modules that this process has had made anew.
        self._renewed: "set[str]" = set()

    def look(
        self, also: "Mapping[str, str]", stale: "Collection[str]" = (), anew: bool = False
    ) -> None:
        """Have the image made if too many modules are missing in it.

        Parameters
        ----------
        also : mapping of str to str
            Modules that may not be in ``sys.modules``, such as those that raise an error, with the
            directories in which they may be.
        stale : collection of str
            The modules that have changed since the image was made.
        anew : bool
            Whether the image is damaged, and has to be made in any case.
        """
        try:
            modules = self._modules(also)
            stale = modules.keys() & stale
            missing = modules.keys() - self._known
            anew = anew and not self._is_anew
            if anew or stale - self._renewed or len(missing) > _TOLERANCE * len(modules):
                self._known.update(modules)
                self._renewed |= stale
                self._is_anew |= anew
                self._make(modules, stale=sorted(stale), anew=anew)
        except Exception:  # noqa: S110 - a kernel works without an image
            pass

    def _modules(self, also: "Mapping[str, str]") -> "dict[str, str]":
        """Return the modules that may be in the image, with where they were found."""
        roots = tuple(root + "/" for root in self._roots)
        found = {name: place for name, place in list(also.items()) if is_within(place, roots)}
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            origin = getattr(spec, "origin", None)
            if spec is None or name in self._early:
                continue
            places = list(spec.submodule_search_locations or ())
            if origin is None and "." not in name and len(set(places)) == 1:  # a namespace
                origin = places[0] + "/"
            if type(origin) is not str or "/" not in origin:
                continue
            directory = origin.rpartition("/")[0]
            if places:
                directory = directory.rpartition("/")[0]
            if is_within(directory, roots):
                found[spec.name] = directory
        return found

    def _make(self, modules: "dict[str, str]", *, stale: "list[str]", anew: bool) -> None:
        task: "dict[str, Any]" = {
            "file": self._file,
            "key": self._key,
            "roots": self._roots,
            "modules": modules,
        }
        task.update(background=True, stale=stale, anew=anew)
        builder = __file__.rpartition("/")[0] + "/builder.py"
        read, write = posix.pipe()
        try:
            process = posix.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", builder],
                posix.environ,
                file_actions=[
                    (posix.POSIX_SPAWN_DUP2, read, 0),
                    (posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_WRONLY, 0),
                    (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0),
                ],
            )
        finally:
            posix.close(read)
        try:
            with open(write, "wb") as pipe:
                pipe.write(json.dumps(task).encode())
        finally:
            posix.waitpid(process, 0)
