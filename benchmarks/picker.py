"""The picker in a real browser: from a key press to the results, in a large store and a small one.

Needs Chromium, playwright, and the built extension (`make labextension`).
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from .discovery import TOKEN, Server
from .measure import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

_SECTION = "picker"

_CONFIG = "c.SpackPicker.stores = {stores!r}\n"

#: What is typed, key by key: names, versions, variants, dependencies, an import name, a slip.
_TEXTS = (
    "numpy",
    "py-scipy@1.1",
    "hdf5 +mpi",
    "PIL",
    "py-numpy ^python@3.11",
    "^openmpi",
    "%gcc",
    "py-matplotlb",
    "+shared",
    "py-pandas@2: ^py-numpy",
)

#: Records for each key the time from the event to the frame that shows its results.
_METER = """
() => {
    window.keyTimes = [];
    let pending = null;
    const list = document.querySelector('.spack-kernel-list');
    const look = () => {
        if (pending !== null && list.dataset.text === pending.text) {
            const { at } = pending;
            pending = null;
            requestAnimationFrame(() => window.keyTimes.push(performance.now() - at));
        }
    };
    new MutationObserver(look).observe(list, { attributes: true });
    document.querySelector('.spack-kernel-input').addEventListener('input', event => {
        pending = { at: event.timeStamp, text: event.target.value };
    }, true);
}
"""

#: Sleeps for 1 ms again and again until its input ends, and prints how late it woke up at most.
_SLEEPER = """
import sys, threading, time
worst, ended = 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    before = time.perf_counter()
    time.sleep(0.001)
    worst = max(worst, time.perf_counter() - before - 0.001)
print(worst)
"""

#: Milliseconds between two keys of somebody who types fast.
_FAST = 40


def compare(large: Path, small: Path, directory: Path) -> Iterator[Comparison]:
    """Yield the times of the picker, and the longest stall of the server while somebody types.

    Parameters
    ----------
    large, small : Path
        Install trees.
    directory : Path
        Where the servers create their directories.
    """
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=executable, args=["--disable-gpu", "--disable-dev-shm-usage", *sandbox]
        )
        of_large = _measure(browser, large, directory / "large")
        of_small = _measure(browser, small, directory / "small")
        browser.close()
    (opened, keys, stall, late), (opened_small, keys_small, _, _) = of_large, of_small
    other = small.name
    yield Comparison(_SECTION, "first opening of the panel", other, (opened,), (opened_small,))
    middle = f"key press to results, median of {len(keys)}"
    yield Comparison(
        _SECTION, middle, other, (statistics.median(keys),), (statistics.median(keys_small),)
    )
    yield Comparison(
        _SECTION, f"the same, worst of {len(keys)}", other, (max(keys),), (max(keys_small),)
    )
    yield Comparison(
        _SECTION,
        "longest stall of the server while typing",
        "a process beside it that only sleeps",
        (stall,),
        (late,),
    )


def _measure(browser: Browser, store: Path, home: Path) -> tuple[float, list[float], float, float]:
    """Return the time to open the panel, that of each key, and the longest stalls, in seconds.

    The stalls are that of the server while somebody types, and that of a process that only sleeps.
    """
    with Server(home, _CONFIG.format(stores=[str(store)])) as server:
        page = browser.new_page(viewport={"width": 1200, "height": 750})
        page.goto(f"{server.url}lab?token={TOKEN}")
        page.wait_for_selector(".jp-LauncherCard")
        page.wait_for_function("!document.getElementById('jupyterlab-splash')")
        page.wait_for_timeout(2000)
        opened = page.evaluate(
            """() => new Promise(resolve => {
                const began = performance.now();
                const cards = [...document.querySelectorAll('.jp-LauncherCard')];
                cards.find(card => card.textContent.includes('Spack…')).click();
                const look = () => document.querySelector('.spack-kernel-item')
                    ? resolve(performance.now() - began) : requestAnimationFrame(look);
                look();
            })"""
        )
        page.evaluate(_METER)
        page.wait_for_timeout(1000)
        for text in _TEXTS:
            _type(page, text, 0)
        keys: list[float] = page.evaluate("window.keyTimes")
        command = [sys.executable, "-c", _SLEEPER]
        sleeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        page.wait_for_timeout(500)
        server.stall()
        for text in reversed(_TEXTS):
            page.locator(".spack-kernel-input").fill("")
            page.locator(".spack-kernel-input").press_sequentially(text, delay=_FAST)
        stall = server.stall()
        late = float(sleeper.communicate()[0])
        page.close()
    return opened / 1000, [key / 1000 for key in keys], stall, late


def _type(page: Page, text: str, pause: int) -> None:
    """Type a text, each key when the results of the one before are shown."""
    box = page.locator(".spack-kernel-input")
    box.fill("")
    page.wait_for_timeout(200)
    for key in text:
        before = page.evaluate("window.keyTimes.length")
        box.press_sequentially(key)
        page.wait_for_function("before => window.keyTimes.length > before", arg=before)
        page.wait_for_timeout(pause)
