"""The debugger works if the closure has debugpy, and is not offered otherwise."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from spack_kernel.jupyter.kernelspecs.files import InstalledKernelSpec
from tests.browser.desktop import Lab
from tests.cloned_store import ClonedStore

CODE = """\
a = 6
b = 7
answer = a * b
print(answer)"""


def test_a_cell_is_debugged(
    lab: Lab, ensembles: InstalledKernelSpec, picture: Callable[[Page, str], None]
):
    lab.open()
    lab.open_notebook(ensembles.display_name)
    cell = lab.write(CODE)
    lab.debugger_button.get_by_title("Enable Debugger").click()
    third_line = cell.locator(".cm-breakpoint-gutter .cm-gutterElement").nth(3)
    third_line.click()
    sidebar = lab.page.locator(".jp-DebuggerSidebar")
    expect(sidebar.locator(".jp-DebuggerBreakpoint-line")).to_have_text("3")

    lab.press("notebook:run-cell-and-select-next")
    expect(sidebar.locator(".jp-DebuggerCallstackFrame").first).to_contain_text(":3")
    for variable in ("a: 6", "b: 7"):
        expect(sidebar.get_by_role("treeitem", name=variable, exact=True)).to_be_visible()
    expect(sidebar.get_by_role("treeitem", name="answer:")).to_have_count(0)
    picture(lab.page, "debugger")

    sidebar.locator("[data-command='debugger:continue']").click()
    lab.wait_for_end(cell)
    assert lab.output(cell) == "42"


def test_no_debugger_is_offered_where_there_is_none(
    lab: Lab, clone: ClonedStore, install: Callable[..., InstalledKernelSpec]
):
    clone.without_dependency("py-ipykernel", "py-debugpy")
    kernel = install(clone.root, "py-ipykernel")
    lab.open()
    lab.open_notebook(kernel.display_name)
    assert lab.compute("import importlib.util; importlib.util.find_spec('debugpy')") == ""
    button = lab.debugger_button.locator("jp-button")
    expect(button).to_have_attribute("aria-disabled", "true")
