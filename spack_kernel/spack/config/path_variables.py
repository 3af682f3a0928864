"""The variables in paths of Spack's configuration: ``$spack``, ``~``, ``$HOME`` and others.

https://spack.readthedocs.io/en/latest/configuration.html#config-file-variables
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
import pwd
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from spack_kernel.spack.spec.host import host
from spack_kernel.spack.system import file_checks

from .yaml_reader import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\w+\b|\$\{\w+\}")
_ENVIRONMENT_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


class Substitution:
    """Replaces the variables in a path as a given Spack instance would.

    Parameters
    ----------
    spack_root : Path
        The root of the Spack instance, as Spack itself would name it.
    environ : mapping of str to str
        The environment variables.
    environment : Path, optional
        The directory of the active Spack environment, for ``$env``.
    has_root : bool
        Whether there is a Spack instance; else ``$spack`` has no value.
    """

    def __init__(
        self,
        spack_root: Path,
        environ: Mapping[str, str],
        environment: Path | None = None,
        *,
        has_root: bool = True,
    ) -> None:
        self.spack_root = spack_root
        self.environ = environ
        self.environment = environment
        self.has_root = has_root

    def unknown(self, text: str) -> list[str]:
        """Return the variables in `text` that have no value, as they are written there."""
        return [match[0] for match in _ENVIRONMENT_VARIABLE.finditer(self(text))]

    def __call__(self, text: str) -> str:
        """Return `text` with Spack's variables, environment variables and ``~`` replaced.

        As in Spack, a variable without a value is left as it is.
        """
        text = _VARIABLE.sub(self._spack_variable, text)
        text = _ENVIRONMENT_VARIABLE.sub(
            lambda match: self.environ.get(match[1].strip("{}"), match[0]), text
        )
        return self._expand_home(text)

    def path(self, text: str, base: Path | None = None) -> Path:
        """Return `text` as an absolute, normalised path.

        A relative path is relative to the directory of the file that contains it, else to `base`.

        Raises
        ------
        ValueError
            When it is a remote address, or a relative path without a base directory.
        """
        replaced = self(text)
        if replaced.startswith("file://"):
            replaced = unquote(replaced[len("file://") :])
        elif re.match(r"[a-z][a-z0-9+.-]*://", replaced):
            raise ValueError(f"{replaced} is not a path")
        if isinstance(text, Text):
            base = text.file.parent
        if base is None and not replaced.startswith("/"):
            raise ValueError(f"{replaced} is not an absolute path")
        return Path(os.path.normpath((base or Path("/")) / replaced))

    @cached_property
    def user_cache_path(self) -> Path:
        """The directory of Spack's caches for the user."""
        return Path(self._expand_home(self.environ.get("SPACK_USER_CACHE_PATH") or "~/.spack"))

    @cached_property
    def host(self) -> dict[str, str]:
        """Spack's names for the machine: ``platform``, ``os``, ``target``, ``target_family``."""
        return host()._asdict()

    def _spack_variable(self, match: re.Match[str]) -> str:
        name = match[0].strip("${}").lower()
        value = self._value(name)
        return match[0] if value is None else value

    def _value(self, name: str) -> str | None:
        if name == "spack":
            return str(self.spack_root) if self.has_root else None
        if name == "user":
            return _user_name()
        if name == "tempdir":
            return self._temporary_directory()
        if name == "user_cache_path":
            return str(self.user_cache_path)
        if name == "spack_instance_id":
            digest = hashlib.sha1(str(self.spack_root).encode(), usedforsecurity=False).digest()
            return base64.b32encode(digest).decode().lower()[:7]
        if name in ("architecture", "arch"):
            return "-".join((self.host["platform"], self.host["os"], self.host["target"]))
        if name in ("platform", "target", "target_family"):
            return self.host[name]
        if name in ("operating_system", "os"):
            return self.host["os"]
        if name == "date":
            return datetime.date.today().isoformat()
        if name == "env":
            return None if self.environment is None else str(self.environment)
        if name == "spack_short_version":
            return self._short_version()
        return None

    def _expand_home(self, text: str) -> str:
        if not text.startswith("~"):
            return text
        user, slash, rest = text[1:].partition("/")
        if user:
            try:
                home = pwd.getpwnam(user).pw_dir
            except KeyError:
                return text
        else:
            home = self.environ.get("HOME") or _home()
        return (home.rstrip("/") + slash + rest) or "/"

    def _temporary_directory(self) -> str:
        for name in ("TMPDIR", "TEMP", "TMP"):
            directory = self.environ.get(name)
            if directory and file_checks.is_dir(directory):
                return str(Path(directory).absolute())
        return "/tmp"  # noqa: S108 - the value of $tempdir; nothing is created there

    def _short_version(self) -> str | None:
        try:
            path = self.spack_root / "lib/spack/spack/__init__.py"
            source = file_checks.read_regular(path)[:10_000].decode()
        except (OSError, UnicodeDecodeError):
            return None
        found = re.search(
            r"""^(?:__version__|spack_version)\s*=\s*["'](\d+\.\d+)""", source, re.MULTILINE
        )
        return found[1] if found else None


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
