"""Spack's own YAML scopes: which there are, which wins, and what a section says in the end.

From lowest to highest precedence: what Spack ships (``etc/spack/defaults``), the system's
(``/etc/spack``), the site's (inside the Spack instance), the user's (``~/.spack``). Up to 1.0
each has a subdirectory for the platform; from 1.1 on the scopes themselves are named in
``include.yaml`` files, and ``etc/spack`` of the instance stands above the user's. Read only;
nothing is executed or fetched.

https://spack.readthedocs.io/en/latest/configuration.html#configuration-scopes
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import conditions
from .errors import ConfigError, ConfigWarning
from .substitution import Substitution
from .yaml_files import Text, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: How deep includes may go before they are taken for a circle, as in Spack.
MAX_INCLUDE_DEPTH = 100


@dataclass(eq=False)
class Scope:
    """A directory with one file a section, or one file with all sections.

    Attributes
    ----------
    name : str
        As `spack config scopes` shows it.
    path : Path
        The directory or file; it need not exist.
    keys : sequence of str
        For a file, the keys under which the sections stand (``["spack"]`` in a ``spack.yaml``).
    included : bool
        Whether another scope named it.
    """

    name: str
    path: Path
    keys: Sequence[str] = ()
    included: bool = False
    includes: list[Scope] = field(default_factory=list)
    overrides_includes: bool = False
    _files: dict[Path, Any] = field(default_factory=dict)

    @property
    def is_file(self) -> bool:
        """Whether the scope is one file rather than a directory."""
        return self.path.suffix in (".yaml", ".yml") and not self.path.is_dir()

    @property
    def directory(self) -> Path:
        """Where relative includes start."""
        return self.path.parent if self.is_file else self.path

    def section(self, name: str) -> dict[str, Any]:
        """Return ``{name: content}`` as this scope has it, with its key; empty without.

        Raises
        ------
        ConfigError
            When the file is not YAML or not a mapping.
        """
        path = self.path if self.is_file else self.path / f"{name}.yaml"
        if path not in self._files:
            self._files[path] = load(path)
        content = self._files[path]
        for key in self.keys:
            content = _mapping(content, path).get(key)
        return {key: value for key, value in _mapping(content, path).items() if key == name}


class Config:
    """The configuration of one Spack instance, for one user and environment.

    Made by `Config.open`. Files are read when a section is first asked for, each once.

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
            Where ``HOME``, ``SPACK_USER_CONFIG_PATH``, ``SPACK_SYSTEM_CONFIG_PATH``,
            ``SPACK_DISABLE_LOCAL_CONFIG`` and the variables in values come from; by default
            this process's environment.

        Raises
        ------
        ConfigError
            When an ``include.yaml`` cannot be read or names a file that must be there and is not.

        Warns
        -----
        ConfigWarning
            For an include that cannot be read without running or fetching something.
        """
        environ = os.environ if environ is None else environ
        root = Path(spack_root).absolute()
        substitution = Substitution(root, environ)
        stack = _Stack(substitution)
        for scope in _initial_scopes(root, substitution):
            stack.push(scope)
        return cls(list(stack.scopes.values()), substitution)

    def with_file(
        self, path: Path, keys: Sequence[str] = (), *, environment: Path | None = None
    ) -> Config:
        """Return this configuration with one more file on top, such as a ``spack.yaml``.

        Parameters
        ----------
        path : Path
            The file.
        keys : sequence of str
            Under which its sections stand: ``["spack"]`` for a ``spack.yaml``.
        environment : Path, optional
            The directory of the Spack environment, for ``$env``.

        Raises
        ------
        ConfigError
            As `open`.
        """
        substitution = Substitution(self.spack_root, self.substitution.environ, environment)
        stack = _Stack(substitution, {scope.name: scope for scope in self.scopes})
        name = f"env:{environment}" if environment is not None else str(path)
        stack.push(Scope(name, path, keys))
        return Config(list(stack.scopes.values()), substitution)

    def section(self, name: str) -> Any:
        """Return a section, merged from all scopes; None when none has it.

        Strings are `Text` and know the file they come from; variables are not yet replaced.

        Raises
        ------
        ConfigError
            When a file is not YAML or not a mapping; names file and line.
        """
        if name not in self._sections:
            merged: Any = {}
            for scope in _active(self.scopes):
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
            As `section`, and when something on the way is not a mapping.
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
        """Return which subdirectory of a prefix goes to which variables, in recorded order.

        Subdirectories are as configured (``./bin``, ``./``); None when nothing is configured.
        ``modules:prefix_inspections``, which also `spack load` follows.

        Raises
        ------
        ConfigError
            As `section`, and when it is not a mapping to lists of words.
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
            When it is no path; the text calls it `what`.
        """
        if not isinstance(value, str):
            raise ConfigError(f"{what} of {self.spack_root} needs a path, not {value!r}")
        try:
            return self.substitution.path(value, self.spack_root)
        except ValueError as error:
            raise ConfigError(f"{self._where(value, what)}: {what}: {error}") from error

    def _where(self, value: Any, section: str) -> str:
        """Return file and line of a value as far as known."""
        if isinstance(value, Text):
            return f"{value.file}:{value.line}"
        if isinstance(value, (dict, list)):
            for item in value:
                if isinstance(item, Text):
                    return f"{item.file}:{item.line}"
        return f"the configuration of {self.spack_root}, section {section}"


def merge(lower: Any, upper: Any) -> Any:
    """Return `lower` overlaid with `upper`, by Spack's rules; neither is changed.

    Mappings are merged key by key, the keys of `upper` first; a list goes in front of the other
    without repeating its items; anything else replaces, and so does a key with a second colon.
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


class _Stack:
    """The scopes pushed so far, by name; what a scope includes is pushed just before it."""

    def __init__(
        self, substitution: Substitution, scopes: Mapping[str, Scope] | None = None
    ) -> None:
        self.substitution = substitution
        self.scopes = dict(scopes or {})

    def push(self, scope: Scope, depth: int = 0) -> None:
        if depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(f"{scope.path}: includes go round in a circle")
        section = scope.section("include")
        if section:
            ((key, entries),) = section.items()
            scope.overrides_includes = getattr(key, "override", False)
            if not isinstance(entries, list):
                raise ConfigError(f"{scope.path}: include needs a list")
            for entry in entries:
                for included in self._included(entry, scope):
                    if included.name not in [known.name for known in scope.includes]:
                        scope.includes.append(included)
        for included in reversed(scope.includes):
            self.push(included, depth + 1)
        self.scopes.pop(scope.name, None)  # a scope named again moves up
        self.scopes[scope.name] = scope

    def _included(self, entry: Any, parent: Scope) -> Iterator[Scope]:
        if isinstance(entry, str):
            entry = {"path": entry}
        if not isinstance(entry, dict) or not isinstance(entry.get("path", entry.get("git")), str):
            raise ConfigError(f"{parent.path}: an include needs a path, not {entry!r}")
        if not self._wanted(entry, parent):
            return
        if "path" not in entry:
            paths = self._cloned(entry, parent)
        else:
            named = self.substitution.environ.get(entry.get("path_override_env_var") or "")
            # Spack replaces the variables first: a relative path starts at the including scope.
            text = self.substitution(named or entry["path"])
            paths = [(text, self._local(text, entry, parent))]
        for text, path in paths:
            if path is None or Path(text).name == "spack.lock":
                continue
            name = entry.get("name") or parent.name
            if not entry.get("name") or len(paths) > 1:
                try:
                    name = f"{name}:{Path(text).relative_to(parent.path)}"
                except ValueError:
                    name = f"{name}:{text}"
            if not path.exists() and not entry.get("optional", False):
                raise ConfigError(
                    f"{parent.path} includes {path}, which does not exist",
                    hint="Make the file, or mark the include with `optional: true`.",
                )
            if path.is_dir() or path.suffix in ("", ".yaml", ".yml"):
                yield Scope(str(name), path, included=True)
            elif path.exists():
                raise ConfigError(
                    f"{parent.path} includes {path}, which is neither a directory nor a .yaml file"
                )

    def _wanted(self, entry: dict[str, Any], parent: Scope) -> bool:
        condition = entry.get("when")
        if not condition:
            return True
        try:
            return conditions.holds(str(condition), self.substitution)
        except ValueError as error:
            _warn(f"{parent.path}: an include is left out, its condition {condition!r}: {error}")
            return False

    def _local(self, text: str, entry: dict[str, Any], parent: Scope) -> Path | None:
        try:
            return self.substitution.path(text, parent.directory)
        except ValueError:  # the address of something remote, of which Spack keeps a copy
            digest = str(entry.get("sha256", ""))
            copy = _cache(text, entry, parent) / digest / Path(text).name
            if digest and copy.is_file():
                return copy
            _warn(f"{parent.path} includes {text}, which Spack has not fetched; it is left out")
            return None

    def _cloned(self, entry: dict[str, Any], parent: Scope) -> list[tuple[str, Path | None]]:
        address = self.substitution(entry["git"])
        clone = _cache(address, entry, parent)
        if not (clone / ".git").exists():
            _warn(f"{parent.path} includes {address}, which Spack has not cloned; it is left out")
            return []
        paths = entry.get("paths")
        if not isinstance(paths, list):
            raise ConfigError(f"{parent.path}: the include of {address} needs a list of paths")
        return [(text, clone / text) for text in (self.substitution(str(p)) for p in paths)]


def _cache(address: str, entry: dict[str, Any], parent: Scope) -> Path:
    """Return the directory beside a scope where Spack keeps what it includes from elsewhere.

    Where Spack cannot write there it uses the temporary directory, which anybody can write; that
    one is not trusted.
    """
    name = entry.get("name")
    if not name:
        last = re.search(r"/([^/]+?)(\.git)?$", address)
        if last and not Path(last[1]).suffix:
            name = last[1]
        else:
            digest = hashlib.sha1(address.encode(), usedforsecurity=False).digest()
            name = base64.b32encode(digest).decode().lower()[-7:]
    directory = parent.directory
    if parent.name.startswith("env:"):
        directory /= ".spack-env"
    return directory / "includes" / str(name)


def _initial_scopes(root: Path, substitution: Substitution) -> Iterator[Scope]:
    environ = substitution.environ
    etc = root / "etc" / "spack"
    yield Scope("defaults", etc / "defaults")
    if (etc / "defaults" / "include.yaml").exists():  # 1.1 and newer
        yield Scope("spack", etc)
        return
    directories = [("site", etc)]
    if "SPACK_DISABLE_LOCAL_CONFIG" not in environ:
        system = substitution(environ.get("SPACK_SYSTEM_CONFIG_PATH") or "/etc/spack")
        user = substitution(environ.get("SPACK_USER_CONFIG_PATH") or "~/.spack")
        directories = [("system", Path(system)), *directories, ("user", Path(user))]
    platform = substitution.host["platform"]
    yield Scope(f"defaults/{platform}", etc / "defaults" / platform)
    for name, path in directories:
        yield Scope(name, path)
        yield Scope(f"{name}/{platform}", path / platform)


def _active(scopes: Sequence[Scope]) -> Sequence[Scope]:
    """Leave out what an ``include::`` of a higher scope replaces."""
    last = max((i for i, scope in enumerate(scopes) if scope.overrides_includes), default=None)
    if last is None:
        return scopes
    keep = {scope.name for scope in scopes[last:]}
    keep.update(scope.name for scope in scopes[last].includes)
    keep.update(scope.name for scope in scopes if not scope.included)
    keep.update(scope.name for scope in scopes if scope.name.startswith("defaults"))
    return [scope for scope in scopes if scope.name in keep]


def _mapping(content: Any, path: Path) -> dict[Any, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: needs a mapping of sections, has {content!r:.40}")
    return content


def _warn(text: str) -> None:
    warnings.warn(text, ConfigWarning, stacklevel=2)
