"""``spack-kernel exec``: run any command in the environment of a spec.

The command replaces this process, so it receives the signals, and its exit status is the result.
The ``argv`` of a kernelspec is such a command, for front ends without provisioners.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .options import (
    add_companion_option,
    add_env_option,
    add_query_argument,
    add_store_option,
    open_store,
    variables,
)
from .sources import add_source_options, check_source, get_plan, get_source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .replay import Start

_DESCRIPTION = """\
Run a command in the environment that a kernel for the spec would have. `python` is the kernel's
interpreter, regardless of PATH. Settings of another Python in the shell (PYTHONPATH, VIRTUAL_ENV,
Conda, a Spack environment) are removed.

The command replaces this process: it receives the signals, and its exit status is the result.
Exit status 126 means that the command cannot be executed, 127 that it was not found, and 1 that
the environment could not be set up."""

_EPILOG = """\
examples:
  spack-kernel exec py-scipy -- python -c 'import scipy; print(scipy.__file__)'
  spack-kernel exec py-numpy py-mpi4py -- python script.py
  spack-kernel exec --env OMP_NUM_THREADS=4 py-numpy -- ipython
  spack-kernel exec --environment science -- python script.py
  spack-kernel exec /j4zmggq -- bash"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of `exec`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "exec",
        help="run a command in the environment of a spec",
        usage="%(prog)s [options] QUERY [QUERY ...] -- COMMAND [ARGUMENT ...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_query_argument(parser, "*")
    parser.add_argument(
        "--from-notebook",
        action="store_true",
        help="instead of QUERY: the spec recorded in the notebook that $SPACK_KERNEL_NOTEBOOK or "
        "$JPY_SESSION_NAME names (see `spack-kernel pin`)",
    )
    parser.add_argument(
        "--no-import-index",
        action="store_true",
        help="let the kernel search every directory of its PYTHONPATH at every import",
    )
    parser.add_argument(
        "--recipes",
        metavar="JSON",
        default="",
        help="the variables that package recipes set, as `install` records them in a kernelspec",
    )
    add_source_options(parser.add_argument_group("what to load"))
    add_env_option(parser)
    add_companion_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Replace this process with the command; return only if that fails."""
    if not args.behind:
        args.parser.error("no command; write it after two dashes: QUERY -- COMMAND")
    if not args.from_notebook:
        check_source(args)
    elif args.query or args.environment or args.view:
        args.parser.error(
            "--from-notebook loads what the notebook names: leave out QUERY, --environment and "
            "--view"
        )
    chosen = variables(args)
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.system import file_checks

    from . import replay
    from .process import CommandError, replace_process

    with file_checks.Listener() as heard:
        start = _start(args, chosen)
    if replay.is_pinned(args) and start.composition and not args.console.warned:
        replay.remember(args.arguments, start, heard.questions)
    try:
        replace_process(start.command, start.environment)
    except CommandError as error:
        args.console.error(SpackKernelError(error.summary, details=error.details))
        return error.status


def _start(args: argparse.Namespace, env: Mapping[str, str]) -> Start:
    """Return the command to start and its environment."""
    from spack_kernel.kernels.import_index import through_launcher
    from spack_kernel.kernels.plan import is_python
    from spack_kernel.kernels.sources import specs_source
    from spack_kernel.spack.load import read_inspections, read_recipes

    from .replay import Start

    command = args.behind
    # Only this command needs ipykernel, so only this command requires one in the plan.
    kernel = is_python(command[0]) and command[1:3] == ["-m", "ipykernel_launcher"]
    store = open_store(args)
    if args.from_notebook:
        inspections = read_inspections(args.prefix_inspections)
        source = specs_source(store, _from_notebook(store), inspections=inspections)
    else:
        source = get_source(args, store, recipes=read_recipes(args.recipes), env=env)
    plan = get_plan(args, source, kernel=kernel)
    environment = plan.environment(os.environ, env=env)
    command, python = plan.command(command), plan.interpreter
    if kernel and python is not None:
        index = not args.no_import_index
        command, environment = through_launcher(command, environment, python.facts, index=index)
    # Modules and the configuration of a Spack instance can change before the next start.
    lasting = not plan.modules and store.config is None and not store.left_out
    composition = plan.composition() if lasting else None
    return Start(command, environment, env, python.path if python else "", composition)


def _from_notebook(store: Store) -> list[Spec]:
    """Return the specs that the notebook of this process needs."""
    from spack_kernel.jupyter.notebook import (
        NOTEBOOK_VARIABLE,
        missing,
        notebook_path,
        read_notebook_spec,
    )
    from spack_kernel.kernels.planner import Request, resolve
    from spack_kernel.spack.errors import SpackKernelError

    path = notebook_path(os.environ, told=NOTEBOOK_VARIABLE not in os.environ)
    wanted = read_notebook_spec(path)
    try:
        return resolve(store, Request(wanted.spec, wanted.hash, wanted.specs))
    except SpackKernelError as error:
        raise missing(error, path, wanted) from error
