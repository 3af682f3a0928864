"""Run a function in several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_in_threads(function: Callable[[], None], count: int) -> None:
    """Run a function in `count` threads, and raise what it raised in one of them."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
