"""What a scientist does: pick a kernel, compute, view a plot, interrupt, restart."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from playwright.sync_api import Page, expect

from spack_kernel import demo
from spack_kernel.jupyter.kernelspecs.files import InstalledKernelSpec
from tests.browser.desktop import Lab
from tests.demo_versions import NUMPY

PLOT = """\
import numpy as np
import matplotlib.pyplot as plt

print(np.__version__, np.__file__)
x = np.linspace(0, 4 * np.pi, 400)
plt.figure(figsize=(6, 2.6))
plt.plot(x, np.sin(x), x, np.cos(x) * np.exp(-x / 6));"""


def test_the_launcher_shows_the_kernels(
    lab: Lab,
    demo_store: demo.DemoStore,
    ensembles: InstalledKernelSpec,
    install: Callable[..., InstalledKernelSpec],
    picture: Callable[[Page, str], None],
):
    kernel = install(demo_store.root, "py-ipykernel")
    lab.open()
    for shown in (ensembles, kernel):
        card = lab.card(shown.display_name)
        expect(card).to_be_visible()
        expect(card).to_have_text(shown.display_name)
        icon = card.locator("img.jp-Launcher-kernelIcon")
        expect(icon).to_be_visible()
        assert icon.evaluate("image => image.complete && image.naturalWidth > 0")
        sent = lab.page.request.get(icon.evaluate("image => image.src")).body()
        logo = files("spack_kernel.jupyter.kernelspecs").joinpath("resources/logo-svg.svg")
        assert sent == logo.read_bytes()
    assert kernel.display_name == f"py-ipykernel 7.2.0 (Spack /{kernel.config['hash'][:7]})"
    picture(lab.page, "launcher")


def test_a_notebook_computes_and_plots_with_the_spec(
    lab: Lab,
    demo_store: demo.DemoStore,
    ensembles: InstalledKernelSpec,
    picture: Callable[[Page, str], None],
):
    lab.open()
    lab.open_notebook(ensembles.display_name)
    cell = lab.run(PLOT)
    lab.wait_for_end(cell)
    prefix = next(demo_store.root.glob(f"*/py-numpy-{NUMPY}-*"))
    assert lab.output(cell).startswith(f"{NUMPY} {prefix}/lib/python3.")
    plot = cell.locator(".jp-OutputArea-output img")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 300
    picture(lab.page, "notebook")


def test_a_cell_can_be_interrupted_and_the_kernel_restarted(
    lab: Lab, ensembles: InstalledKernelSpec
):
    lab.open()
    lab.open_notebook(ensembles.display_name)
    before = lab.compute("import os, time; kept = 1; print(os.getpid())")
    cell = lab.run("while True: time.sleep(0.01)")
    expect(lab.prompt(cell)).to_have_text("[*]:")
    lab.wait_for_status(ensembles.display_name, "Busy")
    lab.interrupt()
    lab.wait_for_end(cell)
    assert "KeyboardInterrupt" in lab.output(cell)
    assert lab.compute("print(kept)") == "1"

    lab.restart()
    lab.wait_for_status(ensembles.display_name, "Idle")
    after = lab.compute("import os; print('kept' in globals(), os.getpid())")
    assert after.startswith("False ")
    assert after.removeprefix("False ") != before
