"""Jupyter's configuration, read as a server reads it, and the mistakes in it."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import os
import reprlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp
from traitlets import HasTraits, TraitError, default
from traitlets.config import Config
from traitlets.config.loader import JSONFileConfigLoader, LazyConfigValue, PyFileConfigLoader
from traitlets.utils.importstring import import_item

from spack_kernel.jupyter.errors import JobRefusedError, KernelSpecError
from spack_kernel.jupyter.provisioner import KernelTraits, SpackProvisioner
from spack_kernel.jupyter.server import SpackPicker
from spack_kernel.jupyter.slurm import JobTraits, SpackSlurmProvisioner
from spack_kernel.kernels.errors import RequestError

from .manager import SpackKernelSpecManager

#: Our classes that a site configures, each with what checks the values of its options.
_CHECKERS: dict[type[HasTraits], type[HasTraits]] = {
    SpackKernelSpecManager: SpackKernelSpecManager,
    SpackProvisioner: KernelTraits,
    SpackSlurmProvisioner: JobTraits,
    SpackPicker: SpackPicker,
}

#: The names of the files that a server reads, without their ends.
_BASES = ("jupyter_config", "jupyter_server_config")

#: How similar the name of a class must be to ours to be a typing error.
_CUTOFF = 0.8


@dataclass(frozen=True)
class Mistake:
    """One option that is not what its class expects.

    Attributes
    ----------
    option : str
        The option, as ``c.SpackProvisioner.start_timeout``.
    file : str
        The configuration file that sets it; empty if none does.
    reason : str
        What is wrong.
    """

    option: str
    file: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file else ""
        return f"{place}{self.option}: {self.reason}"


class _ConfigReader(JupyterApp):
    """Reads Jupyter's configuration as a server does."""

    name = "spack-kernel"

    @property
    def config_file_paths(self) -> list[str]:
        """The directories to search for configuration: Jupyter's, without the working directory."""
        first, *others = super().config_file_paths
        return others if first == str(Path.cwd()) else [first, *others]

    @default("config_file_name")
    def _server_config(self) -> str:
        return "jupyter_server_config"


class SiteConfiguration:
    """What the configuration files set.

    Parameters
    ----------
    config_file : str, optional
        A configuration file instead of those that Jupyter finds.
    use_config : bool
        Whether to read the configuration files that Jupyter finds.

    Attributes
    ----------
    config : Config
        All options.
    files : list of str
        The files they were read from; a later one takes precedence.

    Raises
    ------
    KernelSpecError
        When a configuration file cannot be read.
    """

    def __init__(self, config_file: str | None = None, *, use_config: bool = True) -> None:
        # What it warns of is an error here.
        reader = _ConfigReader(raise_config_file_errors=True, log=_silent_logger())
        if config_file is not None:
            path = Path(config_file).absolute()
            if not path.is_file():
                raise KernelSpecError(f"there is no configuration file {path}")
            reader.config_file = str(path)
        #: The directories in which Jupyter looks for them.
        self.searched: list[str] = reader.config_file_paths
        try:
            # What a file prints must not become part of our output.
            with contextlib.redirect_stdout(sys.stderr):
                if use_config or config_file is not None:
                    reader.load_config_file(suppress_errors=False)
        except (Exception, SystemExit) as error:
            if isinstance(error, RuntimeError) and "home directory" in str(error):
                raise  # the configuration files are not the cause
            # A configuration file is a program, so it can raise any exception.
            raise KernelSpecError(
                f"Jupyter's configuration cannot be read: {type(error).__name__}: {error}",
                details=self._culprits(config_file),
                hint="Correct the file. `jupyter --paths` shows where Jupyter looks for it.",
            ) from error
        self.config: Config = reader.config
        self.files: list[str] = [os.fspath(file) for file in reader.loaded_config_files]
        # An earlier answer to the question of which file sets an option.
        self._known_origins: dict[tuple[str, str], str] | None = None

    def manager(self, **traits: Any) -> SpackKernelSpecManager:
        """Return a manager with the traits that a server of this user on this machine would set.

        Parameters
        ----------
        **traits
            Traits that override the configuration.

        Raises
        ------
        KernelSpecError
            When a trait has an invalid value.
        """
        try:
            return SpackKernelSpecManager(config=self.config, **traits)
        except TraitError as error:
            raise KernelSpecError(
                f"a trait of SpackKernelSpecManager has an invalid value: {error}"
            ) from error

    def offers_specs(self) -> bool:
        """Return whether a server with this configuration offers the specs of stores.

        Raises
        ------
        KernelSpecError
            When the class of its kernelspec manager cannot be imported.
        """
        chosen = self.config.get("ServerApp", {}).get("kernel_spec_manager_class")
        if not isinstance(chosen, str):
            return isinstance(chosen, type) and issubclass(chosen, SpackKernelSpecManager)
        try:
            return issubclass(import_item(chosen), SpackKernelSpecManager)
        except Exception as error:
            raise KernelSpecError(
                f"c.ServerApp.kernel_spec_manager_class cannot be imported: {error}",
                details=[f"  {chosen!r}"],
                hint=f"Write {manager_path()!r}.",
            ) from error

    def selects_specs(self) -> bool:
        """Return whether the configuration sets options of discovery."""
        return bool(self.config.get(SpackKernelSpecManager.__name__))

    def mistakes(self) -> list[Mistake]:
        """Return the options of our classes that have an unknown name or a wrong value."""
        origins = self._origins()
        known = {cls.__name__ for ours in _CHECKERS for cls in ours.__mro__}
        found = []
        for section, options in self.config.items():
            if not isinstance(options, Config):
                if section in known:
                    file = next((f for (s, _), f in origins.items() if s == section), "")
                    reason = f"it must have options, and is {reprlib.repr(options)}"
                    found.append(Mistake(f"c.{section}", file, reason))
                continue
            if section not in known:
                names = [ours.__name__ for ours in _CHECKERS]
                close = difflib.get_close_matches(section, names, n=1, cutoff=_CUTOFF)
                if close:
                    file = next((f for (s, _), f in origins.items() if s == section), "")
                    reason = f"there is no such class; did you mean `{close[0]}`?"
                    found.append(Mistake(f"c.{section}", file, reason))
                continue
            for ours, checker in _CHECKERS.items():
                is_own = section == ours.__name__
                if not is_own and section not in {cls.__name__ for cls in ours.__mro__}:
                    continue
                for name, value in options.items():
                    reason = _mistake(ours, checker, name, value, is_own)
                    if reason:
                        origin = origins.get((section, name), "")
                        found.append(Mistake(f"c.{section}.{name}", origin, reason))
        return list(dict.fromkeys([*found, *self._over_limits()]))

    def _over_limits(self) -> list[Mistake]:
        """Return what the site's defaults of jobs have that its limits refuse: no job can start."""
        name = SpackSlurmProvisioner.__name__
        if "slurm_defaults" not in self.config.get(name, {}):
            return []
        try:
            JobTraits(config=Config({JobTraits.__name__: self.config[name]})).options()
        except JobRefusedError as error:
            file = self.origin(name, "slurm_defaults")
            return [Mistake(f"c.{name}.slurm_defaults", file, f"its own limits refuse it: {error}")]
        except TraitError:
            pass  # a value that is not valid is a mistake of its own
        return []

    def origin(self, section: str, option: str) -> str:
        """Return the file that sets an option; empty if none does."""
        return self._origins().get((section, option), "")

    def unreadable(self) -> list[str]:
        """Return the directories that should have configuration files, but cannot be read."""
        reasons = {directory: _why_unreadable(directory) for directory in self.searched}
        return [f"  {directory}: {reason}" for directory, reason in reasons.items() if reason]

    def _origins(self) -> dict[tuple[str, str], str]:
        """Return the file that sets each option, by section and name."""
        if self._known_origins is None:
            self._known_origins = {}
            for file in self.files:
                for section, options in _load(file).items():
                    names = options if isinstance(options, Config) else ("",)
                    self._known_origins |= {(section, option): file for option in names}
        return self._known_origins

    def _culprits(self, config_file: str | None) -> list[str]:
        """Return the file that cannot be read, with the line if it is known, as details."""
        names = [f"{base}{end}" for base in _BASES for end in (".py", ".json")]
        files = [os.path.join(path, name) for path in self.searched for name in names]  # noqa: PTH118
        for file in [config_file] if config_file is not None else files:
            if not os.path.lexists(file):
                continue
            try:
                _load(file)
            except (Exception, SystemExit) as again:
                return [f"  {file}{_line(again, file)}"]
        return []


def manager_path() -> str:
    """Return the value of ``ServerApp.kernel_spec_manager_class`` that turns discovery on."""
    return f"spack_kernel.jupyter.discovery.{SpackKernelSpecManager.__name__}"


def _mistake(
    ours: type[HasTraits], checker: type[HasTraits], name: str, value: Any, is_own: bool
) -> str:
    """Return what is wrong with an option; empty if nothing is."""
    known = sorted(ours.class_traits(config=True))
    if name not in known:
        if not is_own:
            return ""  # an option of a class that is not ours
        close = difflib.get_close_matches(name, known, n=1)
        return f"there is no such option; {_suggestion(close, known)}"
    checked = checker()
    try:
        if isinstance(value, LazyConfigValue):
            value = value.get_value(getattr(checked, name))
        if isinstance(checked, KernelTraits):
            checked.set_option(name, value)
        else:
            setattr(checked, name, value)
        if name in ("stores", "upstreams"):
            relative = [path for path in value if path[:1] not in ("/", "~", "$")]
            if relative:
                return f"{relative[0]!r} is relative to wherever a server is started"
    except (TraitError, RequestError) as error:
        text = str(error).replace(checker.__name__, ours.__name__)
        return f"{reprlib.repr(value)} is not valid: {text}"
    return ""


def _suggestion(close: list[str], known: list[str]) -> str:
    return f"did you mean `{close[0]}`?" if close else f"the options are {', '.join(known)}"


def _why_unreadable(directory: str) -> str:
    """Return why a directory of configuration files cannot be read; empty if it can."""
    try:
        os.listdir(directory)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError) as error:
        # Of the usual ones, not all exist.
        named = os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)
        return str(error.strerror) if directory in named else ""
    except OSError as error:
        return str(error.strerror)
    return ""


def _load(file: str) -> Config:
    """Return what one configuration file sets."""
    directory, name = os.path.split(file)
    loader = JSONFileConfigLoader if name.endswith(".json") else PyFileConfigLoader
    with contextlib.redirect_stdout(sys.stderr):
        config: Config = loader(name, path=directory, log=_silent_logger()).load_config()
    return config


def _line(error: BaseException, file: str) -> str:
    """Return the last line of a file that took part in an exception, as text behind its path."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}"
    if isinstance(error, json.JSONDecodeError):
        return f", line {error.lineno}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    return f", line {lines[-1]}" if lines else ""


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.silent")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
