"""Spack environments: found by name or directory, read from ``spack.yaml`` and ``spack.lock``.

A managed environment has a name and is located below ``config:environments_root``; an independent
one is any directory with a ``spack.yaml``. Only its lock file determines what is installed for it.

https://spack.readthedocs.io/en/latest/environments.html
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spack_kernel.spack.config.config import Config
from spack_kernel.spack.config.path_variables import Substitution
from spack_kernel.spack.config.scopes import Scope, TextScope
from spack_kernel.spack.config.yaml_reader import Text
from spack_kernel.spack.errors import ConfigError, StoreNotFound
from spack_kernel.spack.load.inspections import site_inspections
from spack_kernel.spack.load.modifications import configured_modifications
from spack_kernel.spack.store.install_tree import install_tree, upstream_trees
from spack_kernel.spack.store.store import Store
from spack_kernel.spack.system import file_checks

from .errors import EnvironmentNotFound, EnvironmentNotReady
from .frozen import FrozenEnvironment, LockedRoot, View
from .lock_file import LOCK_FILE, locked_roots, locked_specs
from .views import DEFAULT_VIEW, read_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spack_kernel.spack.load.modifications import Modification
    from spack_kernel.spack.spec.spec import Spec

MANIFEST = "spack.yaml"

#: The default location of managed environments.
ENVIRONMENTS_ROOT = "$spack/var/spack/environments"

_NAME = re.compile(r"\w[/\w-]*")
_DIRECTORY = re.compile(r"[/~$]|\.\.?(/|$)")


@dataclass(frozen=True)
class SpackEnvironment:
    """A Spack environment as its files describe it; created by `open_environment`.

    Attributes
    ----------
    name : str
        The name of a managed environment, or the directory of an independent one.
    path : Path
        Its directory.
    config : Config
        Spack's configuration with the environment's own on top.
    roots : tuple of LockedRoot
        The concretized roots in order, then those of included environments.
    views : mapping of str to View
        Its views by name; empty when it has none.
    """

    name: str
    path: Path
    config: Config = field(repr=False)
    roots: tuple[LockedRoot, ...]
    views: Mapping[str, View]

    @property
    def option(self) -> str:
        """The option of `spack` that selects it: ``-e NAME`` or ``-D DIRECTORY``."""
        return self._frozen.option

    def specs(self, store: Store) -> tuple[Spec, ...]:
        """Return the installed roots, each once, in the order of the lock file.

        Raises
        ------
        EnvironmentNotReady
            When there are none, or some are not installed in `store`; the message lists them.
        """
        return self._frozen.specs(store)

    def missing(self, store: Store) -> tuple[LockedRoot, ...]:
        """Return the roots that are not installed in `store`, in the order of the lock file."""
        return self._frozen.missing(store)

    @property
    def _frozen(self) -> FrozenEnvironment:
        return FrozenEnvironment(name=self.name, path=str(self.path), roots=self.roots)

    def freeze(self, view: View | None, store: Store) -> FrozenEnvironment:
        """Return what activating it needs.

        Parameters
        ----------
        view : View or None
            One of its views; None to load the roots instead.
        store : Store
            The site's store, whose configuration counts where the environment has none.

        Raises
        ------
        ConfigError
            When its configuration is invalid.
        """
        return msgspec.structs.replace(
            self._frozen,
            view=view,
            prefix_inspections=site_inspections(store, self.config.prefix_inspections()),
            variables=tuple(self.variables()),
        )

    def locked_specs(self) -> dict[str, Spec]:
        """Return every spec of the lock file by its DAG hash; their install records are unknown.

        Raises
        ------
        EnvironmentNotReady, ConfigError
            When there is no lock file, or it is invalid.
        """
        return locked_specs(self.path, self.name)

    def store(self, store: Store) -> Store:
        """Return the store this environment uses: `store`, unless its manifest names another.

        An install tree that only the Spack instance can locate, because it uses ``$spack`` or an
        environment variable that is not set, is taken to be `store`.

        Raises
        ------
        StoreNotFound, DatabaseError, ConfigError
            When its own install tree cannot be opened.
        """
        manifest = Config(self.config.scopes[-1:], self.config.substitution)
        if manifest.get("config:install_tree") is None:
            return store
        merged = self.config.get("config:install_tree")
        if isinstance(merged, dict) and not merged.get("root"):
            return store  # only padding or projections, of a tree that other scopes name
        root = merged.get("root") if isinstance(merged, dict) else merged
        if isinstance(root, str) and self.config.substitution.unknown(root):
            return store
        tree = install_tree(self.config)
        if tree == Path(store.root):
            return store
        try:
            return Store.open(tree, upstreams=upstream_trees(self.config))
        except StoreNotFound as error:
            raise StoreNotFound(
                error.summary,
                details=[
                    *error.details,
                    f"  named by config:install_tree of {self.path / MANIFEST}",
                ],
                hint="Correct it, or remove it to use the store of the site.",
            ) from None

    def view(self, name: str | None = None) -> View | None:
        """Return a view by name; without a name the default view, else the only one, else None.

        Raises
        ------
        EnvironmentNotReady
            When no view has that name, or there are several and none is the default.
        """
        if name is not None:
            if name in self.views:
                return self.views[name]
            raise EnvironmentNotReady(
                f"the environment {self.name} has no view named {name}",
                details=[f"  {view.name}: {view.root}" for view in self.views.values()],
                hint="Name one of them." if self.views else "It has no view at all.",
            )
        if len(self.views) > 1 and DEFAULT_VIEW not in self.views:
            raise EnvironmentNotReady(
                f"the environment {self.name} has {len(self.views)} views and none is the default",
                details=[f"  {view.name}: {view.root}" for view in self.views.values()],
                hint="Name one of them.",
            )
        return self.views.get(DEFAULT_VIEW) or next(iter(self.views.values()), None)

    def variables(self) -> list[Modification]:
        """Return the changes in ``env_vars:`` of the configuration.

        Raises
        ------
        ConfigError
            When that section is not a mapping of mappings.
        """
        configured = self.config.section("env_vars")
        if configured is None:
            return []
        try:
            return configured_modifications(configured, None, f"env_vars of {self.name}")
        except (AttributeError, TypeError) as error:
            raise ConfigError(f"{self.path / MANIFEST}: env_vars needs a mapping") from error


def open_environment(
    name: str,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    inspections: Mapping[str, Sequence[str]] | None = None,
) -> SpackEnvironment:
    """Open the Spack environment `name`.

    Parameters
    ----------
    name : str
        The name of a managed environment; or a directory with a ``spack.yaml``, written so that
        it cannot be a name: it begins with ``/``, ``./``, ``../`` or ``~``.
    config : Config, optional
        The configuration of the Spack instance; managed environments need one.
    environ : mapping of str to str, optional
        The source of variables in paths without a `config`; by default this process's environment.
    inspections : mapping of str to sequence of str, optional
        The site's ``modules:prefix_inspections``, instead of those in `config`.

    Raises
    ------
    EnvironmentNotFound
        When it does not exist; the message lists similar names.
    EnvironmentNotReady
        When it was never concretized.
    ConfigError
        When ``spack.yaml`` or ``spack.lock`` is invalid.
    """
    environ = os.environ if environ is None else environ
    if _DIRECTORY.match(name):
        substitution = (
            config.substitution if config else Substitution(Path("/"), environ, has_root=False)
        )
        path = Path(os.path.normpath(Path.cwd() / substitution(name)))
        _check_directory(path)
    else:
        path = environments_root(config, name) / name
        _check_name(name, path, config)
    site: list[Scope] = []
    if inspections is not None:
        key = Text("prefix_inspections:", path, 0)  # the colon makes it override
        content = {key: {where: list(names) for where, names in inspections.items()}}
        site.append(TextScope("prefix_inspections", {"modules": content}))
    if config is not None:
        configured = Config([*config.scopes, *site], config.substitution)
        merged = configured.with_file(path / MANIFEST, _manifest_keys(path), environment=path)
    else:
        scope = Scope(f"env:{path}", path / MANIFEST, _manifest_keys(path))
        merged = Config([*site, scope], Substitution(path, environ, path, has_root=False))
    managed = config is not None and _is_managed(path, config)
    return SpackEnvironment(
        name=managed or str(path),
        path=path,
        config=merged,
        roots=locked_roots(path, managed or str(path)),
        views=read_views(merged, path),
    )


def environments_root(config: Config | None, name: str = "NAME") -> Path:
    """Return the directory that contains the managed environments.

    Raises
    ------
    EnvironmentNotFound
        Without a configuration, which defines the directory; `name` is the requested environment.
    ConfigError
        When the configured value is not a path.
    """
    if config is None:
        raise EnvironmentNotFound(
            f"no environment named {name} can be found without a Spack instance",
            hint="Name the root of the Spack instance as the store, or the directory of the\n"
            f"environment as a path: ./{name}",
        )
    configured = config.get("config:environments_root", ENVIRONMENTS_ROOT)
    return config.path(configured, "config:environments_root")


def environment_names(config: Config) -> list[str]:
    """Return the names of all managed environments, sorted."""
    root = environments_root(config)
    names = []
    for directory, subdirectories, files in os.walk(root, followlinks=False):
        file_checks.stamp(directory)
        subdirectories[:] = [each for each in subdirectories if not each.startswith(".")]
        name = os.path.relpath(directory, root)
        if MANIFEST in files and _NAME.fullmatch(name):
            names.append(name)
            subdirectories.clear()
        else:  # `spack env track` links a directory into the root
            names += [
                str(Path(name, each))
                for each in subdirectories
                if Path(directory, each).is_symlink()
                and file_checks.is_file(Path(directory, each, MANIFEST))
            ]
    return sorted(names)


def _check_directory(path: Path) -> None:
    if file_checks.is_file(path / MANIFEST):
        return
    if not path.is_dir():
        what = "is not a directory" if path.exists() else "does not exist"
        raise EnvironmentNotFound(f"{path} {what}")
    hint = ""
    if (path / LOCK_FILE).is_file():
        hint = (
            f"It has a {LOCK_FILE}; create an environment from it with\n"
            f"`spack env create -d DIRECTORY {path / LOCK_FILE}`."
        )
    raise EnvironmentNotFound(f"{path} has no {MANIFEST}: it is not a Spack environment", hint=hint)


def _check_name(name: str, path: Path, config: Config | None) -> None:
    if _NAME.fullmatch(name) and file_checks.is_file(path / MANIFEST):
        return
    known = environment_names(config) if config else []
    close = difflib.get_close_matches(name, known, n=5) or known[:10]
    hint = "Create one with `spack env create NAME`."
    if Path(name, MANIFEST).is_file():
        hint = f"The environment in this directory is ./{name}."
    elif close:
        hint = f"There {'is' if len(close) == 1 else 'are'} {', '.join(close)}."
    raise EnvironmentNotFound(
        f"no environment named {name!r}",
        details=[f"  looked for {path / MANIFEST}"],
        hint=hint,
    )


def _is_managed(path: Path, config: Config) -> str:
    """Return the name of the managed environment at `path`, or an empty string."""
    root = environments_root(config)
    try:
        name = str(path.relative_to(root))
    except ValueError:
        name = path.name  # a tracked environment is linked from there
        if file_checks.real(root / name) != file_checks.real(path):
            return ""
    return name if _NAME.fullmatch(name) else ""


def _manifest_keys(path: Path) -> list[str]:
    """Return the top-level key of the sections in a manifest; ``env`` in very old ones."""
    content = Scope("manifest", path / MANIFEST)
    return next(([key] for key in ("spack", "env") if content.section(key)), ["spack"])
