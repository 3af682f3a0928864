"""How the fields of a `KernelRequest` can be set: traits, and options of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The commands that take options of a request, and the groups of options that each takes.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "show": ("what to load", "the kernel"),
    "check": ("what to load", "the kernel"),
    "exec": ("what to load", "the kernel", "options used in kernelspecs"),
    "install": ("what to load", "the kernel", "how it is started"),
    "workers": ("what to load",),
    "image": ("what to load", "the kernel"),
}


class Option(NamedTuple):
    """How a field of `KernelRequest` can be set.

    Attributes
    ----------
    help : str
        The help of the trait.
    flag : str
        The option of the commands; empty for none. A flag that begins with ``--no-`` sets False.
    metavar : str
        What stands for the value of the option in help texts.
    group : str
        The group of options in `GROUPS`.
    usage : str
        The help of the option.
    """

    help: str
    flag: str = ""
    metavar: str = ""
    group: str = ""
    usage: str = ""
