"""Debug lines, at no cost for a process that has no logging.

Importing `logging` takes longer than a cached start. Where nothing has imported it, nothing reads
what would be logged.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def debugger(name: str) -> Callable[..., None]:
    """Return a function that logs a line at debug level.

    Parameters
    ----------
    name : str
        The name of the logger: the module's ``__name__``.

    Returns
    -------
    callable
        Takes a format string and its arguments, as `logging.Logger.debug`.
    """

    def debug(text: str, *values: object) -> None:
        logging = sys.modules.get("logging")
        if logging is not None:
            logging.getLogger(name).debug(text, *values)

    return debug
