"""Parse the arguments, run the subcommand, and turn its errors into an exit status."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import warnings
from argparse import Namespace
from typing import TYPE_CHECKING, Any, NoReturn

from .console import Console
from .options import join_env_pairs
from .parser import COMMANDS, EXIT_USAGE, build_parser, module_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

EXIT_ERROR = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; `module` names the subcommand's module.

    Raises
    ------
    SystemExit
        After help, the version or a usage error is printed.
    """
    start = _command_index(argv)
    name = argv[start] if start < len(argv) else None
    if name is None or name not in COMMANDS:
        parser, _ = build_parser(COMMANDS)
        parser.parse_args(argv[:start])  # exits here for --help and --version
        if name is None:
            parser.print_help(sys.stderr)
            parser.exit(EXIT_USAGE)
        parser.error(f"there is no command {name!r}{_suggestion(name)}")
    parser, subparsers = build_parser([name])
    given = Namespace(store=[], color="auto", verbose=False)
    namespace = parser.parse_args(argv[:start], given)
    rest, behind = list(argv[start + 1 :]), None
    if name == "exec" and "--" in rest:
        # Versions of argparse differ in how they treat `--`; here, it ends the query.
        cut = rest.index("--")
        rest, behind = rest[:cut], rest[cut + 1 :]
    if name in ("install", "check", "exec", "show"):
        rest = join_env_pairs(rest)
    subparsers[name].has_command = behind is not None
    namespace = subparsers[name].parse_intermixed_args(rest, namespace)
    namespace.module = module_of(name)
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
    termination = _Termination()
    status = EXIT_ERROR
    try:
        with warnings.catch_warnings(), _log_shown(console):
            warnings.showwarning = lambda message, *_, **__: console.warn(str(message))
            status = importlib.import_module(args.module).run(args)
        console.out.flush()
    except KeyboardInterrupt:
        console.note("interrupted")
        status = EXIT_INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer must not raise again while Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_BROKEN_PIPE
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else EXIT_ERROR
    except Exception as error:
        # In the middle of a lock, the exception for a signal becomes another one.
        status = EXIT_ERROR if termination.came else _report(error, console)
    finally:
        termination.restore()
    return EXIT_TERMINATED if termination.came else status


class _Termination:
    """Lets SIGTERM end the command through its `finally` blocks.

    A batch system or `timeout` sends it; nothing must be left behind then.

    Attributes
    ----------
    came : bool
        Whether it came.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._end)

    def _end(self, *_: object) -> NoReturn:
        self.came = True
        raise SystemExit(EXIT_TERMINATED)

    def restore(self) -> None:
        """Restore what SIGTERM did before."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)


@contextlib.contextmanager
def _log_shown(console: Console) -> Iterator[None]:
    """With ``--verbose``, print what the package logs inside."""
    if not console.verbose:
        yield
        return
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.note(f"{console.style('dim', record.name, console.err)}: {record.getMessage()}")

    logger, handler = logging.getLogger("spack_kernel"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _report(error: Exception, console: Console) -> int:
    from spack_kernel.spack.errors import SpackKernelError

    if not isinstance(error, SpackKernelError):
        if console.verbose:
            import traceback

            traceback.print_exception(error, file=console.err)
        if isinstance(error, RuntimeError) and "home directory" in str(error):
            reported = SpackKernelError(
                "HOME is not set, and the user database has no home directory for this user",
                hint="Set HOME to a directory that you own: export HOME=/path/to/it",
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


def _command_index(argv: Sequence[str]) -> int:
    """Return the index of the subcommand, after the options that can precede it."""
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        index += 2 if argv[index] in ("--store", "--color") else 1
    return min(index, len(argv))


def _suggestion(name: str) -> str:
    import difflib

    from .foreign import COMMANDS as NAMES_ELSEWHERE

    if name in NAMES_ELSEWHERE:
        return f"; did you mean {NAMES_ELSEWHERE[name]!r}?"
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; the commands are {', '.join(COMMANDS)}"
