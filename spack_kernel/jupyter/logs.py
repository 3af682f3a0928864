"""One log for a server and for what this package does in it."""

from __future__ import annotations

import logging
from typing import Any

#: The logger of the whole package; each module has one below it.
_OURS = logging.getLogger("spack_kernel")


def join_log(log: Any) -> None:
    """Send what the package logs to where an application logs, at the same level.

    Nothing changes if the package's logger has a handler, as the application's ``logging_config``
    may give it.

    Parameters
    ----------
    log : Logger or LoggerAdapter
        The application's logger.
    """
    logger = getattr(log, "logger", log)
    if _OURS.hasHandlers() or not logger.hasHandlers():
        return
    while logger is not None:
        for handler in logger.handlers:
            _OURS.addHandler(handler)
        logger = logger.parent if logger.propagate else None
    _OURS.setLevel(log.getEffectiveLevel())
