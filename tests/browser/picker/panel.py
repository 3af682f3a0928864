"""The picker as a user sees it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class Picker:
    """The panel in a page of JupyterLab or Notebook.

    Parameters
    ----------
    page : Page
        The page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.card = page.locator(".jp-Launcher:visible .jp-LauncherCard").filter(has_text="Spack…")
        self.panel = page.locator("#spack-kernel-picker")
        self.input = self.panel.get_by_role("combobox", name="Search for an installed spec")
        self.status = self.panel.locator("#spack-kernel-status")
        self.list = self.panel.locator(".spack-kernel-list")
        self.items = self.panel.locator(".spack-kernel-item")
        self.headings = self.panel.locator(".spack-kernel-heading .spack-kernel-name")
        self.completions = self.panel.locator(".spack-kernel-completions li")
        self.preview = self.panel.locator(".spack-kernel-preview")

    def open(self) -> None:
        """Open the panel from the launcher."""
        self.card.click()
        expect(self.input).to_be_focused()

    def search(self, text: str) -> None:
        """Replace the text of the search box, key by key."""
        self.input.click()
        self.input.press("Control+a")
        self.input.press("Delete")
        self.input.press_sequentially(text)
        expect(self.list).to_have_attribute("data-text", text)

    def item(self, text: str) -> Locator:
        """Return the rows that contain a text."""
        return self.items.filter(has_text=text)

    def choose(self, text: str = "") -> None:
        """Click on the first row that contains a text, and wait until it is planned."""
        self.item(text).first.click()
        expect(self.preview.get_by_text("Planning the kernel")).to_have_count(0)

    def act(self, label: str) -> None:
        """Press a button of the preview."""
        self.preview.get_by_role("button", name=label).click()

    def notification(self, text: str) -> Locator:
        """Return the notification that contains a text."""
        return self.page.locator(".Toastify__toast").filter(has_text=text)
