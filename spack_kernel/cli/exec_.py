"""``spack-kernel exec``: any command in the environment of a spec.

The command replaces this process, so signals and the exit status are its own. A kernelspec's
``argv`` is a line of this kind, for front ends that know no provisioners.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

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
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.specs import Spec
    from spack_kernel.spack.store import Store

#: What a shell returns for a command that cannot be run, and for one that is not there.
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127

_DESCRIPTION = """\
Run a command in the environment a kernel for the spec would have. `python` is the kernel's own
interpreter, whatever PATH says. What the shell had of another Python (PYTHONPATH, VIRTUAL_ENV,
Conda, a Spack environment) is left out.

The command takes the place of this process: signals reach it, its exit status is the result.
126 means it cannot be executed, 127 that there is none of that name, 1 that no environment
could be made."""

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
        help="instead of QUERY: what the notebook says that $SPACK_KERNEL_NOTEBOOK or "
        "$JPY_SESSION_NAME names (see `spack-kernel pin`)",
    )
    parser.add_argument(
        "--no-import-index",
        action="store_true",
        help="let a kernel ask every directory of its PYTHONPATH at every import",
    )
    parser.add_argument(
        "--recipes",
        metavar="JSON",
        default="",
        help="what `install` recorded of package recipes, as it writes it into a kernelspec",
    )
    add_source_options(parser.add_argument_group("what to load"))
    add_env_option(parser)
    add_companion_option(parser)
    add_store_option(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Replace this process by the command; return only when that cannot be done."""
    if not args.behind:
        args.parser.error("no command; write it behind two dashes: QUERY -- COMMAND")
    if not args.from_notebook:
        check_source(args)
    elif args.query or args.environment or args.view:
        args.parser.error("the notebook says what to load; leave out everything else")
    chosen = variables(args)
    from spack_kernel.kernels.plan import is_python
    from spack_kernel.kernels.sources import specs_source
    from spack_kernel.spack.recorded import read_recipes

    command = args.behind
    # Without ipykernel only this one command cannot work, so only it asks for one.
    kernel = is_python(command[0]) and command[1:3] == ["-m", "ipykernel_launcher"]
    store = open_store(args)
    if args.from_notebook:
        source = specs_source(store, _from_notebook(store))
    else:
        source = get_source(args, store, recipes=read_recipes(args.recipes), env=chosen)
    plan = get_plan(args, source, kernel=kernel)
    environment = plan.environment(os.environ, env=chosen)
    command = plan.command(command)
    if kernel and plan.interpreter is not None:
        from spack_kernel.kernels.import_index import through_launcher

        command, environment = through_launcher(
            command, environment, plan.interpreter.facts, index=not args.no_import_index
        )
    try:
        replace_process(command, environment)
    except CommandError as error:
        args.console.error(error.reported)
        return error.status


def _from_notebook(store: Store) -> list[Spec]:
    """Return the specs that the notebook needs for which this process is started."""
    from spack_kernel.jupyter.notebook import (
        NOTEBOOK_VARIABLE,
        missing,
        notebook_path,
        read_notebook_spec,
    )
    from spack_kernel.jupyter.resolve import Request, resolve
    from spack_kernel.spack.errors import SpackKernelError

    path = notebook_path(os.environ, told=NOTEBOOK_VARIABLE not in os.environ)
    wanted = read_notebook_spec(path)
    try:
        return resolve(store, Request(wanted.spec, wanted.hash, wanted.specs))
    except SpackKernelError as error:
        raise missing(error, path, wanted) from error


class CommandError(Exception):
    """A command that could not be started: the status to end with, and the error to show."""

    def __init__(self, status: int, summary: str, details: Sequence[str], hint: str = "") -> None:
        from spack_kernel.spack.errors import SpackKernelError

        super().__init__(summary)
        self.status = status
        self.reported = SpackKernelError(summary, details=details, hint=hint)


def replace_process(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run `command` in the place of this process."""
    name = command[0]
    path = environment.get("PATH", os.defpath)
    denied: tuple[str, str] | None = None
    for candidate in _candidates(name, path):
        if not os.path.isfile(candidate):  # noqa: PTH113 - a kernel's start does without pathlib
            if os.path.isdir(candidate) and os.sep in name:  # noqa: PTH112
                raise CommandError(EXIT_NOT_EXECUTABLE, f"{name} is a directory", ())
            continue
        sys.stdout.flush()
        sys.stderr.flush()
        # Python ignores these, and what it ignores a new program would, too.
        for name_of_signal in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name_of_signal), signal.SIG_DFL)
        try:
            os.execve(candidate, list(command), dict(environment))  # noqa: S606 - the very purpose
        except OSError as error:
            denied = denied or (candidate, error.strerror or str(error))
    if denied is not None:
        candidate, reason = denied
        raise CommandError(
            EXIT_NOT_EXECUTABLE,
            f"{name} cannot be executed: {reason}",
            () if candidate == name else (candidate,),
        )
    if os.sep in name:
        raise CommandError(EXIT_NOT_FOUND, f"there is no file {name}", ())
    raise CommandError(
        EXIT_NOT_FOUND,
        f"there is no command {name!r} on the PATH of this environment",
        [f"looked in {directory}" for directory in dict.fromkeys(path.split(os.pathsep))],
    )


def _candidates(name: str, path: str) -> list[str]:
    if os.sep in name:
        return [name]
    # An empty entry of PATH means the working directory, which is not to be trusted.
    return [f"{directory}/{name}" for directory in path.split(os.pathsep) if directory]
