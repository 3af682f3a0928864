"""Public names that are imported when they are first used.

A kernel whose plan is cached needs almost nothing of the package, and every module costs time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def attach(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : mapping of str to str
        Module, relative to the package → names it defines, separated by spaces. Modules under
        ``""`` are public as a whole.
    """
    origins = {name: module for module, names in modules.items() for name in names.split()}

    def getattr_(name: str) -> object:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        origin = origins[name]
        # Unlike importlib.import_module, this is seen by `python -X importtime`.
        module = __import__(f"{package}.{origin or name}", fromlist=("",))
        return getattr(module, name) if origin else module

    names = sorted(origins)
    return getattr_, lambda: names, names
