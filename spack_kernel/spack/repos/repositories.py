"""Package repositories and what their recipes provide. Nothing is executed.

Up to 0.23, Spack ships its recipes (``var/spack/repos/builtin``). From 1.0 on, it clones them, and
``repos.yaml`` contains the source and the destination. Only what is on this machine is read.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import keyword
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from spack_kernel.spack.config import yaml_reader
from spack_kernel.spack.errors import ConfigError, QuerySyntaxError
from spack_kernel.spack.query.parser import parse_query
from spack_kernel.spack.query.virtuals import Providers, Provision
from spack_kernel.spack.system import file_checks

from .provides_reader import Provides, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from spack_kernel.spack.config.config import Config
    from spack_kernel.spack.database.chain import Chain
    from spack_kernel.spack.database.database import Database
    from spack_kernel.spack.spec.spec import Spec

    _Source: TypeAlias = "Repository | InstalledRecipes | KnownVirtuals"

#: The largest recipe that is read, in bytes.
MAX_RECIPE = 4 * 1024 * 1024

#: Virtual packages by the first database format of the Spack versions that have them.
_VIRTUAL_SINCE = {
    7: frozenset({"libc", "zlib-api"}),
    8: frozenset({"c", "cxx", "fortran"}),
}

# Only a few recipes have the directive or inherit from another recipe; the others are not parsed.
_MAY_PROVIDE = re.compile(
    rb"\bprovides\s*\(|from\s+(?:\.\.|[\w.]*packages\.)\w+\.package\s+import|spack\.pkg\."
).search
_RESERVED = frozenset(word for word in keyword.kwlist if word.islower())


class Repository:
    """A directory with a ``repo.yaml`` and recipes.

    Parameters
    ----------
    root : Path
        The directory.

    Raises
    ------
    ConfigError
        When it has no readable ``repo.yaml``.
    """

    def __init__(self, root: Path) -> None:
        content = yaml_reader.load(root / "repo.yaml")
        described = content.get("repo") if isinstance(content, dict) else None
        if not isinstance(described, dict):
            raise ConfigError(f"{root} is not a package repository: it has no repo.yaml")
        self.root = root
        self.namespace = str(described.get("namespace", ""))
        self._flat = str(described.get("api", "v1.0")).startswith("v1")
        self._packages = root / str(described.get("subdirectory", "packages"))
        self._recipes: dict[str, Recipe | None] = {}

    def provides(self, package: str) -> list[Provides] | None:
        """Return what the recipe of `package` provides; None when there is no recipe.

        This reads one file, and those of the recipes it inherits from. A file that is not valid
        Python provides nothing.
        """
        directory = self._directory(package)
        source = self._read(directory)
        if source is None:
            return None
        if not _MAY_PROVIDE(source):
            return []
        recipe = self._recipe(directory)
        if recipe is None:
            return []
        class_name = "".join(part.capitalize() for part in re.split("[-_]+", package))
        if class_name[:1].isdigit() or class_name in ("False", "None", "True"):
            class_name = f"_{class_name}"
        return list(dict.fromkeys(recipe.provides(class_name, self._recipe)))

    def _directory(self, package: str) -> str:
        if self._flat:
            return package
        name = package.replace("-", "_")
        return f"_{name}" if name[:1].isdigit() or name in _RESERVED else name

    def _recipe(self, directory: str) -> Recipe | None:
        if directory not in self._recipes:
            self._recipes[directory] = None  # also breaks cycles
            source = self._read(directory)
            if source is None and self._flat:  # a module name has _ where the package has -
                source = self._read(directory.replace("_", "-"))
            if source is not None:
                with contextlib.suppress(ValueError):
                    self._recipes[directory] = Recipe.parse(source)
        return self._recipes[directory]

    def _read(self, directory: str) -> bytes | None:
        if not re.fullmatch(r"[\w.+-]+", directory) or directory.startswith("."):
            return None  # not a package name: it must not lead out of the repository
        try:
            return file_checks.read_regular(self._packages / directory / "package.py", MAX_RECIPE)
        except OSError:
            return None


def configured_repositories(config: Config) -> list[Repository]:
    """Return the repositories of ``repos.yaml`` that are on this machine, by precedence.

    Raises
    ------
    ConfigError
        When an entry is neither a path nor a description of a git repository.
    """
    repositories = []
    for root in _roots(config):
        try:
            repositories.append(Repository(root))
        except ConfigError:  # not cloned yet, or deleted: skip it  # noqa: PERF203
            continue
    return repositories


def _roots(config: Config) -> Iterator[Path]:
    section = config.section("repos")
    entries: list[Any]
    if isinstance(section, dict):  # 1.0 and newer: by name
        entries = list(section.values())
    elif isinstance(section, list) or section is None:
        entries = section or []
    else:
        raise ConfigError(f"repos of {config.spack_root} needs a mapping or a list")
    for entry in entries:
        if isinstance(entry, str):
            yield config.path(entry, "repos")
        elif isinstance(entry, dict) and isinstance(entry.get("git"), str):
            yield from _cloned(entry, config)
        else:
            raise ConfigError(f"repos of {config.spack_root} needs a path or git, not {entry!r}")


def _cloned(entry: dict[str, Any], config: Config) -> Iterator[Path]:
    if entry.get("destination") is not None:
        clone = config.path(entry["destination"], "repos:destination")
    else:
        digest = hashlib.sha1(str(entry["git"]).encode(), usedforsecurity=False).digest()
        name = base64.b32encode(digest).decode().lower()[-7:]
        clone = config.substitution.user_cache_path / "package_repos" / name
    paths = entry.get("paths")
    if paths is None:
        index = yaml_reader.load(clone / "spack-repo-index.yaml")
        described = index.get("repo_index") if isinstance(index, dict) else None
        paths = described.get("paths") if isinstance(described, dict) else None
    for path in paths if isinstance(paths, list) else ():
        yield clone / str(path)


class InstalledRecipes:
    """The recipes that built the packages of a store: Spack stores a copy in each prefix.

    Parameters
    ----------
    chain : Chain
        The databases; for each package, only the last installed record is used.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def provides(self, package: str) -> list[Provides] | None:
        """Return what the recipe of `package` provides; None when no prefix has a copy of it."""
        spec = self._last_installed(package)
        if spec is None or spec.prefix is None:
            return None
        copies = Path(spec.prefix) / ".spack" / "repos"
        for root in (copies / "spack_repo" / spec.namespace, copies / spec.namespace):
            with contextlib.suppress(ConfigError):
                return Repository(root).provides(package)
        return None

    def _last_installed(self, package: str) -> Spec | None:
        for database in self._chain.databases:
            # This rarely decodes more than one record; a large store has thousands per name.
            for spec in database.specs(reversed(database.named(package))):
                if spec.installed and spec.external is None:
                    return spec
        return None


class KnownVirtuals:
    """What packages of Spack's builtin repository provide, for a site without its recipes.

    This is a list that is part of spack-kernel. It reflects that repository in the month that the
    list names. Recipes of the site, if there are any, take precedence.

    Parameters
    ----------
    database_format : int
        The newest database format of the store: names that were not virtual packages in an older
        Spack are left out.
    """

    def __init__(self, database_format: int) -> None:
        self._unknown = frozenset().union(
            *(names for since, names in _VIRTUAL_SINCE.items() if database_format < since)
        )

    def provides(self, package: str) -> list[Provides] | None:
        """Return what `package` provides; None if it is not in the list."""
        known = _known_virtuals().get(package)
        if known is None:
            return None
        return [
            Provides(virtual, when)
            for virtual, when in known
            if virtual.partition("@")[0] not in self._unknown
        ]


@functools.cache
def _known_virtuals() -> dict[str, list[list[str]]]:
    text = Path(__file__).with_name("known_virtuals.json").read_text(encoding="utf-8")
    provides: dict[str, list[list[str]]] = json.loads(text)["provides"]
    return provides


class SiteProviders(Providers):
    """The virtual packages that the recipes of a site provide, read on first use.

    Parameters
    ----------
    sources : callable
        Returns the sources of recipes, by precedence: repositories, `InstalledRecipes`, and
        finally `KnownVirtuals`.
    packages : callable
        Returns the names of the packages to read: those that are installed.
    preferred : callable
        Returns virtual package → packages listed for it, as `preferred_providers` reads them.
    checks : list of Check, optional
        Where to record the file-system queries.
    """

    def __init__(
        self,
        sources: Callable[[], Iterable[_Source]],
        packages: Callable[[], Iterable[str]],
        preferred: Callable[[], Mapping[str, Iterable[str]]] = dict,
        checks: list[file_checks.Check] | None = None,
    ) -> None:
        super().__init__()
        self._sources = sources
        self._packages = packages
        self._preferred = preferred
        self._checks: list[file_checks.Check] = [] if checks is None else checks

    @classmethod
    def of_chain(
        cls, chain: Chain, config: Config | None, checks: list[file_checks.Check]
    ) -> SiteProviders:
        """Return what a site knows.

        Parameters
        ----------
        chain : Chain
            Its databases.
        config : Config or None
            Its configuration.
        checks : list of Check
            Where to record the file-system queries.
        """

        def sources() -> Iterator[_Source]:
            if config is not None:
                yield from configured_repositories(config)
            yield InstalledRecipes(chain)
            yield KnownVirtuals(max(_format(database) for database in chain.databases))

        preferred = lambda: preferred_providers(config) if config else {}  # noqa: E731
        return cls(sources, chain.names, preferred, checks)

    def __contains__(self, virtual: object) -> bool:
        return virtual in self._known

    def of(self, virtual: str) -> tuple[Provision, ...]:
        """Return all known providers of `virtual`; empty if there are none or none are known."""
        return self._known.get(virtual, ())

    def listed(self, virtual: str) -> frozenset[str]:
        """Return the packages that ``packages.yaml`` lists as providers of `virtual`."""
        return self._listed.get(virtual, frozenset())

    def knows(self, package: str) -> bool:
        """Return whether it is known what `package` provides, even if that is nothing."""
        with file_checks.Recorder(self._checks):
            return any(source.provides(package) is not None for source in self._sources())

    @cached_property
    def _listed(self) -> dict[str, frozenset[str]]:
        listed: dict[str, frozenset[str]] = {}
        for virtual, texts in self._preferred().items():
            names = set()
            for text in texts:
                with contextlib.suppress(QuerySyntaxError):
                    names.add(parse_query(text).name)
            listed[virtual] = frozenset(name for name in names if name)
        return listed

    @cached_property
    def _known(self) -> dict[str, tuple[Provision, ...]]:
        found: dict[str, list[Provision]] = {}
        with file_checks.Recorder(self._checks):
            sources = list(self._sources())
            provides = [(p, _first(sources, p)) for p in sorted(self._packages())]
        for package, provided_by_it in provides:
            for virtual, when in provided_by_it:
                try:
                    provided = parse_query(virtual)
                    provider = parse_query(_with_name(package, when))
                except QuerySyntaxError:
                    continue  # newer than the query language that we support
                if provided.name:
                    found.setdefault(provided.name, []).append(
                        Provision(provider, provided.versions)
                    )
        return {virtual: tuple(provisions) for virtual, provisions in found.items()}


def _format(database: Database) -> int:
    return int(database.version) if database.version.isdigit() else 0


def preferred_providers(config: Config) -> dict[str, tuple[str, ...]]:
    """Return virtual package → what ``packages.yaml`` prefers for it, as text, best first.

    This is ``packages:all:providers``. It lists neither every provider nor the versions of the
    virtual package that each one provides.

    Raises
    ------
    ConfigError
        When it is not a mapping to lists.
    """
    found = config.get("packages:all:providers", {})
    if not isinstance(found, dict) or not all(isinstance(each, list) for each in found.values()):
        raise ConfigError(
            f"packages:all:providers of {config.spack_root} needs a list for each virtual package"
        )
    return {str(name): tuple(str(each) for each in listed) for name, listed in found.items()}


def _first(sources: list[_Source], package: str) -> list[Provides]:
    for source in sources:
        provides = source.provides(package)
        if provides is not None:
            return provides
    return []


def _with_name(package: str, when: str) -> str:
    return f"{package} {when}" if not when or parse_query(when).name is None else when
