"""The command ``spack-kernel``: one module a subcommand.

A subcommand's module has two functions: ``add_parser(subparsers)`` adds its arguments and
returns the parser, ``run(args)`` does the work, prints through ``args.console`` and returns the
exit status. Its heavy imports stand inside ``run``: ``exec`` starts every kernel of front ends
that know no provisioners, and pays for each module that is loaded.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; those of the process by default.

    Returns
    -------
    int
        0 when all is well, 1 for an error, 2 for wrong usage, 130 when interrupted, 141 when
        the reader of the output went away; `exec` gives the command's own.
    """
    import sys

    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["exec"]:
        from .replay import replay

        replay(arguments)
    from .app import run

    return run(arguments)
