"""JupyterLab as a user sees it: launcher, notebook, dialogs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page


def ask_nothing(settings: Path) -> None:
    """Write user settings that stop JupyterLab from asking about news and updates."""
    directory = settings / "@jupyterlab" / "apputils-extension"
    directory.mkdir(parents=True)
    text = json.dumps({"fetchNews": "false", "checkForUpdates": False})
    (directory / "notification.jupyterlab-settings").write_text(text, encoding="utf-8")


#: A Jupyter configuration that hides all kernels installed on this machine.
HIDE_KERNELS = """\
from jupyter_core.paths import SYSTEM_JUPYTER_PATH

SYSTEM_JUPYTER_PATH.clear()
"""


class Lab:
    """JupyterLab in one browser page.

    Parameters
    ----------
    page : Page
        A new page.
    url : str
        The address of a workspace.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def open(self) -> None:
        """Go to JupyterLab and wait for its launcher."""
        self.page.goto(self._url)
        expect(self.cards().first).to_be_visible()
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def new_launcher(self) -> None:
        """Open a launcher in a new tab."""
        self.page.locator(".lm-TabBar-addButton:visible").first.click()
        expect(self.cards().first).to_be_visible()

    # -- the launcher --

    def cards(self) -> Locator:
        """Return the kernels that the active launcher offers for notebooks."""
        return self.page.locator(".jp-Launcher:visible .jp-LauncherCard[data-category=Notebook]")

    def card(self, display_name: str) -> Locator:
        """Return one kernel's card."""
        title = _quoted(display_name)
        return self.page.locator(
            f".jp-Launcher:visible .jp-LauncherCard[data-category=Notebook][title={title}]"
        )

    def start(self, display_name: str) -> None:
        """Click on a kernel in the launcher."""
        self.card(display_name).click()
        expect(self.notebook).to_be_visible()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel of the notebook that has just been opened is ready."""
        expect(self.notebook).to_be_visible()
        idle = self.notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        # In a narrow notebook, the indicator is behind this button.
        more = self.notebook.get_by_role("button", name="More commands")
        expect(idle.or_(more).first).to_be_visible()
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")

    def open_notebook(self, display_name: str) -> None:
        """Click on a kernel in the launcher and wait until it is ready."""
        self.start(display_name)
        # The status bar may still show the previously active notebook with the same kernel.
        idle = self.notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        expect(idle.or_(self.dialog())).to_be_visible()
        expect(self.dialog()).to_have_count(0, timeout=1)
        expect(self.status(display_name, "Idle")).to_be_visible()

    def status(self, display_name: str, status: str) -> Locator:
        """Return the text of the status bar for a kernel in this state."""
        status_bar = self.page.locator("#jp-main-statusbar")
        return status_bar.get_by_text(f"{display_name} | {status}", exact=True)

    def wait_for_status(self, display_name: str, status: str) -> None:
        """Wait until the status bar shows this state."""
        expect(self.status(display_name, status)).to_be_visible()

    # -- the notebook --

    @property
    def notebook(self) -> Locator:
        """The active notebook."""
        return self.page.locator(".jp-NotebookPanel:visible")

    def write(self, code: str) -> Locator:
        """Type code into the last cell and return the cell."""
        index = self.notebook.locator(".jp-CodeCell").count() - 1
        # Selected by index, because after it has run it is no longer the last cell.
        cell = self.notebook.locator(".jp-CodeCell").nth(index)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        return cell

    def run(self, code: str) -> Locator:
        """Run this code in the last cell and return the cell."""
        cell = self.write(code)
        self.page.keyboard.press("Shift+Enter")
        return cell

    def compute(self, code: str) -> str:
        """Run code in the last cell and return the text of its outputs, even after an error."""
        cell = self.run(code)
        self.wait_for_end(cell)
        return self.output(cell)

    def prompt(self, cell: Locator) -> Locator:
        """Return the prompt of a cell: ``[ ]``, ``[*]`` or ``[1]``."""
        return cell.locator(".jp-InputPrompt")

    def wait_for_end(self, cell: Locator) -> None:
        """Wait until a cell has finished."""
        expect(self.prompt(cell)).to_have_text(re.compile(r"^\[\d+\]:$"))

    def output(self, cell: Locator) -> str:
        """Return the text of a cell's outputs."""
        outputs = cell.locator(".jp-OutputArea-output").all_inner_texts()
        return "\n".join(text.rstrip("\n") for text in outputs)

    def press(self, command: str) -> None:
        """Press the button for this command in the notebook's toolbar."""
        toolbar = self.notebook.locator(".jp-NotebookPanel-toolbar")
        toolbar.locator(f"[data-command={_quoted(command)}]").click()

    @property
    def debugger_button(self) -> Locator:
        """The debugger button (the bug icon) in the notebook's toolbar."""
        return self.notebook.locator("[data-jp-item-name=debugger-icon]")

    def interrupt(self) -> None:
        """Press the interrupt button."""
        self.press("notebook:interrupt-kernel")

    def restart(self) -> None:
        """Press the restart button and confirm."""
        self.press("notebook:restart-kernel")
        self.answer_dialog("Restart Kernel?", "Restart")

    # -- dialogs --

    def dialog(self) -> Locator:
        """Return the open dialog."""
        return self.page.locator(".jp-Dialog")

    def error_dialog(self, title: str) -> str:
        """Wait for a dialog with this title and return its text."""
        expect(self.dialog().locator(".jp-Dialog-header")).to_have_text(title)
        return self.dialog().locator(".jp-Dialog-body").inner_text()

    def answer_dialog(self, title: str, button: str) -> None:
        """Wait for a dialog with this title and press one of its buttons."""
        dialog = self.dialog().filter(has_text=title)
        # Find it by its label: its accessible name may differ.
        buttons = dialog.locator("button.jp-Dialog-button")
        buttons.filter(has_text=re.compile(f"^{re.escape(button)}$")).click()
        expect(dialog).to_have_count(0)


def _quoted(text: str) -> str:
    """Return the text as a CSS string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
