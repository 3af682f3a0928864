"""How long something has taken so far, on a terminal."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from .console import Console

_INTERVAL = 1.0


class Progress:
    """Shows on the terminal for how many seconds the code inside has been running.

    Nothing is shown if standard error is not a terminal.

    Parameters
    ----------
    console : Console
        Where to show it.
    text : str
        What is running.
    """

    def __init__(self, console: Console, text: str) -> None:
        self._console = console
        self._text = text
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> None:
        if self._console.err.isatty():
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(_INTERVAL):
            self._console.replace_line(f"{self._text}: {time.monotonic() - began:.0f} s")
        self._console.replace_line("")
