"""From arguments to a subcommand, and from what it raises to an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from .console import Console
from .options import add_output_options, add_store_option, join_env_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Subcommand → what it does, in the order in which help shows them.
COMMANDS = {
    "list": "list the installed specs that can be kernels",
    "show": "show what a kernel for a spec would be, and why",
    "install": "make a kernel for a spec",
    "check": "start a kernel for real and import its package",
    "remove": "remove kernels made by install",
    "sync": "write and prune kernelspecs for all that is offered",
    "pin": "write into a notebook which spec it needs",
    "exec": "run a command in the environment of a spec",
    "demo": "make a small store to try everything without Spack",
    "completion": "print what makes a shell complete this command",
}

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE

_DESCRIPTION = """\
Jupyter kernels that start in the environment of an installed Spack spec.

Specs are named as for Spack: py-numpy, py-petsc4py@3.20:~mpi ^python@3.11, /j4zmggq.
The store is found through --store, $SPACK_KERNEL_STORE, $SPACK_ROOT or a spack on PATH."""

_EPILOG = """\
the usual way:
  spack-kernel list py-libensemble           which ones are installed
  spack-kernel show py-libensemble/j4zmggq   what would be started
  spack-kernel install py-libensemble/j4zmggq
  spack-kernel check py-libensemble/j4zmggq

`spack-kernel COMMAND --help` shows examples for each command."""


class Parser(argparse.ArgumentParser):
    """A parser whose messages say what to type, too."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the arguments and end with the status for usage."""
        hint = f"`{self.prog} --help` shows examples."
        stray = message.partition("unrecognized arguments: ")[2].split()
        variant = next((a for a in stray if a.startswith("-") and not a.startswith("--")), None)
        if variant and len(variant) > 2:
            hint = f"If {variant} is a variant that is off, write ~{variant[1:]}."
        option = next((a for a in stray if a.startswith("--") and len(a) > 2), None)
        if option is not None:
            import difflib

            known = list(self._option_string_actions)
            close = difflib.get_close_matches(option.partition("=")[0], known, n=1)
            hint = f"Did you mean {close[0]}?" if close else hint
        if stray and self.prog.endswith(" exec"):
            hint = "Write two dashes before the command: QUERY -- COMMAND."
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"error: {message}\nhint: {hint}\n")


def build_parser(commands: Iterable[str]) -> tuple[Parser, dict[str, argparse.ArgumentParser]]:
    """Return the parser, and the parsers of `commands`, whose modules alone are imported."""
    from spack_kernel import __version__

    parser = Parser(prog=_program(), description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"spack-kernel {__version__}")
    add_store_option(parser)
    add_output_options(parser)
    adder = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", parser_class=Parser
    )
    subparsers: dict[str, argparse.ArgumentParser] = {}
    for name in commands:
        subparsers[name] = importlib.import_module(_module(name)).add_parser(adder)
        add_output_options(subparsers[name])
    return parser, subparsers


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; `module` names the subcommand's module.

    Raises
    ------
    SystemExit
        After help, the version or a usage error was printed.
    """
    start = _command_index(argv)
    name = argv[start] if start < len(argv) else None
    if name is None or name not in COMMANDS:
        parser, _ = build_parser(COMMANDS)
        parser.parse_args(argv[:start])  # ends here for --help and --version
        if name is None:
            parser.print_help(sys.stderr)
            parser.exit(EXIT_USAGE)
        parser.error(f"there is no command {name!r}{_suggestion(name)}")
    parser, subparsers = build_parser([name])
    given = argparse.Namespace(store=[], color="auto", verbose=False)
    namespace = parser.parse_args(argv[:start], given)
    rest, behind = list(argv[start + 1 :]), None
    if name == "exec" and "--" in rest:
        # argparse treats `--` differently from version to version; it ends the query here.
        cut = rest.index("--")
        rest, behind = rest[:cut], rest[cut + 1 :]
    if name in ("install", "check", "exec"):
        rest = join_env_pairs(rest)
    namespace = subparsers[name].parse_intermixed_args(rest, namespace)
    namespace.module = _module(name)
    namespace.parser = subparsers[name]
    namespace.behind = behind
    return namespace


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        complete()
    try:
        args = parse(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    args.arguments = arguments
    console = args.console = Console(
        args.color,
        json=getattr(args, "json", False),
        verbose=args.verbose,
    )
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: console.warn(str(message))
            status: int = importlib.import_module(args.module).run(args)
        console.out.flush()
    except KeyboardInterrupt:
        console.note("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer must not raise again while Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_ERROR
    except Exception as error:
        return _report(error, console)
    return status


def _report(error: Exception, console: Console) -> int:
    from spack_kernel.spack.errors import SpackKernelError

    if not isinstance(error, SpackKernelError):
        if console.verbose:
            import traceback

            traceback.print_exception(error, file=console.err)
        if isinstance(error, RuntimeError) and "home directory" in str(error):
            reported = SpackKernelError(
                "HOME is not set, and this user has no home directory that could be looked up",
                hint="Set HOME to a directory of your own: export HOME=/path/to/it",
            )
        elif isinstance(error, OSError) and error.filename is not None:
            reported = SpackKernelError(f"{error.filename}: {error.strerror}")
        else:
            reported = SpackKernelError(
                f"this is a defect in spack-kernel: {type(error).__name__}: {error}",
                hint="Run it again with --verbose and report what it prints.",
            )
        error = reported
    console.error(error)
    return EXIT_ERROR


def _program() -> str:
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib is not needed otherwise
    if name == "jupyter-spack-kernel":
        return "jupyter spack-kernel"
    return "python -m spack_kernel" if name == "__main__.py" else "spack-kernel"


def _command_index(argv: Sequence[str]) -> int:
    """Return where the subcommand stands: behind the options that may come before it."""
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        index += 2 if argv[index] in ("--store", "--color") else 1
    return min(index, len(argv))


def _module(command: str) -> str:
    name = f"{command}_" if command in ("exec", "list") else command  # not to hide built-ins
    return f"spack_kernel.cli.{name}"


def _suggestion(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(COMMANDS)}"
