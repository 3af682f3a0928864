"""The extensions of JupyterLab in a closure, whatever stands in those directories."""

from __future__ import annotations

import json
import os
from pathlib import Path

from spack_kernel.kernels.picker.front_end import FrontEndExtension, front_end_extensions
from tests.small_store import SmallStore


def test_what_a_closure_brings(tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "sw")
    widgets = small.add("py-jupyterlab-widgets", "3.0.13")
    other = small.add("py-ipympl", "0.9.4", widgets)
    for key, name in ((widgets, "@jupyter-widgets/jupyterlab-manager"), (other, "jupyter-mpl")):
        directory = Path(small.records[key]["path"], "share/jupyter/labextensions", name)
        directory.mkdir(parents=True)
        (directory / "package.json").write_text(json.dumps({"name": name, "version": "5.0"}))
    store = small.open()
    specs = store.closure(store.named("py-ipympl")[0])
    assert front_end_extensions(specs) == [
        FrontEndExtension("@jupyter-widgets/jupyterlab-manager", "5.0", specs[1].label),
        FrontEndExtension("jupyter-mpl", "5.0", specs[0].label),
    ]


def test_what_is_no_extension_is_left_out(tmp_path: Path) -> None:
    small = SmallStore(tmp_path / "sw")
    root = Path(small.records[small.add("py-x", "1")]["path"], "share/jupyter/labextensions")
    for name, text in (
        ("list", "[]"),
        ("number", '{"version": 1}'),
        ("broken", "{"),
        ("deep", "[" * 100_000),
        ("large", '{"name": "' + "x" * (2 << 20) + '"}'),
    ):
        (root / name).mkdir(parents=True)
        (root / name / "package.json").write_text(text)
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "package.json")
    (root / "@scope").write_text("a file")
    assert front_end_extensions(small.open().named("py-x")) == []
