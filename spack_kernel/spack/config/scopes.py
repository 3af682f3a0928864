"""The scopes of Spack's configuration, their order, and what they include.

From lowest to highest precedence, the scopes are those of Spack itself (``etc/spack/defaults``),
the system (``/etc/spack``), the site (inside the Spack instance) and the user (``~/.spack``). Up to
1.0, each has a subdirectory for the platform. From 1.1 on, ``include.yaml`` files name the scopes
themselves, and ``etc/spack`` of the instance takes precedence over the user scope. The files are
only read; nothing is executed or fetched.

https://spack.readthedocs.io/en/latest/configuration.html#configuration-scopes
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spack_kernel.spack.errors import ConfigError, ConfigWarning
from spack_kernel.spack.system import file_checks

from . import include_when
from .yaml_reader import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .path_variables import Substitution

#: How deeply includes may be nested before they count as a cycle, as in Spack.
MAX_INCLUDE_DEPTH = 100


@dataclass(eq=False)
class Scope:
    """A directory with one file per section, or one file with all sections.

    Attributes
    ----------
    name : str
        As `spack config scopes` shows it.
    path : Path
        The directory or file; it need not exist.
    keys : sequence of str
        For a file, the keys that contain the sections (``["spack"]`` in a ``spack.yaml``).
    included : bool
        Whether another scope includes it.
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
        return self.path.suffix in (".yaml", ".yml") and not file_checks.is_dir(self.path)

    @property
    def directory(self) -> Path:
        """The directory that relative includes are relative to."""
        return self.path.parent if self.is_file else self.path

    def section(self, name: str) -> dict[str, Any]:
        """Return ``{name: content}`` as in this scope, with its key; empty if it has none.

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


class TextScope(Scope):
    """A scope that is not in a file.

    Parameters
    ----------
    name : str
        As for `Scope`.
    content : mapping
        Its sections; a key that replaces values instead of being merged with them is a `Text`
        with `override`.
    """

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        super().__init__(name, Path(name))
        self._content = content

    def section(self, name: str) -> dict[str, Any]:
        """Return ``{name: content}`` as in this scope; empty if it has none."""
        return {key: value for key, value in self._content.items() if key == name}


def scope_stack(
    scopes: Iterable[Scope], substitution: Substitution, below: Iterable[Scope] = ()
) -> list[Scope]:
    """Return scopes with everything they include, lowest precedence first.

    Parameters
    ----------
    scopes : iterable of Scope
        The scopes, lowest precedence first.
    substitution : Substitution
        Replaces the variables in the paths of includes.
    below : iterable of Scope
        A stack to add them to.

    Raises
    ------
    ConfigError
        When an ``include`` cannot be read or names a required file that does not exist.

    Warns
    -----
    ConfigWarning
        For an include that cannot be read without running or fetching something.
    """
    stack = _Stack(substitution, {scope.name: scope for scope in below})
    for scope in scopes:
        stack.push(scope)
    return list(stack.scopes.values())


class _Stack:
    """The scopes pushed so far, by name; what a scope includes is pushed just before it."""

    def __init__(self, substitution: Substitution, scopes: Mapping[str, Scope]) -> None:
        self.substitution = substitution
        self.scopes = dict(scopes)

    def push(self, scope: Scope, depth: int = 0) -> None:
        if depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(f"{scope.path}: the includes form a cycle")
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
            # Spack replaces the variables first: a path is relative to the including scope.
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
            if not file_checks.exists(path) and not entry.get("optional", False):
                raise ConfigError(
                    f"{parent.path} includes {path}, which does not exist",
                    hint="Create the file, or mark the include with `optional: true`.",
                )
            if file_checks.is_dir(path) or path.suffix in ("", ".yaml", ".yml"):
                yield Scope(str(name), path, included=True)
            elif file_checks.exists(path):
                raise ConfigError(
                    f"{parent.path} includes {path}, which is neither a directory nor a .yaml file"
                )

    def _wanted(self, entry: dict[str, Any], parent: Scope) -> bool:
        condition = entry.get("when")
        if not condition:
            return True
        try:
            return include_when.holds(str(condition), self.substitution)
        except ValueError as error:
            _warn(
                f"{parent.path}: an include is left out because its condition {condition!r} "
                f"cannot be evaluated: {error}"
            )
            return False

    def _local(self, text: str, entry: dict[str, Any], parent: Scope) -> Path | None:
        try:
            return self.substitution.path(text, parent.directory)
        except ValueError:  # a remote address, of which Spack stores a copy
            digest = str(entry.get("sha256", ""))
            copy = _cache(text, entry, parent) / digest / Path(text).name
            if digest and file_checks.is_file(copy):
                return copy
            _warn(f"{parent.path} includes {text}, which Spack has not fetched; it is left out")
            return None

    def _cloned(self, entry: dict[str, Any], parent: Scope) -> list[tuple[str, Path | None]]:
        address = self.substitution(entry["git"])
        clone = _cache(address, entry, parent)
        if not file_checks.exists(clone / ".git"):
            _warn(f"{parent.path} includes {address}, which Spack has not cloned; it is left out")
            return []
        paths = entry.get("paths")
        if not isinstance(paths, list):
            raise ConfigError(f"{parent.path}: the include of {address} needs a list of paths")
        return [(text, clone / text) for text in (self.substitution(str(p)) for p in paths)]


def _cache(address: str, entry: dict[str, Any], parent: Scope) -> Path:
    """Return the directory next to a scope where Spack stores its remote includes.

    If Spack cannot write there, it uses the temporary directory. All users can write to that one,
    so it is not trusted.
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


def initial_scopes(root: Path, substitution: Substitution) -> Iterator[Scope]:
    """Yield the scopes of the Spack instance at `root` without what they include."""
    environ = substitution.environ
    etc = root / "etc" / "spack"
    yield Scope("defaults", etc / "defaults")
    if file_checks.exists(etc / "defaults" / "include.yaml"):  # 1.1 and newer
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


def active(scopes: Sequence[Scope]) -> Sequence[Scope]:
    """Return the scopes without those that an ``include::`` of a higher scope replaces."""
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
