"""The source of a kernel: the arguments for it, which several subcommands share, and their meaning.

Heavy imports are inside the functions, as in the subcommands.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import get_specs, given_stores, query_text, variables

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from spack_kernel.jupyter.kernelspecs import InstalledKernelSpec
    from spack_kernel.jupyter.provisioner import KernelTraits
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.kernels.sources import KernelSource
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console


def check_source(args: argparse.Namespace) -> None:
    """Exit with a usage error unless the arguments name exactly one source."""
    instead = [name for name in ("environment", "view") if getattr(args, name)]
    if args.query and instead:
        args.parser.error(f"give a QUERY or --{instead[0]}, not both")
    if not (args.query or instead or args.modules):
        args.parser.error("nothing to load: give a QUERY, --environment, --view or --module")


def request_of(args: argparse.Namespace) -> KernelRequest:
    """Return the request that the arguments describe.

    Raises
    ------
    ConfigError, InvalidModification
        When a value of ``--prefix-inspections`` or ``--recipes`` is not valid.
    """
    from spack_kernel.kernels.request import KernelRequest, fields
    from spack_kernel.spack.environments import read_frozen
    from spack_kernel.spack.load import read_inspections, read_recipes

    values: dict[str, Any] = {
        "stores": tuple(given_stores(args)),
        "spec": query_text(args.query),
    }
    readers: dict[str, Callable[[Any], Any]] = {
        "env": lambda _: variables(args),
        "modules": tuple,
        "frozen": read_frozen,
        "prefix_inspections": read_inspections,
        "recipes": read_recipes,
        # A plain name is never a directory below the one in which the command happens to run.
        "view": lambda view: os.path.abspath(view) if view[:1] == "." else view,  # noqa: PTH100
    }
    for field in fields():
        value = getattr(args, field.name, None)
        if value is not None and field.name not in values:
            values[field.name] = readers.get(field.name, lambda value: value)(value)
    return KernelRequest(**values)


def get_source(
    args: argparse.Namespace,
    store: Store,
    request: KernelRequest,
    *,
    specs: Sequence[Spec] = (),
) -> KernelSource:
    """Return what the arguments load.

    Parameters
    ----------
    args : Namespace
        Checked by `check_source`.
    store : Store
        The store to search.
    request : KernelRequest
        The request of the arguments.
    specs : sequence of Spec, optional
        The specs that the queries name, if they are known.

    Raises
    ------
    SpackKernelError
        When they do not name one installed thing.
    """
    from spack_kernel.kernels.planner import source_of

    if args.query and not specs:
        specs = get_specs(store, args.query)
    return source_of(store, request, specs=specs)


def find_installed(args: argparse.Namespace) -> InstalledKernelSpec | None:
    """Return the installed kernel whose name is the only QUERY, or None."""
    if len(args.query) != 1:
        return None
    from spack_kernel.jupyter.kernelspecs import list_kernelspecs

    wanted = args.query[0].lower()
    return next((spec for spec in list_kernelspecs() if spec.name == wanted), None)


def request_options(args: argparse.Namespace) -> list[str]:
    """Return the options of a request that are given."""
    from spack_kernel.kernels.request import fields

    request = request_of(args)
    return [
        field.option.flag
        for field in fields()
        if field.option.group and getattr(request, field.name) != field.default
    ]


def refuse_options(
    args: argparse.Namespace, installed: InstalledKernelSpec, also: Sequence[str] = ()
) -> None:
    """End with a usage error if options of a request are given for an installed kernel.

    Parameters
    ----------
    args : Namespace
        The arguments.
    installed : InstalledKernelSpec
        The kernel that they name.
    also : sequence of str
        Other options that are given and that apply only to a query.
    """
    given = request_options(args)
    if given or also:
        args.parser.error(
            f"{installed.name} is an installed kernel, which has its own settings: "
            f"{', '.join([*given, *also])} can be given only with a QUERY"
        )


def instead_of_query(args: argparse.Namespace, error: SpackKernelError) -> SpackKernelError:
    """Return the error for a QUERY that may have been meant as the name of a kernel.

    Parameters
    ----------
    args : Namespace
        The arguments.
    error : SpackKernelError
        The error that the query caused.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    from spack_kernel.jupyter.errors import KernelSpecError
    from spack_kernel.jupyter.kernelspecs import list_kernelspecs, parse_name
    from spack_kernel.spack.errors import NoMatch, StoreNotFound

    if len(args.query) != 1 or not isinstance(error, (NoMatch, StoreNotFound)):
        return error
    (name,) = args.query
    resource_dir = KernelSpecManager().find_kernel_specs().get(name.lower())
    if resource_dir is not None:
        return KernelSpecError(
            f"`{name}` is not a spec, but a kernel that spack-kernel did not install",
            details=[f"  {resource_dir}/kernel.json {_why_not_ours(Path(resource_dir))}"],
            hint="`spack-kernel remove --list` shows the kernels that it installed.",
        )
    parsed = parse_name(name)
    if parsed is not None and isinstance(error, NoMatch):
        return KernelSpecError(
            f"there is no kernelspec `{name}`",
            details=["  kernels that a server offers have no kernelspec on disk"],
            hint=f"Name its spec: spack-kernel check /{parsed.hash}",
        )
    import difflib

    names = [spec.name for spec in list_kernelspecs()]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    if not close:
        return error
    return type(error)(
        error.summary,
        details=[*error.details, f"  there is also no kernel named {name}"],
        hint=f"{error.hint}\nDid you mean the kernel {close[0]}?".strip(),
    )


def _why_not_ours(resource_dir: Path) -> str:
    """Return what in a kernel.json shows that spack-kernel did not write it."""
    from spack_kernel.jupyter.kernelspecs import PROVISIONER_NAME, provisioner_of, read_kernel_json

    content = read_kernel_json(resource_dir)
    if not content:
        return "cannot be read: it is not a JSON object"
    name = provisioner_of(content).get("provisioner_name")
    if name is None:
        return "names no provisioner"
    return f"names the provisioner {name!r} instead of {PROVISIONER_NAME!r}"


def installed_traits(installed: InstalledKernelSpec) -> KernelTraits:
    """Return the traits that an installed kernel's kernel.json sets, checked as at its start.

    Raises
    ------
    KernelSpecError
        For an unknown key or a value of the wrong type; it names the file.
    """
    from jupyter_client.kernelspec import KernelSpec
    from traitlets import TraitError

    from spack_kernel.jupyter.errors import KernelSpecError
    from spack_kernel.jupyter.kernelspecs import read_kernel_json
    from spack_kernel.jupyter.provisioner import KernelTraits
    from spack_kernel.kernels.kernel_json import KERNEL_FILE

    file = f"{installed.resource_dir}/{KERNEL_FILE}"
    try:
        content = read_kernel_json(Path(installed.resource_dir))
        kernel_spec = KernelSpec(resource_dir=installed.resource_dir, **content)
        traits = KernelTraits(kernel_spec=kernel_spec)
        traits.configure(dict(installed.config))
    except KernelSpecError as error:
        raise KernelSpecError(
            error.summary, details=[*error.details, f"  in {file}"], hint=error.hint
        ) from None
    except (TraitError, TypeError, ValueError) as error:
        raise KernelSpecError(
            f"the kernelspec `{installed.name}` cannot be read: {error}",
            details=[f"  {file}"],
            hint="Correct the file, or install the kernel again with `spack-kernel install`.",
        ) from error
    return traits


def warn_if_changed(plan: KernelPlan, console: Console) -> None:
    """Warn if a Spack environment has other roots now than when its kernel was installed."""
    frozen = plan.source.frozen
    if frozen is None:
        return
    from spack_kernel.spack.environments import open_environment
    from spack_kernel.spack.errors import SpackKernelError

    try:
        roots = open_environment(frozen.path).roots
    except SpackKernelError as error:
        console.warn(f"{error.summary}; the kernel does not need these files, and still starts")
        return
    if {root.hash for root in roots} != {root.hash for root in frozen.roots}:
        console.warn(
            f"the environment {frozen.name} has changed since this kernel was installed; the "
            "kernel loads the roots of that time; install it again to update it"
        )


def installed_plan(installed: InstalledKernelSpec) -> KernelPlan:
    """Return the plan that the provisioner would make for an installed kernel.

    Raises
    ------
    SpackKernelError
        When no kernel can be planned.
    """
    from spack_kernel.jupyter.errors import KernelSpecError
    from spack_kernel.jupyter.notebook import (
        NOTEBOOK_VARIABLE,
        notebook_path,
        read_notebook_spec,
    )
    from spack_kernel.kernels.planner import Planner, refuse_contradiction
    from spack_kernel.spack.errors import SpackKernelError

    request = installed_traits(installed).request()
    refuse_contradiction(request)
    if request.from_notebook:
        if not os.environ.get(NOTEBOOK_VARIABLE):
            raise KernelSpecError(
                f"`{installed.name}` starts the spec that a notebook names, but no notebook is set",
                hint=f"Set {NOTEBOOK_VARIABLE} to the path of a notebook, or check the notebook "
                "with `spack-kernel pin --check NOTEBOOK`.",
            )
        request = read_notebook_spec(notebook_path(os.environ, told=False)).request(request)
    try:
        return Planner().plan(request, {**os.environ, **request.env})
    except SpackKernelError as error:
        error.details += (f"  requested by {installed.resource_dir}/kernel.json",)
        raise
