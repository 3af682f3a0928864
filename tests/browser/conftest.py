"""Fixtures for Chromium: a page for each test, and screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .pictures import save_picture
from .processes import PATIENCE

#: The environment variable with the directory for the screenshots in the documentation.
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
    """Select only the tests that take screenshots if screenshots were requested."""
    if os.environ.get(PICTURES_VARIABLE):
        others = [item for item in items if "picture" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Record how each phase ended, so that a failed test can save a screenshot."""
    report = yield
    item.stash.setdefault(_phase_reports, {})[report.when] = report
    return report


# Package scope, not session: Playwright's event loop must not clash with those of other tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return the headless Chromium of this machine."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("missing component: chromium (Debian: apt-get install chromium)")
    # Chromium's own sandbox refuses to run as root.
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
    """Return a browser context whose cookies and cache the tests share."""
    context = new_context(browser)
    yield context
    context.close()


def new_context(browser: Browser) -> BrowserContext:
    """Return a fresh browser context."""
    context = browser.new_context(viewport={"width": 1200, "height": 750})
    context.set_default_timeout(PATIENCE * 1000)
    return context


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a new page; save a screenshot of it if the test fails."""
    page = context.new_page()
    yield page
    keep_failure(request, page)
    page.close()


def keep_failure(request: pytest.FixtureRequest, *pages: Page) -> None:
    """Save screenshots of a test's pages if it failed."""
    call = request.node.stash.get(_phase_reports, {}).get("call")
    if call is not None and call.failed:
        for path in keep_pictures(request, *pages):
            call.sections.append(("What the browser showed", str(path)))


def keep_pictures(request: pytest.FixtureRequest, *pages: Page) -> list[Path]:
    """Save screenshots of some pages in pytest's cache directory and return their paths."""
    directory = request.config.cache.mkdir("browser-failures")
    paths = [directory / f"{request.node.name}-{number}.png" for number in range(len(pages))]
    for page, path in zip(pages, paths, strict=True):
        page.screenshot(path=path)
    return paths


@pytest.fixture(scope="session")
def picture() -> Callable[[Page, str], None]:
    """Return a function that saves a page's screenshot for the documentation if requested."""
    directory = os.environ.get(PICTURES_VARIABLE)

    def keep(page: Page, name: str) -> None:
        if directory:
            save_picture(page, Path(directory, f"{name}.png"))

    return keep
