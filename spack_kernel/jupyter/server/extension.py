"""Add the REST interface, and the directory of recent kernels, to a Jupyter server."""

from __future__ import annotations

from typing import Any

from jupyter_server.utils import url_path_join
from traitlets import TraitError

from spack_kernel.jupyter.logs import join_log

from .handlers import ROUTES
from .options import SpackPicker


def _load_jupyter_server_extension(app: Any) -> None:
    """Load the extension into a `ServerApp`; Jupyter calls this."""
    join_log(app.log)
    try:
        picker = SpackPicker(parent=app)
    except TraitError as error:
        app.log.error("spack-kernel: the picker is off: %s", error)
        picker = SpackPicker()
        picker.mistake = str(error)
    picker.look_for_slurm()
    manager = app.kernel_spec_manager
    recent = picker.place().recent
    if not picker.why_not() and recent not in manager.kernel_dirs:
        manager.kernel_dirs = [*manager.kernel_dirs, recent]
    base = app.web_app.settings["base_url"]
    app.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "spack-kernel", path), handler, {"picker": picker})
            for path, handler in ROUTES
        ],
    )
