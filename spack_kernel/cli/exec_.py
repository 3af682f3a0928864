"""``spack-kernel exec``: run any command in the environment of a spec.

The command replaces this process, so it receives the signals, and its exit status is the result.
The ``argv`` of a kernelspec is such a command, for front ends without provisioners.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .options import (
    add_query_argument,
    add_request_options,
    add_store_option,
    open_store,
)
from .sources import check_source, get_source, request_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from spack_kernel.kernels.plan import KernelPlan
    from spack_kernel.kernels.request import KernelRequest
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .cached_launch import Launch

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
    add_request_options(parser, "exec")
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
    request = request_of(args)
    from spack_kernel.spack.errors import SpackKernelError
    from spack_kernel.spack.system import file_checks

    from . import cached_launch
    from .process import CommandError, replace_process

    with file_checks.Recorder() as recorder:
        start = _start(args, request)
    if cached_launch.is_pinned(args) and start.composition and not args.console.warned:
        cached_launch.cache_launch(args.arguments, start, recorder.checks)
    try:
        replace_process(start.command, start.environment)
    except CommandError as error:
        args.console.error(SpackKernelError(error.summary, details=error.details))
        return error.status


def _start(args: argparse.Namespace, request: KernelRequest) -> Launch:
    """Return what to start."""
    import msgspec

    from spack_kernel.kernels.image_choice import fixed_entries, usable_image
    from spack_kernel.kernels.import_index import through_launcher, through_startup
    from spack_kernel.kernels.planner import plan_of

    from .cached_launch import Launch, kind_of

    command = args.behind
    # Without ipykernel, only this command cannot work, so only it requires one.
    kind = kind_of(command)
    kernel = kind == "kernel"
    request = msgspec.structs.replace(request, kernel=kernel)
    store = open_store(args)
    specs = _from_notebook(store) if request.from_notebook else ()
    plan = plan_of(get_source(args, store, request, specs=specs), request)
    environment = plan.environment(os.environ, env=request.env)
    _refuse_other_python(plan, command[0])
    command, python = plan.command(command), plan.interpreter
    if python is not None and kind:
        image = usable_image(plan, request)
        if kernel:
            index = request.import_index
            command, environment = through_launcher(
                command, environment, python.info, index=index, image=image
            )
        elif request.import_index:
            fixed = image.fixed if image is not None else fixed_entries(plan)
            environment = through_startup(environment, python.info, fixed, image)
    # Modules, and the configuration of a Spack instance, can differ at the next start.
    lasting = not plan.modules and store.config is None and not store.left_out
    composition = plan.composition() if lasting else None
    return Launch(command, environment, request.env, python.path if python else "", composition)


def _refuse_other_python(plan: KernelPlan, command: str) -> None:
    """Raise an error if a command names another version than that of the plan's Python.

    `KernelPlan.command` replaces any Python, as a kernel.json needs it; a user who types
    ``python3.12`` means that one.
    """
    from spack_kernel.kernels.errors import InterpreterError
    from spack_kernel.kernels.plan import is_python

    version = command.rpartition("/")[2].removeprefix("python")
    python = plan.interpreter
    if python is None or not is_python(command) or not version:
        return
    if not f"{python.version}.".startswith(f"{version}."):
        raise InterpreterError(
            f"`{command}` is not the Python of {plan.specs[0].label}, which is {python.version}",
            hint="Write `python` for that one, or choose a spec for another Python.",
        )


def _from_notebook(store: Store) -> Sequence[Spec]:
    """Return the specs recorded in the notebook for which this process is started."""
    from spack_kernel.jupyter.notebook import (
        NOTEBOOK_VARIABLE,
        notebook_error,
        notebook_path,
        read_notebook_spec,
    )
    from spack_kernel.kernels.planner import resolve
    from spack_kernel.spack.errors import SpackKernelError

    path = notebook_path(os.environ, told=NOTEBOOK_VARIABLE not in os.environ)
    wanted = read_notebook_spec(path)
    try:
        return resolve(store, wanted.request())
    except SpackKernelError as error:
        raise notebook_error(error, path, wanted) from error
