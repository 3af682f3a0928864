"""The source of a kernel: the arguments for it, which several subcommands share, and their meaning.

Heavy imports are inside the functions, as in the subcommands.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .options import get_specs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from spack_kernel.jupyter.kernelspecs import InstalledKernelSpec
    from spack_kernel.jupyter.provisioner import KernelTraits
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.sources import Source
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.load import RecipeVariables
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .options import Adder


def add_source_options(parser: Adder) -> None:
    """Add ``--environment``, ``--view``, ``--module`` and ``--no-modules``."""
    parser.add_argument(
        "--environment",
        metavar="NAME|DIR",
        default="",
        help="instead of QUERY: a Spack environment, by name or by directory (./science); if it "
        "has a view, the view is used",
    )
    parser.add_argument(
        "--view",
        metavar="NAME|PATH",
        default="",
        help="with --environment: which of its views to use, or `none`; instead of QUERY: the "
        "directory of a view created with `spack view`",
    )
    parser.add_argument(
        "--module",
        metavar="MODULE",
        action="append",
        default=[],
        dest="modules",
        help="a module of the site to load before the kernel starts, repeatable; without QUERY: "
        "only modules that Spack generated",
    )
    parser.add_argument(
        "--no-modules",
        action="store_false",
        dest="load_modules",
        help="do not load the modules that externals name",
    )
    parser.add_argument(
        "--prefix-inspections",
        metavar="JSON",
        default="",
        help="which subdirectories of prefixes to add to which variables, as recorded in "
        "kernelspecs; replaces the configuration of the store",
    )


def check_source(args: argparse.Namespace) -> None:
    """Exit with a usage error unless the arguments name exactly one source."""
    instead = [name for name in ("environment", "view") if getattr(args, name)]
    if args.query and instead:
        args.parser.error(f"give a QUERY or --{instead[0]}, not both")
    if not (args.query or instead or args.modules):
        args.parser.error("nothing to load: give a QUERY, --environment, --view or --module")


def get_source(
    args: argparse.Namespace,
    store: Store,
    *,
    specs: Sequence[Spec] = (),
    recipes: RecipeVariables | None = None,
    env: Mapping[str, str] | None = None,
) -> Source:
    """Return the source that the arguments name.

    Parameters
    ----------
    args : Namespace
        Arguments that `check_source` has accepted.
    store : Store
        The store to search.
    specs : sequence of Spec, optional
        The specs that the queries select, if already known.
    recipes : RecipeVariables, optional
        What was recorded from package recipes.
    env : mapping of str to str, optional
        What ``--env`` sets.

    Raises
    ------
    SpackKernelError
        When the source is ambiguous or not installed.
    """
    from spack_kernel.kernels.sources import kernel_source
    from spack_kernel.spack.load import read_inspections

    inspections = read_inspections(args.prefix_inspections)
    if args.environment:
        return kernel_source.environment_source(
            store, args.environment, view=args.view, inspections=inspections, recipes=recipes
        )
    if args.view:
        # A name alone never means a subdirectory of the working directory.
        view = os.path.abspath(args.view) if args.view[:1] == "." else args.view  # noqa: PTH100
        return kernel_source.view_source(store, view, inspections=inspections)
    if not args.query:
        from spack_kernel.kernels.sources import module_source

        return module_source(store, args.modules, os.environ, env=env)
    specs = specs or get_specs(store, args.query)
    return kernel_source.specs_source(store, specs, inspections=inspections, recipes=recipes)


def get_plan(args: argparse.Namespace, source: Source, *, kernel: bool = True) -> KernelPlan:
    """Return the plan for a source, with the modules and companion that the arguments name.

    Raises
    ------
    SpackKernelError
        When no kernel can be planned.
    """
    from spack_kernel.kernels.plan import plan_source

    return plan_source(
        source,
        companion=args.companion,
        kernel=kernel,
        modules=args.modules,
        modules_of_externals=args.load_modules,
    )


def find_installed(args: argparse.Namespace) -> InstalledKernelSpec | None:
    """Return the installed kernel whose name is the only QUERY, or None."""
    if len(args.query) != 1:
        return None
    from spack_kernel.jupyter.kernelspecs import list_kernelspecs

    wanted = args.query[0].lower()
    return next((spec for spec in list_kernelspecs() if spec.name == wanted), None)


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
    from spack_kernel.jupyter.kernelspecs import KERNEL_FILE, read_kernel_json
    from spack_kernel.jupyter.provisioner import KernelTraits

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
        NotebookSpec,
        notebook_path,
        read_notebook_spec,
    )
    from spack_kernel.kernels.planner import Planner
    from spack_kernel.spack.errors import SpackKernelError

    traits = installed_traits(installed)
    wanted = NotebookSpec(traits.spec, traits.hash, tuple(traits.specs))
    if traits.from_notebook:
        if not os.environ.get(NOTEBOOK_VARIABLE):
            raise KernelSpecError(
                f"`{installed.name}` starts the spec that a notebook names, but no notebook is set",
                hint=f"Set {NOTEBOOK_VARIABLE} to the path of a notebook, or check the notebook "
                "with `spack-kernel pin --check NOTEBOOK`.",
            )
        wanted = read_notebook_spec(notebook_path(os.environ, told=False))
    request = traits.request(wanted)
    try:
        return Planner().plan(request, {**os.environ, **traits.all_env()})
    except SpackKernelError as error:
        error.details += (f"  requested by {installed.resource_dir}/kernel.json",)
        raise
