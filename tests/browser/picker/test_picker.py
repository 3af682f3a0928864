"""Find a spec among many, see what it is, and compute in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from spack_kernel.spack import Store
from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.demo_versions import NUMPY, OTHER_NUMPY

from .conftest import EXTENSION, HOSTILE, MANY, Stores
from .panel import Picker

Picture = Callable[[Page, str], None]


def test_find_a_spec_and_compute_in_it_with_the_keyboard_alone(
    lab: Lab, picker: Picker, stores: Stores, picture: Picture
) -> None:
    picker.page.keyboard.type("numpy")
    expect(picker.headings).to_have_text(["py-numpy"])
    expect(picker.items).to_have_count(2)
    expect(picker.items.first).to_contain_text(NUMPY)
    picker.page.keyboard.press("ArrowDown")
    picker.page.keyboard.press("ArrowDown")
    expect(picker.input).to_have_attribute("aria-activedescendant", re.compile("row-2$"))
    expect(picker.items.nth(1)).to_have_attribute("aria-selected", "true")
    picker.page.keyboard.press("ArrowUp")
    picker.page.keyboard.press("Enter")
    start = picker.preview.get_by_role("button", name="Start a notebook")
    expect(start).to_be_focused()
    expect(start).to_have_attribute("aria-disabled", "false")
    expect(picker.preview).to_contain_text("ipykernel")
    picture(lab.page, "picker")
    picker.page.keyboard.press("Enter")
    lab.wait_for_kernel()
    prefix = lab.compute("import numpy; print(numpy.__version__, numpy.__file__)")
    assert prefix.startswith(f"{NUMPY} {stores.demo.root}")


def test_the_preview_shows_dependencies_paths_variables_and_commands(
    lab: Lab, picker: Picker, picture: Picture
) -> None:
    picker.search("py-matplotlib")
    picker.choose()
    preview = picker.preview
    missing = preview.get_by_role("note")
    expect(missing).to_contain_text(f"{EXTENSION} 5.0.15, from py-matplotlib@")
    preview.get_by_text("In a shell").click()
    expect(preview.locator("code").first).to_have_text(re.compile("^spack load py-matplotlib/"))
    preview.get_by_text(re.compile("^Dependencies")).click()
    lines = preview.get_by_role("treeitem")
    assert lines.count() > 10
    preview.get_by_role("searchbox", name="Search in the dependencies").fill("py-six")
    expect(lines.last).to_contain_text("py-six")
    assert lines.count() < 10
    preview.get_by_text(re.compile("^PYTHONPATH")).click()
    expect(preview.locator(".spack-kernel-paths li").first).to_contain_text("site-packages")
    preview.get_by_text(re.compile("^Other variables")).click()
    expect(preview.locator(".spack-kernel-variables")).to_contain_text("PATH")
    picture(lab.page, "picker-preview")
    picker.page.keyboard.press("Escape")


def test_escape_leads_back_to_the_search(picker: Picker) -> None:
    picker.search("numpy")
    expect(picker.items).to_have_count(2)
    picker.page.keyboard.press("ArrowDown")
    picker.page.keyboard.press("Enter")
    expect(picker.preview.get_by_role("button", name="Start a notebook")).to_be_focused()
    picker.page.keyboard.press("Escape")
    expect(picker.preview).to_have_count(0)
    expect(picker.input).to_be_focused()
    picker.page.keyboard.press("Escape")
    expect(picker.input).to_have_value("")


def test_completions_come_while_a_query_is_typed(picker: Picker, picture: Picture) -> None:
    picker.search("py-numpy@")
    expect(picker.completions).to_have_count(2)
    expect(picker.completions.first).to_contain_text(NUMPY)
    picture(picker.page, "picker-completion")
    picker.page.keyboard.press("ArrowDown")
    picker.page.keyboard.press("ArrowDown")
    picker.page.keyboard.press("Tab")
    expect(picker.input).to_have_value(f"py-numpy@{OTHER_NUMPY}")
    expect(picker.completions).to_have_count(0)
    expect(picker.items).to_have_count(1)
    picker.input.press_sequentially(" ^py")
    expect(picker.completions.first).to_contain_text("python")
    picker.page.keyboard.press("Escape")
    expect(picker.completions).to_have_count(0)
    picker.search("py-num")
    picker.page.keyboard.press("Control+Space")
    expect(picker.completions.first).to_contain_text("py-numpy")
    picker.page.keyboard.press("ArrowDown")
    picker.page.keyboard.press("Enter")
    expect(picker.input).to_have_value("py-numpy")


def test_an_error_in_the_query_is_marked_at_its_place(picker: Picker, picture: Picture) -> None:
    picker.search("py-numpy @@ +mpi")
    expect(picker.panel.locator(".spack-kernel-wrong")).to_have_text("@")
    expect(picker.input).to_have_attribute("aria-invalid", "true")
    expect(picker.status).to_contain_text("unexpected character @")
    picture(picker.page, "picker-error")
    picker.search("py-numpy")
    expect(picker.panel.locator(".spack-kernel-wrong")).to_have_count(0)


def test_what_was_meant_is_shown(picker: Picker) -> None:
    picker.search(f"numpy=={NUMPY}")
    expect(picker.status).to_contain_text(f"py-numpy@{NUMPY}")
    expect(picker.items).to_have_count(1)
    picker.status.get_by_role("button", name=f"py-numpy@{NUMPY}").click()
    expect(picker.input).to_have_value(f"py-numpy@{NUMPY}")


def test_nothing_found_says_why(picker: Picker) -> None:
    picker.search("py-numpy@9.9")
    expect(picker.status).to_contain_text("no installed spec matches 'py-numpy@9.9'")
    expect(picker.items).to_have_count(0)


def test_a_spec_that_cannot_be_a_kernel_says_why_and_what_would_help(
    picker: Picker, stores: Stores, picture: Picture
) -> None:
    picker.panel.get_by_role("combobox", name="Store").select_option(index=1)
    picker.search("hdf5")
    expect(picker.items.first).to_contain_text("not a kernel: no python in its closure")
    picker.items.first.click()
    expect(picker.preview.get_by_role("alert")).to_be_visible()
    start = picker.preview.get_by_role("button", name="Start a notebook")
    expect(start).to_have_attribute("aria-disabled", "true")
    picture(picker.page, "picker-not-a-kernel")


def test_fifty_thousand_specs_are_typed_through_and_scrolled(
    picker: Picker, picture: Picture
) -> None:
    picker.panel.get_by_role("combobox", name="Store").select_option(index=1)
    expect(picker.status).to_contain_text(f"{MANY:,}")
    picker.search("py-numpy")
    expect(picker.headings.first).to_have_text("py-numpy")
    assert picker.items.count() < 60
    rows = picker.panel.locator(".spack-kernel-list")
    first = picker.items.first.get_attribute("data-key")
    # Only what is visible exists, and the next pages come while one scrolls.
    for _ in range(40):
        rows.evaluate("list => { list.scrollTop = list.scrollHeight; }")
        picker.page.wait_for_timeout(50)
    assert picker.items.count() < 60
    assert int(rows.locator(".spack-kernel-canvas").evaluate("e => e.clientHeight")) > 200 * 44
    assert picker.items.first.get_attribute("data-key") != first
    picture(picker.page, "picker-many")


def test_names_of_packages_are_only_text(picker: Picker, lab: Lab) -> None:
    picker.panel.get_by_role("combobox", name="Store").select_option(index=2)
    expect(picker.headings.filter(has_text=HOSTILE)).to_be_visible()
    picker.search("img")
    expect(picker.headings.first).to_have_text(HOSTILE)
    picker.items.first.click()
    expect(picker.preview.get_by_role("alert")).to_be_visible()
    assert picker.panel.locator("img").count() == 0
    # A very long name does not make the panel wider.
    picker.search("long")
    expect(picker.items).to_have_count(1)
    widths = picker.panel.evaluate("panel => [panel.scrollWidth, panel.clientWidth]")
    assert widths[0] <= widths[1]


def test_several_specs_together(lab: Lab, picker: Picker) -> None:
    picker.search("py-numpy")
    picker.item(OTHER_NUMPY).get_by_role("button", name=re.compile("^Add")).click()
    picker.search("py-libensemble")
    picker.items.first.get_by_role("button", name=re.compile("^Add")).click()
    together = picker.panel.get_by_role("list", name="Specs that are loaded together")
    expect(together.get_by_role("listitem")).to_have_count(2)
    # To look at another one does not lose them.
    picker.search("py-matplotlib")
    picker.choose()
    expect(together.get_by_role("listitem")).to_have_count(2)
    picker.panel.get_by_role("button", name="Load together").click()
    expect(picker.preview).to_contain_text("Python")
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    code = "import numpy, libensemble; print(numpy.__version__, libensemble.__version__)"
    assert lab.compute(code).startswith(OTHER_NUMPY)


def test_switch_the_kernel_of_a_notebook(lab: Lab, picker: Picker) -> None:
    for version, label in ((NUMPY, "Start a notebook"), (OTHER_NUMPY, re.compile("^Use in "))):
        picker.search(f"py-numpy@{version}")
        picker.choose()
        picker.preview.get_by_role("button", name=label).click()
        if version == OTHER_NUMPY:  # what was computed is lost
            lab.answer_dialog("Replace the kernel?", "Replace")
        expect(lab.page.locator("#jp-main-statusbar")).to_contain_text(f"py-numpy {version}")
        lab.wait_for_kernel()
        assert lab.compute("import numpy; print(numpy.__version__)") == version


def test_pin_a_spec_to_a_notebook(
    lab: Lab, picker: Picker, lab_server: LabServer, stores: Stores, picture: Picture
) -> None:
    picker.search(f"py-numpy@{OTHER_NUMPY}")
    picker.choose()
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    picker.preview.get_by_role("button", name=re.compile("^Pin to")).click()
    expect(picker.notification("is pinned to")).to_be_visible()
    (notebook,) = [p for p in lab_server.work.glob("*.ipynb") if "spack" in _metadata(p)]
    metadata = _metadata(notebook)
    (spec,) = Store.open(stores.demo.root).find(f"py-numpy@{OTHER_NUMPY}")
    assert metadata["spack"] == {"spec": f"py-numpy@{OTHER_NUMPY}", "hash": spec.hash}
    assert metadata["kernelspec"]["name"] == "spack-notebook"
    assert lab.compute("import numpy; print(numpy.__version__)") == OTHER_NUMPY
    # It opens with the same spec again, in another page.
    lab_server.shut_down_kernels(lab.page)
    lab.page.goto(lab_server.new_workspace(notebook.name))
    expect(lab.notebook).to_be_visible()
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    assert lab.compute("import numpy; print(numpy.__version__)") == OTHER_NUMPY
    lab.page.set_viewport_size({"width": 1600, "height": 750})
    button = lab.notebook.locator(".spack-kernel-button")
    expect(button).to_contain_text(f"py-numpy@{OTHER_NUMPY} /{spec.hash[:7]}")
    picture(lab.page, "picker-pinned")
    # Another spec replaces the kernel, and the pin.
    picker.page.keyboard.press("Control+Alt+k")
    picker.search(f"py-numpy@{NUMPY}")
    picker.choose(NUMPY)
    picker.preview.get_by_role("button", name=re.compile("^Use in ")).click()
    lab.answer_dialog("Replace the kernel?", "Replace")
    expect(picker.notification("is no longer pinned")).to_be_visible()
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text(f"py-numpy {NUMPY}")
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    assert lab.compute("import numpy; print(numpy.__version__)") == NUMPY


def _metadata(path: Path) -> dict[str, object]:
    metadata: dict[str, object] = json.loads(path.read_text())["metadata"]
    return metadata


def test_keep_a_kernel_and_remove_it(lab: Lab, picker: Picker, lab_server: LabServer) -> None:
    picker.search("py-libensemble")
    picker.choose()
    picker.act("Keep as a kernel of mine")
    expect(picker.notification("is now a kernel of yours")).to_be_visible()
    kernels = lab_server.kernels.parents[2] / "data" / "kernels"
    (kept,) = kernels.glob("spack-py-libensemble-*/kernel.json")
    display_name = json.loads(kept.read_text())["display_name"]
    expect(lab.card(display_name)).to_be_visible()
    expect(picker.headings.first).to_have_text("Kept")
    picker.act("Remove from my kernels")
    expect(picker.notification("is no longer a kernel of yours")).to_be_visible()
    assert not kept.exists()
    expect(lab.card(display_name)).to_have_count(0)


def test_a_recent_kernel_belongs_to_its_own_store(lab: Lab, picker: Picker) -> None:
    picker.search(f"py-numpy@{OTHER_NUMPY}")
    picker.choose(OTHER_NUMPY)
    picker.act("Start a notebook")
    expect(lab.notebook).to_be_visible()
    picker.panel.get_by_role("combobox", name="Store").select_option(index=2)
    expect(picker.headings.first).to_have_text("Recent")
    picker.choose(f"py-numpy {OTHER_NUMPY}")
    start = picker.preview.get_by_role("button", name="Start a notebook")
    expect(start).to_have_attribute("aria-disabled", "false")
    picker.act("Keep as a kernel of mine")
    expect(picker.notification("is now a kernel of yours")).to_be_visible()
    picker.act("Remove from my kernels")
    expect(picker.notification("is no longer a kernel of yours")).to_be_visible()


def test_the_launcher_has_no_kernel_that_a_notebook_chooses(lab: Lab, picker: Picker) -> None:
    answer = lab.page.evaluate(
        """async () => {
            const data = document.getElementById('jupyter-config-data').textContent;
            const { baseUrl, token } = JSON.parse(data);
            const xsrf = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? '';
            const answer = await fetch(`${baseUrl}spack-kernel/kernels`, {
                method: 'POST',
                headers: { Authorization: `token ${token}`, 'X-XSRFToken': xsrf },
                body: JSON.stringify({ from_notebook: true })
            });
            return answer.status;
        }"""
    )
    assert answer == 201
    lab.page.reload()
    expect(lab.cards().first).to_be_visible()
    expect(picker.card).to_be_visible()
    expect(lab.page.get_by_title("Spack (chosen by the notebook)")).to_have_count(0)


def test_why_a_kernel_died_is_told_with_the_way_to_its_spec(
    lab: Lab, picker: Picker, picture: Picture
) -> None:
    picker.search(f"py-numpy@{NUMPY}")
    picker.choose()
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    lab.run("import os, signal, time; time.sleep(1); os.kill(os.getpid(), signal.SIGKILL)")
    lab.answer_dialog("Kernel Restarting", "Ok")
    toast = picker.notification("killed by SIGKILL")
    expect(toast).to_be_visible()
    picture(lab.page, "picker-death")
    toast.get_by_role("button", name="Details").click()
    assert "/" in lab.error_dialog("Why the kernel ended")
    lab.answer_dialog("Why the kernel ended", "Ok")
    toast.get_by_role("button", name="Show the spec").click()
    expect(picker.preview).to_contain_text("py-numpy")


def test_what_a_slow_start_waits_for_is_told(lab: Lab, picker: Picker, stores: Stores) -> None:
    launcher = stores.demo.site_packages("py-ipykernel") / "ipykernel_launcher.py"
    text = launcher.read_text()
    stores.demo.rewrite("py-ipykernel", launcher.name, f"import time\ntime.sleep(10)\n{text}")
    try:
        picker.search(f"py-numpy@{NUMPY}")
        picker.choose()
        picker.act("Start a notebook")
        toast = picker.notification("waiting for the kernel to answer")
        expect(toast).to_contain_text("py-numpy")
        lab.wait_for_kernel()
        expect(toast).to_have_count(0)
    finally:
        stores.demo.rewrite("py-ipykernel", launcher.name, text)


def test_a_pinned_spec_that_is_not_there_opens_the_picker(
    lab: Lab, lab_server: LabServer, picture: Picture
) -> None:
    path = lab_server.work / "analysis.ipynb"
    metadata = {
        "spack": {"spec": "py-numpy@1.0", "hash": "a" * 32},
        "kernelspec": {"name": "spack-notebook", "display_name": "Spack", "language": "python"},
    }
    content = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    lab.page.goto(lab_server.new_workspace(path.name))
    picker = Picker(lab.page)
    expect(picker.status).to_contain_text("analysis.ipynb needs py-numpy@1.0 /aaaaaaa")
    expect(picker.item(NUMPY)).to_be_visible()
    dialog = lab.page.locator(".jp-Dialog")
    expect(dialog.first).to_be_visible()
    picture(lab.page, "picker-missing")
    path.unlink()


def test_a_store_that_vanishes_and_comes_back(picker: Picker, stores: Stores) -> None:
    picker.search("numpy")
    expect(picker.items).to_have_count(2)
    database = stores.demo.root / ".spack-db"
    away = database.rename(database.with_name("away"))
    try:
        picker.input.fill("matplotlib")
        expect(picker.status.get_by_role("alert")).to_contain_text(str(stores.demo.root))
    finally:
        away.rename(database)
    expect(picker.status.get_by_role("alert")).to_have_count(0, timeout=30_000)
    expect(picker.headings.first).to_have_text("py-matplotlib")


def test_the_shortcut_and_the_palette_open_the_picker(lab: Lab) -> None:
    picker = Picker(lab.page)
    lab.page.keyboard.press("Control+Alt+k")
    expect(picker.input).to_be_focused()
    lab.page.keyboard.press("Control+b")
    lab.page.keyboard.press("Control+Shift+c")
    lab.page.locator(".lm-CommandPalette-input").fill("Spack: choose")
    lab.page.locator(".lm-CommandPalette-item", has_text="Spack: choose a kernel").click()
    expect(picker.input).to_be_focused()


def test_the_dark_theme(lab: Lab, picker: Picker, picture: Picture) -> None:
    """Text stands out from the background: its contrast is that of WCAG AA."""
    picker.search("numpy")
    picker.choose(NUMPY)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        lab.page.locator(".lm-MenuBar-item", has_text="Settings").click()
        lab.page.locator(".lm-Menu-item", has_text=re.compile("^Theme$")).hover()
        lab.page.locator(".lm-Menu-item", has_text=re.compile(f"^{theme}$")).click()
        expect(lab.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        lab.page.wait_for_timeout(300)
        for part in (".spack-kernel-name", ".spack-kernel-badge", ".spack-kernel-detail"):
            assert _contrast(picker.panel.locator(part).first) >= 4.5, (theme, part)
    picture(lab.page, "picker-dark")


def _contrast(locator: object) -> float:
    value: float = locator.evaluate(  # type: ignore[attr-defined]
        """element => {
            const channels = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const luminance = color => {
                const [r, g, b] = channels(color).map(value => {
                    const part = value / 255;
                    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            let behind = element;
            let background = 'rgba(0, 0, 0, 0)';
            while (behind && /, 0\\)$|transparent/.test(background)) {
                background = getComputedStyle(behind).backgroundColor;
                behind = behind.parentElement;
            }
            const pair = [luminance(getComputedStyle(element).color), luminance(background)];
            return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        }"""
    )
    return value


def test_a_view_is_chosen_by_its_path(lab_server: LabServer, page: Page, stores: Stores) -> None:
    lab = Lab(page, lab_server.new_workspace())
    lab.open()
    picker = Picker(page)
    picker.open()
    picker.input.fill(f"{stores.view}/missing")
    picker.choose("missing")
    expect(picker.preview.get_by_role("alert")).to_contain_text(f"{stores.view}/missing")
    picker.input.fill(f"{stores.view}/")
    expect(picker.items).to_have_count(1)
    expect(picker.status).to_have_text("A path names a view, such as one that `spack view` makes.")
    picker.input.press("Enter")
    expect(picker.preview.get_by_role("button", name="Pin to")).to_have_count(0)
    picker.act("Keep as a kernel of mine")
    expect(picker.notification("is now a kernel of yours")).to_be_visible()
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    found = lab.compute("import numpy; print(numpy.__version__, numpy.__file__)")
    assert found.split()[0] == NUMPY
    assert found.split()[1].startswith(str(stores.view))
    picker.act("Remove from my kernels")
    lab_server.shut_down_kernels(page)


def test_spack_environments_are_chosen(lab_server: LabServer, page: Page, picture: Picture) -> None:
    lab = Lab(page, lab_server.new_workspace())
    lab.open()
    picker = Picker(page)
    picker.open()
    # The choice of a store is remembered.
    picker.panel.get_by_role("combobox", name="Store").select_option(index=2)
    page.reload()
    picker.open()
    expect(picker.panel.get_by_role("combobox", name="Store")).to_have_value("2")
    picker.panel.get_by_role("combobox", name="Store").select_option(index=3)
    expect(picker.headings.first).to_have_text("Spack environments")
    expect(picker.item("science")).to_contain_text("2 roots")
    expect(picker.item("unfinished")).to_contain_text("not a kernel")
    picker.choose("science")
    expect(picker.preview.get_by_role("combobox", name="View")).to_be_visible()
    picker.preview.get_by_role("combobox", name="View").select_option("none")
    expect(picker.preview.get_by_role("button", name="Start a notebook")).to_have_attribute(
        "aria-disabled", "false"
    )
    picture(page, "picker-environment")
    picker.act("Start a notebook")
    lab.wait_for_kernel()
    code = "import numpy, matplotlib; print(numpy.__version__)"
    assert lab.compute(code) == NUMPY
    lab_server.shut_down_kernels(page)
