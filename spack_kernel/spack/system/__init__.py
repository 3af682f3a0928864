"""File-system checks, child processes, whole files and text for terminals."""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .file_checks import Check as Check
    from .isolated import command_line as command_line, isolated_command as isolated_command
    from .ownership import open_to_others as open_to_others, run_as as run_as
    from .processes import (
        TooMuchOutputError as TooMuchOutputError,
        kill_running as kill_running,
        never_suspend as never_suspend,
        run as run,
    )
    from .text import printable as printable
    from .whole_files import replace_file as replace_file

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "": "file_checks",
        "file_checks": "Check",
        "isolated": "command_line isolated_command",
        "ownership": "open_to_others run_as",
        "processes": "TooMuchOutputError kill_running never_suspend run",
        "text": "printable",
        "whole_files": "replace_file",
    },
)
