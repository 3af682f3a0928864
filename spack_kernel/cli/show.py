"""``spack-kernel show``: show the plan of a kernel, with reasons and the spec of each path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import (
    add_json_option,
    add_query_argument,
    add_request_options,
    add_store_option,
    get_specs,
    open_store,
    variables,
)
from .show_tree import (
    node_dict,
    print_nodes,
    show_concretized_tree,
    show_environment_tree,
    show_tree,
    tree_nodes,
)
from .show_variables import entry_count, label, print_variables
from .sources import (
    check_source,
    find_installed,
    get_source,
    installed_plan,
    installed_traits,
    instead_of_query,
    refuse_options,
    request_of,
    warn_if_changed,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from spack_kernel.jupyter.kernelspecs import InstalledKernelSpec
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .console import Console

_DESCRIPTION = """\
Show the plan of a kernel: the interpreter, ipykernel and where it comes from, every path of the
environment with the spec that it belongs to, notes, and the dependency tree.

Instead of a query, you can give the name of an installed kernel.

The tree uses Spack's marks: [+] installed, [^] installed upstream, [e] external, [-] recorded but
not installed, and a single - if no database has a record of the spec. With --tree, nothing need be
installed: for a Spack environment, the tree shows what it is concretized to; for a query that no
installed spec matches, it shows what the site's spack would install."""

_EPILOG = """\
examples:
  spack-kernel show py-libensemble/j4zmggq     everything
  spack-kernel show --tree py-scipy            only the tree, as `spack spec -Il` prints it
  spack-kernel show --tree --environment science   what is installed of an environment
  spack-kernel show --tree --types --deptypes link,run py-scipy
  spack-kernel show --paths py-scipy           only the entries of PYTHONPATH
  spack-kernel show --variables py-scipy       only the variables, as NAME=VALUE
  spack-kernel show py-numpy py-mpi4py         one kernel for two specs, as `spack load a b`
  spack-kernel show --environment science      a kernel for a Spack environment
  spack-kernel show --json py-scipy | jq -r '.pythonpath[]'"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `show`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "show",
        help="show the plan of a kernel, and the reasons for it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_query_argument(parser, "*")
    add_request_options(parser, "show")
    part = parser.add_argument_group("show only a part").add_mutually_exclusive_group()
    part.add_argument("--tree", action="store_true", help="the dependency tree")
    part.add_argument("--paths", action="store_true", help="the entries of PYTHONPATH")
    part.add_argument("--variables", action="store_true", help="the variables, as NAME=VALUE")
    tree = parser.add_argument_group("the tree")
    tree.add_argument(
        "-t", "--types", action="store_true", help="show each spec's dependency types: [blrt]"
    )
    tree.add_argument(
        "--deptypes",
        metavar="TYPES",
        default="all",
        help="follow only these types, separated by commas: build, link, run, test (default: all)",
    )
    asking = tree.add_mutually_exclusive_group()
    asking.add_argument(
        "--spack",
        metavar="PATH",
        help="the spack to ask for what is not installed (default: the store's own spack or the "
        "one on PATH)",
    )
    asking.add_argument(
        "--no-spack", action="store_true", help="do not ask spack for what is not installed"
    )
    add_json_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Show the plan, or the part of it that the arguments select."""
    from spack_kernel.jupyter.kernelspecs import job_label
    from spack_kernel.spack.errors import SpackKernelError

    console: Console = args.console
    check_source(args)
    deptypes = _deptypes(args)
    installed: InstalledKernelSpec | None = None
    store: Store | None = None
    try:
        store = open_store(args)
        specs = get_specs(store, args.query) if args.query else []
    except SpackKernelError as error:
        installed = find_installed(args)
        if installed is None:
            if args.tree and store is not None and _may_be_installable(error):
                show_concretized_tree(args, store, deptypes, error)
                return 0
            raise instead_of_query(args, error) from None
        refuse_options(args, installed, ["--store"] if args.store else [])
        plan = installed_plan(installed)
        warn_if_changed(plan, args.console)
    else:
        # The records are enough for the tree; the installed files do not matter.
        if args.tree and specs:
            show_tree(store, specs, deptypes, args)
            return 0
        if args.tree and args.environment and not args.view:
            show_environment_tree(args, store, deptypes)
            return 0
        plan = _plan(args, store, specs)
    traits = installed_traits(installed) if installed is not None else None
    env = traits.all_env() if traits is not None else variables(args)
    request = traits.request() if traits is not None else request_of(args)
    if args.tree:
        show_tree(plan.store, plan.specs, deptypes, args)
    elif console.json:
        _print_json(plan, args, deptypes, env, request)
    elif args.variables:
        for name, value in sorted(plan.variables(env=env).items()):
            console.print(f"{name}={value}")
    elif args.paths:
        for path in plan.variables(env=env).get("PYTHONPATH", "").split(":"):
            if path:
                console.print(path)
    else:
        if installed is not None:
            console.print(f"The kernel {console.style('bold', installed.name)}")
            if installed.job is not None:
                console.print(f"  runs in      {job_label(installed.job)}")
        _print_plan(plan, env, console, request)
        print_variables(plan, env, console)
        _print_removed(plan, env, console)
        if plan.notes:
            console.print()
            console.print(console.style("bold", "Notes"))
            for note in plan.notes:
                console.print(f"  {note.topic}: {note.text}")
        console.print()
        console.print(console.style("bold", "Dependency tree"))
        print_nodes(
            tree_nodes(plan.store, plan.specs, deptypes), plan.store, console, types=args.types
        )
    return 0


def _may_be_installable(error: SpackKernelError) -> bool:
    """Return whether nothing matches a query, and it is not a slip of something installed."""
    from spack_kernel.spack import NoMatch

    return isinstance(error, NoMatch) and not error.hint.startswith("Did you mean")


def _print_removed(plan: KernelPlan, env: Mapping[str, str], console: Console) -> None:
    """Print the variables that are not set in the kernel, and where they come from."""
    import contextlib
    import os

    from spack_kernel.spack.load import ModulesError

    cleaned, removed = plan.cleaned(os.environ)
    if plan.modules:
        with contextlib.suppress(ModulesError):  # shown with what the modules set
            removed += plan.loaded_modules(cleaned, env=env).removed
    removed += plan.removals(env)
    if not removed:
        return
    console.print()
    console.print(console.style("bold", "Left out of the environment"))
    for name, value, reason, source in removed:
        console.print(f"  {name}={value}")
        console.print(console.style("dim", f"    from {source or 'this shell'}: {reason}"))


def _plan(args: argparse.Namespace, store: Store, specs: Sequence[Spec]) -> KernelPlan:
    import msgspec

    from spack_kernel.kernels.planner import plan_of

    kernel = not (args.tree or args.variables or args.paths)
    request = msgspec.structs.replace(request_of(args), kernel=kernel)
    return plan_of(get_source(args, store, request, specs=specs), request, is_complete=False)


def _deptypes(args: argparse.Namespace) -> Sequence[str]:
    from spack_kernel.spack.spec import ALL_DEPTYPES

    if args.deptypes == "all":
        return ALL_DEPTYPES
    chosen: list[str] = args.deptypes.split(",")
    wrong = [deptype for deptype in chosen if deptype not in ALL_DEPTYPES]
    if wrong:
        args.parser.error(
            f"argument --deptypes: {wrong[0]!r} is not one of {', '.join(ALL_DEPTYPES)}, all"
        )
    return chosen


def _print_json(
    plan: KernelPlan,
    args: argparse.Namespace,
    deptypes: Sequence[str],
    env: Mapping[str, str],
    request: KernelRequest,
) -> None:
    from spack_kernel.kernels.image_choice import image_dict, image_of
    from spack_kernel.kernels.plan import plan_dict

    facts = plan_dict(plan)
    facts["env"] = plan.variables(env=env)
    if args.variables:
        args.console.print_json(facts["env"])
    elif args.paths:
        args.console.print_json(facts["pythonpath_entries"])
    else:
        tree = [node_dict(node) for node in tree_nodes(plan.store, plan.specs, deptypes)]
        image = image_dict(image_of(plan, request))
        args.console.print_json({**facts, "start_image": image, "tree": tree})


# -- the plan ------------------------------------------------------------------------------------


def _print_plan(
    plan: KernelPlan, env: Mapping[str, str], console: Console, request: KernelRequest
) -> None:
    from spack_kernel.kernels.image_choice import image_dict, image_of

    interpreter, ipykernel = plan.interpreter, plan.ipykernel
    if plan.source.kind != "specs":
        console.print(plan.source.describe())
    for spec in plan.specs:
        console.print(label(spec, console))
        console.print(f"  prefix       {spec.prefix or '-'}")
    if plan.source.environment:
        console.print(f"  environment  {plan.source.environment}")
    if plan.source.view:
        console.print(f"  view         {plan.source.view}")
    console.print(f"  store        {plan.store.root}")
    for number, missing in enumerate(plan.missing):
        line = f"  {'' if number else 'incomplete':<11}  {missing.why}"
        console.print(console.style("red", line))
    if interpreter is not None:
        console.print(f"  interpreter  {interpreter.path}")
        console.print(f"               Python {interpreter.version}: {interpreter.reason}")
    if ipykernel is not None:
        version = ipykernel.version or "unknown version"
        console.print(f"  ipykernel    {version}, {ipykernel.source}")
        console.print(f"               {ipykernel.reason}")
    console.print(f"  debugger     {'yes' if plan.debugger else 'no: debugpy is not installed'}")
    encryption = f"no: {plan.unencrypted}" if plan.unencrypted else "yes, if Jupyter requests it"
    console.print(f"  encryption   {encryption}")
    image = image_dict(image_of(plan, request))
    how = f"none: {image['reason']}"
    if image["path"]:
        how = f"{image['modules']:,} modules" if image["modules"] else "made by the next start"
    console.print(f"  start image  {how}")
    if image["path"]:
        console.print(f"               {image['path']}")
    for refused in image["refused"]:
        console.print(console.style("yellow", f"               not used: {refused}"))
    if interpreter is not None:
        console.print(f"  command      {' '.join(plan.argv)}")
    if plan.modules:
        console.print(f"  modules      {' '.join(plan.modules)}")
    _print_pythonpath(plan, env, console)


def _print_pythonpath(plan: KernelPlan, env: Mapping[str, str], console: Console) -> None:
    entries = plan.pythonpath
    ours = {entry.path: entry.reason for entry in plan.load.pythonpath if entry.added_by_us}
    width = max((len(entry.spec.label) for entry in entries), default=0)
    console.print()
    console.print(console.style("bold", f"PYTHONPATH, {entry_count(len(entries))} in order"))
    if "PYTHONPATH" in env:
        console.print(console.style("yellow", f"  and from the kernelspec: {env['PYTHONPATH']}"))
    behind = False
    for entry in entries:
        if entry.origin == "companion" and not behind:
            behind = True
            console.print(console.style("yellow", "  after them, for the companion:"))
        note = f"not Spack's: {ours[entry.path]}" if entry.path in ours else ""
        console.entry(label(entry.spec, console, width), width, entry.path, note)
