"""Find out which Spack environments can be kernels, without starting a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from spack_kernel.spack.environments import (
    EnvironmentNotFound,
    EnvironmentNotReady,
    environment_names,
    environments_root,
    open_environment,
)
from spack_kernel.spack.errors import ConfigError, SpackKernelError, reason_of
from spack_kernel.spack.system import file_checks

from .candidates import Survey
from .shipped import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spack_kernel.spack.environments import FrozenEnvironment, LockedRoot, SpackEnvironment
    from spack_kernel.spack.spec import Spec
    from spack_kernel.spack.store import Store

    from .candidates import Candidate


class EnvironmentCandidate(msgspec.Struct, frozen=True):
    """A Spack environment and the kernel it would make.

    Attributes
    ----------
    name : str
        The name of a managed environment, or the directory of an independent one.
    environment : SpackEnvironment or None
        What its files define; None if they cannot be read, or if it was never concretized.
    missing : tuple of LockedRoot
        The roots that are not installed.
    store : Store or None
        Where it is installed.
    frozen : FrozenEnvironment or None
        What activating it needs, when all roots are installed.
    specs : tuple of Spec
        The roots, when all are installed.
    candidates : tuple of Candidate
        The kernels these would make.
    error : SpackKernelError or None
        Why it cannot be loaded.
    """

    name: str
    environment: SpackEnvironment | None = None
    missing: tuple[LockedRoot, ...] = ()
    store: Store | None = None
    frozen: FrozenEnvironment | None = None
    specs: tuple[Spec, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    error: SpackKernelError | None = None

    @property
    def able(self) -> tuple[Candidate, ...]:
        """The roots that can be IPython kernels; one is enough for the environment to be one."""
        return tuple(candidate for candidate in self.candidates if not candidate.why_not)

    @property
    def why_not(self) -> str:
        """Why it cannot be an IPython kernel; empty when it can."""
        if self.error is not None:
            return self.error.summary
        if self.able:
            return ""
        return "; ".join(dict.fromkeys(candidate.why_not for candidate in self.candidates))

    def as_dict(self, directory: str) -> dict[str, Any]:
        """Return the candidate as JSON types, with its directory."""
        environment, able = self.environment, self.able
        python = able[0].python if able else None
        missing = {root.hash for root in self.missing}
        return {
            "name": self.name,
            "directory": directory,
            "roots": [
                {"query": root.query, "hash": root.hash, "installed": root.hash not in missing}
                for root in (environment.roots if environment else ())
            ],
            "views": {view.name: view.root for view in environment.views.values()}
            if environment
            else {},
            "python": str(python.version) if python else None,
            "python_hash": python.hash if python else None,
            "ipykernel": able[0].ipykernel_as_dict() if able else None,
            "why_not": self.why_not or None,
        }


def environments_of(store: Store) -> tuple[Path, dict[str, EnvironmentCandidate]]:
    """Return the directory of a Spack instance's managed environments, and these by name.

    Parameters
    ----------
    store : Store
        The store, opened through the Spack instance.

    Raises
    ------
    EnvironmentNotFound
        When the store is only an install tree, which has no environments.
    ConfigError
        When the configuration is invalid, or the directory cannot be read.
    """
    if store.config is None:
        raise EnvironmentNotFound(
            f"{store.root} is an install tree, which has no Spack environments",
            hint="Name the root of the Spack instance that manages them, with --store or "
            "SPACK_ROOT.\nFor an environment in any other directory, use --environment "
            "./DIRECTORY with `install` or `show`.",
        )
    root = environments_root(store.config)
    try:
        names = environment_names(store.config)
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
    survey = EnvironmentSurvey(store)
    return root, {name: survey.candidate(name) for name in names}


class EnvironmentSurvey:
    """A survey of the Spack environments of one store.

    Parameters
    ----------
    store : Store
        Where they are installed; its configuration locates managed environments.
    survey : Survey, optional
        The survey of the store, if there is one already.
    shippers : sequence of str
        As for `Survey`.
    """

    def __init__(
        self, store: Store, survey: Survey | None = None, shippers: Sequence[str] = PACKAGES
    ) -> None:
        self._store = store
        self._shippers = shippers
        # An environment may have an install tree of its own.
        self._surveys: dict[str, tuple[Store, Survey | None]] = {store.root: (store, survey)}

    def candidate(self, name: str) -> EnvironmentCandidate:
        """Return the candidate for the environment `name`, given as for `open_environment`."""
        environment: SpackEnvironment | None = None
        missing: tuple[LockedRoot, ...] = ()
        try:
            environment = open_environment(name, self._store.config)
            view = environment.view()  # raises if it is not clear which view to use
            store, survey = self._of(environment.store(self._store))
            missing = environment.missing(store)
            specs = environment.specs(store)
            if view is not None and not file_checks.is_dir(view.root):
                raise EnvironmentNotReady(
                    f"its view {view.name} does not exist: {view.root}",
                    hint=f"Create it with `spack {environment.option} env view regenerate`.",
                )
            frozen = environment.freeze(view, self._store)
            candidates = tuple(survey.candidates(specs))
        except SpackKernelError as error:
            return EnvironmentCandidate(
                environment.name if environment else name, environment, missing, error=error
            )
        except (OSError, ValueError, RecursionError) as error:
            told = ConfigError(f"cannot read the environment: {reason_of(error)}")
            return EnvironmentCandidate(name, environment, error=told)
        return EnvironmentCandidate(
            environment.name,
            environment,
            store=store,
            frozen=frozen,
            specs=specs,
            candidates=candidates,
        )

    def _of(self, store: Store) -> tuple[Store, Survey]:
        """Return a store and its survey, each created only once."""
        store, survey = self._surveys.get(store.root, (store, None))
        survey = survey or Survey(store, self._shippers)
        self._surveys[store.root] = store, survey
        return store, survey
