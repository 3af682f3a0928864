"""The content of a kernel.json that starts a kernel of a Spack store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from spack_kernel.kernels.interpreters import METADATA as CAN_ENCRYPT
from spack_kernel.kernels.isolated import command_line
from spack_kernel.kernels.loading import (
    Loading,
    inspections_config,
    inspections_words,
    source_names,
)
from spack_kernel.kernels.plan import KERNEL_COMMAND, is_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.kernels.candidates import ShippedKernel
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.spack.store import Store

#: The name under which `SpackProvisioner` is registered.
PROVISIONER_NAME = "spack-provisioner"

KERNEL_FILE = "kernel.json"

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
    """Return `text` with the characters that are invalid in kernel names replaced by hyphens."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower())


def default_display_name(specs: Sequence[Pin], shipped: ShippedKernel | None = None) -> str:
    """Return the display name: ``py-libensemble 1.5.0 (Spack /j4zmggq)``."""
    names = " + ".join(f"{spec.name} {spec.version}" for spec in specs)
    hashes = " ".join(f"/{spec.hash[:7]}" for spec in specs)
    return f"{shipped.display_name + ' in ' if shipped else ''}{names} (Spack {hashes})"


def kernel_dict(
    plan: KernelPlan,
    *,
    query: str | None = None,
    display_name: str | None = None,
    env: Mapping[str, str] | None = None,
    companion: str = "auto",
    shipped: ShippedKernel | None = None,
    modules: Sequence[str] = (),
    load_modules: bool = True,
) -> dict[str, Any]:
    """Return the content of the kernel.json for a plan.

    Parameters
    ----------
    plan : KernelPlan
        The plan of the kernel; its specs are pinned by hash.
    query, display_name, env, companion, shipped
        See `kernel_content`.
    modules, load_modules
        As passed to the plan.
    """
    names = source_names(plan.source)
    if names and shipped is None:
        display_name = display_name or names[1]
    return kernel_content(
        plan.specs,
        store_paths(plan.store),
        query=query,
        display_name=display_name,
        env=env,
        companion=companion,
        debugger=plan.debugger,
        encryption=not plan.unencrypted,
        shipped=shipped,
        loading=Loading.of(plan.source, modules=modules, load_modules=load_modules),
    )


def kernel_content(
    specs: Sequence[Pin],
    stores: Sequence[str],
    *,
    query: str | None = None,
    display_name: str | None = None,
    env: Mapping[str, str] | None = None,
    companion: str = "auto",
    debugger: bool = False,
    encryption: bool = False,
    shipped: ShippedKernel | None = None,
    loading: Loading | None = None,
) -> dict[str, Any]:
    """Return the content of a kernel.json that is pinned to specs.

    Parameters
    ----------
    specs : sequence of Pin
        The roots.
    stores : sequence of str
        The install trees they are in, the local one first.
    query : str, optional
        The query as the user typed it. It is recorded so that an error can report what it finds
        later. Only for a single spec.
    display_name : str, optional
        The name that front ends show.
    env : mapping, optional
        Variables to set in the kernel; ``${NAME}`` in a value expands to the loaded value.
    companion : str
        As for `plan_kernel`.
    debugger, encryption : bool
        Whether this IPython kernel supports debugging and encrypted connections.
    shipped : ShippedKernel, optional
        The kernel to start instead of IPython.
    loading : Loading, optional
        What to load in addition to the specs, or instead of them. If instead, the specs are not
        pinned: an environment or a view is read when the kernel starts.
    """
    loading = loading or Loading()
    config: dict[str, Any] = loading.config()
    pinned = specs if loading.needs_specs else ()
    if len(pinned) == 1:
        root = pinned[0]
        config |= {"spec": query or f"{root.name}@{root.version}", "hash": root.hash}
    elif pinned:
        config["specs"] = [f"{spec.name}/{spec.hash}" for spec in pinned]
    config["store"] = stores[0] if len(stores) == 1 else list(stores)
    if companion != "auto":
        config["companion"] = companion
    env = {**(shipped.env if shipped else {}), **(env or {})}
    if shipped:
        metadata = dict(shipped.metadata)
    else:
        metadata = {"debugger": debugger, **(CAN_ENCRYPT if encryption else {})}
    command = exec_command(
        pinned,
        stores,
        env=env,
        companion=companion,
        command=shipped.argv if shipped else None,
        loading=loading,
    )
    return {
        "argv": command,
        "display_name": display_name or default_display_name(specs, shipped),
        "language": shipped.language if shipped else "python",
        "interrupt_mode": shipped.interrupt_mode if shipped else "signal",
        **({"env": env} if env else {}),
        "metadata": {
            **metadata,
            "kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": config},
        },
    }


def notebook_content(
    display_name: str,
    stores: Sequence[str],
    prefix_inspections: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the content of the kernel.json of the kernel whose spec the notebook names.

    Parameters
    ----------
    display_name : str
        The name that front ends show.
    stores : sequence of str
        The stores to search for the notebook's spec, the local one first; empty to discover one.
    prefix_inspections : mapping, optional
        The site's prefix inspections, where they differ from Spack's defaults.
    """
    config: dict[str, Any] = {"from_notebook": True, **inspections_config(prefix_inspections)}
    if stores:
        config["store"] = stores[0] if len(stores) == 1 else list(stores)
    words = [word for path in stores for word in ("--store", path)]
    words += inspections_words(prefix_inspections)
    return {
        "argv": [*command_line(), "exec", *words, "--from-notebook", "--", *KERNEL_COMMAND],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            # Assumed: the notebook's spec is known only when the kernel starts.
            **CAN_ENCRYPT,
            "debugger": True,
            "kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": config},
        },
    }


def exec_command(
    specs: Sequence[Pin],
    stores: Sequence[str],
    *,
    env: Mapping[str, str],
    companion: str = "auto",
    command: Sequence[str] | None = None,
    loading: Loading | None = None,
) -> list[str]:
    """Return an argv that starts the kernel without a provisioner: `spack-kernel exec`.

    Front ends that do not support provisioners run it unchanged. It contains the environment
    variables because `exec` cannot distinguish those that the kernelspec sets from those that
    it inherits from the front end.
    """
    words = [*command_line(), "exec"]
    for path in stores:
        words += ["--store", path]
    if companion != "auto":
        words += ["--companion", companion]
    for name, value in env.items():
        words += ["--env", f"{name}={value}"]
    words += loading.words() if loading else []
    words += [f"{spec.name}/{spec.hash}" for spec in specs]
    return [*words, "--", *(command or KERNEL_COMMAND)]


def config_words(config: Mapping[str, Any]) -> list[str]:
    """Return the `spack-kernel` options that correspond to the configuration in a kernel.json.

    Parameters
    ----------
    config : mapping
        The traits it sets, validated. Traits that name specs are left out: specs are not options.
    """
    store = config.get("store", ())
    words = [
        w for path in ([store] if isinstance(store, str) else store) for w in ("--store", path)
    ]
    for name in ("environment", "view", "companion"):
        if config.get(name):
            words += [f"--{name}", config[name]]
    for module in config.get("modules", ()):
        words += ["--module", module]
    if config.get("load_modules") is False:
        words.append("--no-modules")
    words += inspections_words(config.get("prefix_inspections"))
    for name, value in config.get("env", {}).items():
        words += ["--env", f"{name}={value}"]
    return words


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
