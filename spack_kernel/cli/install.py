"""``spack-kernel install``: install a kernel for a spec."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import (
    add_json_option,
    add_location_options,
    add_query_argument,
    add_request_options,
    add_store_option,
    open_store,
    query_text,
    seconds,
    typed_command,
    warn_if_closed,
)
from .recipes import add_spack_options, ask_recipes
from .sources import check_source, get_source, request_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from spack_kernel.jupyter.kernelspecs import InstalledKernelSpec
    from spack_kernel.kernels.candidates import ShippedKernel
    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest

    from .console import Console

_DESCRIPTION = """\
Install a kernel for a spec, or one kernel for several specs, as `spack load a b` loads them. This
writes a kernelspec where Jupyter looks for it. The kernelspec is pinned to the DAG hash that the
query finds now, and also records the query. Nothing is written unless a kernel can be planned;
--dry-run shows what would be written.

With --slurm, --job-id or --place slurm, the kernel runs in a job of Slurm, which is submitted when
the kernel is started.

A kernel can also use a Spack environment, a view, or a module that Spack generated. If spack is
available, it is run once to get the variables that only package recipes set, and these are
recorded with the kernel. Starting the kernel never runs spack.

Without --user, --sys-prefix or --prefix, the kernelspec is written to the system-wide directory,
as with `ipykernel install`."""

_EPILOG = """\
examples:
  spack-kernel install --user py-libensemble/j4zmggq
  spack-kernel install --user --name fem py-petsc4py py-matplotlib
  spack-kernel install --user --env 'DATA=${HOME}/data' py-numpy/abc1234
  spack-kernel install --user --companion 'py-ipykernel@6' py-scipy
  spack-kernel install --user --kernel ir my-bundle/abc1234
  spack-kernel install --user --environment science
  spack-kernel install --user --module py-numpy/2.2.6-gcc-13.2.0-abc1234
  spack-kernel install --user --slurm partition=gpu --slurm time=1:00:00 py-numpy/abc1234
  spack-kernel install --dry-run py-scipy
  sudo spack-kernel install --store /sw/spack/opt/spack py-scipy      for everyone"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `install`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "install",
        help="install a kernel for a spec",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_query_argument(parser, "*")
    named = add_request_options(parser, "install")["the kernel"]
    named.add_argument(
        "--name", help="the name, as in `jupyter console --kernel NAME` (default: spack-SPEC)"
    )
    named.add_argument("--display-name", metavar="TEXT", help="the name that front ends show")
    named.add_argument(
        "--kernel",
        metavar="NAME",
        help="which kernel to start: one that a package in the closure ships, such as `ir` for R, "
        "or `python` (default: the one that the spec itself ships, otherwise python)",
    )
    add_spack_options(named)
    _add_job_options(parser.add_argument_group("where it runs"))
    group = parser.add_argument_group("where to write the kernelspec")
    add_location_options(group)
    group.add_argument(
        "--replace",
        action="store_true",
        help="replace a kernelspec of that name even if spack-kernel did not write it",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the kernel.json and write nothing"
    )
    add_json_option(parser)
    add_store_option(parser)
    return parser


def _add_job_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--slurm",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="start the kernel in a job of Slurm: an option of sbatch by its long name, such as "
        "partition=gpu or time=1:00:00, repeatable",
    )
    group.add_argument(
        "--place",
        choices=("here", "slurm"),
        help="where the kernel runs: `slurm` without --slurm is a job with the defaults of the "
        "site (default: here, on the machine of the server)",
    )
    group.add_argument(
        "--job-id",
        metavar="NUMBER",
        default="",
        help="start the kernel in a job of yours that runs already, and leave the job as it is",
    )
    group.add_argument(
        "--queue-timeout",
        metavar="SECONDS",
        type=seconds,
        help="cancel a job that waits longer for its nodes (default: no limit)",
    )


def _job_of(args: argparse.Namespace) -> dict[str, Any] | None:
    """Return the traits for the job that the options ask for; None for a kernel that runs here.

    Raises
    ------
    RequestError
        When the options contradict each other.
    JobRefusedError
        When sbatch has no such option.
    """
    from spack_kernel.jupyter.slurm import job_options, option_of
    from spack_kernel.kernels.errors import RequestError

    job: dict[str, Any] = {}
    if args.slurm:
        job["slurm"] = dict(option_of(text) for text in args.slurm)
    if args.job_id:
        if not args.job_id.isdecimal():
            raise RequestError(
                f"--job-id is not the number of a job: {args.job_id!r}",
                hint="`squeue --me` shows the numbers of your jobs.",
            )
        job["job_id"] = args.job_id
        job_options(job.get("slurm", {})).refuse_for_step(job.get("slurm", {}))
    if args.queue_timeout is not None:
        job["queue_timeout"] = args.queue_timeout
    if args.place == "here" and job:
        raise RequestError(
            "`--place here` excludes the options of a job",
            hint="Use either it, or --slurm, --job-id and --queue-timeout.",
        )
    return job if job or args.place == "slurm" else None


def run(args: argparse.Namespace) -> int:
    """Plan the kernel and write its kernelspec."""
    import msgspec

    from spack_kernel.jupyter.kernelspecs import in_job, install_kernelspec, kernel_dict
    from spack_kernel.kernels.candidates import choose_shipped
    from spack_kernel.kernels.planner import plan_of
    from spack_kernel.spack.load import ModulesError

    console: Console = args.console
    check_source(args)
    job = _job_of(args)
    request = request_of(args)
    store = open_store(args)
    source = get_source(args, store, request)
    shipped = choose_shipped(source.load.closure, args.kernel or source.default_kernel)
    request = msgspec.structs.replace(request, kernel=shipped is None)
    plan = plan_of(source, request)
    recipes = ask_recipes(args, source)
    if recipes is not None and recipes.variables:
        request = msgspec.structs.replace(request, recipes=recipes)
        plan = plan_of(get_source(args, store, request), request)
    for name, _, reason, source in plan.removals(request.env):
        console.warn(f"{name} from {source} is not set in the kernel: {reason}")
    if plan.modules:
        try:
            plan.loaded_modules(plan.cleaned(os.environ)[0], env=request.env)
        except ModulesError as error:
            console.warn(f"{error.summary}; a kernel started from this shell would fail")
    made: dict[str, Any] = {
        "query": query_text(args.query) if args.query and len(plan.specs) == 1 else None,
        "display_name": args.display_name,
        "shipped": shipped,
    }
    content = kernel_dict(plan, request, **made)
    _plan_again(content, request)
    if args.dry_run:
        labelled = args.display_name is None
        console.print_json(content if job is None else in_job(content, job, label=labelled))
        return 0
    installed = install_kernelspec(
        plan,
        request,
        name=args.name,
        user=args.user,
        prefix=args.prefix,
        replace=args.replace,
        job=job,
        **made,
    )
    if console.json:
        console.print_json(installed.as_dict())
    else:
        _print(installed, plan, shipped, console)
    if not args.user:
        warn_if_closed(Path(installed.resource_dir), console)
    if installed.shadowed_by:
        console.warn(f"Jupyter finds another kernel of this name first: {installed.shadowed_by}")
    elif installed.shadowed_by == "":
        console.warn(
            "Jupyter does not search that directory; add "
            f"{installed.resource_dir.rpartition('/kernels/')[0]} to JUPYTER_PATH"
        )
    return 0


def _plan_again(content: Mapping[str, Any], request: KernelRequest) -> None:
    """Plan the kernel from nothing but the kernel.json that will be written, as its start does.

    Raises
    ------
    SpackKernelError
        When that fails: what was resolved here, in this shell, is not all recorded.
    """
    import json

    import msgspec

    from spack_kernel.kernels.planner import Planner
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.errors import SpackKernelError

    written = json.loads(json.dumps(content))
    try:
        config = written["metadata"]["kernel_provisioner"]["config"]
        again = msgspec.structs.replace(KernelRequest.from_config(config), kernel=request.kernel)
        Planner().plan(again, {**os.environ, **written.get("env", {})})
    except SpackKernelError as error:
        error.details += ("  planned from what the kernel.json would record; nothing is written",)
        raise


def _print(
    installed: InstalledKernelSpec,
    plan: KernelPlan,
    shipped: ShippedKernel | None,
    console: Console,
) -> None:
    from spack_kernel.jupyter.kernelspecs import job_label

    console.print(f"The kernel {console.style('bold', installed.name)} is installed.")
    console.print(f"  shown as     {installed.display_name}")
    if plan.source.kind != "specs":
        console.print(f"  source       {plan.source.describe()}")
    if installed.job is not None:
        console.print(f"  runs in      {job_label(installed.job)}")
    for spec in plan.specs if plan.source.kind != "view" else ():
        console.print(f"  spec         {spec.label}")
    interpreter, ipykernel = plan.interpreter, plan.ipykernel
    if shipped is not None:
        console.print(f"  kernel       {shipped.name}, from {shipped.spec.label}")
    elif interpreter is not None and ipykernel is not None:
        source: str = ipykernel.source
        if ipykernel.source == "companion" and ipykernel.spec is not None:
            source += f" /{ipykernel.spec.hash[:7]}"
        console.print(f"  python       {interpreter.version}, {interpreter.path}")
        console.print(f"  ipykernel    {ipykernel.version or 'unknown version'}, {source}")
    if plan.modules:
        console.print(f"  modules      {' '.join(plan.modules)}")
    inspected = plan.source.prefix_inspections
    if inspected is not None:
        told = ", ".join(f"{where} on {' and '.join(names)}" for where, names in inspected.items())
        console.print(f"  inspected    {told or 'nothing'}, from the site's modules.yaml")
    recipes = plan.source.recipes
    if recipes is not None:
        whose = f"Spack {recipes.spack_version}" if recipes.spack_version else "the site's Spack"
        console.print(f"  recorded     {', '.join(recipes.variables)}, as {whose} sets them")
    console.print(f"  directory    {installed.resource_dir}")
    for note in plan.notes:
        console.print(f"  note         {note.topic}: {note.text}")
    console.print("Next:")
    console.print(f"  {typed_command()} check {installed.name}")
    if shutil.which("jupyter-console"):
        console.print(f"  jupyter console --kernel {installed.name}")
    console.print("or reload JupyterLab and pick it in the launcher.")
