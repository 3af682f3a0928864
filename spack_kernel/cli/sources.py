"""What a kernel is loaded from: arguments that several subcommands share, and the source they mean.

Heavy imports stand inside the functions, as in the subcommands.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .options import get_specs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from spack_kernel.jupyter.kernelspecs import InstalledKernelSpec
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.sources import Source
    from spack_kernel.spack.recorded import RecipeEnvironment
    from spack_kernel.spack.specs import Spec
    from spack_kernel.spack.store import Store

    from .options import Adder


def add_source_options(parser: Adder) -> None:
    """Add ``--environment``, ``--view``, ``--module`` and ``--no-modules``."""
    parser.add_argument(
        "--environment",
        metavar="NAME|DIR",
        default="",
        help="instead of QUERY: a Spack environment, by name or by directory (./science); through "
        "its view when it has one",
    )
    parser.add_argument(
        "--view",
        metavar="NAME|PATH",
        default="",
        help="with --environment: which of its views, `none` for none; instead of QUERY: the "
        "directory of a view made by `spack view`",
    )
    parser.add_argument(
        "--module",
        metavar="MODULE",
        action="append",
        default=[],
        dest="modules",
        help="a module of the site to load before the kernel starts, repeatable; without QUERY: "
        "modules that Spack generated, and nothing else",
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
        help="which subdirectories of prefixes are put on which variables, as kernelspecs carry "
        "it; in the place of what the store is configured to",
    )


def check_source(args: argparse.Namespace) -> None:
    """End with a usage error unless the arguments name one thing to load."""
    instead = [name for name in ("environment", "view") if getattr(args, name)]
    if args.query and instead:
        args.parser.error(f"give a QUERY or --{instead[0]}, not both")
    if not (args.query or instead or args.modules):
        args.parser.error("what to load? give a QUERY, --environment, --view or --module")


def get_source(
    args: argparse.Namespace,
    store: Store,
    *,
    specs: Sequence[Spec] = (),
    recipes: RecipeEnvironment | None = None,
    env: Mapping[str, str] | None = None,
) -> Source:
    """Return what the arguments mean.

    Parameters
    ----------
    args : Namespace
        Checked by `check_source`.
    store : Store
        Where to look.
    specs : sequence of Spec, optional
        What the queries mean, where that is known.
    recipes : RecipeEnvironment, optional
        What was recorded of recipes.
    env : mapping of str to str, optional
        What ``--env`` sets.

    Raises
    ------
    SpackKernelError
        When it does not name one installed thing.
    """
    from spack_kernel.kernels import sources
    from spack_kernel.spack.load import read_inspections

    inspections = read_inspections(args.prefix_inspections)
    if args.environment:
        return sources.environment_source(
            store, args.environment, view=args.view, inspections=inspections, recipes=recipes
        )
    if args.view:
        # A name alone is never a directory of wherever the command happens to run.
        view = os.path.abspath(args.view) if args.view[:1] == "." else args.view  # noqa: PTH100
        return sources.view_source(store, view, inspections=inspections)
    if not args.query:
        from spack_kernel.kernels.module_source import module_source

        return module_source(store, args.modules, os.environ, env=env)
    specs = specs or get_specs(store, args.query)
    return sources.specs_source(store, specs, inspections=inspections, recipes=recipes)


def get_plan(args: argparse.Namespace, source: Source, *, kernel: bool = True) -> KernelPlan:
    """Return the plan for a source, with the modules and the companion the arguments name.

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


def installed_plan(installed: InstalledKernelSpec) -> KernelPlan:
    """Return the plan that the provisioner would make for an installed kernel.

    Raises
    ------
    SpackKernelError
        When there is none.
    """
    import json

    from jupyter_client.kernelspec import KernelSpec

    from spack_kernel.jupyter.kernel_json import kernel_command, starts_ipykernel
    from spack_kernel.jupyter.resolve import Planner, Request

    config = installed.config
    stores = config.get("store", ())
    recipes, inspections = config.get("recipes"), config.get("prefix_inspections")
    command = kernel_command(KernelSpec.from_resource_dir(installed.resource_dir).argv)
    request = Request(
        spec=config.get("spec", ""),
        hash=config.get("hash", ""),
        specs=tuple(config.get("specs", ())),
        environment=config.get("environment", ""),
        view=config.get("view", ""),
        modules=tuple(config.get("modules", ())),
        load_modules=config.get("load_modules", True),
        recipes=json.dumps(recipes, sort_keys=True) if recipes else "",
        prefix_inspections="" if inspections is None else json.dumps(inspections),
        stores=(stores,) if isinstance(stores, str) else tuple(stores),
        companion=config.get("companion", "auto"),
        kernel=not command or starts_ipykernel(command),
    )
    return Planner().plan(request, {**os.environ, **installed.env})
