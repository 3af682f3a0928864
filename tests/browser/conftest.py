"""Chromium, a page for each test, and pictures of what was seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .pictures import save_picture
from .processes import PATIENCE

#: Names the directory into which the tests put the pictures that the documentation shows.
PICTURES_VARIABLE = "SPACK_KERNEL_PICTURES"

_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)

_phase_reports = pytest.StashKey[dict[str, pytest.TestReport]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the tests that take pictures, where pictures are wanted."""
    if os.environ.get(PICTURES_VARIABLE):
        others = [item for item in items if "picture" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember how each phase ended, for the picture of a failure."""
    report = yield
    item.stash.setdefault(_phase_reports, {})[report.when] = report
    return report


# For the package and not the session: Playwright's event loop must not meet other tests'.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium of this machine."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("missing component: chromium (Debian: apt-get install chromium)")
    # Chromium's own sandbox refuses to work for root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=executable, args=[*_ARGUMENTS, *sandbox], timeout=PATIENCE * 1000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return what a person's browser keeps: cookies and a cache, which tests share."""
    context = new_context(browser)
    yield context
    context.close()


def new_context(browser: Browser) -> BrowserContext:
    """Return a browser that has never been used."""
    context = browser.new_context(viewport={"width": 1200, "height": 750})
    context.set_default_timeout(PATIENCE * 1000)
    return context


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a new page; when the test fails, what it shows is kept as a picture."""
    page = context.new_page()
    yield page
    keep_failure(request, page)
    page.close()


def keep_failure(request: pytest.FixtureRequest, *pages: Page) -> None:
    """Keep pictures of the pages of a test, if it failed."""
    call = request.node.stash.get(_phase_reports, {}).get("call")
    if call is not None and call.failed:
        for path in keep_pictures(request, *pages):
            call.sections.append(("What the browser showed", str(path)))


def keep_pictures(request: pytest.FixtureRequest, *pages: Page) -> list[Path]:
    """Write pictures of some pages beside pytest's cache, and return where."""
    directory = request.config.cache.mkdir("browser-failures")
    paths = [directory / f"{request.node.name}-{number}.png" for number in range(len(pages))]
    for page, path in zip(pages, paths, strict=True):
        page.screenshot(path=path)
    return paths


@pytest.fixture(scope="session")
def picture() -> Callable[[Page, str], None]:
    """Return a function that keeps what a page shows for the documentation, if that is wanted."""
    directory = os.environ.get(PICTURES_VARIABLE)

    def keep(page: Page, name: str) -> None:
        if directory:
            save_picture(page, Path(directory, f"{name}.png"))

    return keep
