"""The machine that Spack runs on, in Spack's names."""

from __future__ import annotations

import platform
import re
import sys
from functools import cache
from typing import NamedTuple


class Host(NamedTuple):
    """The machine, in the terms of a spec: ``linux``, ``debian12``, ``zen3``, ``x86_64``."""

    platform: str
    os: str
    target: str
    target_family: str


@cache
def host() -> Host:
    """Return the machine this process runs on."""
    import archspec.cpu  # slow to import, and seldom needed

    target = archspec.cpu.host()
    return Host(
        "darwin" if sys.platform == "darwin" else "linux",
        _operating_system(),
        target.name,
        str(target.family),
    )


def _operating_system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    name = {"ol": "oracle", "opensuse-leap": "opensuse"}.get(release["ID"], release["ID"])
    version = re.split(r"[^\w-]", release.get("VERSION_ID", ""))
    return name + (".".join(version[:2]) if "ubuntu" in name else version[0])
