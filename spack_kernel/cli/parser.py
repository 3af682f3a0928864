"""The subcommands and the parser of their arguments."""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from .options import add_output_options, add_store_option

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The summary of each subcommand, in the order in which help shows them.
COMMANDS = {
    "list": "list the installed specs that can be kernels",
    "show": "show the plan of a kernel, and the reasons for it",
    "install": "install a kernel for a spec",
    "check": "start a kernel and import its package",
    "remove": "remove kernels installed by spack-kernel",
    "sync": "write and prune kernelspecs for all offered kernels",
    "pin": "record in a notebook the spec that it needs",
    "workers": "print the configuration for workers in Slurm jobs",
    "index": "make the columns of a store that speed up every query",
    "image": "make the start image of a kernel",
    "cache": "show or remove what is kept in this user's caches",
    "exec": "run a command in the environment of a spec",
    "demo": "create a small store to try everything without Spack",
    "completion": "print shell code that completes this command",
}

EXIT_USAGE = 2

#: A disabled variant as Spack also accepts it, which looks like options.
_VARIANT = re.compile(r"-[A-Za-z_]\w[\w-]*")

_DESCRIPTION = """\
Jupyter kernels that start in the environment of an installed Spack spec.

Queries use Spack's syntax: py-numpy, py-petsc4py@3.20:~mpi ^python@3.11, /j4zmggq.
The store is found through --store, $SPACK_KERNEL_STORE, $SPACK_ROOT or the spack on PATH."""

_EPILOG = """\
typical use:
  spack-kernel list py-libensemble           list the installed specs
  spack-kernel show py-libensemble/j4zmggq   show the plan of its kernel
  spack-kernel install py-libensemble/j4zmggq
  spack-kernel check py-libensemble/j4zmggq

`spack-kernel COMMAND --help` shows examples for each command."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fits descriptions to the terminal: paragraphs are filled, and examples stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        paragraphs = []
        for paragraph in text.strip("\n").split("\n\n"):
            if "\n  " in f"\n{paragraph}":
                lines = [_example(line, width) for line in paragraph.splitlines()]
                paragraphs.append("\n".join(lines))
            else:
                paragraphs.append(textwrap.fill(" ".join(paragraph.split()), width))
        return textwrap.indent("\n\n".join(paragraphs), indent)


def _example(line: str, width: int) -> str:
    """Return a line of examples; if it is too long, what it says of the command comes below."""
    parts = re.fullmatch(r"(\s*\S.*?)\s{2,}(\S.*)", line)
    return line if parts is None or len(line) <= width else f"{parts[1]}\n      {parts[2]}"


class Parser(argparse.ArgumentParser):
    """A parser whose error messages also show what to type.

    Attributes
    ----------
    has_command : bool
        Whether a command was given after two dashes.
    """

    has_command = False

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; a variant such as ``-mpi`` is not taken for the options -m, -p, -i."""
        known = {option[1] for option in self._option_string_actions if len(option) == 2}
        for word in itertools.takewhile(lambda word: word != "--", args or ()):
            if _VARIANT.fullmatch(word) and not known.issuperset(word[1:]):
                self.error(f"unrecognized arguments: {word}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the arguments and exit with the usage status."""
        from .foreign import hint_for

        hint = f"`{self.prog} --help` shows examples."
        stray = message.partition("unrecognized arguments: ")[2].split()
        command = self.prog.rpartition(" ")[2]
        hints = [hint_for(word.partition("=")[0], command) for word in stray]
        known_elsewhere = next(filter(None, hints), "")
        variant = next((a for a in stray if a.startswith("-") and not a.startswith("--")), None)
        if variant and len(variant) > 2:
            hint = f"To disable a variant, write ~{variant[1:]} instead of {variant}."
        option = next((a for a in stray if a.startswith("--") and len(a) > 2), None)
        if option is not None:
            import difflib

            known = list(self._option_string_actions)
            close = difflib.get_close_matches(option.partition("=")[0], known, n=1, cutoff=0.75)
            hint = f"Did you mean {close[0]}?" if close else hint
        hint = known_elsewhere or hint
        if stray and command == "exec" and not self.has_command and not known_elsewhere:
            hint = "Write two dashes before the command: QUERY -- COMMAND."
        self.print_usage(sys.stderr)
        hint = hint.replace("\n", "\n      ")
        self.exit(EXIT_USAGE, f"error: {message}\nhint: {hint}\n")


def build_parser(commands: Iterable[str]) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser and the parsers of `commands`, importing only the modules of these."""
    from spack_kernel import __version__

    parser = Parser(prog=_program(), description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"spack-kernel {__version__}")
    add_store_option(parser)
    add_output_options(parser)
    adder = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", parser_class=Parser
    )
    subparsers: dict[str, Parser] = {}
    for name in commands:
        subparsers[name] = importlib.import_module(module_of(name)).add_parser(adder)
        add_output_options(subparsers[name])
    return parser, subparsers


def _program() -> str:
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib is not needed otherwise
    if name == "jupyter-spack-kernel":
        return "jupyter spack-kernel"
    return "python -m spack_kernel" if name == "__main__.py" else "spack-kernel"


def module_of(command: str) -> str:
    """Return the name of the module that runs a subcommand."""
    name = f"{command}_" if command in ("exec", "list") else command  # not to shadow built-ins
    return f"spack_kernel.cli.{name}"
