"""Evaluate the ``when:`` of an include: Python for Spack, a small safe subset of it here.

Spack runs the text as Python. Here it can use what `safe_eval` supports, the names that Spack
defines for it (``platform``, ``os``, ``target``, ``arch_str``, ``hostname``, ``env``), and
``re.search``, ``re.match`` and ``re.fullmatch``. Nothing is executed.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from spack_kernel.spack.system.safe_eval import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from .path_variables import Substitution


def holds(condition: str, substitution: Substitution) -> bool:
    """Return whether `condition` is true on this machine and in this environment.

    Raises
    ------
    ValueError
        When it contains anything beyond the subset above.
    """
    host = substitution.host
    names = {
        "env": substitution.environ,
        "platform": host["platform"],
        "os": host["os"],
        "target": host["target"],
        "arch_str": "platform={platform} os={os} target={target}".format(**host),
        "hostname": socket.gethostname(),
    }
    return bool(evaluate(condition, names, _FUNCTIONS))


def _matches(match: Callable[[str, str], object]) -> Callable[[str, str], bool]:
    return lambda pattern, text: match(pattern, text) is not None


_FUNCTIONS = {
    "re.search": _matches(re.search),
    "re.match": _matches(re.match),
    "re.fullmatch": _matches(re.fullmatch),
}
