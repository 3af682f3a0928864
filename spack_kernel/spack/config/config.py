"""Spack's own configuration: each section merged from all scopes.

https://spack.readthedocs.io/en/latest/configuration.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel._log import debugger
from spack_kernel.spack.errors import ConfigError
from spack_kernel.spack.system import file_checks

from .path_variables import Substitution
from .scopes import Scope, active, initial_scopes, scope_stack
from .yaml_reader import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_debug = debugger(__name__)


class Config:
    """The configuration of one Spack instance, for one user and environment.

    Created by `Config.open`. Files are read once each, when a section is first requested.

    Attributes
    ----------
    spack_root : Path
        The root of the Spack instance.
    scopes : tuple of Scope
        All scopes, lowest precedence first.
    substitution : Substitution
        Replaces the variables in the values of this configuration.
    """

    def __init__(self, scopes: Sequence[Scope], substitution: Substitution) -> None:
        self.spack_root = substitution.spack_root
        self.scopes = tuple(scopes)
        self.substitution = substitution
        self._sections: dict[str, Any] = {}
        #: The file system checks asked to read it so far.
        self.checks: list[file_checks.Check] = []

    @classmethod
    def open(
        cls, spack_root: str | os.PathLike[str], environ: Mapping[str, str] | None = None
    ) -> Config:
        """Open the configuration of the Spack instance at `spack_root`.

        Parameters
        ----------
        spack_root : path
            The root of a Spack instance.
        environ : mapping of str to str, optional
            The source of ``HOME``, ``SPACK_USER_CONFIG_PATH``, ``SPACK_SYSTEM_CONFIG_PATH``,
            ``SPACK_DISABLE_LOCAL_CONFIG`` and the variables in values; by default this process's
            environment.

        Raises
        ------
        ConfigError
            When an ``include.yaml`` cannot be read, or names a required file that does not exist.

        Warns
        -----
        ConfigWarning
            For an include that cannot be read without running or fetching something.
        """
        environ = os.environ if environ is None else environ
        root = Path(spack_root).absolute()
        substitution = Substitution(root, environ)
        with file_checks.Recorder() as recorder:
            scopes = scope_stack(initial_scopes(root, substitution), substitution)
        config = cls(scopes, substitution)
        _debug("configuration scopes, lowest first: %s", [str(scope.path) for scope in scopes])
        config.checks += recorder.checks
        return config

    def with_file(
        self, path: Path, keys: Sequence[str] = (), *, environment: Path | None = None
    ) -> Config:
        """Return this configuration with one more file on top, such as a ``spack.yaml``.

        Parameters
        ----------
        path : Path
            The file.
        keys : sequence of str
            The keys that its sections are nested in: ``["spack"]`` for a ``spack.yaml``.
        environment : Path, optional
            The directory of the Spack environment, for ``$env``.

        Raises
        ------
        ConfigError
            As `open`.
        """
        substitution = Substitution(self.spack_root, self.substitution.environ, environment)
        name = f"env:{environment}" if environment is not None else str(path)
        stack = scope_stack([Scope(name, path, keys)], substitution, below=self.scopes)
        return Config(stack, substitution)

    def section(self, name: str) -> Any:
        """Return a section, merged from all scopes; None when none has it.

        Strings are `Text`, which records the file they come from; variables are not yet replaced.

        Raises
        ------
        ConfigError
            When a file is not YAML or not a mapping; the message names the file and line.
        """
        if name not in self._sections:
            merged: Any = {}
            with file_checks.Recorder(self.checks):
                for scope in active(self.scopes):
                    found = scope.section(name)
                    if found.get(name) is not None:
                        merged = merge(merged, found)
            self._sections[name] = merged.get(name)
        return self._sections[name]

    def get(self, path: str, default: Any = None) -> Any:
        """Return the value at ``section:key:key``, or `default` when it is absent or null.

        Raises
        ------
        ConfigError
            As `section`, and when a value along the path is not a mapping.
        """
        section, *keys = path.split(":")
        value = self.section(section)
        for key in keys:
            if value is None:
                return default
            if not isinstance(value, dict):
                raise ConfigError(f"{self._where(value, section)}: {path} needs a mapping here")
            value = value.get(key)
        return default if value is None else value

    def prefix_inspections(self) -> dict[str, tuple[str, ...]] | None:
        """Return the variables that each subdirectory of a prefix is added to, in configured order.

        This is ``modules:prefix_inspections``, which `spack load` also uses. Subdirectories are as
        configured (``./bin``, ``./``). None when nothing is configured.

        Raises
        ------
        ConfigError
            As `section`, and when it is not a mapping to lists of strings.
        """
        found = self.get("modules:prefix_inspections")
        if found is None:
            return None
        if not isinstance(found, dict):
            raise ConfigError(
                f"{self._where(found, 'modules')}: prefix_inspections needs a mapping"
            )
        inspections: dict[str, tuple[str, ...]] = {}
        for subdirectory, names in found.items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                where = self._where(subdirectory, "modules")
                raise ConfigError(
                    f"{where}: prefix_inspections needs a list of variables for {subdirectory}"
                )
            inspections[str(subdirectory)] = tuple(str(name) for name in names)
        return inspections

    def path(self, value: Any, what: str) -> Path:
        """Return a configured path with its variables replaced, absolute and normalised.

        Raises
        ------
        ConfigError
            When it is not a path; the message calls it `what`.
        """
        if not isinstance(value, str):
            raise ConfigError(f"{what} of {self.spack_root} needs a path, not {value!r}")
        try:
            return self.substitution.path(value, self.spack_root)
        except ValueError as error:
            raise ConfigError(f"{self._where(value, what)}: {what}: {error}") from error

    def _where(self, value: Any, section: str) -> str:
        """Return the file and line of a value, as far as they are known."""
        if isinstance(value, Text):
            return f"{value.file}:{value.line}"
        if isinstance(value, (dict, list)):
            for item in value:
                if isinstance(item, Text):
                    return f"{item.file}:{item.line}"
        return f"the configuration of {self.spack_root}, section {section}"


def merge(lower: Any, upper: Any) -> Any:
    """Return `lower` overlaid with `upper`, by Spack's rules; neither is changed.

    Mappings are merged key by key, with the keys of `upper` first. A list is placed before the
    lower one, without duplicates. Any other value replaces the lower one, as does a key with a
    second colon.
    """
    if isinstance(lower, dict) and isinstance(upper, dict):
        merged = {}
        for key, value in upper.items():
            if key in lower and not getattr(key, "override", False):
                value = merge(lower[key], value)
            merged[key] = value
        merged.update((key, value) for key, value in lower.items() if key not in upper)
        return merged
    if isinstance(lower, list) and isinstance(upper, list):
        return upper + [item for item in lower if item not in upper]
    return upper
