"""The command ``spack-kernel``, with one module per subcommand.

The module of a subcommand has two functions: ``add_parser(subparsers)`` adds its arguments and
returns the parser; ``run(args)`` does the work, prints through ``args.console`` and returns the
exit status. Heavy imports are inside ``run``: front ends without provisioners start every kernel
with ``exec``, so each imported module delays the kernel launch.
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
        The arguments after the command name; by default, those of the process.

    Returns
    -------
    int
        0 on success, 1 on an error, 2 on wrong usage, 130 when interrupted, 141 when the reader
        of the output closed it; `exec` returns the exit status of its command.
    """
    import sys

    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["exec"]:
        import gc

        from .cached_launch import run_cached

        gc.disable()  # another program takes the place of this one before there is much garbage
        run_cached(arguments)
    from .app import run

    return run(arguments)
