"""Let what reads a store step back: kernels that start, and the server, have priority."""

from __future__ import annotations

import os
import threading

#: Niceness added, as for nice(1).
_NICENESS = 5


def make_way() -> None:
    """Lower the priority of this thread alone, as Linux does; it ends with its answer."""
    if os.name == "posix":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + _NICENESS)
