"""A JupyterLab whose picker has four stores: a real one, a large one, an odd one, an instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page

from benchmarks.generate import generate
from spack_kernel import demo
from spack_kernel.spack import Store
from tests.browser.desktop import Lab
from tests.browser.lab_server import LabServer
from tests.browser.picker.panel import Picker
from tests.cloned_store import ClonedStore
from tests.made_environment import link_view, make_environment
from tests.small_store import SmallStore
from tests.spack_instance import make_instance

#: How many specs the large store has.
MANY = 50_000

#: The roots of the Spack environment.
ENVIRONMENT = ("py-numpy", "py-matplotlib")

#: An extension that a spec has and the JupyterLab of the tests lacks.
EXTENSION = "@jupyter-widgets/jupyterlab-manager"
WIDGETS = f"share/jupyter/labextensions/{EXTENSION}/package.json"

#: What a package could be called to do harm in a page.
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Stores:
    """The stores of the picker, in its order."""

    demo: ClonedStore
    large: Path
    odd: Path
    instance: Path
    view: Path


@pytest.fixture(scope="package")
def stores(tmp_path_factory: pytest.TempPathFactory, demo_store: demo.DemoStore) -> Stores:
    root = tmp_path_factory.mktemp("stores")
    clone = ClonedStore(demo_store, root / "demo")
    widgets = Path(clone.site_packages("py-matplotlib")).parents[2] / WIDGETS
    widgets.parent.mkdir(parents=True)
    widgets.write_text(f'{{"name": "{EXTENSION}", "version": "5.0.15"}}')
    large = root / "large"
    generate(large, MANY)
    odd = SmallStore(root / "odd")
    python = odd.add("python", "3.11.9")
    odd.add(HOSTILE, "1.0", python, variants={"x": HOSTILE})
    odd.add("py-" + "long-" * 20 + "name", "2026.11.26." + "0" * 40, python)
    odd.write()
    tree = Store.open(clone.root)
    numpy = max(tree.named("py-numpy"), key=lambda spec: spec.version)
    view = link_view(root / "views" / "numpy", tree, [numpy])
    return Stores(clone, large, odd.root, _instance(root / "instance", clone.root), view)


def _instance(root: Path, tree: Path) -> Path:
    """Return a Spack instance with two environments, one of which is not concretized."""
    make_instance(root, tree)
    environments = root / "var" / "spack" / "environments"
    store = Store.open(tree)
    roots = [max(store.named(name), key=lambda spec: spec.version) for name in ENVIRONMENT]
    science = make_environment(environments / "science", roots)
    link_view(science / ".spack-env" / "view", store, roots)
    (make_environment(environments / "unfinished", roots) / "spack.lock").unlink()
    return root


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory: pytest.TempPathFactory, stores: Stores) -> Iterator[LabServer]:
    paths = [str(p) for p in (stores.demo.root, stores.large, stores.odd, stores.instance)]
    server = LabServer(tmp_path_factory.mktemp("lab"), f"\nc.SpackPicker.stores = {paths!r}\n")
    yield server
    left = server.process.stop()
    assert not left, f"these outlived JupyterLab: {left}"


@pytest.fixture
def lab(lab_server: LabServer, page: Page) -> Iterator[Lab]:
    """Return JupyterLab in a page, opened."""
    lab = Lab(page, lab_server.new_workspace())
    said: list[str] = []

    def note(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            said.append(dialog.message)
        dialog.accept()

    page.on("dialog", note)
    page.add_init_script("localStorage.removeItem('spack-kernel:store')")
    lab.open()
    yield lab
    assert said == []
    lab_server.shut_down_kernels(page)
    for kernel in lab_server.request(page, "spack-kernel/kernels"):
        lab_server.request(page, f"spack-kernel/kernels/{kernel['name']}", "DELETE")


@pytest.fixture
def picker(lab: Lab) -> Picker:
    """Return the open picker."""
    picker = Picker(lab.page)
    picker.open()
    return picker
