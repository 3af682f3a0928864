"""The picker in Notebook 7: from the tool bar of a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.demo_versions import NUMPY, OTHER_NUMPY

from .conftest import Stores
from .panel import Picker

Picture = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def notebook_server(
    tmp_path_factory: pytest.TempPathFactory, stores: Stores
) -> Iterator[LabServer]:
    configuration = f"\nc.SpackPicker.stores = [{str(stores.demo.root)!r}]\n"
    server = LabServer(tmp_path_factory.mktemp("notebook"), configuration, "notebook")
    yield server
    left = server.process.stop()
    assert not left, f"these outlived Notebook: {left}"


def test_switch_the_kernel_of_a_notebook(
    notebook_server: LabServer, page: Page, picture: Picture
) -> None:
    content = {
        "cells": [],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (notebook_server.work / "plain.ipynb").write_text(json.dumps(content))
    page.goto(notebook_server.address("notebooks/plain.ipynb"))
    lab, picker = Lab(page, ""), Picker(page)
    indicator = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    expect(indicator).to_be_visible()
    for version in (NUMPY, OTHER_NUMPY):
        page.locator(".spack-kernel-button").click()
        expect(picker.input).to_be_focused()
        picker.search(f"py-numpy@{version}")
        picker.item(version).last.click()
        picker.act("Use in plain.ipynb")
        if version == OTHER_NUMPY:
            lab.answer_dialog("Replace the kernel?", "Replace")
        expect(page.locator(".jp-KernelName")).to_contain_text(version)
        expect(indicator).to_be_visible()
        assert lab.compute("import numpy; print(numpy.__version__)") == version
    picture(page, "picker-notebook")
    notebook_server.shut_down_kernels(page)


def test_a_pinned_spec_that_is_not_there_opens_the_picker(
    notebook_server: LabServer, page: Page
) -> None:
    metadata = {
        "spack": {"spec": "py-numpy@1.0", "hash": "a" * 32},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
    }
    content = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (notebook_server.work / "pinned.ipynb").write_text(json.dumps(content))
    page.goto(notebook_server.address("notebooks/pinned.ipynb"))
    expect(Picker(page).status).to_contain_text("pinned.ipynb needs py-numpy@1.0")
    notebook_server.shut_down_kernels(page)


def test_start_from_the_tree(notebook_server: LabServer, page: Page) -> None:
    page.goto(notebook_server.address("tree"))
    picker = Picker(page)
    expect(page.locator(".jp-FileBrowser")).to_be_visible()
    page.keyboard.press("Control+Alt+k")
    expect(picker.input).to_be_focused()
    picker.search(f"py-numpy@{OTHER_NUMPY}")
    picker.choose(OTHER_NUMPY)
    with page.context.expect_page() as opened:
        picker.act("Start a notebook")
    notebook = opened.value
    lab = Lab(notebook, "")
    expect(notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible()
    assert lab.compute("import numpy; print(numpy.__version__)") == OTHER_NUMPY
    notebook_server.shut_down_kernels(page)
    notebook.close()
