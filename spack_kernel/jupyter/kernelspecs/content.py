"""The content of a kernel.json that starts a kernel of a Spack store."""

from __future__ import annotations

import re
from pathlib import PurePath
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from spack_kernel.kernels.interpreters import METADATA as CAN_ENCRYPT
from spack_kernel.kernels.plan import KERNEL_COMMAND, is_python
from spack_kernel.kernels.request import KernelRequest
from spack_kernel.spack.system import command_line

from .facts import spec_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.kernels.candidates import ShippedKernel
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.sources import KernelSource
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

#: How many characters of a display name say in what a spec differs from others.
LONGEST_DIFFERENCE = 60

#: How many specs the display name of a kernel for several names.
_SHOWN_SPECS = 2

ENVIRONMENT_NAME = "spack-env-{name}"
ENVIRONMENT_DISPLAY_NAME = "{name} (Spack environment)"

_VIEW_NAME, _VIEW_DISPLAY_NAME = "spack-view-{name}", "{name} (Spack view)"
_MODULES_NAME, _MODULES_DISPLAY_NAME = "spack-module-{name}", "{name} (module)"

#: The name under which `SpackProvisioner` is registered.
PROVISIONER_NAME = "spack-provisioner"

_IPYKERNEL = ("ipykernel_launcher", "ipykernel")


class Pin(Protocol):
    """The properties of a spec that a kernelspec records; a `Spec` has them."""

    @property
    def name(self) -> str:
        """The package's name."""

    @property
    def version(self) -> object:
        """The version, shown through ``str()``."""

    @property
    def hash(self) -> str:
        """The DAG hash."""


def default_name(specs: Sequence[Pin], shipped: ShippedKernel | None = None) -> str:
    """Return a kernel name for specs: ``spack-py-libensemble-1.5.0-j4zmggq``.

    A dot separates the name of a kernel that a package ships:
    ``spack-r-irkernel-1.3.2-j4zmggq.ir``.
    """
    first, *others = specs
    parts = ["spack", first.name, str(first.version), first.hash[:7]]
    parts += [f"{spec.name}-{spec.hash[:7]}" for spec in others]
    return kernel_name("-".join(parts) + (f".{shipped.name}" if shipped else ""))


def kernel_name(text: str) -> str:
    """Return `text` with the characters that are invalid in kernel names replaced by hyphens.

    Examples
    --------
    >>> kernel_name("py-Foo+1.0@2")
    'py-foo-1.0-2'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower())


def default_display_name(
    specs: Sequence[Pin], shipped: ShippedKernel | None = None, *, difference: str = ""
) -> str:
    """Return the display name: ``py-libensemble 1.5.0 (Spack /j4zmggq)``.

    Parameters
    ----------
    specs, shipped
        As for `kernel_content`.
    difference : str
        In what the spec differs from others of its name and version; at most
        `LONGEST_DIFFERENCE` characters are shown.
    """
    shown, more = specs[:_SHOWN_SPECS], len(specs) - _SHOWN_SPECS
    names = " + ".join(f"{spec.name} {spec.version}" for spec in shown)
    names += f" + {more} more" if more > 0 else ""
    if difference:
        names += f" {shorten(difference, LONGEST_DIFFERENCE, placeholder=' …')}"
    hashes = " ".join(f"/{spec.hash[:7]}" for spec in shown)
    return f"{shipped.display_name + ' in ' if shipped else ''}{names} (Spack {hashes})"


def kernel_dict(
    plan: KernelPlan,
    request: KernelRequest | None = None,
    *,
    query: str | None = None,
    display_name: str | None = None,
    shipped: ShippedKernel | None = None,
) -> dict[str, Any]:
    """Return the content of the kernel.json for a plan.

    Parameters
    ----------
    plan : KernelPlan
        The plan of the kernel; its specs are pinned by hash.
    request : KernelRequest, optional
        What the plan was made for; its options are recorded.
    query, display_name, shipped
        See `kernel_content`.
    """
    source = plan.source
    names = source_names(source)
    if names and shipped is None:
        display_name = display_name or names[1]
    recipes, inspections = source.recipes, source.prefix_inspections
    recorded = msgspec.structs.replace(
        request or KernelRequest(),
        stores=tuple(store_paths(plan.store)),
        spec="",
        hash="",
        specs=(),
        environment=source.environment,
        view={"environment": source.view_name, "view": source.view}.get(source.kind, ""),
        frozen=source.frozen,
        recipes=recipes if recipes and recipes.variables else None,
        prefix_inspections=None
        if inspections is None or source.frozen is not None
        else {where: tuple(variables) for where, variables in inspections.items()},
    )
    return kernel_content(
        recorded,
        plan.specs,
        # An environment is recorded with its roots; a view or a module is read at each start.
        pin=source.kind == "specs",
        query=query,
        display_name=display_name,
        debugger=plan.debugger,
        encryption=not plan.unencrypted,
        shipped=shipped,
        facts=spec_facts(plan.specs[0], plan.store, _python_of(plan))
        if source.kind == "specs" and len(plan.specs) == 1
        else None,
        ipykernel=plan.ipykernel.version if plan.ipykernel else "",
    )


def _protocol(ipykernel: str) -> dict[str, str]:
    """Return the entry for the version of Jupyter's protocol that an ipykernel implements.

    It is the one that ipykernel writes into its own kernelspec since 7.0.
    """
    major = ipykernel.partition(".")[0]
    if not major.isdecimal():
        return {}
    return {"kernel_protocol_version": "5.5" if int(major) >= 7 else "5.3"}


def _python_of(plan: KernelPlan) -> Spec | None:
    return next((spec for spec in plan.closure if spec.name == "python"), None)


def kernel_content(
    request: KernelRequest,
    specs: Sequence[Pin],
    *,
    pin: bool = True,
    query: str | None = None,
    display_name: str | None = None,
    debugger: bool = False,
    encryption: bool = False,
    shipped: ShippedKernel | None = None,
    facts: Mapping[str, Any] | None = None,
    ipykernel: str = "",
) -> dict[str, Any]:
    """Return the content of a kernel.json.

    Parameters
    ----------
    request : KernelRequest
        What the kernel is to load besides the specs, or instead of them, and its options.
    specs : sequence of Pin
        The roots.
    pin : bool
        Whether the kernel is pinned to the roots.
    query : str, optional
        The query of the user, recorded so that an error message can say what it matches later.
        Only for one spec.
    display_name : str, optional
        The name that front ends show.
    debugger, encryption : bool
        Whether IPython can debug there, and whether its connection can be encrypted.
    shipped : ShippedKernel, optional
        The kernel to start instead of IPython.
    facts : mapping, optional
        Further metadata, which tells users about the spec (`spec_facts`).
    ipykernel : str
        The version of its ipykernel; empty if it is not known.
    """
    if pin and len(specs) == 1:
        (root,) = specs
        spec = query or f"{root.name}@{root.version}"
        request = msgspec.structs.replace(request, spec=spec, hash=root.hash)
    elif pin:
        pins = tuple(f"{spec.name}/{spec.hash}" for spec in specs)
        request = msgspec.structs.replace(request, specs=pins)
    env = {**(shipped.env if shipped else {}), **request.env}
    if shipped:
        metadata = dict(shipped.metadata)
    else:
        metadata = {"debugger": debugger, **(CAN_ENCRYPT if encryption else {})}
    metadata |= facts or {}
    return {
        # The variables are in it as well, because `exec` cannot distinguish those of the
        # kernelspec from those of the front end.
        "argv": [
            *command_line(),
            "exec",
            *msgspec.structs.replace(request, env=env).to_words(),
            *(f"{spec.name}/{spec.hash}" for spec in (specs if pin else ())),
            "--",
            *(shipped.argv if shipped else KERNEL_COMMAND),
        ],
        "display_name": display_name or default_display_name(specs, shipped),
        "language": shipped.language if shipped else "python",
        "interrupt_mode": shipped.interrupt_mode if shipped else "signal",
        **({} if shipped else _protocol(ipykernel)),
        **({"env": env} if env else {}),
        "metadata": metadata | _provisioner(msgspec.structs.replace(request, env={})),
    }


def notebook_content(
    display_name: str,
    stores: Sequence[str],
    prefix_inspections: dict[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Return the content of the kernel.json of a kernel whose spec the notebook names.

    Parameters
    ----------
    display_name : str
        The name that front ends show.
    stores : sequence of str
        The stores in which the spec is searched, the local one first; empty to find one.
    prefix_inspections : mapping, optional
        The site's prefix inspections, if they are not Spack's own.
    """
    request = KernelRequest(
        stores=tuple(stores), from_notebook=True, prefix_inspections=prefix_inspections
    )
    return {
        "argv": [*command_line(), "exec", *request.to_words(), "--", *KERNEL_COMMAND],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "signal",
        # Whether encryption works with the notebook's spec is checked when the kernel starts.
        "metadata": {**CAN_ENCRYPT, "debugger": True} | _provisioner(request),
    }


def _provisioner(request: KernelRequest) -> dict[str, Any]:
    """Return the part of a kernel.json's metadata that selects and configures the provisioner."""
    config = request.to_config()
    return {"kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": config}}


def store_paths(store: Store) -> list[str]:
    """Return the non-empty install trees of a store: the local one first, then its upstreams.

    Returns the install trees and not the Spack instance that chains them: which specs a kernel
    loads must not depend on the configuration of the user who starts it.
    """
    return [str(database.root) for database in store.databases if len(database)] or [store.root]


def starts_ipykernel(command: Sequence[str]) -> bool:
    """Return whether a kernel's own command starts IPython's kernel as a module."""
    module = list(command[1:3])
    return bool(command) and is_python(command[0]) and module in (["-m", m] for m in _IPYKERNEL)


def kernel_command(argv: Sequence[str]) -> list[str]:
    """Return the kernel's own command in a kernelspec's argv: what `exec` would run.

    An argv that is not `spack-kernel exec …` is returned unchanged.
    """
    command = list(argv)
    if "--" in command:
        separator = command.index("--")
        head = command[:separator]
        if "exec" in head and any(
            "spack_kernel" in word or "spack-kernel" in word for word in head
        ):
            return command[separator + 1 :]
    return command


def source_names(source: KernelSource) -> tuple[str, str] | None:
    """Return a kernel's name (not normalized) and its display name; None for specs."""
    templates = {
        "environment": (ENVIRONMENT_NAME, ENVIRONMENT_DISPLAY_NAME),
        "view": (_VIEW_NAME, _VIEW_DISPLAY_NAME),
        "modules": (_MODULES_NAME, _MODULES_DISPLAY_NAME),
    }.get(source.kind)
    if templates is None:
        return None
    name = source.name if source.kind == "modules" else PurePath(source.name).name
    kernel, display = templates
    return kernel.format(name=name), display.format(name=name)
