"""The server extension behind the picker: REST below ``/spack-kernel/``.

The server only passes on what helpers answer, so no request touches a store, or the user's home
directory, in the server's event loop.
"""

from __future__ import annotations

from spack_kernel._lazy import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .extension import (
        _load_jupyter_server_extension as _load_jupyter_server_extension,
    )
    from .options import SpackPicker as SpackPicker

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "extension": "_load_jupyter_server_extension",
        "options": "SpackPicker",
    },
)
