"""Let a Python start with a long PYTHONPATH at no cost. `spack-kernel exec` puts this first.

Python imports a module of this name before it runs a program. It sets the path, the import index
and the start image as `launcher.py` does for kernels, then takes itself away: the program, and
every process that it starts, sees the PYTHONPATH that it would have without this file.
"""

import sys


def _begin() -> None:
    here = __file__.rpartition("/")[0]
    file = here.rpartition("/")[0] + "/launcher.py"
    if here in sys.path:
        sys.path.remove(here)
    sys.path_importer_cache.pop(here, None)
    del sys.modules["sitecustomize"]
    from _frozen_importlib_external import SourceFileLoader

    # Its name tells it that it runs here.
    module = type(sys)("spack_kernel_launcher")
    module.__file__ = file
    code = SourceFileLoader("launcher", file).get_code("launcher")
    assert code is not None
    exec(code, vars(module))  # noqa: S102 - our own file
    vars(module)["set_up"](here)
    # The one that Python would have imported. Python expects the error that there is none.
    __import__("sitecustomize")


if __name__ == "sitecustomize":
    _begin()
